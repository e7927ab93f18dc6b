"""Embeddings as finders of edited copies: quality PHOTOS [--weights FILE]... [--groups FILE]...

Seeded originals are edited in every way of `dedup.edits.catalogue`, at every strength in turn,
and looked for among the originals and other photographs: by each view alone and by both together,
by the networks that are given and the bundled one, by random weights, and by a 64-bit pHash. All
pairs of a copy with a photograph of the gallery form one list by similarity: µAP and the recall at
a precision are read off that list. Photographs that a groups file calls look-alikes (frames of a
film, views of one thing) stand apart: how many of their pairs pass is a figure of its own. Prints
Markdown; --plot draws precision over recall.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from endtoend import same_photograph
from machine import add_json_option, describe, record

from dedup.descriptors.vlad import load_details
from dedup.edits.catalogue import EDITS, edit
from dedup.errors import ImageError
from dedup.fingerprint import DETAILS
from dedup.images.decode import decode_bounded, read_file
from dedup.images.encode import as_jpeg
from dedup.images.scan import scan
from dedup.models.loading import load_model
from dedup.models.registry import BUNDLED
from dedup.preparation import Preparation
from dedup.report.charts import Axis, Line, line_chart
from dedup.runtimes.torch_runtime import TorchRuntime
from dedup.search.similarity import unit_rows
from dedup.store.vectors import as_stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt

    from dedup.models.loading import LoadedModel
    from dedup.preparation import Prepared

    Rows = npt.NDArray[np.float32]
    Products = Callable[[], Rows]

DRAWING_SIDE = 1024
BATCH = 32
PRECISIONS = (0.9, 0.99, 0.999)


@dataclass
class Material:
    """Files as bytes.

    Parameters
    ----------
    gallery : originals first, then other photographs
    copies : (C,) edited copies
    owner : (C,) the place of each copy's original in the gallery
    kind : (C,) of edit
    strength : (C,) from 0, the mildest of the kind, to below 1
    """

    names: list[str]
    gallery: list[bytes]
    originals: int
    copies: list[bytes] = field(default_factory=list)
    owner: list[int] = field(default_factory=list)
    kind: list[str] = field(default_factory=list)
    strength: list[float] = field(default_factory=list)


def gather(options: argparse.Namespace) -> Material:
    """Choose photographs and draw copies, repeatable by seed."""
    rng = np.random.default_rng(options.seed)
    apart = {
        name
        for path in options.groups
        for group in json.loads(path.read_text("utf-8"))
        if group["tier"] == "similar"
        for name in group["members"]
    }
    names = [os.fsdecode(file.path) for file in scan(options.photos).files]
    chosen = [names[place] for place in rng.permutation(len(names)) if names[place] not in apart]
    kept: list[str] = []
    images: list[npt.NDArray[np.uint8]] = []
    files: list[bytes] = []
    for name in chosen:
        data = read_file(os.fspath(options.photos / name))
        try:
            pixels = decode_bounded(data, DRAWING_SIDE)
        except ImageError:
            continue
        if min(pixels.shape[:2]) < 64:
            continue
        kept.append(name)
        files.append(data)
        if len(images) < options.originals:
            images.append(pixels)
        if len(kept) == options.originals + options.others:
            break
    material = Material(kept, files, len(images))
    ways = [(kind, strength) for kind in EDITS for strength in EDITS[kind].strengths]
    order = rng.permutation(len(ways))

    def draw(number: int) -> tuple[int, str, float, bytes]:
        own = np.random.default_rng((options.seed, number))
        kind, strength = ways[order[number % len(ways)]]
        owner = number % len(images)
        copy = edit(kind, strength, images[owner], own)
        strengths = EDITS[kind].strengths
        place = strengths.index(strength) / len(strengths)
        return owner, kind, place, as_jpeg(copy, int(own.integers(75, 92)))

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        count = len(images) * options.copies
        for owner, kind, place, data in pool.map(draw, range(count)):
            material.owner.append(owner)
            material.kind.append(kind)
            material.strength.append(place)
            material.copies.append(data)
    return material


def prepared(files: Sequence[bytes], side: int, *, details: bool = False) -> list[Prepared]:
    """Prepare files as indexing does."""
    preparation = Preparation(side, side, details=details)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(preparation.prepare, files))


def content(loaded: LoadedModel, files: Sequence[bytes]) -> Rows:
    """Embed files by a network on the layer that it is meant for."""
    parts = []
    with TorchRuntime(loaded, (loaded.layer,)) as runtime:
        for start in range(0, len(files), 8 * BATCH):
            some = prepared(files[start : start + 8 * BATCH], runtime.input_hw[0])
            for at in range(0, len(some), BATCH):
                batch = np.stack([one.pixels for one in some[at : at + BATCH]])
                parts.append(runtime.embed(batch)[loaded.layer])
    # As they are stored.
    return unit_rows(unit_rows(np.concatenate(parts)).astype(np.float16))


def details(files: Sequence[bytes]) -> Rows:
    """Describe files."""
    rows = [one.counted for one in prepared(files, 32, details=True)]
    counted = np.stack([row for row in rows if row is not None])
    return unit_rows(as_stored(DETAILS, load_details().project(counted)))


def phash(files: Sequence[bytes]) -> Rows:
    """Hash files: signs of 64 low frequencies of 32 x 32 grey pixels, as rows of 64 ±1/8."""
    rows = []
    for one in prepared(files, 32):
        grey = cv2.cvtColor(one.pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
        low = cv2.dct(grey)[:8, :8].ravel()
        rows.append(np.where(low > np.median(low), 1, -1) / 8)
    return np.array(rows, np.float32)


@dataclass
class Figures:
    """What is read off one list of pairs."""

    name: str
    average_precision: float
    first: float
    recall: dict[float, float]
    thresholds: dict[float, float]
    within: int
    at_20: float
    by_kind: dict[str, float]
    single: list[str]  # µAP and R@.99 of single edits: all, milder half, mildest
    alike: int
    curve: list[tuple[float, float]]
    rank: npt.NDArray[np.int64]  # of each copy's original, from 0
    strangers: list[tuple[float, int, int]]  # the most similar false pairs: copy, photograph


def judge(
    name: str,
    products: Rows,
    material: Material,
    same: npt.NDArray[np.bool_],
    alike: Rows,
) -> Figures:
    """Read the figures off the similarities of copies (rows) and gallery (columns).

    Parameters
    ----------
    same : (G, G), photographs that are one and the same; such pairs do not count
    alike : similarities of pairs that look alike and are not one photograph
    """
    owner = np.array(material.owner)
    rows = np.arange(len(owner))
    true = np.zeros(products.shape, np.bool_)
    true[rows, owner] = True
    counted = true | ~same[owner]
    own = products[rows, owner]
    rank = ((products > own[:, None]) & counted).sum(axis=1)
    recall_of, thresholds, curve, precise = _listed(products, true, counted)
    at_99 = own >= thresholds[0.99]
    kinds: dict[str, list[bool]] = defaultdict(list)
    for kind, hit in zip(material.kind, at_99, strict=True):
        kinds[kind].append(bool(hit))
    lone = np.array(["+" not in kind for kind in material.kind])
    strength = np.array(material.strength)
    single = []
    for some in (lone, lone & (strength < 1 / 2), lone & (strength == 0)):
        recall_some, _, _, precise_some = _listed(products[some], true[some], counted[some])
        single.append(f"{precise_some:.4f}, {recall_some[0.99]:.3f}")
    return Figures(
        name,
        precise,
        float((rank == 0).mean()),
        recall_of,
        thresholds,
        int(np.sort(rank)[int(np.ceil(0.99 * len(rank))) - 1]) + 1,
        float((rank < 20).mean()),
        {kind: float(np.mean(hits)) for kind, hits in kinds.items()},
        single,
        int((alike >= thresholds[0.99]).sum()),
        curve,
        rank,
        _highest(products, counted & ~true),
    )


def _highest(products: Rows, false: npt.NDArray[np.bool_]) -> list[tuple[float, int, int]]:
    values = np.where(false, products, -2)
    places = np.argsort(-values, axis=None)[:20]
    return [(float(values.flat[place]), *divmod(int(place), products.shape[1])) for place in places]


def _listed(
    products: Rows, true: npt.NDArray[np.bool_], counted: npt.NDArray[np.bool_]
) -> tuple[dict[float, float], dict[float, float], list[tuple[float, float]], float]:
    values, labels = products[counted], true[counted]
    order = np.argsort(-values, kind="stable")
    right = np.cumsum(labels[order])
    precision = right / np.arange(1, len(order) + 1)
    total = int(true.sum())
    recall, thresholds = {}, {}
    for wanted in PRECISIONS:
        good = np.flatnonzero(precision >= wanted)
        last = int(good[-1]) if len(good) else 0
        recall[wanted] = float(right[last]) / total if len(good) else 0.0
        thresholds[wanted] = float(values[order[last]])
    hits = np.flatnonzero(labels[order])
    steps = hits[:: max(1, len(hits) // 200)]
    curve = [(float(right[at]) / total, float(precision[at])) for at in steps]
    return recall, thresholds, curve, float(precision[hits].sum()) / total


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--weights", type=Path, nargs="*", default=[])
    parser.add_argument("--groups", type=Path, nargs="*", default=[])
    parser.add_argument("--originals", type=int, default=300)
    parser.add_argument("--copies", type=int, default=8, help="of each original")
    parser.add_argument("--others", type=int, default=700)
    parser.add_argument("--shares", type=float, nargs="*", default=[0.05, 0.1, 0.15, 0.2, 0.3, 0.4])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--sizes", type=int, nargs="*", help="bundled networks at other input sizes"
    )
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--no-networks", action="store_true", help="only details and pHash")
    add_json_option(parser)
    options = parser.parse_args()
    material = gather(options)
    same = _same(material.names, same_photograph(options.groups))
    alike_names, alike_pairs = _alike(options.photos, options.groups)
    files = [*material.copies, *material.gallery, *alike_names]
    cuts = np.cumsum([len(material.copies), len(material.gallery)])
    results: list[Figures] = []

    def add(name: str, parts: Iterable[tuple[float, Rows]], *, centred: bool = False) -> None:
        copies: list[Rows] = []
        gallery: list[Rows] = []
        alike: list[Rows] = []
        for share, rows in parts:
            query, held, look = np.split(rows, cuts)
            if centred:
                mean = held.mean(axis=0)
                query, held, look = (unit_rows(some - mean) for some in (query, held, look))
            for found, some in ((copies, query), (gallery, held), (alike, look)):
                found.append(np.float32(share**0.5) * some)
        query, held, look = (unit_rows(np.concatenate(s, axis=1)) for s in (copies, gallery, alike))
        likes = np.array([float(look[a] @ look[b]) for a, b in alike_pairs], np.float32)
        results.append(judge(name, query @ held.T, material, same, likes))
        print(f"{name}: {results[-1].average_precision:.4f}", flush=True)

    local = details(files)
    add("details", [(1, local)])
    add("pHash, 64 bits", [(1, phash(files))])
    networks = {path.stem: load_model(weights=path) for path in options.weights}
    networks |= {name: load_model(name) for name in BUNDLED}
    networks["random weights"] = load_model("mobilenetv3_small_100", untrained=True)
    if options.no_networks:
        networks = {}
    for name in BUNDLED if options.sizes else ():
        for side in options.sizes:
            # A network of its own: a runtime folds its layers.
            resized = replace(load_model(name), input_size=(3, side, side))
            add(f"{name} at {side} px", [(1, content(resized, files))])
    for name, loaded in networks.items():
        rows = content(loaded, files)
        width = loaded.input_size[2]
        add(f"{name}, {rows.shape[1]}-d, {width} px", [(1, rows)])
        add(f"{name}, centred", [(1, rows)], centred=True)
        for share in options.shares:
            add(f"{name} {share:g} + details", [(share, rows), (1 - share, local)])
            add(
                f"{name} {share:g} + details, centred",
                [(share, rows), (1 - share, local)],
                centred=True,
            )
    _print(options, material, results, len(alike_pairs))
    if options.json:
        _record(options, material, results, len(alike_pairs))
    if options.plot:
        lines = [Line(one.name, one.curve) for one in results if "+" not in one.name][:10]
        axes = Axis("recall", 0.5, 1), Axis("precision", 0.5, 1)
        options.plot.write_text(line_chart("Edited copies found", *axes, lines), "utf-8")


def _record(
    options: argparse.Namespace, material: Material, results: list[Figures], alike: int
) -> None:
    columns = ["embedding", "µAP", "recall@1"]
    columns += [f"recall at precision {wanted:g}" for wanted in PRECISIONS]
    columns += ["original among 20 (of all copies)", f"look-alikes passing (of {alike})"]
    rows: list[list[str | float]] = [
        [
            one.name,
            round(one.average_precision, 4),
            round(one.first, 4),
            *(round(one.recall[wanted], 3) for wanted in PRECISIONS),
            round(one.at_20, 4),
            one.alike,
        ]
        for one in results
    ]
    note = (
        f"{len(material.copies):,} edited copies of {material.originals} originals among "
        f"{len(material.gallery):,} photographs, seed {options.seed}."
    )
    title = "Embeddings as finders of edited copies"
    record("accuracy", "embeddings", title, columns, rows, note=note)


def _same(names: list[str], pairs: set[tuple[str, str]]) -> npt.NDArray[np.bool_]:
    place = {name: number for number, name in enumerate(names)}
    same = np.eye(len(names), dtype=np.bool_)
    for first, second in pairs:
        if first in place and second in place:
            same[place[first], place[second]] = same[place[second], place[first]] = True
    return same


def _alike(photos: Path, groups: list[Path]) -> tuple[list[bytes], list[tuple[int, int]]]:
    """Read the members of `similar` groups, and list their pairs."""
    files: list[bytes] = []
    pairs: list[tuple[int, int]] = []
    one_photograph = same_photograph(groups)
    for path in groups:
        for group in json.loads(path.read_text("utf-8")):
            if group["tier"] != "similar":
                continue
            members = sorted(name for name in group["members"] if (photos / name).is_file())
            first = len(files)
            files += [read_file(os.fspath(photos / name)) for name in members]
            pairs += [
                (first + a, first + b)
                for a, b in combinations(range(len(members)), 2)
                if (members[a], members[b]) not in one_photograph
            ]
    return files, pairs


def _print(
    options: argparse.Namespace, material: Material, results: list[Figures], alike: int
) -> None:
    print(describe())
    print(
        f"\n{len(material.copies):,} edited copies of {material.originals} originals among "
        f"{len(material.gallery):,} photographs, seed {options.seed}; R@ is the recall at a "
        f"precision; “alike” how many of {alike} pairs that look alike pass at the threshold of "
        ".99:\n"
    )
    print(
        "| embedding | µAP | recall@1 | R@.90 | R@.99 | R@.999 | single edits: µAP, R@.99 "
        "| milder half of these | mildest | for 99 % | in 20 | alike |\n|" + "---|" * 12
    )
    for one in results:
        recalls = " | ".join(f"{one.recall[wanted]:.3f}" for wanted in PRECISIONS)
        print(
            f"| {one.name} | {one.average_precision:.4f} | {one.first:.4f} | {recalls} "
            f"| {' | '.join(one.single)} | {one.within} | {one.at_20:.4f} "
            f"| {one.alike} |"
        )
    shown = [one for one in results if "+" not in one.name or "0.5" in one.name]
    print("\nRecall per edit at the threshold of .99:\n")
    print("| edit | " + " | ".join(one.name for one in shown) + " |")
    print("|---|" + "---|" * len(shown))
    for kind in EDITS:
        cells = " | ".join(f"{one.by_kind.get(kind, float('nan')):.2f}" for one in shown)
        print(f"| {kind} | {cells} |")
    local = next(one for one in results if one.name == "details")
    for one in results:
        if one.name.endswith("centred") and "+" not in one.name:
            either = np.minimum(one.rank, local.rank)
            shares = ", ".join(f"{(either < k).mean():.4f} of {k}" for k in (5, 10))
            print(f"\nOriginal among the nearest by {one.name} or by details: {shares}")
    print("\nMost similar photographs that nobody has marked as one, by details:\n")
    for value, copy, other in local.strangers:
        print(f"- {value:.3f} {material.names[material.owner[copy]]} {material.names[other]}")
    print(
        "\nThresholds of .99: " + ", ".join(f"{o.name} {o.thresholds[0.99]:.3f}" for o in results)
    )


if __name__ == "__main__":
    main()
