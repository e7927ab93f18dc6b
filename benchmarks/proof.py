"""Measure the proof on the pair: what it confirms, what it refuses, what it costs.

    python benchmarks/proof.py PHOTOS [--groups groups.json] [--images 60] [--seed 0] [--jobs 1]

PHOTOS is a folder of photographs in any depth; the groups file names images in it.
Prints Markdown. Equal arguments give equal tables but for the times.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from machine import add_json_option, record
from shots import SHOTS

from dedup.edits.catalogue import EDITS, edit, visible
from dedup.images.encode import as_jpeg
from dedup.proof import WORKING_SIDE, Original, Side, Verdict, describe, prove

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

SUFFIXES = {".jpg", ".jpeg", ".png"}
QUALITY = 92
DRAWING_SIDE = 800  # images are edited at this size at most, which keeps the run short


@dataclass(frozen=True)
class Outcome:
    """One judged pair."""

    table: str
    row: str
    near: bool
    what: str
    checks: str
    seconds: float
    half: bool = True
    pair: tuple[str, str] = ("", "")


def load(path: Path) -> Pixels:
    """Read an image upright as RGB."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise OSError(f"cannot read {path}")
    return np.asarray(image[..., ::-1], np.uint8)


def bounded(pixels: Pixels, side: int = WORKING_SIDE) -> Pixels:
    """Shrink until the longest side fits."""
    height, width = pixels.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return np.ascontiguousarray(pixels)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def side_of(pixels: Pixels) -> Side:
    """Describe an image as if it had been saved."""
    data = as_jpeg(pixels, QUALITY)
    return Side(describe(bounded(pixels)), partial(Original, data))


def judged(
    table: str,
    row: str,
    first: Side,
    second: Side,
    *,
    half: bool = True,
    pair: tuple[str, str] = ("", ""),
    save: tuple[Path, Pixels, Pixels] | None = None,
) -> Outcome:
    """Prove a pair and time it; keep an image of it where asked."""
    start = time.perf_counter()
    verdict = prove(first, second)
    seconds = time.perf_counter() - start
    wrong = verdict.near != (table in {"edits", "near"})
    if wrong and save is not None:
        _image(save, row, verdict)
    last = verdict.checks[-1] if verdict.checks else None
    checks = f"{last.name} {last.value:.3g} / {last.limit:g}" if last else "none"
    return Outcome(table, row, verdict.near, verdict.evidence, checks, seconds, half, pair)


def _image(save: tuple[Path, Pixels, Pixels], row: str, verdict: Verdict) -> None:
    folder, first, second = save
    folder.mkdir(parents=True, exist_ok=True)
    sides = [bounded(first), bounded(second)]
    height = max(side.shape[0] for side in sides)
    tiles = [
        cv2.copyMakeBorder(side, 0, height - side.shape[0], 0, 8, cv2.BORDER_CONSTANT)
        for side in sides
    ]
    name = row.replace("/", "_").replace(" ", "_") + f"_{len(list(folder.iterdir())):03}.png"
    sheet = np.ascontiguousarray(np.concatenate(tiles, axis=1)[..., ::-1])
    cv2.putText(
        sheet, verdict.evidence[:70], (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 255), 1
    )
    cv2.imwrite(str(folder / name), sheet)


def from_image(job: tuple[Path, Path, int, Path | None, tuple[str, ...]]) -> list[Outcome]:
    """All edits of an image, all made-up other shots of it, and a stranger."""
    path, stranger, seed, failures, kinds = job
    cv2.setNumThreads(1)
    pixels, more = (bounded(load(side), DRAWING_SIDE) for side in (path, stranger))
    first = side_of(pixels)
    outcomes = []
    for index, kind in enumerate(EDITS):
        if kinds and kind not in kinds:
            continue
        for grade, strength in enumerate(EDITS[kind].strengths):
            rng = np.random.default_rng((seed, index, grade))
            copy = edit(kind, strength, pixels, rng)
            share = visible(kind, strength)
            half = share >= 0.5 and min(copy.shape[:2]) >= 64
            save = (failures, pixels, copy) if failures else None
            row = f"{kind} {strength:.3g}"
            second = side_of(copy)
            outcomes.append(judged("edits", row, first, second, half=half, save=save))
    for index, (name, make) in enumerate(SHOTS.items()):
        if kinds and name not in kinds:
            continue
        pair = make(pixels, more, np.random.default_rng((seed, 1000 + index)))
        one, two = (side_of(shot) for shot in pair)
        save = (failures, *pair) if failures else None
        outcomes.append(judged("shots", name, one, two, save=save))
    second = side_of(more)
    save = (failures, pixels, more) if failures else None
    outcomes.append(judged("strangers", "a random other", first, second, save=save))
    outcomes.append(judged("strangers", "in the same folder", first, _neighbour(path), save=None))
    return outcomes


def _neighbour(path: Path) -> Side:
    """Describe the next image of the same folder; the previous one for the last."""
    beside = sorted(other for other in path.parent.iterdir() if other.suffix.lower() in SUFFIXES)
    place = beside.index(path)
    return side_of(load(beside[place + 1 if place + 1 < len(beside) else place - 1]))


def from_group(job: tuple[dict[str, object], Path, Path | None]) -> list[Outcome]:
    """All pairs of one group of the groups file."""
    group, root, failures = job
    cv2.setNumThreads(1)
    members = [str(member) for member in group["members"]]  # type: ignore[attr-defined]  # JSON
    images = [load(root / member) for member in members]
    sides = [
        Side(describe(bounded(image)), partial(Original, (root / member).read_bytes()))
        for image, member in zip(images, members, strict=True)
    ]
    return [
        judged(
            str(group["tier"]), str(group["set"]), sides[i], sides[j],
            pair=(members[i], members[j]),
            save=(failures, images[i], images[j]) if failures else None,
        )
        for i, j in itertools.combinations(range(len(members)), 2)
    ]  # fmt: skip


def report(outcomes: Sequence[Outcome]) -> None:
    """Print the tables."""
    edits = [outcome for outcome in outcomes if outcome.table == "edits"]
    if edits:
        half = [outcome for outcome in edits if outcome.half]
        print("\n## Edited copies called near\n")
        print(f"overall {_rate(edits)}; of those that leave half of it {_rate(half)}\n")
        print("| kind | by strength, mildest first |\n|---|---|")
        for kind in EDITS:
            rows = [[o for o in edits if o.row == f"{kind} {s:.3g}"] for s in EDITS[kind].strengths]
            cells = [
                f"{strength:.3g}: {_rate(row)}"
                for strength, row in zip(EDITS[kind].strengths, rows, strict=True)
                if row
            ]
            if cells:
                print(f"| {kind} | {' · '.join(cells)} |")
    for table, title in (
        ("near", "Groups of one photograph called near"),
        ("similar", "Groups of other shots called near"),
        ("shots", "Made-up other shots called near"),
        ("strangers", "Strangers called near"),
    ):
        chosen = [outcome for outcome in outcomes if outcome.table == table]
        if chosen:
            print(f"\n## {title}\n\nall {_rate(chosen)}\n\n| set | called near |\n|---|---|")
            for row in dict.fromkeys(outcome.row for outcome in chosen):
                print(f"| {row} | {_rate([o for o in chosen if o.row == row])} |")
    _misses(outcomes)


def keep(outcomes: Sequence[Outcome]) -> None:
    """Record the overall rates for docs/benchmarks.md."""
    edits = [outcome for outcome in outcomes if outcome.table == "edits"]
    chosen = [
        ("edited copies", edits),
        ("of those that leave half of the image", [each for each in edits if each.half]),
        *(
            (title, [each for each in outcomes if each.table == table])
            for table, title in (
                ("near", "known copies"),
                ("similar", "pairs of other shots"),
                ("shots", "drawn other shots"),
                ("strangers", "unrelated images"),
            )
        ),
    ]
    rows = [[title, _rate(some)] for title, some in chosen if some]
    record("accuracy", "proof", "The proof on the pair", ["what", "called near"], rows)


def _rate(outcomes: Sequence[Outcome]) -> str:
    hits = sum(outcome.near for outcome in outcomes)
    return f"{hits / max(1, len(outcomes)):.3f} ({hits}/{len(outcomes)})"


def _misses(outcomes: Iterable[Outcome]) -> None:
    """Print why pairs came out wrong, commonest reason first."""
    wrong = [o for o in outcomes if o.near != (o.table in {"edits", "near"})]
    reasons: dict[str, list[Outcome]] = {}
    for outcome in wrong:
        reasons.setdefault(
            f"{outcome.table}: {outcome.checks.split(' / ')[0].rsplit(' ', 1)[0]}", []
        ).append(outcome)
    print(
        "\n## Why pairs came out wrong\n\n| check that decided | pairs | such as |\n|---|---|---|"
    )
    for reason, those in sorted(reasons.items(), key=lambda item: -len(item[1])):
        rows = "; ".join(
            f"{o.row} {Path(o.pair[0]).name} {Path(o.pair[1]).name} {o.checks}".strip()
            for o in those[:6]
        )
        print(f"| {reason} | {len(those)} | {rows} |")


def times(paths: Sequence[Path]) -> None:
    """Print what describing and proving cost on one thread."""
    cv2.setNumThreads(1)
    images = [bounded(load(path)) for path in paths]
    describing: list[float] = []
    proving: list[float] = []
    refusing: list[float] = []
    sides = []
    for image in images:
        start = time.perf_counter()
        sides.append(side_of(image))
        describing.append(time.perf_counter() - start)
    rng = np.random.default_rng(0)
    kinds = list(EDITS)
    for index, image in enumerate(images):
        kind = kinds[index % len(kinds)]
        copy = side_of(edit(kind, EDITS[kind].strengths[-1], image, rng))
        for sink, other in ((proving, copy), (refusing, sides[index - 1])):
            start = time.perf_counter()
            prove(sides[index], other)
            sink.append(time.perf_counter() - start)
    print("\n## Time on one thread\n\n| step | median ms | mean ms | 95th percentile ms |")
    print("|---|---|---|---|")
    for name, values in (
        ("describe, and save", describing),
        ("prove a copy", proving),
        ("refute a stranger", refusing),
    ):
        ms = np.array(values) * 1e3
        print(f"| {name} | {np.median(ms):.1f} | {ms.mean():.1f} | {np.percentile(ms, 95):.1f} |")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--groups", type=Path)
    parser.add_argument("--images", type=int, default=60, help="photographs to edit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--kinds", nargs="*", default=(), help="only these edits and shots")
    parser.add_argument("--failures", type=Path, help="folder for images of the wrong pairs")
    add_json_option(parser)
    options = parser.parse_args()
    groups = json.loads(options.groups.read_text()) if options.groups else []
    grouped = {member for group in groups for member in group["members"]}
    root = options.photos
    paths = [
        path
        for path in sorted(options.photos.rglob("*"))
        if path.suffix.lower() in SUFFIXES
        and (not groups or path.relative_to(root).as_posix() not in grouped)
    ]
    rng = np.random.default_rng(options.seed)
    order = [paths[place] for place in rng.permutation(len(paths))[: options.images]]
    jobs = [
        (
            path,
            order[place - 1],
            options.seed * 100_000 + place,
            options.failures,
            tuple(options.kinds),
        )
        for place, path in enumerate(order)
    ]
    outcomes: list[Outcome] = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for found in pool.map(from_image, jobs):
            outcomes += found
        for found in pool.map(from_group, [(group, root, options.failures) for group in groups]):
            outcomes += found
    report(outcomes)
    if options.json:
        keep(outcomes)
    times(order[:40])


if __name__ == "__main__":
    main()
