"""A query of many rows in object storage: seconds, requests and bytes: cluster_query FOLDER.

Asks the collection that `scripts/bench cluster --keep FOLDER` left, as a folder and as a bucket of
an S3 endpoint on loopback (moto's server), which is given what queries read. Says what `dedup
query` takes, a process of its own from its start to its end, and within it what reading from the
storage takes, with all that is asked for counted; and how many of the ten nearest of rows that are
compared with all are found.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from machine import add_json_option, record

from dedup.distributed.answers import SharedAnswers
from dedup.distributed.collection import SharedCollection
from dedup.distributed.commits import committed, read
from dedup.distributed.dividing import vectors_of
from dedup.distributed.searching import named, nearest
from dedup.distributed.storage import Storage
from dedup.images.encode import as_jpeg

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from s3_endpoint import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Rows = npt.NDArray[np.float32]

K: Final = 10
ASKED: Final = 20
ROUNDS: Final = 5
NOT_READ: Final = ("/assign/", "/sample/", "/exact/", "/pair", "embed/", "keys/", "/best/")


class Counted:
    """Counts what a storage is asked for."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._kept = {name: getattr(Storage, name) for name in ("get", "get_ranges", "list")}

    def __enter__(self) -> None:
        def get(storage: Storage, *arguments: Any) -> Any:
            found = self._kept["get"](storage, *arguments)
            self._counts.update(requests=1, bytes=len(found.data))
            return found

        def get_ranges(storage: Storage, key: str, starts: Any, lengths: Any) -> Any:
            self._counts.update(requests=len(starts), bytes=sum(lengths))
            return self._kept["get_ranges"](storage, key, starts, lengths)

        def listed(storage: Storage, *arguments: Any) -> Iterator[Any]:
            self._counts.update(requests=1)
            return self._kept["list"](storage, *arguments)

        Storage.get, Storage.get_ranges, Storage.list = get, get_ranges, listed

    def __exit__(self, *_: object) -> None:
        for name, function in self._kept.items():
            setattr(Storage, name, function)


def ask(url: str, image: Path, asked: Rows) -> tuple[list[float], Counter[str]]:
    """Query; gives seconds, medians in the order of the table, and counts of one query."""
    whole, cpu, inside, counts = list[float](), list[float](), list[float](), Counter[str]()
    shared = SharedCollection.open(url)
    for turn in range(ROUNDS):
        began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "dedup", "query", os.fspath(image), "--store", url],
            check=True,
            capture_output=True,
        )
        whole.append(time.perf_counter() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        counts.clear()
        with Counted(counts):
            began = time.perf_counter()
            settings = SharedAnswers._settings(shared)  # noqa: SLF001
            named(shared.run, settings, nearest(shared.run, asked[turn : turn + 1], K).near)
            inside.append(time.perf_counter() - began)
    return [round(statistics.median(each), 2) for each in (whole, cpu, inside)], counts


def all_rows(url: str) -> tuple[npt.NDArray[np.int64], Rows]:
    """Read all rows."""
    run = SharedCollection.open(url).run
    tables = [read(run.storage, done) for done in committed(run.storage, "embed").values()]
    ids = np.concatenate([table["id"].to_numpy() for table in tables])
    return ids, np.concatenate([vectors_of(run, table) for table in tables])


def found_of(url: str, ids: npt.NDArray[np.int64], rows: Rows, some: Any) -> tuple[str, str]:
    """Compare with all rows: the share of the nearest that is found, of all and of copies."""
    answer = nearest(SharedCollection.open(url).run, rows[some], K)
    hits = dict.fromkeys(("all", "copies"), 0)
    total = dict.fromkeys(hits, 0)
    products = np.concatenate(
        [rows[some] @ rows[start : start + 16384].T for start in range(0, len(rows), 16384)], axis=1
    )
    for number, near in enumerate(answer.near):
        best = np.argsort(-products[number])[:K]
        told = set(near.ids.tolist())
        for kind, chosen in (("all", best), ("copies", best[products[number, best] >= 0.5])):
            total[kind] += len(chosen)
            hits[kind] += len(told & set(ids[chosen].tolist()))
    print(f"{answer.cells} cells, {answer.share:.2%} of sampled pairs")
    return tuple(f"{hits[kind] / max(1, total[kind]):.3f} of {total[kind]}" for kind in hits)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    add_json_option(parser)
    options = parser.parse_args()
    url = f"file://{options.folder.resolve()}/store"
    ids, rows = all_rows(url)
    some = np.sort(np.random.default_rng(2).permutation(len(rows))[: 10 * ASKED])
    found = found_of(url, ids, rows, some)
    table = []
    with tempfile.TemporaryDirectory() as place, serving() as server, server.reachable():
        image = Path(place, "image.jpg")
        pixels = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
        image.write_bytes(as_jpeg(pixels, 90))
        there, bucket = Storage.at(url), f"{server.bucket()}/store"
        for entry in list(there.list()):
            if not any(part in f"/{entry.key}" for part in NOT_READ):
                Storage.at(bucket).put(entry.key, there.get(entry.key).data)
        for what, at in (("folder", url), ("S3 on loopback", bucket)):
            seconds, counts = ask(at, image, rows[some[:ROUNDS]])
            mb = round(counts["bytes"] / 1e6, 1)
            table.append([what, *seconds, counts["requests"], mb, *found])
            print(*table[-1])
    if options.json:
        columns = ["storage", "s, `dedup query`", "CPU s", "s, storage and search", "requests",
                   "MB", "of the 10 nearest", "of copies among them"]  # fmt: skip
        title = f"A query of {len(rows):,} rows in object storage"
        note = "One image or row. What is found is compared with all rows."
        statistic = f"median of {ROUNDS} rounds"
        record(
            "cluster", f"query-{len(rows)}", title, columns, table, statistic=statistic, note=note
        )


if __name__ == "__main__":
    main()
