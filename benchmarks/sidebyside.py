"""Other tools and dedup on the same images: sidebyside PHOTOS --weights FILE [--peers PYTHON]...

Copies of photographs, edited in every way of `dedup.edits.catalogue`, are hidden among others. Each
tool runs in a process of its own, from start to end: which copies it relates to their original,
which different photographs it relates, processor seconds of it and of all it starts, and the
memory of these together. Then layers are taken by each extractor from the same network and images.

Every `--peers` is a Python of an environment that holds some of the tools that `peers.py` names;
what none of them can import is left out. The weights are `mobilenetv2_100`'s.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from endtoend import same_photograph
from machine import RESULTS, add_json_option, describe, record
from peers import EXTRACTORS, FINDERS, all_pairs

from dedup.edits.catalogue import EDITS, edit
from dedup.errors import ImageError
from dedup.images.decode import decode_bounded, read_file
from dedup.images.encode import as_jpeg
from dedup.images.scan import scan

if TYPE_CHECKING:
    from collections.abc import Iterator

    Cell = str | int | float | None

SAME, RESAVED, TONES, FRAMES = "same bytes", "resized, JPEG", "colour, blur, noise", "frame"
TONE_KINDS = {
    *("blur", "sharpen", "noise", "brightness", "contrast", "gamma", "saturation", "hue"),
    *("white_balance", "grey", "sepia", "posterise", "filter", "vignette", "grey+noise+resize"),
}
LAYERS = {
    "one layer": ["global_pool"],
    "five layers": ["blocks.1", "blocks.3", "blocks.5", "conv_head", "global_pool"],
}
PEERS = Path(__file__).with_name("peers.py")
DEDUP = (sys.executable, "-m", "dedup")


@dataclass
class Made:
    """The set: which file shows which photograph, and which copies of which sort are in it."""

    photograph: dict[str, str] = field(default_factory=dict)
    copies: dict[str, tuple[str, str]] = field(default_factory=dict)  # copy -> original, sort
    grouped: set[tuple[str, str]] = field(default_factory=set)

    def same(self, first: str, second: str) -> bool:
        """Say whether two files show one photograph, as far as anybody marked it."""
        one, two = sorted((self.photograph[first], self.photograph[second]))
        return one == two or (one, two) in self.grouped


def make(options: argparse.Namespace, folder: Path) -> Made:
    """Write photographs and copies into one flat folder."""
    rng = np.random.default_rng(options.seed)
    names = [os.fsdecode(file.path) for file in scan(options.photos).files]
    chosen = [names[place] for place in rng.permutation(len(names))]
    made = Made(grouped=same_photograph(options.groups))
    ways = [(kind, strength) for kind in EDITS for strength in EDITS[kind].strengths]
    for number, name in enumerate(chosen[: options.originals + options.others]):
        own = f"{number:05}{Path(name).suffix}"
        try:
            pixels = decode_bounded(read_file(os.fspath(options.photos / name)), 1024, name)
        except ImageError:
            continue
        shutil.copy(options.photos / name, folder / own)
        made.photograph[own] = name
        if number >= options.originals or min(pixels.shape[:2]) < 128:
            continue
        copy = f"{number:05}-same{Path(name).suffix}"
        shutil.copy(options.photos / name, folder / copy)
        made.copies[copy], made.photograph[copy] = (own, SAME), name
        for way in rng.choice(len(ways), options.copies, replace=False):
            kind, strength = ways[way]
            copy = f"{number:05}-{kind}-{strength:g}.jpg"
            data = as_jpeg(edit(kind, strength, pixels, rng), int(rng.integers(75, 92)))
            (folder / copy).write_bytes(data)
            light = RESAVED if kind in {"resize", "jpeg"} else FRAMES
            made.copies[copy] = own, TONES if kind in TONE_KINDS else light
            made.photograph[copy] = name
    return made


class Ran(NamedTuple):
    """What a command printed and cost."""

    out: str
    cpu: float
    peak: int  # bytes


def run(command: list[str]) -> Ran:
    """Run a command to its end; memory is that of its whole tree at its largest.

    A page that processes share counts once among them (PSS), as far as Linux says so.
    """
    before, peak, done = os.times(), 0, threading.Event()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.25):
            peak = max(peak, sum(_memory(pid) for pid in _tree(child.pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, errors = child.communicate()
    done.set()
    watcher.join()
    after = os.times()
    if child.returncode:
        raise SystemExit(f"{command}: {errors.decode(errors='replace')[-2000:]}")
    spent = sum(after[2:4]) - sum(before[2:4])
    return Ran(out.decode(), spent, peak)


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = file.read_text().split()
        except OSError:  # it ended
            continue
        for child in children:
            yield from _tree(int(child))


def _memory(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:")), 0)


def ours(spec: list[str], folder: Path, place: Path) -> Ran:
    """Index and list as a user does, and give pairs as other tools do."""
    store = place / "store"
    shutil.rmtree(store, ignore_errors=True)
    index = run([*DEDUP, "index", os.fspath(folder), "-s", os.fspath(store), *spec])
    listed = run([*DEDUP, "list", "-s", os.fspath(store), "--format", "jsonl"])
    groups = [json.loads(line) for line in listed.out.splitlines()]
    pairs = all_pairs(
        [group["keeper"], *(one["path"] for one in group["duplicates"])] for group in groups
    )
    out = json.dumps({"pairs": sorted(pairs), "version": "", "index": round(index.cpu, 1)})
    return Ran(out, index.cpu + listed.cpu, max(index.peak, listed.peak))


def finding(
    options: argparse.Namespace, pythons: dict[str, str], folder: Path, place: Path
) -> list[list[Cell]]:
    """Run every tool, and judge its pairs."""
    made = make(options, folder)
    weights = ["--weights", os.fspath(options.weights)]
    specs = {
        "dedup": [],
        "dedup --views details": ["--views", "details"],
        "dedup, mobilenetv2_100": weights,
    }
    sorts = [SAME, RESAVED, TONES, FRAMES]
    planted = [sum(sort == one for _, sort in made.copies.values()) for one in sorts]
    rows: list[list[Cell]] = [["planted", *planted, sum(planted), None, None, None, None, None]]
    print(len(made.photograph), "files,", *rows[0], flush=True)
    for name in [*specs, *FINDERS]:
        if options.only and not any(name.startswith(one) for one in options.only):
            continue
        if name in specs:
            ran = ours(specs[name], folder, place)
        elif name in pythons:
            given = weights if "CNN" in name else []
            command = [pythons[name], os.fspath(PEERS), "pairs", name, os.fspath(folder), *given]
            ran = run(command)
        else:
            print(f"{name}: not installed")
            continue
        answer = json.loads(ran.out)
        pairs = {(one, two) for one, two in answer["pairs"]}
        found = dict.fromkeys(sorts, 0)
        for copy, (original, sort) in made.copies.items():
            found[sort] += tuple(sorted((copy, original))) in pairs
        false = [pair for pair in pairs if not made.same(*pair)]
        precision = round(1 - len(false) / max(1, len(pairs)), 4)
        called = f"{name} {answer['version'].rpartition(' ')[2]}".strip()
        rows.append(
            [called, *found.values(), sum(found.values()), len(false), precision,
             round(ran.cpu, 1), answer.get("index"), round(ran.peak / 2**20)]
        )  # fmt: skip
        print(*rows[-1], sep=" | ", flush=True)
        for pair in false[: 20 if name in specs else 0]:
            print("  false:", *(made.photograph[one] for one in pair), *pair)
    return rows


def batches_of(options: argparse.Namespace, file: Path) -> None:
    """Write batches of photographs, as timm prepares them for the network."""
    from PIL import Image
    from timm.data.transforms_factory import create_transform

    prepare: Any = create_transform((3, 224, 224), crop_pct=0.875, interpolation="bicubic")
    names = [os.fsdecode(each.path) for each in scan(options.photos).files]
    rng = np.random.default_rng(options.seed)
    images: list[Any] = []
    for at in rng.permutation(len(names)):
        if len(images) == options.batches * 32:
            break
        try:
            with Image.open(options.photos / names[at]) as image:
                images.append(prepare(image.convert("RGB")).numpy())
        except OSError:
            continue
    np.save(file, np.stack(images).reshape(options.batches, 32, 3, 224, 224))


def extracting(
    options: argparse.Namespace, pythons: dict[str, str], place: Path
) -> list[list[Cell]]:
    """Take layers by every extractor, in turn; compare time and values."""
    file = place / "batches.npy"
    batches_of(options, file)
    who = [name for name in EXTRACTORS if name in pythons]
    rows: list[list[Cell]] = []
    for what, layers in LAYERS.items():
        taken: dict[str, list[float]] = {name: [] for name in who}
        for _ in range(options.rounds):
            for name in who:
                out = place / f"{name}.npz"
                ran = run([pythons[name], os.fspath(PEERS), "features", name, os.fspath(file),
                           os.fspath(out), os.fspath(options.weights), *layers])  # fmt: skip
                answer = json.loads(ran.out)
                taken[name].append(answer["seconds"])
        plain = statistics.median(taken["bare"])
        own = np.load(place / "dedup.npz")
        for name in who:
            middle = statistics.median(taken[name])
            off = None
            if name not in ("bare", "dedup"):
                theirs = np.load(place / f"{name}.npz")
                off = max(float(np.abs(theirs[one] - own[one]).max()) for one in layers)
            rows.append(
                [what, name, round(1000 * middle / (32 * options.batches), 2),
                 round(100 * (middle / plain - 1), 1), off]
            )  # fmt: skip
            print(*rows[-1], sep=" | ", flush=True)
    return rows


def kept_rows(only: list[str], rows: list[list[Cell]]) -> list[list[Cell]]:
    """Put rows of some tools in place of theirs among all that were recorded of the same set."""
    tables = json.loads((RESULTS / "peers.json").read_text("utf-8"))
    known = [row for table in tables if table["name"] == "pairs" for row in table["rows"]]
    if not only or rows[0] not in known:
        return rows
    tools = [str(row[0]) for row in rows]
    return [rows[0], *(row for row in known if row[0] not in tools), *rows[1:]]


def environments(pythons: list[Path]) -> dict[str, str]:
    """Say which Python runs which tool: the first that can import it."""
    modules = {name: name.partition(",")[0] for name in [*FINDERS, *EXTRACTORS]}
    modules |= {"bare": "torch", "torchvision": "torchvision"}
    found: dict[str, str] = {}
    for name, module in modules.items():
        for python in (sys.executable, *map(os.fspath, pythons)):
            code = f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"
            if subprocess.run([python, "-c", code], check=False).returncode == 0:
                found[name] = python
                break
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--groups", type=Path, nargs="*", default=[])
    parser.add_argument("--peers", type=Path, nargs="*", default=[])
    parser.add_argument("--originals", type=int, default=100)
    parser.add_argument("--copies", type=int, default=4, help="of each original, edited")
    parser.add_argument("--others", type=int, default=700)
    parser.add_argument("--batches", type=int, default=4, help="of 32 images, for extractors")
    parser.add_argument("--rounds", type=int, default=3, help="of extractors")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--part", choices=("finding", "extracting"))
    parser.add_argument(
        "--only", nargs="*", default=[], help="tools whose names begin so; other recorded rows stay"
    )
    add_json_option(parser)
    options = parser.parse_args()
    print(describe())
    pythons = environments(options.peers)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        if options.part in (None, "finding"):
            (place / "images").mkdir()
            rows = finding(options, pythons, place / "images", place)
            if options.json:
                title = "Copies hidden among photographs, and what other tools find of them"
                rows = kept_rows(options.only, rows)
                record("peers", "pairs", title, FOUND_COLUMNS, rows,
                       statistic="one run, each tool by itself", note=FOUND_NOTE)  # fmt: skip
        if options.part in (None, "extracting"):
            rows = extracting(options, pythons, place)
            if options.json:
                title = "Layers of one network, by extractors"
                of = f"processor time of one thread; medians of {options.rounds} runs of 5 rounds"
                record("peers", "layers", title, LAYER_COLUMNS, rows, statistic=of,
                       note=LAYER_NOTE)  # fmt: skip


FOUND_COLUMNS = [
    "tool", SAME, RESAVED, TONES, "cropped, turned, pasted, drawn on", "found",
    "different photographs paired", "precision of pairs", "processor seconds", "of these to index",
    "peak MiB",
]  # fmt: skip
FOUND_NOTE = (
    "Found is a copy that is paired with its original, or in one group or set with it. Every tool "
    "has its default limits, unless its name says otherwise. dedup is `index` and the first "
    "`list`, whose proofs take most of the time and say what each copy is. Processor seconds are "
    "those of all processes, start included; memory is that of all together, what they "
    "share counted once. fastdup has the network in its wheel."
)
LAYER_COLUMNS = ["layers", "by", "ms an image", "more than the bare pass, %", "largest difference"]
LAYER_NOTE = (
    "`mobilenetv2_100` in torch, batches of 32; layers are handed over whole, as they are put out, "
    "for all batches together. The bare pass keeps predictions alone. Differences are of values, "
    "against dedup's."
)

if __name__ == "__main__":
    main()
