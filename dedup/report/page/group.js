// One group: the keeper, why it stays, and its duplicates, each with what was found and a choice.

import { show } from "./data.js";
import { shortFolder } from "./folders.js";
import { apart, going, setApart, setGoing, toggleCopies } from "./choices.js";
import { canBeApart, COPIES, copiesOf, obstacle } from "./rules.js";
import { bytes, counted, element, fileName, folderOf, name, visible } from "./text.js";
import { WORDS } from "./words.js";

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
    title: against && WORDS.stays(visible(against)),
    disabled: Boolean(against) && !going.has(one),
    "aria-pressed": going.has(one),
    "aria-label": WORDS.goesLabel(file),
  }, WORDS.goes);
  const both = element("button", {
    type: "button",
    class: "both",
    title: canBeApart(one) ? WORDS.bothTitle : WORDS.bothSame,
    disabled: !canBeApart(one),
    "aria-pressed": apart.has(one),
    "aria-label": WORDS.bothLabel(file),
  }, WORDS.both);
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

function duplicateFigure(one, compare, more) {
  const words = WORDS.compareLabel(visible(fileName(one.path)));
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
    against ? element("p", { class: "stays" }, WORDS.stays(visible(against))) : null,
    element("div", { class: "actions" }, ...decideButtons(one), ...more(one)),
  );
  return one.figure;
}

function summary(group) {
  const copies = group.duplicates.filter((one) => COPIES.has(one.tier)).length;
  const versions = group.duplicates.filter((one) => one.tier === "near").length;
  const alike = group.duplicates.length - copies - versions;
  const parts = [];
  if (copies) parts.push(counted(copies, ...WORDS.copy));
  if (versions) parts.push(counted(versions, ...WORDS.version));
  if (alike) parts.push(counted(alike, ...WORDS.alike));
  if (group.freed) parts.push(WORDS.toFree(bytes(group.freed)));
  return parts.join(" · ");
}

/** Build a group; its thumbnails come when it is near to being seen. `more` gives further buttons. */
export function groupArticle(group, compare, more = () => []) {
  const copies = copiesOf(group.duplicates);
  const choose = element("button", { type: "button" }, copies.length === 1 ? WORDS.chooseCopy : WORDS.chooseCopies);
  choose.addEventListener("click", () => toggleCopies(group));
  const keeper = element(
    "figure", { class: "keeper" },
    element("span", { class: "look" }, thumbnail(group.keeper)),
    caption(
      group.keeper,
      element("span", { class: "tier keeps" }, WORDS.keeper),
      element("span", { class: "evidence" }, group.why && WORDS.keptBecause(visible(group.why))),
    ),
  );
  group.article = element(
    "article", { "aria-label": WORDS.group(group.number) },
    element(
      "header", {},
      element("h2", {}, `${group.number}`),
      element("span", {}, summary(group)),
      copies.length ? choose : null,
    ),
    element("div", { class: "members" }, keeper, ...group.duplicates.map((one) => duplicateFigure(one, compare, more))),
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
