// Two images: what they are to each other, how that looks, and by which figures.

import { data } from "./data.js";
import { bytes, element, fileName, name, visible } from "./text.js";
import { picture, VIEWS } from "./views.js";
import { WORDS } from "./words.js";

const byId = (id) => document.getElementById(id);
const buttons = document.querySelectorAll("[data-view]");
const files = data.files.map((file, number) => ({ ...file, word: number ? "second" : "first" }));
let shown = "";

function heatFigure(image) {
  const share = Math.round(100 * data.over.shared);
  const words = `The second lies on ${share} % of the first. `
    + "Black: the same, once colours are matched; yellow: 64 levels or more; grey: only in the first.";
  image.alt = "Map of what differs";
  return element("div", { class: "difference" }, image, element("p", { class: "quiet" }, words));
}

const DRAWN = {
  beside: async () => VIEWS.beside(files, await Promise.all(files.map(picture))),
  slide: async () => {
    const [first, second] = files;
    const pair = [first, { ...second, image: data.over.laid }];
    return VIEWS.slide(pair, await Promise.all(pair.map(picture)));
  },
  difference: async () => heatFigure(await picture({ ...files[0], image: data.over.heat })),
};

async function view(wanted) {
  shown = wanted;
  for (const button of buttons) button.setAttribute("aria-pressed", button.dataset.view === wanted);
  const drawn = await DRAWN[wanted]();
  if (shown === wanted) byId("stage").replaceChildren(drawn);
}

function describe() {
  const words = data.tier ? WORDS.meanings[data.tier] : "no sign that these are the same image";
  byId("title").append(
    name(fileName(files[0].path)), "and", name(fileName(files[1].path)),
    element("span", { class: `tier ${data.tier ?? ""}` }, data.tier ? `${data.tier}: ${words}` : words),
  );
  const of = data.tier && data.tier !== "exact" && data.tier !== "video" ? `${fileName(files[1].path)}: ` : "";
  byId("evidence").textContent = visible(of + data.evidence);
  const notes = data.remarks.map(visible);
  if (data.companions) notes.push("A raw file and the image developed from it: dedup list keeps them apart.");
  if (data.ignored) notes.push("Ignored: marked as not a duplicate.");
  if (!data.over) notes.push("No placing of one over the other was found.");
  byId("notes").append(...notes.map((note) => element("li", {}, note)));
  byId("missing").textContent = data.missing && `For ${visible(data.missing)}.`;
}

function row(cells, attributes = {}) {
  return element("tr", attributes, ...cells);
}

function listFiles() {
  const lines = {
    Name: (file) => [name(fileName(file.path))],
    Folder: (file) => [name(file.path.slice(0, -fileName(file.path).length) || ".")],
    Size: (file) => [`${file.width}×${file.height}`],
    Format: (file) => [file.format],
    Bytes: (file) => [bytes(file.bytes)],
    "SHA-256": (file) => [`${file.sha256.slice(0, 16)}…`],
  };
  byId("files").append(element("tbody", {}, ...Object.entries(lines).map(([title, cell]) => {
    const cells = files.map((file) => element("td", {}, ...cell(file)));
    const differs = cells[0].textContent !== cells[1].textContent;
    return row([element("th", { scope: "row" }, title), ...cells], { class: differs ? "differs" : "" });
  })));
}

function figure(value) {
  if (value === null) return "";
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
}

function listChecks() {
  const checks = [...data.checks];
  if (data.similarity !== null) {
    checks.push(["similarity", data.similarity, data.threshold, data.similarity >= data.threshold]);
  }
  const heads = ["", "found", "limit", ""].map((title, at) =>
    element("th", { scope: "col", class: at ? "figure" : "" }, title));
  byId("checks").append(
    element("thead", {}, row(heads)),
    element("tbody", {}, ...checks.map(([title, value, limit, passed]) => row([
      element("th", { scope: "row" }, title),
      element("td", { class: "figure" }, figure(value)),
      element("td", { class: "figure" }, figure(limit)),
      element("td", { class: "figure" }, passed ? "yes" : "no"),
    ], { class: passed ? "" : "no" }))),
  );
}

for (const button of buttons) {
  button.disabled = !data.over && button.dataset.view !== "beside";
  button.addEventListener("click", () => view(button.dataset.view));
}
describe();
listFiles();
listChecks();
view("beside").then(() => { document.documentElement.dataset.ready = 1; });
