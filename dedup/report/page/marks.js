// What lies over the points: thumbnails where there is room, and the card of one file.

import { data, show } from "./data.js";
import { count, places } from "./points.js";
import { counted, element, name, visible } from "./text.js";
import { view } from "./view.js";

const SIDE = 68; // CSS pixels of a thumbnail on the map
const FEW = 700; // points in view, below which all of them may show their thumbnails
const REACH = 14; // CSS pixels from a point at which the pointer means it
const KEPT = 1500; // images that stay decoded

const marks = document.getElementById("marks");
const card = document.getElementById("card");
const images = new Map(); // decoded, by number
let drawn = []; // thumbnails as they are on the map: point, left, top, width, height

/** The group of each point that is in one. */
export const groupOf = new Map();
for (const group of data.groups) for (const at of group.members) groupOf.set(at, group);

export const outliers = new Set(data.outliers);

const across = (at) => places[2 * at] * view.scale + view.x;
const below = (at) => places[2 * at + 1] * view.scale + view.y;

function imageOf(number, redraw) {
  let image = images.get(number);
  if (!image) {
    if (images.size > KEPT) images.clear();
    image = new Image();
    images.set(number, image);
    image.addEventListener("load", redraw);
    show(image, number);
  }
  return image.complete && image.naturalWidth ? image : null;
}

/** Find the points in view whose thumbnails are shown, so that none lies on another. */
function withRoom(shown) {
  const seen = [];
  for (let at = 0; at < count; at += 1) {
    const [x, y] = [across(at), below(at)];
    if (shown[at] && x > 0 && y > 0 && x < view.width && y < view.height) seen.push(at);
  }
  const wanted = data.representatives.filter((at) => shown[at]);
  if (seen.length <= FEW) wanted.push(...seen);
  const taken = new Map();
  const free = (x, y) => {
    const [column, row] = [Math.floor(x / SIDE), Math.floor(y / SIDE)];
    for (let right = -1; right <= 1; right += 1) {
      for (let down = -1; down <= 1; down += 1) {
        const other = taken.get(`${column + right},${row + down}`);
        if (other && Math.abs(other[0] - x) < SIDE && Math.abs(other[1] - y) < SIDE) return false;
      }
    }
    taken.set(`${column},${row}`, [x, y]);
    return true;
  };
  return wanted.filter((at) => data.thumbnail[at] >= 0 && free(across(at), below(at)));
}

/** Draw thumbnails, and what belongs to the point that is pointed at. */
export function drawMarks(shown, pointed, colourOf, redraw) {
  const ratio = devicePixelRatio;
  const context = marks.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, view.width, view.height);
  drawn = [];
  for (const at of withRoom(shown)) {
    const image = imageOf(data.thumbnail[at], redraw);
    if (!image) continue;
    const fit = (SIDE - 8) / Math.max(image.naturalWidth, image.naturalHeight);
    const [width, height] = [image.naturalWidth * fit, image.naturalHeight * fit];
    const [left, top] = [across(at) - width / 2, below(at) - height / 2];
    const frame = groupOf.has(at) ? 3 : 2;
    context.fillStyle = colourOf(at);
    context.fillRect(left - frame, top - frame, width + 2 * frame, height + 2 * frame);
    context.drawImage(image, left, top, width, height);
    drawn.push([at, left, top, width, height]);
  }
  if (pointed === null) return;
  context.strokeStyle = getComputedStyle(document.body).color;
  context.lineWidth = 2;
  for (const member of groupOf.get(pointed)?.members ?? []) {
    context.beginPath();
    context.moveTo(across(pointed), below(pointed));
    context.lineTo(across(member), below(member));
    context.arc(across(member), below(member), 6, 0, 7);
    context.stroke();
  }
  context.beginPath();
  context.arc(across(pointed), below(pointed), 9, 0, 7);
  context.stroke();
}

/** Find the file at a place of the stage; null where there is none. */
export function pointAt(x, y, shown) {
  for (const [at, left, top, width, height] of drawn) {
    if (x >= left && y >= top && x <= left + width && y <= top + height) return at;
  }
  let [best, nearest] = [null, REACH ** 2];
  for (let at = 0; at < count; at += 1) {
    const away = (across(at) - x) ** 2 + (below(at) - y) ** 2;
    if (away < nearest && shown[at]) [best, nearest] = [at, away];
  }
  return best;
}

function line(...parts) {
  return element("span", { class: "quiet" }, ...parts);
}

/** Show the card of a file beside its point; none for null. */
export function showCard(at) {
  card.hidden = at === null;
  if (at === null) return;
  const number = data.thumbnail[at];
  const image = number < 0 ? null : element("img", { alt: "" });
  if (image) show(image, number);
  const group = groupOf.get(at);
  card.replaceChildren(...[
    image,
    element(
      "div", {},
      element("b", {}, name(data.names[at])),
      line(name(data.folders[data.folder[at]])),
      data.label ? line(`${visible(data.labelled)}: `, name(data.labels[data.label[at]] || "none")) : null,
      line(data.cluster[at] < 0 ? "in no cluster" : `cluster ${data.cluster[at] + 1}`),
      group ? element(
        "span", {}, element("span", { class: `tier ${group.tier}` }, group.tier),
        ` group ${group.number}, with ${counted(group.members.length - 1, "other")}`,
      ) : null,
      outliers.has(at) ? line("an outlier: far from its nearest neighbours") : null,
      number < 0 ? line("no thumbnail") : null,
    ),
  ].filter(Boolean));
  const [x, y] = [across(at), below(at)];
  const { offsetWidth: width, offsetHeight: height } = card;
  const left = x + 18 + width < view.width ? x + 18 : x - 18 - width;
  card.style.left = `${Math.max(4, Math.min(left, view.width - width - 4))}px`;
  card.style.top = `${Math.max(4, Math.min(y - height / 2, view.height - height - 4))}px`;
}
