// Puts the page together: words, filters, and what the server tells.

import { startActing } from "./acting.js";
import { onState, post, root, startListening, tell } from "./api.js";
import { chooseMany } from "./choices.js";
import { comparing, startComparing } from "./compare.js";
import { data } from "./data.js";
import { shortFolder } from "./folders.js";
import { startKeys } from "./keys.js";
import { filters, follow, load, moreButtons, startPages, step } from "./pages.js";
import { go, onMove, place } from "./place.js";
import { summarise } from "./summary.js";
import { bytes, counted, element, visible } from "./text.js";
import { WORDS } from "./words.js";

const byId = (id) => document.getElementById(id);
const TYPING = 200; // milliseconds after which a search is made

function putWords() {
  const kinds = { text: "textContent", title: "title", placeholder: "placeholder" };
  for (const [kind, property] of Object.entries(kinds)) {
    for (const node of document.querySelectorAll(`[data-${kind}]`)) node[property] = WORDS[node.dataset[kind]];
  }
  for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", WORDS[node.dataset.label]);
}

const options = (words) => Object.entries(words).map(([value, word]) => element("option", { value }, word));

function showFilters() {
  const now = place();
  for (const id of ["folder", "state", "order"]) byId(id).value = now[id] ?? "";
  if (document.activeElement !== byId("search")) byId("search").value = now.words ?? "";
  const tiers = now.tiers?.split(",");
  for (const chip of byId("tiers").children) {
    chip.setAttribute("aria-pressed", !tiers || tiers.includes(chip.textContent));
  }
}

const filter = (changes, replace = false) => go({ ...changes, page: null, pair: null }, replace);

function chooseTiers(chip) {
  const pressed = (one) => (one.getAttribute("aria-pressed") === "true") !== (one === chip);
  const chips = [...byId("tiers").children];
  const shown = chips.filter(pressed).map((one) => one.textContent);
  filter({ tiers: shown.length === chips.length ? null : shown.join(",") || "none" });
}

function startFilters() {
  byId("folder").append(
    element("option", { value: "" }, WORDS.allFolders),
    ...data.folders.map(([folder, count], at) => element("option", { value: at }, `${visible(shortFolder(folder))} (${count})`)),
  );
  byId("state").append(...options(WORDS.states));
  byId("order").append(...options(WORDS.orders));
  for (const [tier] of data.tiers) {
    const chip = element("button", { type: "button" }, tier);
    chip.addEventListener("click", () => chooseTiers(chip));
    byId("tiers").append(chip);
  }
  let typed = 0;
  byId("search").addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(() => filter({ words: byId("search").value.trim() }, true), TYPING);
  });
  for (const id of ["folder", "state", "order"]) byId(id).addEventListener("change", () => filter({ [id]: byId(id).value }));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("all").addEventListener("click", () => chooseMany("shown", filters()));
}

function sayChosen({ chosen }) {
  const parts = [];
  if (chosen.files) parts.push(WORDS.chosen(counted(chosen.files, ...WORDS.fileWord), bytes(chosen.bytes)));
  if (chosen.apart) parts.push(WORDS.keptApart(counted(chosen.apart, ...WORDS.pairWord)));
  byId("chosen").textContent = parts.join(" · ") || WORDS.nothingChosen;
  byId("clear").hidden = !chosen.files;
  byId("plan").disabled = !chosen.files;
}

let latest = data;

/** New groups: everything is read again, once nothing is open that a person looks at. */
function startAnew(state) {
  latest = state;
  const isNew = latest.listed !== data.listed && !latest.job.runs;
  if (isNew && !document.querySelector("dialog[open]")) location.reload();
}

function startDialogs() {
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.querySelector(".close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => startAnew(latest));
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  }
  byId("compare").addEventListener("close", () => go({ pair: null }, true));
  byId("before").addEventListener("click", () => step(comparing(), -1));
  byId("after").addEventListener("click", () => step(comparing(), 1));
}

if (location.pathname !== root) history.replaceState(null, "", root + location.hash); // the token
putWords();
if (data.listed) {
  summarise((folder) => {
    filter({ folder: data.folders.findIndex((row) => row[0] === folder) });
    byId("filters").scrollIntoView();
  });
}
startFilters();
startDialogs();
startPages();
startActing();
startComparing((one) => {
  const folder = element("button", { type: "button", title: WORDS.folderGoesTitle }, WORDS.folderGoes);
  folder.addEventListener("click", () => chooseMany("folder", { file: one.id }));
  return [...moreButtons(one), folder];
});
startKeys();
byId("clear").addEventListener("click", () => post("clear"));
onState(sayChosen);
onState(follow);
onState(startAnew);
onMove(showFilters);
onMove(load);
showFilters();
tell(data);
await load();
startListening();
