// Panes with images in them, which are moved and made larger in step.

import { element } from "./text.js";

const MOST = 16;
const FULL_FROM = 1.4; // times, from which on the larger view is fetched

let scale = 1;
let [left, top] = [0, 0]; // of the pane's size
let panes = [];
const pointers = new Map();
const listeners = [];

export const onMoved = (listener) => listeners.push(listener);
export const isCloser = () => scale > 1;

function draw() {
  for (const pane of panes) {
    for (const sheet of pane.querySelectorAll(".sheet")) {
      sheet.style.transform = `translate(${left * 100}%, ${top * 100}%) scale(${scale})`;
    }
  }
  if (scale >= FULL_FROM) {
    for (const image of panes.flatMap((pane) => [...pane.querySelectorAll("img[data-full]")])) {
      image.src = image.dataset.full;
      image.removeAttribute("data-full");
    }
  }
}

function bound() {
  left = Math.min(0, Math.max(1 - scale, left));
  top = Math.min(0, Math.max(1 - scale, top));
  draw();
}

/** Make larger, around a place in shares of the pane. */
export function zoom(by, x = 0.5, y = 0.5) {
  const next = Math.min(MOST, Math.max(1, scale * by));
  left = x - ((x - left) * next) / scale;
  top = y - ((y - top) * next) / scale;
  scale = next;
  bound();
}

export function fit() {
  [scale, left, top] = [1, 0, 0];
  draw();
}

export function move(x, y) {
  left += x;
  top += y;
  bound();
}

function shares(event, pane) {
  const box = pane.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

function moved(event, pane) {
  const [x, y] = shares(event, pane);
  const before = pointers.get(event.pointerId);
  const drags = before && isCloser();
  if (before && pointers.size === 2) {
    const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    const was = Math.hypot(before[0] - other[0], before[1] - other[1]);
    const is = Math.hypot(x - other[0], y - other[1]);
    if (was > 0) zoom(is / was, (x + other[0]) / 2, (y + other[1]) / 2);
  } else if (drags) move(x - before[0], y - before[1]);
  if (before) pointers.set(event.pointerId, [x, y]);
  if (!drags && pointers.size < 2) for (const listener of listeners) listener(x);
}

/** Make a pane of layers, one above the other; each is an image, or says why there is none. */
export function paneOf(...layers) {
  const pane = element(
    "div", { class: "pane" },
    ...layers.map((layer) => element("div", { class: "layer" }, element("div", { class: "sheet" }, layer))),
  );
  pane.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(event.deltaY < 0 ? 1.25 : 0.8, ...shares(event, pane));
  }, { passive: false });
  pane.addEventListener("dblclick", (event) => (isCloser() ? fit() : zoom(3, ...shares(event, pane))));
  pane.addEventListener("pointerdown", (event) => {
    pane.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, shares(event, pane));
  });
  pane.addEventListener("pointermove", (event) => moved(event, pane));
  for (const end of ["pointerup", "pointercancel"]) {
    pane.addEventListener(end, (event) => pointers.delete(event.pointerId));
  }
  return pane;
}

/** Set the panes that are moved together. */
export function setPanes(shown) {
  panes = shown;
  pointers.clear();
  draw();
}
