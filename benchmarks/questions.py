"""Wrong labels and spoiled images that were planted, by dedup and by others; and 20,000 images.

questions STORE [--peers PYTHON]: STORE is a collection whose folders are classes. Labels are made
wrong and photographs spoiled by seed; `cleanpeers` runs cleanlab and cleanvision on the same
embeddings and images, in an environment of their own. Then a collection of 20,000 files with seeded
embeddings is checked, split and sampled.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from machine import add_json_option, describe, record
from map import points_of

from dedup.collection import Collection
from dedup.datasets.issues import BLANK, BLURRY, BRIGHT, DARK, PLAIN
from dedup.datasets.mislabelled import DISAGREES, centred, judge, nearest_others
from dedup.fingerprint import Fingerprint
from dedup.images.decode import DECODER
from dedup.records import FileEntry, ImageFacts
from dedup.spec import ModelSpec
from dedup.store.catalog import Catalog
from dedup.store.changes import Batch
from dedup.store.vectors import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Cell = str | int | float | None

NOISE = (0.05, 0.2)
CLASSES = 20


def noisy(truth: Any, share: float) -> tuple[Any, Any]:
    """Give labels of which a share is wrong, and which are."""
    rng = np.random.default_rng(1)
    wrong = rng.random(len(truth)) < share
    labels = truth.copy()
    classes = int(truth.max()) + 1
    labels[wrong] = (truth[wrong] + rng.integers(1, classes, int(wrong.sum()))) % classes
    return labels, wrong


def labelled_sets(store: Path) -> dict[str, tuple[Any, Any, Any]]:
    """Give rows, labels and which of these are wrong: of photographs, and of digits."""
    from sklearn.datasets import load_digits

    with Collection.open(store) as collection:
        table = collection.features()
        rows = np.asarray(table[collection.status().layers[0]], np.float32)
        folders = [os.path.basename(os.path.dirname(path)) for path in table.paths]
    truth = np.unique(folders, return_inverse=True)[1]
    digits = load_digits()
    known = {"photographs": (rows, truth), "digits": (digits.data, digits.target)}
    return {
        f"{name}, {share:.0%} wrong": (rows.astype(np.float32), *noisy(truth, share))
        for name, (rows, truth) in known.items()
        for share in NOISE
    }


def rated(name: str, found: Any, wrong: Any, spent: float) -> list[Cell]:
    """Give precision, recall and their harmonic mean."""
    right = int((found & wrong).sum())
    precision, recall = right / max(1, int(found.sum())), right / int(wrong.sum())
    mean = 2 * right / (int(found.sum()) + int(wrong.sum()))
    return [name, round(precision, 3), round(recall, 3), round(mean, 3), round(spent, 1)]


def label_table(store: Path, peers: Path | None, work: Path) -> list[list[Cell]]:
    """Compare who finds wrong labels."""
    sets, rows = labelled_sets(store), []
    theirs: dict[str, Any] = {}
    if peers is not None:
        arrays: dict[str, Any] = {}
        for name, (vectors, labels, _) in sets.items():
            arrays |= {f"{name} rows": vectors, f"{name} labels": labels}
        np.savez(work / "sets.npz", **arrays)
        theirs = asked(peers, "labels", work / "sets.npz")
    for name, (vectors, labels, wrong) in sets.items():
        started = time.process_time()
        unit, alone = centred(vectors), np.arange(len(labels))
        judged = judge(unit, nearest_others(unit, alone), labels.astype(np.int64), alone)
        spent = time.process_time() - started
        rows.append([name, *rated("dedup", judged.agreement < DISAGREES, wrong, spent)])
        for key, (flagged, seconds) in theirs.items():
            of, _, how = key.partition("|")
            if of == name:
                found = np.zeros(len(labels), np.bool_)
                found[flagged] = True
                rows.append([name, *rated(f"cleanlab, {how}", found, wrong, seconds)])
    return rows


def asked(python: Path, what: str, path: Path) -> dict[str, Any]:
    """Ask the others, in their own environment."""
    script = Path(__file__).with_name("cleanpeers.py")
    done = subprocess.run([python, script, what, path], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def blurred(pixels: Any, rng: np.random.Generator) -> Any:
    """Blur by a sigma of .6 to 2.5 % of the long side."""
    return cv2.GaussianBlur(pixels, (0, 0), max(pixels.shape) * rng.uniform(0.006, 0.025))


def moved(pixels: Any, rng: np.random.Generator) -> Any:
    """Blur along a line of 3 to 8 % of the long side, at any angle."""
    side = int(max(pixels.shape) * rng.uniform(0.03, 0.08)) | 1
    line: Any = np.zeros((side, side), np.float32)
    line[side // 2] = 1
    turn = cv2.getRotationMatrix2D((side // 2, side // 2), rng.uniform(0, 180), 1)
    line = cv2.warpAffine(line, turn, (side, side))
    return cv2.filter2D(pixels, -1, line / line.sum())


def darkened(pixels: Any, rng: np.random.Generator) -> Any:
    """Leave 6 to 25 % of the light."""
    return (pixels * rng.uniform(0.06, 0.25)).astype(np.uint8)


def bleached(pixels: Any, rng: np.random.Generator) -> Any:
    """Lay 86 to 95 % of white over it."""
    white = rng.uniform(0.86, 0.95)
    return (pixels * (1 - white) + 255 * white).astype(np.uint8)


def flattened(pixels: Any, rng: np.random.Generator) -> Any:
    """Paint it in four flat parts."""
    flat = np.empty_like(pixels)
    tall, wide = (round(length * rng.uniform(0.3, 0.7)) for length in pixels.shape[:2])
    for rows in (slice(0, tall), slice(tall, None)):
        for columns in (slice(0, wide), slice(wide, None)):
            flat[rows, columns] = rng.integers(30, 225, 3)
    return flat


SPOILED: dict[str, tuple[Callable[[Any, np.random.Generator], Any], str, str]] = {
    "blurred": (blurred, BLURRY, "blurry"),
    "moved": (moved, BLURRY, "blurry"),
    "dark": (darkened, DARK, "dark"),
    "bright": (bleached, BRIGHT, "light"),
    "four flat parts": (flattened, PLAIN, "low_information"),
}


def spoil(store: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """Write 600 photographs, every fifth of them spoiled; gives name and kind, "" for sound."""
    with Collection.open(store) as collection:
        paths = collection.features().paths
    rng = np.random.default_rng(0)
    kinds = [*SPOILED]
    for number, at in enumerate(rng.permutation(len(paths))[:600].tolist()):
        pixels: Any = cv2.imread(paths[at])
        kind = kinds[number // 5 % len(kinds)] if number % 5 == 0 else ""
        if kind:
            pixels = SPOILED[kind][0](pixels, rng)
        name = f"{number:03}.jpg"
        cv2.imwrite(os.fspath(folder / name), pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])
        yield name, kind


def image_table(store: Path, peers: Path | None, work: Path) -> list[list[Cell]]:
    """Compare who finds spoiled images, and how many sound ones they name."""
    folder = work / "images"
    folder.mkdir()
    kinds = dict(spoil(store, folder))
    with Collection.create(work / "spoiled", ModelSpec(views="details")) as collection:
        collection.index(folder)
        answer = collection.check(issues=(BLANK, BLURRY, DARK, BRIGHT, PLAIN))
    ours: dict[str, set[str]] = {}
    for one in answer:
        ours.setdefault(one.issue, set()).add(Path(one.path).name)
    found = asked(peers, "images", folder) if peers else {}
    theirs = {name: {*names} for name, (names, _) in found.items()}
    rows: list[list[Cell]] = []
    for kind, (_, own, other) in SPOILED.items():
        planted = {name for name, what in kinds.items() if what == kind}
        rows.append(
            [
                kind, len(planted), len(planted & (ours.get(own, set()) | ours.get(BLANK, set()))),
                len(planted & theirs[other]) if theirs else None,
            ]
        )  # fmt: skip
    sound = {name for name, what in kinds.items() if not what}
    rows.append(
        [
            "none: sound", len(sound), len(sound & set().union(*ours.values())),
            len(sound & set().union(*theirs.values())) if theirs else None,
        ]
    )  # fmt: skip
    return rows


def class_rows(count: int) -> Any:
    """Draw rows around the centres of classes; every twentieth is a copy of the one before."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(CLASSES, 256))
    rows = 0.6 * centres[np.arange(count) // (count // CLASSES) % CLASSES]
    rows += rng.normal(size=rows.shape)
    rows[20::20] = rows[19:-1:20] + 0.05 * rng.normal(size=rows[20::20].shape)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def large(store: Path, photos: Path, folder: Path, count: int) -> None:
    """Make a collection of so many files with seeded embeddings."""
    points = points_of(photos, folder, count)
    made = Fingerprint("bench", "untrained", "0" * 64, ("pool",), 224, 224, DECODER)
    catalog = Catalog.create(store, made)
    (root,) = catalog.add_roots([os.fsencode(os.path.realpath(folder))])
    facts, files = [], []
    for number, path in enumerate(points.paths):
        digest, status = points.digests[number], os.stat(path)
        facts.append(ImageFacts(digest, "JPEG", 300, 200, 1, False, digest[:16]))
        entry = FileEntry(
            os.fsencode(os.path.relpath(path, folder)), status.st_size, status.st_mtime_ns,
            status.st_dev, status.st_ino, 1, status.st_ctime_ns,
        )  # fmt: skip
        files.append((root, entry, digest))
    catalog.commit(Batch(facts, {"pool": pack("pool", class_rows(count))}, files, ends_run=True))
    catalog.close()


def speed_table(photos: Path, work: Path, count: int, *, splits: bool) -> list[list[Cell]]:
    """Time each question, or splits only; proofs are kept for those after it."""
    folder, store = work / "large", work / "large-store"
    folder.mkdir()
    large(store, photos, folder, count)
    rows: list[list[Cell]] = []
    asks: dict[str, Callable[[Collection], object]] = {
        "check": lambda one: one.check(),
        "split .8 .1 .1": lambda one: one.split([0.8, 0.1, 0.1]),
        "split, by labels": lambda one: one.split([0.8, 0.1, 0.1], stratify="labels"),
        "check, with labels": lambda one: one.check(labels="folders"),
        "sample of 1,000": lambda one: one.sample(min(1000, count // 2)),
    }
    for name, ask in asks.items():
        if splits and not name.startswith("split"):
            continue
        with Collection.open(store) as collection:
            started, before = time.perf_counter(), os.times()
            ask(collection)
            rows.append([name, round(time.perf_counter() - started, 1), round(spent(before), 1)])
        print(rows[-1], flush=True)
    return rows


def spent(before: os.times_result) -> float:
    """Give the processor seconds since, of this process and of those that ended."""
    after = os.times()
    return sum(after[:4]) - sum(before[:4])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--photos", type=Path, help="JPEGs for the 20,000 files")
    parser.add_argument("--peers", type=Path, help="a Python with cleanlab and cleanvision")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--only", choices=("labels", "images", "speed", "splits"))
    add_json_option(parser)
    options = parser.parse_args()
    print(describe())
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        if options.only in (None, "labels"):
            rows = label_table(options.store, options.peers, work)
            print(*rows, sep="\n", flush=True)
            if options.json:
                record("questions", "labels", "Wrong labels found", LABEL_COLUMNS, rows,
                       statistic="seeded, one run", note=LABEL_NOTE)  # fmt: skip
        if options.only in (None, "images"):
            rows = image_table(options.store, options.peers, work)
            print(*rows, sep="\n", flush=True)
            if options.json:
                record("questions", "images", "Spoiled images found", IMAGE_COLUMNS, rows,
                       statistic="seeded, one run", note=IMAGE_NOTE)  # fmt: skip
        if options.only in (None, "speed", "splits") and options.photos:
            splits = options.only == "splits"
            rows = speed_table(options.photos, work, options.images, splits=splits)
            if options.json:
                title = f"{'Splits of' if splits else 'Questions to'} {options.images:,} images"
                record("questions", "splits" if splits else "speed", title, SPEED_COLUMNS, rows,
                       statistic="one run", note=SPEED_NOTE)  # fmt: skip


LABEL_COLUMNS = ["set", "who", "precision", "recall", "F1", "processor seconds"]
LABEL_NOTE = (
    "Photographs: the pooled layer of mobilenetv2_100, 20 classes of Caltech101 (CC BY 4.0); a few "
    "labels of theirs are wrong to begin with. Digits: the 8 × 8 pixels of scikit-learn's. "
    "cleanlab has predictions of five folds from scikit-learn on the same rows."
)
IMAGE_COLUMNS = ["spoiled by", "planted", "found by dedup", "found by cleanvision"]
IMAGE_NOTE = (
    "Sound photographs that are named count against whoever names them. What is so dark or bright "
    "that nothing is seen is named blank by dedup, and counts as found."
)
SPEED_COLUMNS = ["question", "seconds", "processor seconds"]
SPEED_NOTE = (
    "Seeded embeddings of 256 values in 20 classes, photographs of 300 × 200 as files, every "
    "twentieth a candidate for a copy, which the first question that needs proofs refutes; splits "
    "need none. "
    "On a machine that others use processor seconds tell more; check has every core."
)

if __name__ == "__main__":
    main()
