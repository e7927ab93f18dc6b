// A duplicate and its keeper, looked at in a dialog.

import { decideButtons } from "./group.js";
import { element, name, fileName, visible } from "./text.js";
import { picture, VIEWS } from "./views.js";

const dialog = document.getElementById("compare");
const stage = document.getElementById("stage");
const viewButtons = dialog.querySelectorAll("[data-view]");
let view = "beside";
let pair = null; // the duplicate that is looked at
let neighbours = () => [];

async function draw() {
  const shown = pair;
  const { keeper } = shown.group;
  document.getElementById("compared").replaceChildren(
    name(fileName(shown.path)), element("span", { class: `tier ${shown.tier}` }, shown.tier),
  );
  document.getElementById("verdict").replaceChildren(visible(shown.evidence));
  document.getElementById("decide").replaceChildren(...decideButtons(shown));
  for (const button of viewButtons) button.setAttribute("aria-pressed", button.dataset.view === view);
  const missing = [keeper, shown].find((file) => file.image === undefined);
  if (missing) {
    stage.replaceChildren(element("p", { class: "missing" }, name(fileName(missing.path)), `: ${missing.missing}`));
    return;
  }
  const files = [{ ...keeper, word: "keeper" }, { ...shown, word: shown.tier }];
  const images = await Promise.all(files.map(picture));
  if (pair === shown) stage.replaceChildren(VIEWS[view](files, images));
}

export function compare(duplicate) {
  pair = duplicate;
  draw();
  if (!dialog.open) dialog.showModal();
}

export const comparing = () => (dialog.open ? pair : null);

export function setView(chosen) {
  view = chosen;
  draw();
}

/** Go on to another pair of those that are shown. */
export function step(by) {
  const all = neighbours();
  const next = all[all.indexOf(pair) + by];
  if (next) compare(next);
}

/** Set what gives the duplicates that are shown, in order. */
export function startComparing(shown) {
  neighbours = shown;
  for (const button of viewButtons) button.addEventListener("click", () => setView(button.dataset.view));
  document.getElementById("before").addEventListener("click", () => step(-1));
  document.getElementById("after").addEventListener("click", () => step(1));
}
