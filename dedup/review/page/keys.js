// Everything by keyboard; `?` shows the table.

import { lookAtPlan, undo } from "./acting.js";
import { post } from "./api.js";
import { apart, chooseMany, going, setApart, setGoing, toggleCopies } from "./choices.js";
import { comparing, setView, toggleFacts, turn } from "./compare.js";
import { keepInstead, onPage, step, turnPage } from "./pages.js";
import { go } from "./place.js";
import { element } from "./text.js";
import { fit, isCloser, move, zoom } from "./viewer.js";
import { WORDS } from "./words.js";

const byId = (id) => document.getElementById(id);

function walk(current, by, whole) {
  const shown = onPage();
  let next = shown[0];
  if (current) {
    let at = shown.indexOf(current) + by;
    if (whole) while (shown[at] && shown[at].group === current.group) at += by;
    next = shown[at];
    if (whole && by < 0 && next) next = shown.find((one) => one.group === next.group);
  }
  if (!next) return turnPage(by, null, true);
  next.figure.focus({ preventScroll: true });
  next.group.article.scrollIntoView({ block: "nearest" });
  next.figure.scrollIntoView({ block: "nearest" });
  return null;
}

const KEYS = {
  j: (one) => walk(one, 1, true),
  k: (one) => walk(one, -1, true),
  l: (one) => walk(one, 1, false),
  h: (one) => walk(one, -1, false),
  ArrowRight: (one) => walk(one, 1, false),
  ArrowLeft: (one) => walk(one, -1, false),
  x: (one) => one && setGoing([one], !going.has(one)),
  b: (one) => one && setApart(one, !apart.has(one)),
  t: (one) => one && keepInstead(one),
  a: (one) => one && toggleCopies(one.group),
  f: (one) => one && chooseMany("folder", { file: one.id }),
  c: (one) => one && go({ pair: one.id }),
  Enter: (one, target) => one && target.matches(".duplicate") && go({ pair: one.id }),
  PageDown: () => turnPage(1, null, true),
  PageUp: () => turnPage(-1, null, true),
  "/": () => byId("search").focus(),
  s: () => lookAtPlan(),
  u: () => undo(),
  r: () => post("index"),
  "?": () => byId("keys").showModal(),
};

const MOVES = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };
const COMPARING = {
  ...Object.fromEntries(Object.keys(WORDS.views).map((view, at) => [at + 1, () => setView(view)])),
  x: KEYS.x, b: KEYS.b, t: KEYS.t, a: KEYS.a, f: KEYS.f, "?": KEYS["?"],
  n: (one) => step(one, 1),
  p: (one) => step(one, -1),
  i: () => toggleFacts(),
  "+": () => zoom(1.5),
  "=": () => zoom(1.5),
  "-": () => zoom(1 / 1.5),
  0: () => fit(),
  " ": () => turn(),
};

function actionOf(event) {
  const pair = comparing();
  if (byId("keys").open || byId("acting").open) return null;
  if (!pair) {
    const one = onPage().find((each) => each.figure.contains(document.activeElement)) ?? null;
    const action = KEYS[event.key];
    const target = event.target;
    if (!action || (event.key === "Enter" && !target.matches(".duplicate"))) return null;
    return () => action(one, target);
  }
  const onControl = event.target.matches("button, summary, input");
  if (event.key === " " && onControl) return null;
  if (event.key in MOVES) return isCloser() && !onControl ? () => move(...MOVES[event.key]) : null;
  const action = COMPARING[event.key];
  return action ? () => action(pair) : null;
}

/** Listen to keys. */
export function startKeys() {
  byId("key-list").append(element("tbody", {}, ...WORDS.keyTable.map(([keys, words]) =>
    element("tr", {}, element("th", { scope: "row" }, keys), element("td", {}, words)))));
  byId("help").addEventListener("click", () => KEYS["?"]());
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("select, input:not([type=range], [type=radio])");
    if (event.ctrlKey || event.metaKey || event.altKey || typing) return;
    const action = actionOf(event);
    if (!action) return;
    event.preventDefault();
    action();
  });
}
