// What was chosen: files that go, pairs that are kept apart, and the two files made of them.

import { data } from "./data.js";
import { canBeApart, copiesOf, obstacle } from "./rules.js";

export const going = new Set(); // duplicates
export const apart = new Set(); // duplicates that are no duplicates of their keepers

const listeners = [];
let saved = true;

export const onChange = (listener) => listeners.push(listener);
export const isSaved = () => saved;
export const markSaved = () => { saved = true; };

function changed(duplicates) {
  saved = going.size + apart.size === 0;
  for (const listener of listeners) listener(duplicates);
}

export function setGoing(duplicates, goes) {
  const possible = duplicates.filter((one) => !obstacle(one));
  for (const one of possible) {
    if (goes) { going.add(one); apart.delete(one); } else going.delete(one);
  }
  changed(possible);
}

export function setApart(duplicate, is) {
  if (!canBeApart(duplicate)) return;
  if (is) { apart.add(duplicate); going.delete(duplicate); } else apart.delete(duplicate);
  changed([duplicate]);
}

/** Let the copies of a group go, or none of them where all of them do. */
export function toggleCopies(group) {
  const copies = copiesOf(group.duplicates);
  setGoing(copies, !copies.every((one) => going.has(one)));
}

export function clear() {
  const before = [...going, ...apart];
  going.clear();
  apart.clear();
  changed(before);
}

/** Files that go with their images, once all of these go. */
export function sidecars() {
  const paths = new Set([...going].map((one) => one.path));
  return data.plan.sidecars.filter(([images]) => images.every((path) => paths.has(path)));
}

export function freed() {
  let sum = 0;
  for (const one of going) sum += one.bytes;
  for (const [, size] of sidecars()) sum += size;
  return sum;
}

/** The plan, for `dedup apply`: lines that dedup wrote and sealed, below a header for these. */
export function planText() {
  const lines = [...going].map((one) => one.line).concat(sidecars().map(([, , line]) => line));
  const used = new Set([...going].map((one) => one.tier));
  const head = {
    ...data.plan.head,
    tiers: JSON.stringify(JSON.parse(data.plan.head.tiers).filter((tier) => used.has(tier))),
    totals: JSON.stringify({ files: lines.length, bytes: freed() }),
  };
  const top = Object.entries(head).map(([key, json]) => `${JSON.stringify(key)}: ${json},\n`);
  return `{\n${top.join("")}"files": [\n${lines.join(",\n")}\n]\n}\n`;
}

/** The decisions, for `dedup ignore --import`: by content, the lower SHA-256 first. */
export function decisionsText() {
  const decided = new Date().toISOString().replace(/\.\d+Z$/, "+00:00");
  const lines = [...apart].map((one) => {
    const [first, second] = [one.sha256, one.group.keeper.sha256].sort();
    return JSON.stringify({ first, second, duplicate: false, decided });
  });
  return [...new Set(lines)].sort().map((line) => `${line}\n`).join("");
}

export function download(text, fileName) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/octet-stream" }));
  link.download = fileName;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
