// What was chosen of the duplicates on this page; the server keeps it, and knows of the others.

import { post, say } from "./api.js";
import { canBeApart, copiesOf, obstacle } from "./rules.js";
import { counted } from "./text.js";
import { WORDS } from "./words.js";

export const going = new Set(); // duplicates
export const apart = new Set(); // duplicates that are no duplicates of their keepers

const listeners = [];

export const onChange = (listener) => listeners.push(listener);

function changed(duplicates) {
  for (const listener of listeners) listener(duplicates);
}

/** Take over what the server says of the duplicates of a page. */
export function takeOver(groups) {
  going.clear();
  apart.clear();
  for (const one of groups.flatMap((group) => group.duplicates)) {
    if (one.state === "going") going.add(one);
    if (one.state === "apart") apart.add(one);
  }
}

/** Show a change at once, and take it back where the server refuses it. */
async function change(duplicates, edit, ask) {
  const before = [new Set(going), new Set(apart)];
  edit();
  changed(duplicates);
  const answer = await ask();
  if (answer?.refused?.length) say(answer.refused.join("\n"));
  if (answer && !answer.refused?.length) return;
  [going, apart].forEach((set, at) => {
    for (const one of duplicates) if (before[at].has(one)) set.add(one); else set.delete(one);
  });
  changed(duplicates);
}

export function setGoing(duplicates, goes) {
  const possible = duplicates.filter((one) => !goes || !obstacle(one));
  if (!possible.length) return;
  change(possible, () => {
    for (const one of possible) {
      if (goes) { going.add(one); apart.delete(one); } else going.delete(one);
    }
  }, () => post("choose", { files: possible.map((one) => one.id), goes }, true));
}

export function setApart(duplicate, is) {
  if (!canBeApart(duplicate)) return;
  change([duplicate], () => {
    if (is) { apart.add(duplicate); going.delete(duplicate); } else apart.delete(duplicate);
  }, () => post("apart", { file: duplicate.id, apart: is }, true));
}

/** Let the copies of a group go, or none of them where all of them do. */
export function toggleCopies(group) {
  const copies = copiesOf(group.duplicates);
  setGoing(copies, !copies.every((one) => going.has(one)));
}

/** Choose many at once, on all pages: what is shown, or the folder of a file. */
export async function chooseMany(name, body) {
  const answer = await post(name, { ...body, goes: true });
  if (answer?.refused_files) say(WORDS.notChoosable(counted(answer.refused_files, ...WORDS.fileWord)));
}
