"""What one new image in a hundred costs in object storage: cluster_grow PHOTOS [--images N M].

Fills a folder with photographs and edited copies, indexes and lists it with the tasks of a cluster
one after the other, again as it is, and again with one image in a hundred more; each in a process
of its own, as a command is. Says what the tasks of each stage took, in seconds of the processor,
and what the process took besides. Of two sizes of collections the difference says what an image
more costs, without what every run costs: the start of a process, and the loading of the model.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cluster import Timed, fill
from machine import add_json_option, record

from dedup.distributed.collection import SharedCollection
from dedup.distributed.worker import without_pandas
from dedup.parallel.workers import use_cores

REST = "besides tasks"
ALL = "all"
Spent = dict[str, float]


def step(root: str, store: str) -> Spent:
    """Index and list in this process; gives seconds of the processor by stage."""
    use_cores(1)  # as tasks do: what processes of theirs take would not be counted
    without_pandas()  # as tasks and commands do
    with Timed() as engine, SharedCollection.open(
        store, create=True, engine="inline", shard=128
    ) as shared:  # fmt: skip
        shared._engine = lambda: engine  # noqa: SLF001 - nothing else measures tasks
        shared.index(root)
        shared.duplicates()
    whole = time.process_time()  # since it began
    found = {name: sum(each) for name, each in engine.seconds.items()}
    return {**found, REST: whole - sum(found.values()), ALL: whole}


def in_own_process(folder: Path, store: Path) -> Spent:
    """Do a step in a process of its own."""
    command = [sys.executable, __file__, "--step", f"file://{folder}", f"file://{store}"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    found: Spent = json.loads(done.stdout)
    return found


def grown(photos: Path, count: int) -> tuple[Spent, Spent, Spent]:
    """Index and list a folder, again as it is, and after it has grown."""
    with tempfile.TemporaryDirectory() as place:
        every, folder, store = Path(place, "every"), Path(place, "images"), Path(place, "store")
        every.mkdir()
        folder.mkdir()
        new = count // 100
        fill(photos, every, count + new, copies=0.2)
        images = sorted(every.iterdir())
        chosen = images[:: len(images) // new][:new]
        for image in images:
            if image not in chosen:
                shutil.copy(image, folder)
        first, again = in_own_process(folder, store), in_own_process(folder, store)
        for image in chosen:
            shutil.copy(image, folder)
        return first, again, in_own_process(folder, store)


def table(found: list[tuple[Spent, Spent, Spent]]) -> list[list[Any]]:
    """Give a row for each stage: of each size what all, nothing and the new ones took."""
    names = dict.fromkeys(name for some in found for each in some for name in each)
    rows = []
    for name in sorted(names, key=lambda one: (one == ALL, one == REST)):
        spent = [[each.get(name, 0.0) for each in some] for some in found]
        shares = [f"{new / first:.1%}" if first else None for first, _, new in spent]
        (first, _, new), (more, _, newer) = spent[0], spent[-1]
        further = f"{(newer - new) / (more - first):.1%}" if more - first > 1 else None
        columns = [
            value
            for some, share in zip(spent, shares, strict=True)
            for value in (*(round(one, 2) for one in some), share)
        ]
        rows.append([name, *columns, further])
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 3000])
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    add_json_option(parser)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(step(*options.step)))
        return
    rows = table([grown(options.photos, count) for count in options.images])
    for row in rows:
        print(*row)
    if options.json:
        columns = ["tasks"]
        for count in options.images:
            columns += [f"CPU s, all {count:,} new", "nothing new", "1 % new", "of all"]
        sizes = " and ".join(f"{count:,}" for count in options.images)
        name = f"grow-{'-'.join(map(str, options.images))}"
        title = f"What one new image in a hundred costs, of {sizes}"
        columns.append("1 % new of all, an image more")
        record("cluster", name, title, columns, rows, statistic="one run")


if __name__ == "__main__":
    main()
