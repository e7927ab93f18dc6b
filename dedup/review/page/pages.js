// A page of groups: fetched, built, and kept as what was chosen anywhere has it.

import { post, say, tryGet } from "./api.js";
import { onChange, takeOver } from "./choices.js";
import { open, redecide, shut } from "./compare.js";
import { data } from "./data.js";
import { fill, groupArticle, refresh } from "./group.js";
import { asked, go, place } from "./place.js";
import { counted, element, fileName, visible } from "./text.js";
import { WORDS } from "./words.js";

const byId = (id) => document.getElementById(id);
let shown = { groups: [], revision: -1, listed: -1 };
let of = null; // the filters and the page that are shown
let turn = 0;
let landing = 0; // where to be on the page that comes: 1 at its first duplicate, -1 at its last

/** The duplicates of the page, in order. */
export const onPage = () => shown.groups.flatMap((group) => group.duplicates);

export const find = (id) => onPage().find((one) => String(one.id) === id);

export const filters = () => {
  const { pair, page, ...wanted } = place();
  return wanted;
};

/** Buttons of a duplicate beyond those of a report. */
export function moreButtons(one) {
  const keep = element("button", {
    type: "button",
    title: WORDS.makeKeeperTitle,
    disabled: one.missing !== undefined,
    "aria-label": WORDS.makeKeeperLabel(visible(fileName(one.path))),
  }, WORDS.makeKeeper);
  keep.addEventListener("click", () => keepInstead(one));
  return [keep];
}

/** Make a duplicate the keeper of its group. */
export async function keepInstead(one) {
  say(WORDS.proving);
  const number = one.group.number;
  if (!(await post("keeper", { file: one.id }))) return;
  byId("said").hidden = true;
  go({ pair: null }, true);
  await load(true);
  document.querySelector(`[data-number="${number}"] .duplicate`)?.focus();
}

function build(group) {
  for (const one of group.duplicates) one.group = group;
  const article = groupArticle(group, (one) => go({ pair: one.id }), moreButtons);
  article.dataset.number = group.number;
  if (group.left.length) {
    const names = group.left.map((file) => visible(fileName(file.path))).join(", ");
    article.append(element("p", { class: "stays" }, WORDS.left(names)));
  }
  fill(article);
  return article;
}

/** Be where the person was, or at the end of the page that they came from. */
function focus(before) {
  const one = landing ? onPage().at(landing > 0 ? 0 : -1) : before === undefined ? null : find(String(before));
  one?.figure.focus({ preventScroll: !landing });
  landing = 0;
}

function render() {
  const active = onPage().find((one) => one.figure?.contains(document.activeElement))?.id;
  takeOver(shown.groups);
  byId("groups").replaceChildren(...shown.groups.map(build));
  byId("none").hidden = shown.groups.length > 0 || !shown.listed;
  byId("none").textContent = Object.keys(filters()).length ? WORDS.nothing : WORDS.noDuplicates;
  byId("pages").hidden = shown.pages < 2;
  byId("page").value = shown.page + 1;
  byId("page").max = shown.pages;
  byId("of").textContent = WORDS.pagesOf(shown.pages.toLocaleString("en"), counted(shown.matching, ...WORDS.groupWord));
  byId("back").disabled = shown.page === 0;
  byId("on").disabled = shown.page + 1 >= shown.pages;
  focus(active);
  document.documentElement.dataset.ready = `${shown.listed}.${shown.revision}`;
}

/** Show the page that the URL names; `anew`: also where it is shown already. */
export async function load(anew = false) {
  const { pair } = place();
  const query = asked();
  if (query !== of || anew) {
    const number = turn += 1;
    const isFirst = of === null && query === ""; // which came with the data
    const fetched = isFirst ? data.first : await tryGet(`api/groups?${query}`);
    if (!fetched || number !== turn) return;
    const turned = of !== null && query !== of;
    of = query;
    shown = fetched;
    render();
    if (turned) byId("filters").scrollIntoView();
  }
  const one = pair === "first" ? onPage()[0] : pair === "last" ? onPage().at(-1) : find(pair);
  if (one) open(one); else shut();
}

/** Follow a change that was made elsewhere, or of more than what this page shows already. */
export function follow(state) {
  if (state.revision === shown.revision || state.listed !== shown.listed) return;
  if (state.mine && state.revision === shown.revision + 1) shown.revision = state.revision; else load(true);
}

/** Go to another page; `pair`: what to compare there; `lands`: to go on by keyboard. */
export function turnPage(by, pair = null, lands = false) {
  const next = shown.page + by;
  if (next < 0 || next >= shown.pages) return;
  landing = lands ? by : 0;
  go({ page: next || null, pair });
}

/** Go on to another pair, also on the next page. */
export function step(one, by) {
  const all = onPage();
  const next = all[all.indexOf(one) + by];
  if (next) go({ pair: next.id }, true); else turnPage(by, by > 0 ? "first" : "last");
}

export function startPages() {
  onChange((duplicates) => {
    duplicates.forEach(refresh);
    redecide();
  });
  byId("back").addEventListener("click", () => turnPage(-1));
  byId("on").addEventListener("click", () => turnPage(1));
  byId("page").addEventListener("change", () => turnPage(Number(byId("page").value) - 1 - shown.page));
}
