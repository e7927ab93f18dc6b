"""Edited copies hidden in a collection, found end to end: endtoend PHOTOS [--weights FILE].

Edits seeded originals in every way of `dedup.edits.catalogue`, hides the copies among other
photographs, indexes all of it, and asks `Collection` for its duplicates: what did embeddings
propose and proofs confirm? A pair of different photographs counts as false unless the groups files
call it one photograph.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np
from machine import add_json_option, describe, record

from dedup.collection import Collection
from dedup.duplicates.gallery import read_gallery
from dedup.duplicates.listing import tiered_pairs
from dedup.duplicates.tiers import CANDIDATES, SURE
from dedup.edits.catalogue import EDITS, edit, visible
from dedup.errors import ImageError
from dedup.images.decode import decode_bounded, read_file
from dedup.images.encode import as_jpeg
from dedup.images.scan import scan
from dedup.space.space import Space
from dedup.spec import ModelSpec
from dedup.store.catalog import Catalog


def same_photograph(files: list[Path]) -> set[tuple[str, str]]:
    """Read which names mean one photograph; groups that share a name are one."""
    family: dict[str, str] = {}

    def root(name: str) -> str:
        while family.setdefault(name, name) != name:
            name = family[name]
        return name

    for file in files:
        for group in json.loads(file.read_text("utf-8")):
            if group["tier"] == "near":
                for name in group["members"]:
                    family[root(name)] = root(group["members"][0])
    families: dict[str, list[str]] = defaultdict(list)
    for name in family:
        families[root(name)].append(name)
    return {
        (first, second)
        for members in families.values()
        for first, second in combinations(sorted(members), 2)
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--weights", type=Path, help="default: the network that dedup ships")
    parser.add_argument("--groups", type=Path, nargs="*", default=[])
    parser.add_argument("--originals", type=int, default=120)
    parser.add_argument("--copies", type=int, default=8, help="of each original")
    parser.add_argument("--others", type=int, default=900)
    parser.add_argument("--seed", type=int, default=0)
    add_json_option(parser)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    names = [os.fsdecode(file.path) for file in scan(options.photos).files]
    chosen = [names[place] for place in rng.permutation(len(names))]
    grouped = same_photograph(options.groups)
    ways = [(kind, strength) for kind in EDITS for strength in EDITS[kind].strengths]
    copies: dict[str, tuple[str, str, float]] = {}  # copy -> original, kind, strength
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "photos"
        for number, name in enumerate(chosen[: options.originals + options.others]):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(options.photos / name, target)
            if number >= options.originals:
                continue
            try:
                pixels = decode_bounded(read_file(os.fspath(target)), 1024, name)
            except ImageError:
                continue
            if min(pixels.shape[:2]) < 128:
                continue
            for way in rng.choice(len(ways), options.copies, replace=False):
                kind, strength = ways[way]
                copy = f"copies/{number:04}-{kind}-{strength:g}.jpg"
                (folder / "copies").mkdir(exist_ok=True)
                data = as_jpeg(edit(kind, strength, pixels, rng), int(rng.integers(75, 92)))
                (folder / copy).write_bytes(data)
                copies[copy] = name, kind, strength
        store = Path(place) / "store"
        with Collection.create(store, ModelSpec(weights=options.weights)) as collection:
            collection.index([folder])
            started, used = time.perf_counter(), time.process_time()
            answer = collection.duplicates()
            seconds, cpu = time.perf_counter() - started, time.process_time() - used
        catalog = Catalog.open(store)
        (proofs,) = catalog.connection.execute("SELECT count(*) FROM verdicts").fetchone()
        space = Space(catalog.fingerprint)
        gallery = read_gallery(catalog, space)
        base = os.path.realpath(folder)
        pairs = {
            tuple(sorted((os.path.relpath(first, base), os.path.relpath(second, base))))
            for first, second, _, _ in tiered_pairs(
                gallery, SURE, space.threshold(), lambda *_: None
            )
        }
        total = len(gallery.files)
        catalog.close()
    source = {copy: original for copy, (original, _, _) in copies.items()}
    false = []
    for first, second in pairs:
        one, two = sorted((source.get(first, first), source.get(second, second)))
        if one != two and (one, two) not in grouped:
            false.append((first, second))
    listed = unproven = 0
    for group in answer.groups:
        for duplicate in group.duplicates:
            keeper = os.path.relpath(group.keeper, base)
            listed += 1
            pair = tuple(sorted((keeper, os.path.relpath(duplicate.path, base))))
            unproven += pair not in pairs
    found: dict[str, list[bool]] = defaultdict(list)
    enough: list[bool] = []
    for copy, (original, kind, strength) in copies.items():
        hit = tuple(sorted((copy, original))) in pairs
        found[kind].append(hit)
        if visible(kind, strength) >= 0.5:
            enough.append(hit)
    hits = [hit for results in found.values() for hit in results]
    print(describe())
    print(
        f"\n{total:,} images, {len(copies):,} edited copies of {len(set(source.values()))} "
        f"originals among them, seed {options.seed}, {CANDIDATES} candidates an image, saved as "
        "JPEG 75 to 91:\n"
    )
    rows = [
        ["copies found with their original, near or surer", f"{np.mean(hits):.4f}"],
        ["of those that show at least half of the image", f"{np.mean(enough):.4f}"],
        ["pairs found", f"{len(pairs):,}"],
        ["of them false", f"{len(false)} (precision {1 - len(false) / len(pairs):.4f})"],
        ["duplicates listed by cover, unproven against their keeper", f"{unproven} of {listed}"],
        ["candidate pairs proven or refuted", f"{proofs:,}"],
        ["first `list`, wall and processor seconds", f"{seconds:.0f}, {cpu:.0f}"],
    ]
    print("| what | figure |\n|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()
    if options.json:
        title = "Copies hidden in a collection, found by `dedup list`"
        note = f"{total:,} images, seed {options.seed}."
        record("accuracy", "endtoend", title, ["what", "figure"], rows, note=note)
    print("| edit | found |\n|---|---|")
    for kind, results in found.items():
        print(f"| {kind} | {np.mean(results):.2f} ({sum(results)}/{len(results)}) |")
    for pair in false:
        print("false:", *pair)


if __name__ == "__main__":
    main()
