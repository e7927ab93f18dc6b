"""Batch sizes that are found out, and passes that are worth preparing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from blocks import BlockMeans, fill, index

from dedup.indexing import batch_size, forward
from dedup.indexing.batch_size import BatchSize, Gain, Haste

if TYPE_CHECKING:
    from pathlib import Path

    from dedup.store.catalog import Catalog


def run(sizes: BatchSize, rate: dict[int, float], batches: int) -> list[int]:
    """Tell what batches took at given rates, each told while the next is under way."""
    taken, under_way = [], None
    for _ in range(batches):
        taken.append(sizes.size)
        if under_way is not None:
            sizes.took(under_way, under_way / rate[under_way])
        under_way = sizes.size if under_way is None else taken[-1]
    return taken


@pytest.mark.parametrize(
    ("rate", "wanted"),
    [
        ({16: 100, 32: 200, 64: 300}, 64),
        ({16: 100, 32: 200, 64: 202}, 32),
        ({16: 300, 32: 200, 64: 100}, 16),
        ({16: 298, 32: 300, 64: 299}, 16),
    ],
)
def test_the_smallest_batch_that_is_as_fast_as_any_is_found(
    rate: dict[int, float], wanted: int
) -> None:
    sizes = BatchSize((16, 32, 64), 32, 10_000)
    taken = run(sizes, rate, 40)
    assert sizes.size == wanted
    assert taken[0] == 16
    assert set(taken[20:]) == {wanted}


def test_a_first_batch_that_pays_for_memory_does_not_count() -> None:
    sizes = BatchSize((16, 32), 32, 10_000)
    for size, seconds in [(16, 9.0), (16, 0.1), (16, 0.1), (16, 0.1)] + 4 * [(32, 0.4)]:
        assert sizes.size == size
        sizes.took(size, seconds)
    assert sizes.size == 16


def test_short_runs_and_batches_of_other_sizes_are_left_as_they_are() -> None:
    sizes = BatchSize((16, 32, 64), 32, 500)
    sizes.took(32, 1.0)
    assert sizes.size == 32
    sizes = BatchSize((16, 32), 32, 10_000)
    sizes.took(7, 0.001)  # what is flushed for another reason
    assert sizes.size == 16
    assert BatchSize((), 32, 10_000).size == 32


def test_the_catalog_does_not_depend_on_what_was_found_out(
    catalog: Catalog, tmp_path: Path
) -> None:
    folder = fill(tmp_path / "in", 100)
    embedder = BlockMeans((2, 4))
    summary = index(catalog, embedder, folder)
    assert summary.indexed == 100
    assert embedder.batches[:5] == [32, 2, 2, 2, 2]  # the first before there was a model
    assert 4 in embedder.batches
    assert summary.stages is not None
    assert summary.stages.batch in {2, 4}
    assert sum(embedder.batches) == 100


def test_usual_batches_go_on_while_a_larger_size_gets_ready(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class GettingReady(BlockMeans):
        asked = 0

        def get_ready(self, pictures: int) -> bool:
            assert pictures == 8
            self.asked += 1
            return self.asked > 30

    monkeypatch.setattr(forward, "BATCH", 4)
    embedder = GettingReady((8,))
    assert index(catalog, embedder, fill(tmp_path / "in", 100)).indexed == 100
    assert embedder.asked == 31  # and not again
    first = embedder.batches.index(8)
    assert 5 <= first <= 10
    assert set(embedder.batches[:first]) == {4}
    assert set(embedder.batches[first:-1]) == {8}


def test_haste_is_told_once_and_where_a_minute_of_waiting_is_to_come() -> None:
    haste = Haste()
    # A tenth of a second for ten files; the first batch waits for the model to get ready.
    told = [haste.waited(30.0 if batch == 0 else 0.1, 10, 6001) for batch in range(16)]
    assert told == [False] * 15 + [True]
    assert not haste.waited(0.1, 10, 10**6)
    short = Haste()
    assert not any(short.waited(0.1, 10, 5000) for _ in range(50))
    fast = Haste()
    assert not any(fast.waited(0.0, 10, 10**6) for _ in range(50))


def passed(gain: Gain, files: int, rate: float, since: float = 0.0) -> float:
    """Have files pass at a rate; gives when the last one did."""
    for number in range(files):
        gain.passed(since + number / rate)
    return since + files / rate


@pytest.mark.parametrize(("rate", "kept"), [(70.0, False), (103.0, False), (107.0, True)])
def test_a_change_is_kept_when_the_run_gains_more_than_chance(
    monkeypatch: pytest.MonkeyPatch, rate: float, *, kept: bool
) -> None:
    monkeypatch.setattr(batch_size, "_WINDOW", 50)
    gain = Gain()
    now = passed(gain, 49, 100.0)
    assert not gain.foresee()  # nobody knows yet
    now = passed(gain, 151, 100.0, now)
    assert gain.foresee()
    assert gain.before == pytest.approx(100.0)
    gain.changed(20)
    now = passed(gain, 20, 30.0, now)  # under way before the change: they say nothing of it
    now = passed(gain, 49, rate, now)
    assert gain.kept() is None
    passed(gain, 1, rate, now)
    assert gain.kept() is kept
    assert gain.after == pytest.approx(rate)


def test_a_slow_run_does_not_take_many_files_to_know_its_rate() -> None:
    gain = Gain()
    passed(gain, 512, 200.0)  # not three seconds yet
    assert not gain.foresee()
    passed(gain, 100, 200.0, 512 / 200.0)
    assert gain.foresee()
    assert gain.before == pytest.approx(200.0)


def test_a_change_that_brings_the_run_to_a_halt_is_seen_soon() -> None:
    gain = Gain()
    now = passed(gain, 5000, 1000.0)
    assert gain.foresee()
    gain.changed(2560)  # of which none would be looked at for a minute
    now = passed(gain, 360, 40.0, now)
    assert gain.kept() is None
    passed(gain, 60, 40.0, now)
    assert gain.kept() is False
    assert gain.after == pytest.approx(40.0, rel=0.05)


def test_a_change_before_the_rate_is_known_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_size, "_WINDOW", 50)
    gain = Gain()
    now = passed(gain, 30, 100.0)
    gain.foresee()
    gain.changed(0)
    passed(gain, 100, 1.0, now)
    assert gain.kept() is None
