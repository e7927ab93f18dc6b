// Questions to the server, and what it says of itself as long as the page is seen.

import { element } from "./text.js";
import { WORDS } from "./words.js";

/** Where this review is on its host: a part of the path that no other server knows. */
export const root = new URL("..", import.meta.url).pathname;

let csrf = "";
const said = document.getElementById("said");
let quiet = 0;

/** Say something that a person has to know; it goes after a while. */
export function say(text) {
  clearTimeout(quiet);
  said.hidden = false;
  said.replaceChildren(element("span", {}, text));
  quiet = setTimeout(() => { said.hidden = true; }, 12_000);
}

async function answered(request) {
  let answer;
  try {
    answer = await request;
  } catch {
    throw new Error(WORDS.stopped);
  }
  const text = await answer.text();
  let value = {};
  try {
    value = JSON.parse(text);
  } catch {
    value = { error: text };
  }
  if (!answer.ok) throw new Error(value.error ?? `${answer.status}`);
  if (value.csrf) csrf = value.csrf;
  return value;
}

export const get = (path) => answered(fetch(root + path, { credentials: "same-origin" }));

/** The same, where an error is said, and gives null. */
export const tryGet = (path) => get(path).catch((error) => { say(error.message); return null; });

const listeners = [];
let events = null;
let latest = null;

/** Hear of what was chosen and what runs, here or in another tab. */
export function onState(listener) {
  listeners.push(listener);
  if (latest) listener(latest);
}

export function tell(state) {
  latest = state;
  for (const listener of listeners) listener(state);
}

/** Change something; what is said back is told to whoever listens, `mine` with it. Errors are said, and give null. */
export async function post(name, body = {}, mine = false) {
  try {
    const value = await answered(fetch(`${root}api/${name}`, {
      method: "POST",
      credentials: "same-origin",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
      body: JSON.stringify(body),
    }));
    tell({ ...value, mine });
    return value;
  } catch (error) {
    say(error.message);
    return null;
  }
}

function listen() {
  if (document.hidden) { // a browser has six connections to a host
    events?.close();
    events = null;
  } else if (!events) {
    events = new EventSource(`${root}api/events`);
    events.addEventListener("message", (event) => tell(JSON.parse(event.data)));
    events.addEventListener("error", () => {
      if (events?.readyState === EventSource.CLOSED) say(WORDS.stopped);
    });
  }
}

export function startListening() {
  document.addEventListener("visibilitychange", listen);
  listen();
}
