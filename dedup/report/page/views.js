// Two images at a look: side by side, under a slider, or as a map of what differs.

import { show } from "./data.js";
import { element, fileName, name, visible } from "./text.js";

const FULL_HEAT = 64; // grey levels of difference, of 255, that are shown at full heat
const SEEN = 12; // levels from which on a difference counts: less is the thumbnails' own coding
const SAME_SHAPE = 0.02; // of the aspect

/** Give a file's image, once it can be drawn. */
export function picture(file) {
  const image = element("img", { alt: visible(fileName(file.path)), decoding: "sync" });
  return show(image, file.image).then(() => image.decode()).then(() => image);
}

const shapesAgree = (first, second) =>
  Math.abs(Math.log((first.width * second.height) / (first.height * second.width))) < SAME_SHAPE;

function beside(files, images) {
  return element(
    "div", { class: "beside" },
    ...files.map((file, number) =>
      element("figure", {}, images[number],
        element("figcaption", {}, element("b", {}, file.word), " ", name(fileName(file.path)),
          ` ${file.width}×${file.height} ${file.format}`))),
  );
}

function slide([first, second], images) {
  const box = element("div", { class: "slide" }, ...images);
  box.style.setProperty("--shape", first.width / first.height);
  const range = element("input", {
    type: "range", min: 0, max: 100, value: 50, "aria-label": "Where the one ends and the other begins",
  });
  const move = () => box.style.setProperty("--at", `${range.value}%`);
  const follow = (event) => {
    const { left, width } = box.getBoundingClientRect();
    range.value = (100 * (event.clientX - left)) / width;
    move();
  };
  range.addEventListener("input", move);
  box.addEventListener("pointermove", follow);
  box.addEventListener("pointerdown", follow);
  move();
  const ends = [element("span", {}, first.word), range, element("span", {}, second.word)];
  return element("div", {}, box, element("div", { class: "ends" }, ...ends));
}

/** Black over red to yellow. */
const heat = (level) => [Math.min(255, level * 2), Math.max(0, level * 2 - 255), 0];

function difference([first, second], images) {
  const [width, height] = [images[0].naturalWidth, images[0].naturalHeight];
  const levels = images.map((image) => {
    const context = element("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0, width, height);
    return context.getImageData(0, 0, width, height).data;
  });
  const canvas = element("canvas", { width, height, role: "img", "aria-label": "Map of what differs" });
  const context = canvas.getContext("2d");
  const map = context.createImageData(width, height);
  let sum = 0;
  let seen = 0;
  for (let at = 0; at < map.data.length; at += 4) {
    let apart = 0;
    for (let channel = at; channel < at + 3; channel += 1) {
      apart += Math.abs(levels[0][channel] - levels[1][channel]) / 3;
    }
    sum += apart;
    seen += apart >= SEEN;
    map.data.set([...heat(Math.min(255, (apart * 255) / FULL_HEAT)), 255], at);
  }
  context.putImageData(map, 0, 0);
  const share = (100 * seen) / (width * height);
  const mean = sum / (width * height);
  const area = share.toFixed(share < 10 ? 1 : 0);
  let words = `Differs visibly on ${area} % of the area; ${mean.toFixed(1)} of 255 levels on average.`;
  if (!seen) words = "No difference is seen.";
  else if (!shapesAgree(first, second)) words = "The two are not framed alike: the second was stretched over the first.";
  const legend = `Black: the same; yellow: ${FULL_HEAT} levels or more. `
    + "Seen on the thumbnails; for the files: dedup why A B -o why.png";
  return element("div", { class: "difference" }, canvas, element("p", { class: "quiet" }, `${words} ${legend}`));
}

/** By name, what shows two files, each with a word for what it is, and their images. */
export const VIEWS = { beside, slide, difference };
