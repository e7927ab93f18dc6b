// Folders, without what all that was listed have in common, in place of a report's: the server says it.

import { data } from "./data.js";

export const base = data.base || "/";

export function shortFolder(folder) {
  if (folder === data.base) return ".";
  return data.base && folder.startsWith(`${data.base}/`) ? folder.slice(data.base.length + 1) : folder;
}
