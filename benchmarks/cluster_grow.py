"""What one new image in a hundred costs in object storage: cluster_grow PHOTOS [--images 1000].

Fills a folder with photographs and edited copies, indexes and lists it with the tasks of a cluster
one after the other, adds one image in a hundred, and does so again. Says what the tasks of each
stage took, in seconds of the processor, and what the command took besides.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from cluster import Timed, fill
from machine import add_json_option, record

from dedup.distributed.collection import SharedCollection
from dedup.parallel.workers import use_cores

REST = "besides tasks"


def spent(shared: SharedCollection, engine: Timed, root: str) -> dict[str, float]:
    """Index and list; gives seconds of the processor by stage."""
    engine.seconds.clear()
    began = time.process_time()
    shared.index(root)
    groups = shared.duplicates()
    whole = time.process_time() - began
    found = {name: sum(each) for name, each in engine.seconds.items()}
    print(f"{len(groups.groups)} groups, {whole:.1f} s")
    return {**found, REST: whole - sum(found.values()), "all": whole}


def grown(photos: Path, count: int) -> list[list[Any]]:
    """Index and list before and after a folder grows."""
    with tempfile.TemporaryDirectory() as place, Timed() as engine:
        every, folder = Path(place, "every"), Path(place, "images")
        every.mkdir()
        folder.mkdir()
        new = count // 100
        fill(photos, every, count + new, copies=0.2)
        images = sorted(every.iterdir())
        chosen = images[:: len(images) // new][:new]
        for image in images:
            if image not in chosen:
                shutil.copy(image, folder)
        root, store = f"file://{folder}", f"file://{place}/store"
        with SharedCollection.open(store, create=True, engine="inline", shard=128) as shared:
            shared._engine = lambda: engine  # noqa: SLF001 - nothing else measures tasks
            first = spent(shared, engine, root)
            for image in chosen:
                shutil.copy(image, folder)
            second = spent(shared, engine, root)
    names = [*first, *(second.keys() - first.keys())]
    return [
        [name, round(first.get(name, 0), 2), round(second.get(name, 0), 2),
         f"{second.get(name, 0) / first[name]:.1%}" if first.get(name) else None]
        for name in sorted(names, key=lambda one: (one == "all", one == REST))
    ]  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    add_json_option(parser)
    options = parser.parse_args()
    use_cores(1)  # as tasks do: what processes of theirs take would not be counted
    rows = grown(options.photos, options.images)
    for row in rows:
        print(*row)
    if options.json:
        columns = ["tasks", "CPU s, all new", "CPU s, 1 % new", "of it"]
        title = f"What one new image in a hundred costs, of {options.images:,}"
        record("cluster", f"grow-{options.images}", title, columns, rows, statistic="one run")


if __name__ == "__main__":
    main()
