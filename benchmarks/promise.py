"""Measure whether a promised precision holds on images that were not calibrated on.

    python benchmarks/promise.py PHOTOS GROUPS WEIGHTS [--seeds 10] [--sizes 300 1000 2500]
                                 [--precision 0.99] [--samples 100] [--singles] [--work FOLDER]

Every photograph gets one copy, edited by one of all kinds (`edits.EDITS`) at any strength, and
everything is embedded once. For each seed the photographs are cut in two, groups kept whole: A and
B, each with copies up to the size of the collection (three photographs to one copy, more copies
where the photographs run out). A is calibrated; its transform and threshold are then used on B,
no image of which it has seen. A pair is true when its images are one photograph with its
copies, a group of tier near, or near by proof; everything else is false. --singles leaves out the
groups of other shots of one scene (frames of a film above all), which no similarity tells from
copies. --transform instead shows what the transform is worth: of the copies of A and of B, the
share that is more similar to its original than all but ten pairs of other photographs are. Prints
Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from machine import add_json_option, describe, record

from dedup import binding
from dedup.calibration import Calibration, calibrate
from dedup.collection import Collection
from dedup.duplicates.candidates import group_identical_inputs
from dedup.edits.catalogue import EDITS, edit
from dedup.errors import DedupError, ImageError
from dedup.images.decode import decode_bounded, read_file
from dedup.images.encode import as_jpeg
from dedup.proof import VERIFIER
from dedup.proof.prover import Prover
from dedup.records import FileEntry, ImageFacts
from dedup.search.join import self_join
from dedup.space.space import Space
from dedup.space.whitening import Transform, fit_transform
from dedup.spec import ModelSpec
from dedup.store.catalog import Catalog
from dedup.store.changes import Batch
from dedup.store.gallery import GalleryImages, read_images, read_indexed, read_vectors
from dedup.store.pairs import (
    ContentPair,
    StoredVerdict,
    content_pair,
    read_verdicts,
    write_verdicts,
)
from dedup.store.vectors import pack

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from dedup.runtimes.embedder import Embedder

SIDE = 1024


def quiet(*_: object) -> None:
    """Report to nobody."""


def draw_copies(photos: Path, folder: Path) -> None:
    """Write one edited copy of every photograph; those that are there stay."""
    kinds = list(EDITS)
    for number, path in enumerate(sorted(path for path in photos.rglob("*") if path.is_file())):
        target = folder / f"{path.relative_to(photos).as_posix().replace('/', '__')}.jpg"
        if target.exists():
            continue
        rng = np.random.default_rng((77, number))
        kind = kinds[int(rng.integers(len(kinds)))]
        strengths = EDITS[kind].strengths
        try:
            pixels = decode_bounded(read_file(os.fsencode(path)), SIDE)
        except ImageError:
            continue
        if min(pixels.shape[:2]) >= 64:
            copy = edit(kind, strengths[int(rng.integers(len(strengths)))], pixels, rng)
            target.write_bytes(as_jpeg(copy, int(rng.integers(70, 95))))


@dataclass
class World:
    """All images, embedded, and what is known of them."""

    catalog: Catalog
    images: GalleryImages
    parts: dict[str, npt.NDArray[np.float32]]  # what is stored, as the extractors gave it
    vectors: npt.NDArray[np.float32]  # unit rows as they are compared
    paths: list[bytes]
    originals: npt.NDArray[np.int64]
    copy_of: dict[int, int]  # original to its copy
    label: list[int]  # images of one label are one photograph
    unit: list[int]  # images of one unit come together
    verdicts: dict[ContentPair, StoredVerdict]


def read_world(store: Path, photos: Path, groups: Path, *, singles: bool = False) -> World:
    """Read the collection of photographs and copies."""
    catalog = Catalog.open(store)
    images = read_images(catalog)
    named = read_indexed(catalog, images.ids.tolist())
    paths = [named[image][0].path for image in images.ids.tolist()]
    # A content that is in both folders, or in several places, is an original.
    root = os.path.realpath(photos)
    rows: dict[str, int] = {}
    copies: dict[str, int] = {}
    for row, image in enumerate(images.ids.tolist()):
        names = [os.fsdecode(file.path) for file in named[image]]
        inside = [os.path.relpath(name, root) for name in names if name.startswith(root + os.sep)]
        for name in inside:
            rows[name] = row
        if not inside:
            copies[os.path.basename(names[0])[: -len(".jpg")].replace("__", "/")] = row
    label, unit = list(range(len(images))), list(range(len(images)))

    def join(labels: list[int], members: Sequence[int]) -> None:
        old = {labels[member] for member in members}
        for row, value in enumerate(labels):
            if value in old:
                labels[row] = min(old)

    copy_of = {rows[name]: row for name, row in copies.items() if name in rows}
    for original, copy in copy_of.items():
        label[copy], unit[copy] = label[original], unit[original]
    left_out: set[int] = set()
    for group in json.loads(groups.read_text("utf-8")):
        members = [rows[name] for name in group["members"] if name in rows]
        if members:
            join(unit, members)
            if group["tier"] != "similar":
                join(label, members)
            elif singles:
                left_out.update(members)
    originals = np.array(sorted(set(rows.values()) - left_out), np.int64)
    parts = {
        name: read_vectors(catalog, name, len(images), scaled=True)
        for name in catalog.fingerprint.stored
    }
    vectors = Space(catalog.fingerprint).fuse(parts)
    verdicts = read_verdicts(catalog, VERIFIER)
    return World(catalog, images, parts, vectors, paths, originals, copy_of, label, unit, verdicts)


def part(world: World, store: Path, rows: Sequence[int]) -> Catalog:
    """Make a collection of chosen images."""
    whole, images = world.catalog, world.images
    catalog = Catalog.create(store, whole.fingerprint)
    (root,) = catalog.add_roots([b""])
    images_facts, files = [], []
    for row in rows:
        facts = ImageFacts(
            digest=images.digest[row],
            format=images.format[row],
            width=int(images.width[row]),
            height=int(images.height[row]),
            frames=int(images.frames[row]),
            trivial=bool(images.trivial[row]),
            input_digest=images.input_digest[row],
        )
        images_facts.append(facts)
        file = FileEntry(world.paths[row].lstrip(b"/"), 1, 1, 1, row)
        files.append((root, file, facts.digest))
    packed = {name: pack(name, part[list(rows)]) for name, part in world.parts.items()}
    catalog.commit(Batch(images_facts, packed, files))
    write_verdicts(catalog, VERIFIER, world.verdicts)
    return catalog


def halves(world: World, size: int, rng: np.random.Generator) -> list[list[int]]:
    """Draw two collections that share no photograph."""
    units: dict[int, list[int]] = defaultdict(list)
    for row in world.originals.tolist():
        units[world.unit[row]].append(row)
    order = [units[unit] for unit in rng.permutation(sorted(units)).tolist()]
    sides: list[list[int]] = [[], []]
    for number, members in enumerate(order):
        sides[number % 2] += members
    chosen = []
    for side in sides:
        photos = side[: min(round(0.75 * size), len(side))]
        copied = [world.copy_of[row] for row in photos if row in world.copy_of]
        wanted = size - len(photos)
        chosen.append(photos + rng.permutation(copied)[:wanted].tolist())
    return chosen


def precision_on(
    world: World, rows: Sequence[int], store: Path, transform: Transform | None, threshold: float
) -> tuple[int, int, int]:
    """Count the pairs at or above a threshold, the true ones, and all true ones that are known."""
    catalog = part(world, store, rows)
    images = read_images(catalog)
    place = {digest: row for row, digest in enumerate(world.images.digest)}
    kept = [members[0] for members in group_identical_inputs(images)]
    own = [place[images.digest[row]] for row in kept]
    vectors = Space.of(catalog).rows(catalog, len(images))[kept]
    pairs = self_join(transform.apply(vectors) if transform else vectors, threshold)
    named = [(own[i], own[j]) for i, j in zip(pairs.first, pairs.second, strict=True)]
    asked = {
        pair: content_pair(world.images.digest[pair[0]], world.images.digest[pair[1]])
        for pair in named
        if world.label[pair[0]] != world.label[pair[1]]
    }
    sources = {world.images.digest[row]: [world.paths[row]] for row in own}
    with Prover(catalog, sources, quiet) as prover:
        prover.prove(list(asked.values()))
        verdicts = {pair: prover.verdict(*contents) for pair, contents in asked.items()}
    right = sum(
        pair not in asked or bool((verdict := verdicts[pair]) and verdict.tier) for pair in named
    )
    sizes: dict[int, int] = defaultdict(int)
    for row in own:
        sizes[world.label[row]] += 1
    known = sum(size * (size - 1) // 2 for size in sizes.values())
    world.verdicts |= read_verdicts(catalog, VERIFIER)
    catalog.close()
    return len(named), right, known


def promise(
    world: World, embedder: Embedder, options: argparse.Namespace, size: int, seed: int
) -> dict[str, float] | None:
    """Calibrate one collection and look at another; None when nothing is promised."""
    rng = np.random.default_rng((seed, size))
    first, second = halves(world, size, rng)
    with tempfile.TemporaryDirectory() as folder:
        catalog = part(world, Path(folder) / "a", first)
        calibration: Calibration = calibrate(
            catalog, lambda: embedder, quiet, seed=seed, samples=options.samples
        )
        transform = Space.of(catalog).transform
        world.verdicts |= read_verdicts(catalog, VERIFIER)
        catalog.close()
        try:
            threshold = calibration.threshold_for(options.precision)
        except DedupError:
            return None
        own = precision_on(world, first, Path(folder) / "aa", transform, threshold)
        other = precision_on(world, second, Path(folder) / "b", transform, threshold)
    return {
        "threshold": threshold,
        "a_found": own[0], "a_right": own[1], "a_known": own[2],
        "found": other[0], "right": other[1], "known": other[2],
    }  # fmt: skip


def found_beyond_ten(world: World, rows: Sequence[int], transform: Transform | None) -> float:
    """Share of copies above the tenth pair of photographs that are not one, as far as is known."""

    def placed(images: Sequence[int]) -> npt.NDArray[np.float32]:
        vectors = world.vectors[list(images)]
        return transform.apply(vectors) if transform else vectors

    originals = [row for row in rows if row in world.copy_of]
    vectors = placed(originals)
    copies = placed([world.copy_of[row] for row in originals])
    similarity = vectors @ vectors.T
    similarity[np.tril_indices(len(originals))] = -1
    strangers = []
    for place in np.argsort(similarity, axis=None)[::-1].tolist():
        first, second = (originals[place // len(originals)], originals[place % len(originals)])
        digests = (world.images.digest[first], world.images.digest[second])
        verdict = world.verdicts.get(content_pair(*digests))
        if world.label[first] != world.label[second] and not (verdict and verdict.tier):
            strangers.append(float(similarity.flat[place]))
        if len(strangers) == 10:
            break
    return float((np.einsum("nd,nd->n", vectors, copies) >= strangers[-1]).mean())


def transform_table(world: World, sizes: Sequence[int], seeds: int) -> None:
    """Print what the transform is worth on the images it was fitted to, and on others."""
    print("| photographs | directions | A as it is | A transformed | B as it is | B transformed |")
    print("|---|---|---|---|---|---|")
    for size in sizes:
        figures = []
        directions = 0
        for seed in range(seeds):
            order = np.random.default_rng((seed, size)).permutation(world.originals).tolist()
            first, second = order[:size], order[size : 2 * size]
            transform = fit_transform(world.vectors[first])
            directions = len(transform.gains)
            figures.append(
                [
                    found_beyond_ten(world, part_of, used)
                    for part_of in (first, second)
                    for used in (None, transform)
                ]
            )
        means = " | ".join(f"{mean:.3f}" for mean in np.mean(figures, axis=0))
        print(f"| {size} | {directions} | {means} |", flush=True)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("groups", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--sizes", type=int, nargs="+", default=[300, 1000, 2500])
    parser.add_argument("--precision", type=float, default=0.99)
    parser.add_argument("--samples", type=int, default=100, help="images edited per calibration")
    parser.add_argument("--singles", action="store_true", help="no groups of other shots")
    parser.add_argument("--transform", action="store_true", help="only what the transform is worth")
    parser.add_argument("--work", type=Path, help="keep copies, embeddings and proofs here")
    add_json_option(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        (work / "copies").mkdir(parents=True, exist_ok=True)
        draw_copies(options.photos, work / "copies")
        store = work / "store"
        opened = (
            Collection.open(store)
            if store.exists()
            else Collection.create(store, ModelSpec(weights=options.weights))
        )
        with opened as collection:
            collection.index([options.photos, work / "copies"])
        world = read_world(store, options.photos, options.groups, singles=options.singles)
        print(describe())
        if options.transform:
            print()
            transform_table(world, options.sizes, options.seeds)
            world.catalog.close()
            return
        runtime = binding.load(world.catalog)
        print(
            f"\n{len(world.originals):,} photographs, {len(world.copy_of):,} copies; promised "
            f"{options.precision}\n"
        )
        print("| size | seed | threshold | pairs in B | precision in B | recall in B | in A |")
        print("|---|---|---|---|---|---|---|")
        summary = []
        for size in options.sizes:
            rows = []
            for seed in range(options.seeds):
                row = promise(world, runtime, options, size, seed)
                write_verdicts(world.catalog, VERIFIER, world.verdicts)
                if row is None:
                    print(f"| {size} | {seed} | none promised | | | | |", flush=True)
                    continue
                rows.append(row)
                print(
                    f"| {size} | {seed} | {row['threshold']:.4f} | {row['found']} | "
                    f"{row['right'] / row['found'] if row['found'] else float('nan'):.4f} | "
                    f"{row['right'] / max(1, row['known']):.3f} | "
                    f"{row['a_right'] / max(1, row['a_found']):.4f} |",
                    flush=True,
                )
            total = {key: sum(row[key] for row in rows) for key in rows[0]} if rows else None
            if total:
                each = [row["right"] / row["found"] for row in rows if row["found"]] or [
                    float("nan")
                ]
                summary.append(
                    [
                        f"{size}",
                        f"{len(rows)} of {options.seeds}",
                        f"{total['right'] / max(1, total['found']):.4f}",
                        f"{np.mean(each):.4f}",
                        f"{min(each):.4f}",
                        f"{total['right'] / max(1, total['known']):.3f}",
                    ]
                )
            else:
                summary.append([f"{size}", f"0 of {options.seeds}", "", "", "", ""])
        columns = ["size", "promised", "precision, all pairs", "mean of seeds", "lowest", "recall"]
        print("\n| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
        for cells in summary:
            print("| " + " | ".join(cells) + " |")
        if options.json:
            title = f"Promised precision {options.precision}, on images not calibrated on"
            record("accuracy", "calibration", title, columns, summary)
        world.catalog.close()


if __name__ == "__main__":
    main()
