// Texts for people. Every name passes through `visible`, and reaches the page as text only.

const HIDDEN = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;

function escaped(character) {
  const code = character.codePointAt(0);
  if (code >= 0xdc80 && code <= 0xdcff) return `\\x${(code - 0xdc00).toString(16)}`; // no UTF-8
  if (code <= 0xff) return `\\x${code.toString(16).padStart(2, "0")}`;
  return `\\u${code.toString(16).padStart(4, "0")}`;
}

/** Escape what is not seen or turns text around, as the command line does. */
export function visible(text) {
  return text.replace(HIDDEN, escaped);
}

/** Make an element; strings become text, and properties that are no attributes are set as such. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("aria-") || key === "role") made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Put a name into the page, kept apart from the direction of the text around it. */
export function name(text, properties = {}) {
  return element("bdi", properties, visible(text));
}

export function counted(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

export function bytes(size) {
  if (size < 1000) return `${size} B`;
  for (const unit of ["kB", "MB", "GB"]) {
    size /= 1000;
    if (size < 1000) return `${size.toFixed(1)} ${unit}`;
  }
  return `${(size / 1000).toFixed(1)} TB`;
}

export function fileName(path) {
  return path.slice(path.lastIndexOf("/") + 1);
}

export function folderOf(path) {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}
