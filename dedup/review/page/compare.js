// Two images at a look: side by side, under a slider, in turns, or as a map of what differs.

import { root, tryGet } from "./api.js";
import { show } from "./data.js";
import { decideButtons } from "./group.js";
import { bytes, element, fileName, name, visible } from "./text.js";
import { fit, onMoved, paneOf, setPanes, zoom } from "./viewer.js";
import { WORDS } from "./words.js";

const byId = (id) => document.getElementById(id);
const dialog = byId("compare");
const stage = byId("stage");
const BLINKS = 700; // milliseconds

let view = "beside";
let pair = null;
let blinking = 0;
let more = () => [];

/** An image of a file, larger than the thumbnail, and the largest there is once it is looked at closely. */
function imageOf(file, word) {
  if (file.image === undefined) return element("span", { class: "missing" }, `${fileName(file.path)}: ${file.missing}`);
  const image = element("img", { alt: `${word}: ${visible(fileName(file.path))}`, decoding: "async", draggable: false });
  show(image, file.image, "view").then((is) => {
    if (is && Math.max(file.width, file.height) > 1600) image.dataset.full = `${root}image/full/${file.image}`;
  });
  return image;
}

/** The duplicate as the proof places it over its keeper; whole where it does not. */
function placedOf(one, kind, word) {
  const image = element("img", { alt: word, decoding: "async", draggable: false });
  const url = `${root}image/${kind}/${one.group.keeper.image}/${one.image}`;
  byId("legend").textContent = WORDS.loading;
  return new Promise((resolve) => {
    image.addEventListener("load", () => resolve([image, true]), { once: true });
    image.addEventListener("error", () => resolve([imageOf(one, one.tier), false]), { once: true });
    image.src = url;
  });
}

function titled(file, word, pane) {
  return element("figure", {}, pane, element(
    "figcaption", {}, element("b", {}, word), " ", name(fileName(file.path)),
    file.width ? ` ${file.width}×${file.height} ${file.format}, ${bytes(file.bytes)}` : "",
  ));
}

async function beside(keeper, one) {
  const panes = [paneOf(imageOf(keeper, WORDS.keeper)), paneOf(imageOf(one, one.tier))];
  const figures = [titled(keeper, WORDS.keeper, panes[0]), titled(one, one.tier, panes[1])];
  return { content: element("div", { class: "beside" }, ...figures), panes, legend: "" };
}

async function stacked(keeper, one) {
  const [above, isPlaced] = await placedOf(one, "laid", `${one.tier}: ${visible(fileName(one.path))}`);
  return { pane: paneOf(imageOf(keeper, WORDS.keeper), above), legend: isPlaced ? WORDS.placed : WORDS.unplaced };
}

async function slide(keeper, one) {
  const { pane, legend } = await stacked(keeper, one);
  pane.classList.add("slid");
  const range = element("input", { type: "range", min: 0, max: 100, step: 0.1, value: 50, "aria-label": WORDS.line });
  const set = () => pane.style.setProperty("--at", `${range.value}%`);
  range.addEventListener("input", set);
  pane.slideTo = (share) => { range.value = 100 * share; set(); };
  set();
  const ends = element("div", { class: "ends" }, element("span", {}, WORDS.keeper), range, element("span", {}, one.tier));
  return { content: element("div", {}, pane, ends), panes: [pane], legend };
}

async function blink(keeper, one) {
  const { pane, legend } = await stacked(keeper, one);
  pane.classList.add("blinks");
  const word = element("span", { class: "which", role: "status" });
  pane.turn = () => {
    const second = pane.classList.toggle("second");
    word.textContent = second ? one.tier : WORDS.keeper;
  };
  pane.turn();
  const content = element("div", {}, pane, element("div", { class: "ends" }, word));
  return { content, panes: [pane], legend: `${legend} ${WORDS.blinks}` };
}

async function heat(_, one) {
  const [image, isPlaced] = await placedOf(one, "heat", WORDS.heatLabel);
  const pane = paneOf(image);
  return { content: element("div", {}, pane), panes: [pane], legend: isPlaced ? WORDS.heat : WORDS.unplaced };
}

const VIEWS = { beside, slide, blink, heat };

function blinkOn() {
  const pane = stage.querySelector(".blinks");
  if (pane) pane.turn();
}

/** Change the two by hand, or stop and start that they change. */
export function turn() {
  if (blinking) {
    clearInterval(blinking);
    blinking = 0;
  }
  blinkOn();
}

async function draw() {
  const shown = pair;
  const wanted = view;
  clearInterval(blinking);
  blinking = 0;
  for (const button of byId("views").children) button.setAttribute("aria-pressed", button.dataset.view === view);
  const can = [shown.group.keeper, shown].every((file) => file.image !== undefined);
  const { content, panes, legend } = await (can ? VIEWS[view] : beside)(shown.group.keeper, shown);
  if (pair !== shown || view !== wanted) return;
  stage.replaceChildren(content);
  setPanes(panes);
  byId("legend").textContent = legend;
  if (view === "blink" && !matchMedia("(prefers-reduced-motion: reduce)").matches) blinking = setInterval(blinkOn, BLINKS);
  stage.dataset.view = view;
}

async function tell() {
  const shown = pair;
  const place = byId("fact-table");
  if (!byId("facts").open || place.of === shown) return;
  const keeper = shown.group.keeper;
  if (keeper.id === undefined || shown.id === undefined) return;
  const found = await tryGet(`api/facts/${keeper.id}/${shown.id}`);
  if (!found || pair !== shown) return;
  place.of = shown;
  place.replaceChildren(element(
    "table", {},
    element("thead", {}, element(
      "tr", {},
      element("td"), ...[WORDS.keeper, shown.tier].map((word) => element("th", { scope: "col" }, word)), element("td"),
    )),
    element("tbody", {}, ...found.rows.map((row) => element(
      "tr", { class: row.differs ? "differs" : "" },
      element("th", { scope: "row" }, WORDS.factNames[row.name]),
      ...row.values.map((value) => element("td", {}, name(row.name === "bytes" ? bytes(Number(value)) : value))),
      element("td", {}, row.differs ? element("span", { class: "mark" }, WORDS.differs) : ""),
    ))),
  ));
}

/** Show what was decided of the pair, as it is now. */
export function redecide() {
  if (pair && dialog.open) byId("decide").replaceChildren(...decideButtons(pair), ...more(pair));
}

/** Look at a duplicate beside its keeper. */
export function open(duplicate) {
  const isOther = pair !== duplicate;
  const isClosed = !dialog.open;
  pair = duplicate;
  if (isClosed) dialog.showModal();
  redecide();
  if (!isOther && !isClosed) return;
  byId("compared").replaceChildren(name(fileName(pair.path)), element("span", { class: `tier ${pair.tier}` }, pair.tier));
  byId("verdict").textContent = visible(pair.evidence);
  byId("fact-table").of = null;
  byId("fact-table").replaceChildren();
  fit();
  draw();
  tell();
}

export function shut() {
  clearInterval(blinking);
  blinking = 0;
  pair = null;
  if (dialog.open) dialog.close();
}

export const comparing = () => (dialog.open ? pair : null);

export function setView(chosen) {
  view = chosen;
  draw();
}

export function toggleFacts() {
  byId("facts").open = !byId("facts").open;
}

/** `further` gives more buttons for a pair. */
export function startComparing(further) {
  more = further;
  byId("views").append(...Object.entries(WORDS.views).map(([key, word]) => {
    const button = element("button", { type: "button", "aria-pressed": key === view }, word);
    button.dataset.view = key;
    button.addEventListener("click", () => setView(key));
    return button;
  }));
  onMoved((share) => stage.querySelector(".slid")?.slideTo(Math.min(1, Math.max(0, share))));
  byId("facts").addEventListener("toggle", tell);
  byId("closer").addEventListener("click", () => zoom(1.5));
  byId("farther").addEventListener("click", () => zoom(1 / 1.5));
  byId("fit").addEventListener("click", fit);
}
