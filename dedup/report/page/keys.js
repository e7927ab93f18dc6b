// Everything by keyboard; `?` shows this table.

import { compare, comparing, setView, step } from "./compare.js";
import { apart, going, setApart, setGoing, toggleCopies } from "./choices.js";
import { element } from "./text.js";

const TABLE = [
  ["j, k", "next and previous group"],
  ["l, h or → ←", "next and previous duplicate"],
  ["x", "let it go, or not"],
  ["b", "keep both: not a duplicate"],
  ["a", "choose all copies of the group"],
  ["Enter or c", "compare it with its keeper"],
  ["1, 2, 3", "side by side, slider, difference"],
  ["n, p", "next and previous pair, when comparing"],
  ["/", "search"],
  ["s, d", "save the plan, save the decisions"],
  ["Esc", "close"],
];

const VIEW_KEYS = { 1: "beside", 2: "slide", 3: "difference" };

function focused(shown) {
  return comparing() ?? shown.find((one) => one.figure?.contains(document.activeElement)) ?? null;
}

function go(shown, current, by, whole) {
  let next = shown[0];
  if (current) {
    let at = shown.indexOf(current) + by;
    if (whole) while (shown[at] && shown[at].group === current.group) at += by;
    next = shown[at];
    if (whole && by < 0 && next) next = shown.find((one) => one.group === next.group);
  }
  if (!next?.figure) return;
  next.figure.focus({ preventScroll: true });
  next.group.article.scrollIntoView({ block: "nearest" });
  next.figure.scrollIntoView({ block: "nearest" });
}

const KEYS = {
  j: (shown, one) => go(shown, one, 1, true),
  k: (shown, one) => go(shown, one, -1, true),
  l: (shown, one) => go(shown, one, 1, false),
  h: (shown, one) => go(shown, one, -1, false),
  x: (_, one) => one && setGoing([one], !going.has(one)),
  b: (_, one) => one && setApart(one, !apart.has(one)),
  a: (_, one) => one && toggleCopies(one.group),
  c: (_, one) => one && compare(one),
  n: () => step(1),
  p: () => step(-1),
  "/": () => document.getElementById("search").focus(),
  s: () => document.getElementById("plan").click(),
  d: () => document.getElementById("decisions").click(),
  "?": () => document.getElementById("keys").showModal(),
};
const OUTSIDE = { ArrowRight: "l", ArrowLeft: "h" };
const WHILE_COMPARING = new Set(["x", "b", "n", "p"]);

/** Listen to keys; `shown` gives the duplicates that are shown, in order. */
export function listen(shown) {
  document.getElementById("key-list").append(
    ...TABLE.map(([keys, words]) => element("tr", {}, element("th", { scope: "row" }, keys), element("td", {}, words))),
  );
  document.getElementById("help").addEventListener("click", () => KEYS["?"]());
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("select, input:not([type=range])");
    if (event.ctrlKey || event.metaKey || event.altKey || typing) return;
    const inside = comparing();
    if (inside && event.key in VIEW_KEYS) setView(VIEW_KEYS[event.key]);
    else if (inside ? !WHILE_COMPARING.has(event.key) : document.querySelector("dialog[open]")) return;
    else if (event.key === "Enter" && event.target.matches(".duplicate")) compare(focused(shown()));
    else {
      const action = KEYS[OUTSIDE[event.key] ?? event.key];
      if (!action) return;
      action(shown(), focused(shown()));
    }
    event.preventDefault();
  });
}
