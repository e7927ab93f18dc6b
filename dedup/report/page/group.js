// One group: the keeper, why it stays, and its duplicates, each with what was found and a choice.

import { COPIES, show } from "./data.js";
import { shortFolder } from "./folders.js";
import { apart, canBeApart, copiesOf, going, obstacle, setApart, setGoing, toggleCopies } from "./choices.js";
import { bytes, counted, element, fileName, folderOf, name, visible } from "./text.js";

function thumbnail(file) {
  if (file.image === undefined) return element("span", { class: "missing" }, file.missing);
  const image = element("img", { alt: "", decoding: "async" });
  image.dataset.number = file.image;
  return image;
}

function facts(file) {
  const parts = [];
  if (file.width) parts.push(`${file.width}×${file.height} ${file.format}`);
  if (file.bytes !== undefined) parts.push(bytes(file.bytes));
  if (file.modified) parts.push(new Date(file.modified).toISOString().slice(0, 10));
  return parts.map((part) => element("span", { class: "fact" }, part));
}

function caption(file, ...more) {
  return element(
    "figcaption", { title: visible(file.path) },
    ...more,
    element("b", {}, name(fileName(file.path))),
    element("span", { class: "quiet" }, name(shortFolder(folderOf(file.path)))),
    element("span", { class: "quiet" }, ...facts(file)),
  );
}

/** The buttons of one duplicate, as they stand now; also shown where it is compared. */
export function decideButtons(one) {
  const against = obstacle(one);
  const file = visible(fileName(one.path));
  const goes = element("button", {
    type: "button",
    class: "goes",
    title: against && `Stays: ${visible(against)}`,
    disabled: Boolean(against),
    "aria-pressed": going.has(one),
    "aria-label": `Goes: ${file}`,
  }, "Goes");
  const both = element("button", {
    type: "button",
    class: "both",
    title: canBeApart(one) ? "Not a duplicate: remember that" : "Nothing to decide: same bytes",
    disabled: !canBeApart(one),
    "aria-pressed": apart.has(one),
    "aria-label": `Keep both: ${file} is not a duplicate`,
  }, "Keep both");
  goes.addEventListener("click", () => setGoing([one], !going.has(one)));
  both.addEventListener("click", () => setApart(one, !apart.has(one)));
  return [goes, both];
}

/** Show what was decided of a duplicate. */
export function refresh(one) {
  const figure = one.figure;
  if (!figure) return;
  figure.classList.toggle("is-going", going.has(one));
  figure.classList.toggle("is-apart", apart.has(one));
  figure.querySelector(".goes").setAttribute("aria-pressed", going.has(one));
  figure.querySelector(".both").setAttribute("aria-pressed", apart.has(one));
}

function duplicateFigure(one, compare) {
  const words = `Compare ${visible(fileName(one.path))} with its keeper`;
  const look = element("button", { type: "button", class: "look", "aria-label": words }, thumbnail(one));
  look.addEventListener("click", () => compare(one));
  const against = obstacle(one);
  const alike = one.tier === "similar" ? ` ${one.similarity.toFixed(4)}` : "";
  one.figure = element(
    "figure", { class: "duplicate", tabIndex: -1 },
    look,
    caption(
      one,
      element("span", { class: `tier ${one.tier}` }, one.tier + alike),
      element("span", { class: "evidence" }, visible(one.evidence)),
    ),
    against ? element("p", { class: "stays" }, `Stays: ${visible(against)}`) : null,
    element("div", { class: "actions" }, ...decideButtons(one)),
  );
  return one.figure;
}

function summary(group) {
  const copies = group.duplicates.filter((one) => COPIES.has(one.tier)).length;
  const versions = group.duplicates.filter((one) => one.tier === "near").length;
  const alike = group.duplicates.length - copies - versions;
  const parts = [];
  if (copies) parts.push(counted(copies, "copy", "copies"));
  if (versions) parts.push(counted(versions, "edited version"));
  if (alike) parts.push(counted(alike, "look-alike"));
  if (group.freed) parts.push(`${bytes(group.freed)} to free`);
  return parts.join(" · ");
}

/** Build a group; its thumbnails come when it is near to being seen. */
export function groupArticle(group, compare) {
  const copies = copiesOf(group.duplicates);
  const choose = element("button", { type: "button" }, copies.length === 1 ? "Choose copy" : "Choose copies");
  choose.addEventListener("click", () => toggleCopies(group));
  const keeper = element(
    "figure", { class: "keeper" },
    element("span", { class: "look" }, thumbnail(group.keeper)),
    caption(
      group.keeper,
      element("span", { class: "tier keeps" }, "keeper"),
      element("span", { class: "evidence" }, group.why && `stays: ${visible(group.why)}`),
    ),
  );
  group.article = element(
    "article", { "aria-label": `Group ${group.number}` },
    element(
      "header", {},
      element("h2", {}, `${group.number}`),
      element("span", {}, summary(group)),
      copies.length ? choose : null,
    ),
    element("div", { class: "members" }, keeper, ...group.duplicates.map((one) => duplicateFigure(one, compare))),
  );
  for (const one of group.duplicates) refresh(one);
  return group.article;
}

/** Give a group its thumbnails. */
export function fill(article) {
  for (const image of article.querySelectorAll("img[data-number]")) {
    show(image, image.dataset.number);
    image.removeAttribute("data-number");
  }
}
