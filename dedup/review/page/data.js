// What was listed, in place of a report's data: as the server has it now.

import { get, root } from "./api.js";
import { element } from "./text.js";
import { WORDS } from "./words.js";

export const data = await get("api/start");
data.shown = { length: data.groups };
data.made = "";

/** Show an image by its number; where it cannot be shown, why. */
export function show(image, number, kind = "thumb") {
  const url = `image/${kind}/${number}`;
  return new Promise((resolve) => {
    image.addEventListener("load", () => resolve(true), { once: true });
    image.addEventListener("error", async () => {
      const reason = await get(url).then(() => WORDS.unreadable, (error) => error.message);
      image.replaceWith(element("span", { class: "missing" }, reason));
      resolve(false);
    }, { once: true });
    if (kind === "thumb") image.loading = "lazy";
    image.src = root + url;
  });
}
