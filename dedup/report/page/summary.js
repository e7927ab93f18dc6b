// What it all comes to: figures, and sums by tier and by folder.

import { data } from "./data.js";
import { base, shortFolder } from "./folders.js";
import { COPIES } from "./rules.js";
import { bytes, counted, element, name, visible } from "./text.js";
import { WORDS } from "./words.js";

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
  return sums(WORDS.sums.pages, true, table(WORDS.columns.pages, rows));
}

/** Fill the head of the page. */
export function summarise(chooseFolder) {
  const about = document.getElementById("about");
  const where = name(data.folders.length ? base : data.roots.join(", "));
  about.append(WORDS.within[0], where, WORDS.within[1](data.version, data.made.slice(0, 10)));
  if (data.part) {
    const all = element("a", { href: data.part.index }, WORDS.allPages);
    about.append(WORDS.pageOf(data.part.number, data.part.of), all, ".");
  }
  const total = (test, column) => data.tiers.filter(([tier]) => test(tier)).reduce((sum, row) => sum + row[column], 0);
  const copies = (tier) => COPIES.has(tier);
  const near = (tier) => tier === "near";
  const groups = data.parts ? data.parts.reduce((sum, row) => sum + row[2], 0) : data.shown.length;
  const all = data.part ? groups : data.groups;
  const figures = [
    figure(counted(groups, "group"), groups < all ? WORDS.ofGroups(all.toLocaleString("en")) : WORDS.ofDuplicates),
    figure(bytes(total(copies, 2)), WORDS.freedBy(counted(total(copies, 1), ...WORDS.copy))),
  ];
  if (total(near, 1)) figures.push(figure(counted(total(near, 1), ...WORDS.version), bytes(total(near, 2))));
  const alike = total((tier) => tier === "similar", 1);
  if (alike) figures.push(figure(counted(alike, ...WORDS.alike), WORDS.notProven));
  document.getElementById("figures").append(...figures);
  const tiers = data.tiers.map(([tier, count, size]) => [
    element("span", { class: `tier ${tier}` }, tier), WORDS.meanings[tier], count.toLocaleString("en"), bytes(size),
  ]);
  const folders = data.folders.map(([folder, count, size]) => {
    const button = element("button", { type: "button", class: "link", title: visible(folder) }, name(shortFolder(folder)));
    button.addEventListener("click", () => chooseFolder(folder));
    return [data.parts ? name(shortFolder(folder)) : button, count.toLocaleString("en"), bytes(size)];
  });
  const wide = matchMedia("(min-width: 641px)").matches;
  const place = document.getElementById("sums");
  if (data.parts) place.append(parts());
  if (data.tiers.length) place.append(sums(WORDS.sums.tiers, wide, table(WORDS.columns.tiers, tiers)));
  if (folders.length) place.append(sums(WORDS.sums.folders, wide, table(WORDS.columns.folders, folders)));
  document.getElementById("notes").append(...data.notes.map((note) => element("li", {}, visible(note))));
}
