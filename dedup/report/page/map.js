// Puts the map together: what is drawn when, and what is pointed at.

import { data } from "./data.js";
import { colourAt, isChosen, startLegend } from "./legend.js";
import { drawMarks, groupOf, outliers, pointAt, showCard } from "./marks.js";
import { count, DUPLICATE, OUTLIER, PLAIN, pointsOn } from "./points.js";
import { counted, element, visible } from "./text.js";
import { resizeTo, showAll, showPoints, startMoving, view } from "./view.js";

const FAINT = 22; // alpha, of 255, of what is not chosen
const byId = (id) => document.getElementById(id);
const canvas = byId("points");
const points = pointsOn(canvas);
const shown = new Uint8Array(count).fill(1);
const colours = new Uint8Array(4 * count);
const kinds = new Uint8Array(count);
const names = data.names.map((file, at) => visible(`${data.folders[data.folder[at]]}/${file}`).toLowerCase());
let pointed = null;
let waiting = false;

function paint() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const [ring, diamond] = [byId("duplicates").checked, byId("outliers").checked];
  for (let at = 0; at < count; at += 1) {
    shown[at] = isChosen(at) && words.every((word) => names[at].includes(word));
    colours.set([...colourAt(at), shown[at] ? 220 : FAINT], 4 * at);
    kinds[at] = ring && groupOf.has(at) ? DUPLICATE : diamond && outliers.has(at) ? OUTLIER : PLAIN;
  }
  points?.paint(colours, kinds);
  redraw();
}

/** CSS pixels of a point: larger where there are fewer, and closer by. */
function sizeNow() {
  const least = Math.min(view.width, view.height);
  const base = Math.min(9, Math.max(2.5, Math.sqrt((0.06 * least * least) / count)));
  return Math.min(14, base * Math.max(1, view.scale / least) ** 0.35);
}

function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    points?.draw(view, sizeNow() * devicePixelRatio);
    drawMarks(shown, pointed, (at) => `rgb(${colourAt(at)})`, redraw);
    showCard(pointed);
  });
}

function point(at) {
  if (at === pointed) return;
  pointed = at;
  redraw();
}

function startPointing() {
  canvas.addEventListener("pointermove", (event) => {
    if (!event.buttons) point(pointAt(event.offsetX, event.offsetY, shown));
  });
  canvas.addEventListener("click", (event) => point(pointAt(event.offsetX, event.offsetY, shown)));
  canvas.addEventListener("pointerleave", () => point(null));
}

function describe() {
  const made = new Date(data.made).toISOString().slice(0, 10);
  byId("about").textContent = `${counted(count, "file")} of ${visible(data.collection)}, ${made}. ${data.how}.`;
  byId("notes").append(...data.notes.map((note) => element("li", {}, visible(note))));
  byId("duplicates").nextElementSibling.textContent = `◉ ${counted(data.groups.length, "duplicate group")}`;
  byId("outliers").nextElementSibling.textContent = `◇ ${counted(data.outliers.length, "outlier")}`;
  if (!points) byId("notes").append(element("li", {}, "This browser has no WebGL: only thumbnails are drawn."));
}

new ResizeObserver(([{ contentRect: { width, height } }]) => {
  for (const one of [canvas, byId("marks")]) {
    one.width = Math.round(width * devicePixelRatio);
    one.height = Math.round(height * devicePixelRatio);
  }
  resizeTo(width, height);
}).observe(byId("field"));

describe();
startLegend((members) => {
  paint();
  if (members) showPoints(members);
  else showAll();
});
startMoving(canvas, redraw);
startPointing();
for (const id of ["duplicates", "outliers"]) byId(id).addEventListener("change", paint);
byId("search").addEventListener("input", paint);
paint();
document.documentElement.dataset.ready = count;
