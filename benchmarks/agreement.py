"""Pairs of `dedup list` against known groups: agreement STORE PHOTOS GROUPS.JSON [--threshold S].

Every pair of files that the groups call one photograph is a true pair; pairs of a `similar` group
and pairs across groups are false. Pairs with a file that is in no group are not judged, since
nobody has marked those.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path

from machine import add_json_option, describe, record

from dedup.collection import Collection
from dedup.space.space import Space
from dedup.store.catalog import Catalog
from dedup.store.gallery import read_files, read_ids


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("groups", type=Path)
    parser.add_argument("--threshold", type=float)
    add_json_option(parser)
    options = parser.parse_args()
    with Collection.open(options.store) as collection:
        answer = collection.duplicates(threshold=options.threshold)
    threshold = answer.threshold
    catalog = Catalog.open(options.store)
    ids = read_ids(catalog)
    files = read_files(catalog, ids)
    vectors = Space.of(catalog).rows(catalog, len(ids))
    root = os.path.realpath(options.photos)
    rows = {
        os.path.relpath(os.fsdecode(path), root): int(row)
        for path, row in zip(files.path, files.row, strict=True)
    }
    truth: dict[tuple[str, str], tuple[str, str]] = {}
    member_of: dict[str, set[str]] = defaultdict(set)
    for group in json.loads(options.groups.read_text("utf-8")):
        members = sorted(name for name in group["members"] if name in rows)
        for pair in combinations(members, 2):
            if truth.get(pair, ("", "similar"))[1] == "similar":
                truth[pair] = group["set"], group["tier"]
        for name in members:
            member_of[name].add(group["set"])
    marked = sorted(member_of)
    chosen = vectors[[rows[name] for name in marked]]
    similarity = chosen @ chosen.T
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for first, second in combinations(range(len(marked)), 2):
        pair = marked[first], marked[second]
        found = bool(similarity[first, second] >= threshold - 5e-7)
        name, tier = truth.get(pair, ("pairs across groups", "none"))
        counts[name]["tier " + tier] += 1
        counts[name]["found"] += found
        if tier == "near":
            counts["all"]["true"] += 1
            counts["all"]["hit"] += found
        counts["all"]["found"] += found
    print(describe())
    print(f"\n{catalog.fingerprint.model} ({catalog.fingerprint.weights}), threshold {threshold}\n")
    print(
        "| set | tier in truth | pairs | at or above the threshold | share |\n|---|---|---|---|---|"
    )
    shown = []
    for name in sorted(counts, key=lambda name: (name == "pairs across groups", name)):
        if name == "all":
            continue
        tiers = sorted(key[5:] for key in counts[name] if key.startswith("tier "))
        total = sum(count for key, count in counts[name].items() if key.startswith("tier "))
        hits = counts[name]["found"]
        cells = [name, ", ".join(tiers), f"{total:,}", f"{hits:,}", f"{hits / total:.3f}"]
        shown.append(cells)
        print("| " + " | ".join(cells) + " |")
    if options.json:
        columns = ["set", "tier in truth", "pairs", "at or above the threshold", "share"]
        record("accuracy", "agreement", "Known groups by similarity alone", columns, shown)
    overall = counts["all"]
    print(
        f"\nPairs among marked files: precision {overall['hit'] / max(1, overall['found']):.3f}, "
        f"recall {overall['hit'] / max(1, overall['true']):.3f}."
    )
    false, listed = 0, 0
    for group in answer.groups:
        keeper = os.path.relpath(group.keeper, root)
        for duplicate in group.duplicates:
            pair = keeper, os.path.relpath(duplicate.path, root)
            if pair[0] in member_of and pair[1] in member_of:
                listed += 1
                false += truth.get((min(pair), max(pair)), ("", ""))[1] != "near"
    total = sum(len(group.duplicates) for group in answer.groups)
    print(
        f"`dedup list`: {len(answer.groups)} groups, {total} duplicates; of {listed} whose keeper "
        f"is marked too, {listed - false} agree ({(listed - false) / max(1, listed):.3f})."
    )
    catalog.close()


if __name__ == "__main__":
    main()
