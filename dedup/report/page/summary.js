// What it all comes to: figures, and sums by tier and by folder.

import { base, COPIES, data, MEANINGS, shortFolder } from "./data.js";
import { bytes, counted, element, name, visible } from "./text.js";

function figure(number, words) {
  return element("div", {}, element("strong", {}, number), element("span", {}, words));
}

function table(titles, rows) {
  return element(
    "table", {},
    element("thead", {}, element("tr", {}, ...titles.map((title) => element("th", { scope: "col" }, title)))),
    element("tbody", {}, ...rows.map((cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, cell))))),
  );
}

function sums(title, open, content) {
  return element("details", { open }, element("summary", {}, title), element("div", {}, content));
}

function parts() {
  const rows = data.parts.map(([link, file, groups, files, freed]) => [
    element("a", { href: link }, name(file)), groups.toLocaleString("en"), files.toLocaleString("en"), bytes(freed),
  ]);
  return sums("Pages", true, table(["page", "groups", "files", "to free"], rows));
}

/** Fill the head of the page. */
export function summarise(chooseFolder) {
  const about = document.getElementById("about");
  about.append("In ", name(data.folders.length ? base : data.roots.join(", ")), `, found by dedup ${data.version} on ${data.made.slice(0, 10)}.`);
  if (data.part) about.append(` Page ${data.part.number} of ${data.part.of}: `, element("a", { href: data.part.index }, "all pages"), ".");
  const total = (test, column) => data.tiers.filter(([tier]) => test(tier)).reduce((sum, row) => sum + row[column], 0);
  const copies = (tier) => COPIES.has(tier);
  const near = (tier) => tier === "near";
  const groups = data.parts ? data.parts.reduce((sum, row) => sum + row[2], 0) : data.shown.length;
  const all = data.part ? groups : data.groups;
  const figures = [figure(groups.toLocaleString("en"), groups < all ? `groups, of ${all.toLocaleString("en")}` : groups === 1 ? "group" : "groups")];
  figures.push(figure(bytes(total(copies, 2)), `to free: ${counted(total(copies, 1), "copy", "copies")}`));
  if (total(near, 1)) figures.push(figure(total(near, 1).toLocaleString("en"), `${total(near, 1) === 1 ? "edited version" : "edited versions"}, ${bytes(total(near, 2))}`));
  const alike = total((tier) => tier === "similar", 1);
  if (alike) figures.push(figure(alike.toLocaleString("en"), alike === 1 ? "look-alike" : "look-alikes"));
  document.getElementById("figures").append(...figures);
  const tiers = data.tiers.map(([tier, count, size]) => [
    element("span", { class: `tier ${tier}` }, tier), MEANINGS[tier], count.toLocaleString("en"), bytes(size),
  ]);
  const folders = data.folders.map(([folder, count, size]) => {
    const button = element("button", { type: "button", class: "link", title: visible(folder) }, name(shortFolder(folder)));
    button.addEventListener("click", () => chooseFolder(folder));
    return [data.parts ? name(shortFolder(folder)) : button, count.toLocaleString("en"), bytes(size)];
  });
  const wide = matchMedia("(min-width: 641px)").matches;
  const where = document.getElementById("sums");
  if (data.parts) where.append(parts());
  if (data.tiers.length) where.append(sums("By tier", wide, table(["tier", "means", "files", "size"], tiers)));
  if (folders.length) where.append(sums("By folder", wide, table(["folder", "files", "to free"], folders)));
  document.getElementById("notes").append(...data.notes.map((note) => element("li", {}, visible(note))));
}
