// Puts the page together: groups in slices, filters, and what was chosen.

import {
  apart, clear, decisionsText, download, freed, going, isSaved, markSaved, onChange, planText, setGoing,
} from "./choices.js";
import { compare, comparing, startComparing } from "./compare.js";
import { data } from "./data.js";
import { shortFolder } from "./folders.js";
import { fill, decideButtons, groupArticle, refresh } from "./group.js";
import { listen } from "./keys.js";
import { copiesOf } from "./rules.js";
import { summarise } from "./summary.js";
import { bytes, counted, element, folderOf, visible } from "./text.js";

const SLICE = 40; // groups that are built at once
const byId = (id) => document.getElementById(id);
const groups = data.shown;
for (const group of groups) {
  for (const one of group.duplicates) one.group = group;
  group.text = [group.keeper, ...group.duplicates]
    .map((file) => visible(`${file.path} ${file.evidence ?? group.why}`)).join("\n").toLowerCase();
}

const near = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) {
      fill(entry.target);
      near.unobserve(entry.target);
    }
  }
}, { rootMargin: "1000px" });

// Filters

const tiersShown = new Set(data.tiers.map(([tier]) => tier));

function matches(one) {
  const folder = byId("folder").value;
  const state = byId("state").value;
  const decided = going.has(one) ? "going" : apart.has(one) ? "apart" : "open";
  return tiersShown.has(one.tier)
    && (!folder || folderOf(one.path) === data.folders[folder][0])
    && (!state || state === decided);
}

let matching = [];

function filter() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  matching = [];
  let seen = 0;
  for (const group of groups) {
    const found = words.every((word) => group.text.includes(word)) ? group.duplicates.filter(matches) : [];
    matching.push(...found);
    if (group.article) group.article.hidden = !found.length;
    seen += Boolean(found.length);
  }
  byId("none").hidden = Boolean(seen) || !groups.length;
}

function sort() {
  const by = {
    count: (a, b) => b.duplicates.length - a.duplicates.length || a.number - b.number,
    path: (a, b) => (a.keeper.path < b.keeper.path ? -1 : 1),
  }[byId("order").value] ?? ((a, b) => a.number - b.number);
  groups.sort(by);
  byId("groups").append(...groups.map((group) => group.article).filter(Boolean));
  filter();
}

function startFilters() {
  byId("folder").append(
    element("option", { value: "" }, "all folders"),
    ...data.folders.map(([folder, count], place) =>
      element("option", { value: place }, `${visible(shortFolder(folder))} (${count})`)),
  );
  for (const [tier] of data.tiers) {
    const chip = element("button", { type: "button", "aria-pressed": true }, tier);
    chip.addEventListener("click", () => {
      if (!tiersShown.delete(tier)) tiersShown.add(tier);
      chip.setAttribute("aria-pressed", tiersShown.has(tier));
      filter();
    });
    byId("tiers").append(chip);
  }
  byId("search").addEventListener("input", filter);
  byId("folder").addEventListener("change", filter);
  byId("state").addEventListener("change", filter);
  byId("order").addEventListener("change", sort);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("all").addEventListener("click", () => setGoing(copiesOf(matching), true));
}

// Choices

function sayChosen() {
  const parts = [];
  if (going.size) parts.push(`${counted(going.size, "file")} to go, ${bytes(freed())}`);
  if (apart.size) parts.push(`${counted(apart.size, "pair")} kept apart`);
  byId("chosen").textContent = parts.join(" · ") || "Nothing chosen yet. Nothing is touched from here.";
  byId("clear").hidden = !parts.length;
  byId("plan").disabled = !going.size;
  byId("decisions").disabled = !apart.size;
}

const number = data.part ? `-${data.part.number}` : "";

function save(text, file, command, words) {
  download(text, file);
  markSaved();
  byId("saved-title").textContent = `Saved ${file}`;
  byId("saved-text").textContent = words;
  byId("saved-command").textContent = command;
  byId("saved").showModal();
}

function startChoices() {
  onChange((duplicates) => {
    duplicates.forEach(refresh);
    const one = comparing();
    if (one) byId("decide").replaceChildren(...decideButtons(one));
    sayChosen();
  });
  byId("clear").addEventListener("click", clear);
  byId("plan").addEventListener("click", () => save(
    planText(), `plan${number}.json`, `dedup apply plan${number}.json --dry-run\ndedup apply plan${number}.json`,
    "Nothing has been touched. On the machine that has the images, the first line checks every file "
    + "again, the second moves what was chosen to the trash; dedup undo brings it back.",
  ));
  byId("decisions").addEventListener("click", () => save(
    decisionsText(), `decisions${number}.jsonl`, `dedup ignore --import decisions${number}.jsonl`,
    "dedup then remembers that these are no duplicates, by their content.",
  ));
  window.addEventListener("beforeunload", (event) => { if (!isSaved()) event.preventDefault(); });
  sayChosen();
}

async function build() {
  for (let at = 0; at < groups.length; at += SLICE) {
    const articles = groups.slice(at, at + SLICE).map((group) => group.article ?? groupArticle(group, compare));
    byId("groups").append(...articles);
    articles.forEach((article) => near.observe(article));
    await new Promise((resolve) => setTimeout(resolve));
  }
  sort();
  document.documentElement.dataset.ready = groups.length;
}

for (const button of document.querySelectorAll("dialog .close")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
if (!groups.length) document.body.classList.add("only-summary");
summarise((folder) => {
  byId("folder").value = data.folders.findIndex((row) => row[0] === folder);
  filter();
  byId("filters").scrollIntoView();
});
startFilters();
startChoices();
startComparing(() => matching);
listen(() => matching);
filter();
build();
