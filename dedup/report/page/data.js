// What this report is about, and its thumbnails, which stand below the script in the page.

import { folderOf } from "./text.js";

export const data = JSON.parse(document.getElementById("data").textContent);

/** The longest folder that holds everything shown: it is said once, and left out of the rest. */
const common = (() => {
  let parts = null;
  for (const folder of [...data.shown.map((group) => folderOf(group.keeper.path)), ...data.folders.map(([path]) => path)]) {
    const own = folder.split("/");
    parts ??= own;
    let same = 0;
    while (same < parts.length && parts[same] === own[same]) same += 1;
    parts = parts.slice(0, same);
  }
  return (parts ?? []).join("/");
})();

export const base = common || "/";

export function shortFolder(folder) {
  if (folder === common) return ".";
  return common && folder.startsWith(`${common}/`) ? folder.slice(common.length + 1) : folder;
}

const whole = new Promise((resolve) => {
  if (document.readyState !== "loading") resolve();
  else document.addEventListener("DOMContentLoaded", resolve, { once: true });
});

/** Show a thumbnail in an <img>, at once or as soon as the page is read so far. */
export async function show(image, number) {
  let block = document.getElementById(`i${number}`);
  if (!block?.nextSibling) { // the block may be read in part only
    await whole;
    block = document.getElementById(`i${number}`);
  }
  image.src = `data:image/webp;base64,${block.textContent}`;
}
