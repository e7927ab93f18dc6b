// What may be chosen of duplicates, whatever page they are on.

export const COPIES = new Set(["exact", "pixels", "resaved"]);

/** What stands against letting a file go; "" when nothing does. */
export function obstacle(duplicate) {
  return duplicate.line ? "" : duplicate.stays || duplicate.missing || "cannot be chosen";
}

/** A pair can be kept apart where both contents are known, and are not the same. */
export function canBeApart(duplicate) {
  const keeper = duplicate.group.keeper;
  return Boolean(duplicate.sha256 && keeper.sha256) && duplicate.sha256 !== keeper.sha256;
}

/** Those that may be chosen together: edited versions are looked at one by one. */
export function copiesOf(duplicates) {
  return duplicates.filter((one) => COPIES.has(one.tier) && !obstacle(one));
}
