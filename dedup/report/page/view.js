// What part of the map is seen, and how pointer, wheel and keys move it.

import { places } from "./points.js";

const CLOSEST = 4000; // times as close as where all is seen
const FLIGHT = 300; // milliseconds
const STEP = 1.6; // of a key or button

/** From the unit square to CSS pixels: times `scale`, plus `x` and `y`. */
export const view = { scale: 1, x: 0, y: 0, width: 1, height: 1 };

let changed = () => {};
let flight = 0;
let moved = false; // until then all of the map is seen

function entire() {
  const scale = 0.9 * Math.min(view.width, view.height);
  return { scale, x: (view.width - scale) / 2, y: (view.height - scale) / 2 };
}

/** Set the size of the stage; what was in its middle stays there, once the map was moved. */
export function resizeTo(width, height) {
  view.x += (width - view.width) / 2;
  view.y += (height - view.height) / 2;
  Object.assign(view, { width, height });
  if (!moved) Object.assign(view, entire());
  changed();
}

/** Note that the view is moved, which ends a flight. */
function stopped() {
  moved = true;
  flight += 1;
  return flight;
}

function fly(target) {
  const from = { ...view };
  const start = performance.now();
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const own = stopped();
  const step = (now) => {
    if (own !== flight) return;
    const part = still ? 1 : Math.min(1, Math.max(0, now - start) / FLIGHT);
    const eased = part * (2 - part);
    // What is in the middle moves as the logarithm of the scale does, so that nothing swings.
    const scale = from.scale * (target.scale / from.scale) ** eased;
    const share = Math.abs(target.scale / from.scale - 1) < 1e-6
      ? eased : (1 / from.scale - 1 / scale) / (1 / from.scale - 1 / target.scale);
    for (const [axis, size] of [["x", view.width], ["y", view.height]]) {
      const here = (size / 2 - from[axis]) / from.scale;
      const there = (size / 2 - target[axis]) / target.scale;
      view[axis] = size / 2 - (here + (there - here) * share) * scale;
    }
    view.scale = scale;
    changed();
    if (part < 1) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}

export function showAll() {
  fly(entire());
  moved = false;
}

/** Move so that some points fill the stage. */
export function showPoints(members) {
  const [low, high] = [[1, 1], [0, 0]];
  for (const at of members) {
    for (const axis of [0, 1]) {
      low[axis] = Math.min(low[axis], places[2 * at + axis]);
      high[axis] = Math.max(high[axis], places[2 * at + axis]);
    }
  }
  const { scale } = entire();
  const wide = Math.max((high[0] - low[0]) / view.width, (high[1] - low[1]) / view.height);
  const close = Math.min(0.8 / Math.max(wide, 1e-9), 300 * scale);
  fly({
    scale: close,
    x: view.width / 2 - (close * (low[0] + high[0])) / 2,
    y: view.height / 2 - (close * (low[1] + high[1])) / 2,
  });
}

export function zoomAt(x, y, factor) {
  const { scale } = entire();
  const next = Math.min(CLOSEST * scale, Math.max(scale / 2, view.scale * factor));
  view.x = x - ((x - view.x) * next) / view.scale;
  view.y = y - ((y - view.y) * next) / view.scale;
  view.scale = next;
  stopped();
  changed();
}

function pan(x, y) {
  view.x += x;
  view.y += y;
  stopped();
  changed();
}

const middle = (factor) => zoomAt(view.width / 2, view.height / 2, factor);
const KEYS_OF_VIEW = {
  "+": () => middle(STEP),
  "=": () => middle(STEP),
  "-": () => middle(1 / STEP),
  0: showAll,
  ArrowLeft: () => pan(80, 0),
  ArrowRight: () => pan(-80, 0),
  ArrowUp: () => pan(0, 80),
  ArrowDown: () => pan(0, -80),
};

/** Follow pointers on the stage; `redraw` is called when the view has changed. */
export function startMoving(stage, redraw) {
  changed = redraw;
  const down = new Map();
  stage.addEventListener("pointerdown", (event) => {
    down.set(event.pointerId, [event.offsetX, event.offsetY]);
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    const before = down.get(event.pointerId);
    if (!before) return;
    const now = [event.offsetX, event.offsetY];
    const other = [...down].find(([pointer]) => pointer !== event.pointerId)?.[1];
    if (other) {
      const apart = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]) || 1;
      zoomAt(other[0], other[1], apart(now) / apart(before));
    } else {
      pan(now[0] - before[0], now[1] - before[1]);
    }
    down.set(event.pointerId, now);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    stage.addEventListener(end, (event) => down.delete(event.pointerId));
  }
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    zoomAt(event.offsetX, event.offsetY, Math.exp(-event.deltaY * lines * 0.002));
  }, { passive: false });
  stage.addEventListener("dblclick", (event) => zoomAt(event.offsetX, event.offsetY, 2 * STEP));
  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !KEYS_OF_VIEW[event.key]) return;
    event.preventDefault();
    KEYS_OF_VIEW[event.key]();
  });
  document.getElementById("closer").addEventListener("click", () => middle(STEP));
  document.getElementById("farther").addEventListener("click", () => middle(1 / STEP));
  document.getElementById("whole").addEventListener("click", showAll);
}
