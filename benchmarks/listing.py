"""The first list of 800 photographs and 200 edited copies: listing PHOTOS... [--before TREE].

Indexes them and lists them twice, each command a process of its own, and says how long that took on
the clock and on all processors together. With --before the same is done with the package of another
tree, in turns, so that both see the same machine.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import add_json_option, describe, record

from dedup.edits.catalogue import EDITS, edit
from dedup.images.decode import decode_bounded, read_file
from dedup.images.encode import as_jpeg
from dedup.images.scan import scan

LONGEST = 4000


def hide(photos: list[Path], folder: Path, rng: np.random.Generator) -> None:
    """Fill a folder with photographs, and with a copy of every fourth in turn of all edits."""
    paths = [each / os.fsdecode(file.path) for each in photos for file in scan(each).files]
    kinds = sorted(EDITS)
    for number, place in enumerate(rng.permutation(len(paths))[:800].tolist()):
        shutil.copy(paths[place], folder / f"{number:04}{paths[place].suffix}")
        if number % 4 == 0:
            pixels = decode_bounded(read_file(os.fspath(paths[place])), LONGEST)
            kind, turn = kinds[number // 4 % len(kinds)], number // 4 // len(kinds)
            strengths = EDITS[kind].strengths
            copy = edit(kind, strengths[turn % len(strengths)], pixels, rng)
            (folder / f"{number:04}-edited.jpg").write_bytes(as_jpeg(copy, 90))


def environment(tree: Path, compiled: Path) -> dict[str, str]:
    """Give that of a command of a tree's package, whose bytecode is in a folder."""
    return {
        **os.environ,
        "PYTHONPATH": str(tree),
        "PYTHONPYCACHEPREFIX": str(compiled),
        "PYTHONDONTWRITEBYTECODE": "",
    }


def compile_package(tree: Path, compiled: Path) -> None:
    """Compile a tree's package, as one that is installed is: else each process does so anew."""
    command = [sys.executable, "-m", "compileall", "-q", "-j", "0", str(tree / "dedup")]
    subprocess.run(command, check=True, env=environment(tree, compiled))


def spent(tree: Path, compiled: Path, *arguments: str | Path) -> tuple[float, float]:
    """Run a command of a tree's package; gives seconds on the clock, and of all processors."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "dedup", *map(str, arguments)],
        check=True,
        capture_output=True,
        cwd=tree,
        env=environment(tree, compiled),
    )
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--before", type=Path, help="a tree with the package to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    add_json_option(parser)
    options = parser.parse_args()
    trees = {"this": Path(__file__).parent.parent}
    if options.before:
        trees["before"] = options.before.resolve()
    seen: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "images")
        folder.mkdir()
        hide(options.photos, folder, np.random.default_rng(options.seed))
        compiled = Path(place, "compiled")
        for tree in trees.values():
            compile_package(tree, compiled)
        for turn in range(options.rounds):
            for name, tree in trees.items():
                store = Path(place, f"{name}{turn}")
                for step, arguments in (
                    ("index", ("index", folder, "--store", store)),
                    ("first list", ("list", "--store", store, "--format", "jsonl")),
                    ("second list", ("list", "--store", store, "--format", "jsonl")),
                ):
                    seen.setdefault((step, name), []).append(spent(tree, compiled, *arguments))
    rows = []
    for (step, name), rounds in sorted(seen.items()):
        wall, cpu = (min(values) for values in zip(*rounds, strict=True))
        rows.append([step, name, f"{wall:.1f}", f"{cpu:.1f}"])
    columns = ["command", "tree", "seconds", "processor seconds"]
    print(describe() + "\n")
    for row in (columns, ["---"] * 4, *rows):
        print("| " + " | ".join(row) + " |")
    if options.json:
        title = "Listing 800 photographs and 200 edited copies"
        note = f"Seed {options.seed}. On a machine that others use processor seconds tell more."
        statistic = f"least of {options.rounds} rounds"
        record("speed", "listing", title, columns, rows, statistic=statistic, note=note)


if __name__ == "__main__":
    main()
