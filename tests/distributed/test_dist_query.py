"""Queries of a collection that is divided into cells, against brute force."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from distributed.shards import of_vectors
from distributed.test_dist_join import SHARD, classes, clustered, in_ids, stored

from dedup.distributed import searching, serving
from dedup.distributed.commits import committed
from dedup.distributed.engine import Inline
from dedup.distributed.folder import Folder
from dedup.distributed.joining import join
from dedup.distributed.searching import nearest
from dedup.distributed.serving import ID_BYTES
from dedup.distributed.settings import Settings
from dedup.distributed.storage import Storage
from dedup.distributed.sweeping import sweep
from dedup.search.codes import CODE_BYTES
from dedup.search.similarity import pair_similarities

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from dedup.distributed.run import Run

    Rows = npt.NDArray[np.float32]


def joined(run: Run, generation: int = 1) -> None:
    with Inline() as engine:
        join(run, engine, Settings(generation, 0.9), lambda *_: None)


def by_brute_force(rows: Rows, query: Rows, k: int) -> list[tuple[int, float]]:
    """Give the ids of the nearest classes, each the first of equal rows."""
    every = stored(rows)
    first = classes(every)
    similarity = pair_similarities(query[None], every, np.zeros(len(first), np.int64), first)
    order = np.lexsort((first, -similarity))[:k]
    return list(zip(in_ids(first[order]), similarity[order].tolist(), strict=True))


@pytest.mark.usefixtures("small_cells")
def test_a_query_finds_what_is_near_and_its_similarity(tmp_path: Path) -> None:
    rows = clustered(800, 7)
    run = of_vectors(Storage.at(f"file://{tmp_path}/store"), rows, SHARD)
    joined(run)
    rng = np.random.default_rng(8)
    asked = stored(rows[rng.permutation(len(rows))[:40]])
    found = nearest(run, asked, 5)
    assert 1 < found.cells < 15
    assert found.share >= searching.ENOUGH
    hits = total = 0
    for query, near in zip(asked, found.near, strict=True):
        expected = by_brute_force(rows, query, 5)
        told = dict(zip(near.ids.tolist(), near.similarity.tolist(), strict=True))
        assert near.similarity.tolist() == sorted(near.similarity.tolist(), reverse=True)
        for one, similarity in expected:
            total += 1
            if one in told:
                hits += 1
                assert abs(told[one] - similarity) < 2e-6
        assert expected[0][0] in told  # itself
    assert hits / total > 0.95


@pytest.mark.usefixtures("small_cells")
def test_a_query_reads_no_more_however_much_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "MOST_ROWS", 300)
    monkeypatch.setattr(searching, "READ_WHOLE", 20)
    read: list[int] = []
    of_folder = Folder.get_ranges

    def counted(folder: Folder, key: str, starts: list[int], lengths: list[int]) -> list[bytes]:
        read.extend(lengths)
        return of_folder(folder, key, starts, lengths)

    for count in (400, 800):
        rows = clustered(count, 9)
        run = of_vectors(Storage.at(f"file://{tmp_path}/{count}"), rows, SHARD)
        joined(run)
        with monkeypatch.context() as patch:
            patch.setattr(Folder, "get_ranges", counted)
            read.clear()
            found = nearest(run, stored(rows[:1]), 2)
        vector = 2 * rows.shape[1]
        assert found.near[0].ids[0] == 0
        assert sum(read) <= 300 * (ID_BYTES + CODE_BYTES) + 20 * vector
        assert read.count(vector) == 20


@pytest.mark.usefixtures("small_cells")
def test_what_is_new_is_found_and_written_together_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "_MOST_PARTS", 2)
    rows = clustered(1200, 10)
    storage = Storage.at(f"file://{tmp_path}/store")
    run = of_vectors(storage, rows[:600], SHARD)
    joined(run)
    stage = "division/000"
    labels = []
    for generation, start in enumerate(range(600, 1200, SHARD), 2):
        some = rows[start : start + SHARD]
        of_vectors(storage, some, SHARD, first=start // SHARD)
        joined(run, generation)
        fresh = classes(stored(rows[: start + SHARD]))
        new = fresh[fresh >= start][:5]
        found = nearest(run, stored(rows[new]), 1)
        assert [near.ids.tolist() for near in found.near] == [[one] for one in in_ids(new)]
        made = committed(storage, f"{stage}/places")
        labels.append(made[max(made)].extra["labels"])
    assert labels == [["000001", "000002"], ["000003"]]
    # What was written anew is swept.
    sweep(run, age=-1)
    served = committed(storage, f"{stage}/served")
    assert {shard.partition("-")[0] for shard in served} == {"000003"}
    assert sum(done.rows for done in served.values()) == len(classes(stored(rows)))
    assert nearest(run, stored(rows[:1]), 1).near[0].ids.tolist() == [0]
