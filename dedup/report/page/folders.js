// Folders, without what all that is shown have in common.

import { data } from "./data.js";
import { folderOf } from "./text.js";

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
