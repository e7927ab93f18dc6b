"""Indexing in object storage against one machine: cluster_index PHOTOS [--images N] [--rounds N].

Fills a folder with photographs and edited and byte copies of them, and indexes it on one machine
and with each engine in turns, so that all see the same machine; the least of the rounds counts.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster import OF_SHARD, fill, watched
from machine import add_json_option, describe, record

if TYPE_CHECKING:
    from cluster import Spent

ONE_MACHINE = "one machine"


def indexed(images: str, kind: str) -> Spent:
    """Index a folder into a new collection."""
    with tempfile.TemporaryDirectory() as place:
        if kind == ONE_MACHINE:
            return watched("index", images, "--store", place)
        store, shard = f"file://{place}/store", str(OF_SHARD)
        return watched("index", images, "--store", store, "--shard", shard, "--engine", kind)


def compare(images: str, kinds: list[str], rounds: int) -> list[list[Any]]:
    """Index in turns, and hold the least of each against one machine's."""
    spent: dict[str, list[Spent]] = {kind: [] for kind in kinds}
    for turn in range(rounds):
        for kind in kinds:
            found = indexed(images, kind)
            spent[kind].append(found)
            print(turn, kind, f"{found.wall:.1f} s, {found.cpu:.1f} CPU s", flush=True)
    least = {
        kind: (min(each.wall for each in all_of), min(each.cpu for each in all_of))
        for kind, all_of in spent.items()
    }
    wall, cpu = least[ONE_MACHINE]
    return [
        [kind, f"{mine:.1f}", f"{work:.1f}", round(wall / mine, 2), round(work / cpu, 2)]
        for kind, (mine, work) in least.items()
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", default="ray")
    add_json_option(parser)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        fill(asked.photos, Path(place), asked.images, copies=0.45)
        kinds = [ONE_MACHINE, *asked.engines.split(",")]
        rows = compare(f"file://{place}", kinds, asked.rounds)
    columns = ["on", "s", "CPU s", "rate, of one machine's", "CPU s, of one machine's"]
    print(describe() + "\n")
    for row in (columns, ["---"] * len(columns), *rows):
        print("| " + " | ".join(map(str, row)) + " |")
    if asked.json:
        title = f"Indexing {asked.images:,} images in object storage against one machine"
        statistic = f"least of {asked.rounds} rounds, in turns"
        note = f"{OF_SHARD} images a shard. Ray is started and ended by each command."
        name = f"index-{asked.images}"
        record("cluster", name, title, columns, rows, statistic=statistic, note=note)


if __name__ == "__main__":
    main()
