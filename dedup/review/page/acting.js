// Looking at the plan, applying it, taking a run back; and what runs.

import { onState, post, tryGet } from "./api.js";
import { data } from "./data.js";
import { shortFolder } from "./folders.js";
import { bytes, counted, element, fileName, folderOf, name, visible } from "./text.js";
import { WORDS } from "./words.js";

const byId = (id) => document.getElementById(id);
const dialog = byId("acting");
let confirmed = () => {};
let wanted = "";

function table(titles, rows) {
  return element(
    "table", {},
    element("thead", {}, element("tr", {}, ...titles.map((title) => element("th", { scope: "col" }, title)))),
    element("tbody", {}, ...rows.map((cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, cell))))),
  );
}

function file(path) {
  return element("span", { title: visible(path) }, name(fileName(path)), " ", element("span", { class: "quiet" }, name(shortFolder(folderOf(path)))));
}

function further(all, rows) {
  return all > rows.length ? element("p", { class: "quiet" }, WORDS.more((all - rows.length).toLocaleString("en"))) : "";
}

function ask({ title, text, content, word, question, button, go }) {
  byId("acting-title").textContent = title;
  byId("acting-text").textContent = text;
  byId("acting-list").replaceChildren(...content);
  byId("confirm").hidden = !word;
  byId("confirm-text").textContent = question;
  byId("confirm-go").textContent = button;
  byId("confirm-go").disabled = true;
  byId("confirm-word").value = "";
  [wanted, confirmed] = [word, go];
  if (!dialog.open) dialog.showModal();
  if (word) byId("confirm-word").focus();
}

/** Show what would go, and ask for the number of files to let it go. */
export async function lookAtPlan() {
  const plan = await post("plan");
  if (!plan) return;
  const rows = plan.entries.map((one) => [file(one.path), one.tier, bytes(one.bytes), one.keeper ? file(one.keeper) : ""]);
  const content = [];
  if (rows.length) content.push(table(WORDS.planColumns, rows), further(plan.files, rows));
  if (plan.left_files) {
    const left = plan.left.map((one) => [file(one.path), visible(one.reason)]);
    content.push(
      element("h3", {}, WORDS.leftOut(counted(plan.left_files, ...WORDS.fileWord))),
      table(WORDS.leftColumns, left), further(plan.left_files, left),
    );
  }
  ask({
    title: WORDS.planTitle,
    text: plan.files ? WORDS.planText(counted(plan.files, ...WORDS.fileWord), bytes(plan.bytes)) : WORDS.planEmpty,
    content,
    word: plan.files ? plan.confirm : "",
    question: WORDS.confirmPlan(plan.confirm),
    button: WORDS.apply,
    go: (confirm) => post("apply", { confirm }),
  });
}

/** Show the runs, and ask for a word to take one back. */
export async function undo() {
  const found = await tryGet("api/runs");
  if (!found) return;
  const when = (run) => new Date(run.started).toLocaleString("en-GB");
  const rows = found.runs.map((run, at) => {
    const choice = element("input", { type: "radio", name: "run", value: run.run, checked: at === 0, "aria-label": when(run) });
    return [choice, when(run), run.files.toLocaleString("en"), bytes(run.bytes)];
  });
  ask({
    title: WORDS.undoTitle,
    text: rows.length ? WORDS.undoText : WORDS.undoNothing,
    content: rows.length ? [table(WORDS.undoColumns, rows)] : [],
    word: rows.length ? data.undo_word : "",
    question: WORDS.confirmUndo(data.undo_word),
    button: WORDS.undoGo,
    go: (confirm) => post("undo", { run: dialog.querySelector("[name=run]:checked").value, confirm }),
  });
}

function showJob({ job }) {
  const words = WORDS.jobs[job.kind];
  byId("job").hidden = !words || (!job.runs && !job.error && !job.lines.length && ["", "list"].includes(job.kind));
  if (!words) return;
  const amount = job.total ? `${job.stage} ${job.done.toLocaleString("en")} / ${job.total.toLocaleString("en")}` : "";
  const ended = job.error
    ? WORDS.failed(words[0], job.error)
    : words[1](counted(job.files, ...WORDS.fileWord), bytes(job.bytes));
  byId("job-text").textContent = visible(job.runs ? `${words[0]} ${amount}` : ended);
  byId("job").classList.toggle("failed", Boolean(job.error));
  byId("job-bar").hidden = !job.runs;
  if (job.total) { byId("job-bar").max = job.total; byId("job-bar").value = job.done; } else byId("job-bar").removeAttribute("value");
  byId("job-lines").replaceChildren(...job.lines.map((line) => element("li", {}, visible(line))));
  for (const id of ["index", "undo"]) byId(id).disabled = job.runs;
}

export function startActing() {
  byId("confirm-word").addEventListener("input", () => {
    byId("confirm-go").disabled = byId("confirm-word").value.trim().toLowerCase() !== wanted;
  });
  byId("confirm").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (await confirmed(byId("confirm-word").value)) dialog.close();
  });
  byId("plan").addEventListener("click", lookAtPlan);
  byId("undo").addEventListener("click", undo);
  byId("index").addEventListener("click", () => post("index"));
  onState(showJob);
}
