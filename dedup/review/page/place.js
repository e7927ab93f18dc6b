// Where the person is, in the part of the URL that stays here: filters, page, pair. So that the
// back button goes back, and a reload stays.

const listeners = [];

export const onMove = (listener) => listeners.push(listener);

export const place = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

/** What is asked of the server here: filters and page. */
export function asked() {
  const { pair, ...wanted } = place();
  return String(new URLSearchParams(wanted));
}

/** Go elsewhere: null takes a value away; `replace` leaves nothing to go back to. */
export function go(changes, replace = false) {
  const values = Object.entries({ ...place(), ...changes }).filter(([, value]) => value !== null && value !== "");
  const hash = `#${new URLSearchParams(values)}`;
  if (hash === (location.hash || "#")) return;
  if (replace) history.replaceState(null, "", hash); else history.pushState(null, "", hash);
  for (const listener of listeners) listener();
}

addEventListener("popstate", () => { for (const listener of listeners) listener(); });
