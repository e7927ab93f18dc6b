// The legend: clusters by their representatives, or labels; each chooses its points.

import { data, show } from "./data.js";
import { element, fileName, name, visible } from "./text.js";

const MOST = 300; // lines of the legend, the largest

const byFolder = data.label === null;
const labelOf = byFolder ? data.folder : data.label;
const labels = byFolder ? data.folders : data.labels;
const lines = document.getElementById("legend");
const colourings = {
  cluster: { of: data.cluster, sizes: sizesOf(data.cluster, data.representatives.length) },
  label: { of: labelOf, sizes: sizesOf(labelOf, labels.length) },
};
let by = data.representatives.length ? "cluster" : "label";
let chosen = null;

function sizesOf(numbers, many) {
  const sizes = new Array(many).fill(0);
  for (const number of numbers) if (number >= 0) sizes[number] += 1;
  return sizes;
}

export const isChosen = (at) => chosen === null || colourings[by].of[at] === chosen;

/** Give the colour of a point as [red, green, blue]; grey without a cluster or label. */
export function colourAt(at) {
  const number = colourings[by].of[at];
  const none = number < 0 || (by === "label" && labels[number] === "");
  return none ? [140, 146, 155] : data.colours[number % data.colours.length];
}

function swatch(number) {
  const dot = element("canvas", { width: 1, height: 1, "aria-hidden": true });
  const context = dot.getContext("2d");
  context.fillStyle = `rgb(${data.colours[number % data.colours.length]})`;
  context.fillRect(0, 0, 1, 1);
  return dot;
}

function entry(number, choose) {
  const parts = [swatch(number)];
  let title = "";
  if (by === "cluster") {
    const at = data.representatives[number];
    const image = data.thumbnail[at] < 0 ? element("span", { class: "none" }) : element("img", { alt: "", loading: "lazy" });
    if (data.thumbnail[at] >= 0) show(image, data.thumbnail[at]);
    title = `Nearest to the mean: ${visible(data.names[at])}`;
    parts.push(image, element("b", {}, `Cluster ${number + 1}`));
  } else {
    title = visible(labels[number]);
    parts.push(name((byFolder ? fileName(labels[number]) : labels[number]) || "none"));
  }
  const size = colourings[by].sizes[number].toLocaleString("en");
  parts.push(element("span", { class: "quiet" }, size));
  const button = element("button", { type: "button", title, "aria-pressed": number === chosen }, ...parts);
  button.addEventListener("click", () => choose(number));
  return element("li", {}, button);
}

/** Fill the legend; `changed` is called with the points that were chosen, null for all. */
export function startLegend(changed) {
  const choose = (number) => {
    chosen = number === chosen ? null : number;
    const { of } = colourings[by];
    lines.querySelectorAll("button").forEach((button, at) => button.setAttribute("aria-pressed", at === chosen));
    changed(chosen === null ? null : [...of.keys()].filter((at) => of[at] === chosen));
  };
  const fill = () => {
    const many = Math.min(MOST, colourings[by].sizes.length);
    lines.replaceChildren(...Array.from({ length: many }, (_, number) => entry(number, choose)));
    for (const kind of ["cluster", "label"]) {
      document.getElementById(`by-${kind}`).setAttribute("aria-pressed", kind === by);
    }
  };
  for (const kind of ["cluster", "label"]) {
    document.getElementById(`by-${kind}`).addEventListener("click", () => {
      [by, chosen] = [kind, null];
      fill();
      changed(null);
    });
  }
  document.getElementById("by-cluster").hidden = !data.representatives.length;
  document.getElementById("by-label").textContent = byFolder ? "Folders" : visible(data.labelled);
  fill();
}
