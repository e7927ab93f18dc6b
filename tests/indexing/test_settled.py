"""A root that looks as it did is not compared again; that must never hide anything."""

from __future__ import annotations

import os
import random
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from blocks import BlockMeans, fill, index
from drawings import scene

from dedup.images import header
from dedup.indexing.diff import Changes, find_changes
from dedup.indexing.pipeline import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dedup.store.catalog import Catalog


def compared(catalog: Catalog, *folders: Path) -> Changes:
    """Find changes without what was remembered, and leave the catalog as it was."""
    with catalog.transaction():
        kept = catalog.connection.execute(
            "SELECT key, value FROM meta WHERE key LIKE 'settled %'"
        ).fetchall()
        catalog.connection.execute("DELETE FROM meta WHERE key LIKE 'settled %'")
    changes = find_changes(catalog, folders)
    with catalog.transaction():
        catalog.connection.executemany("INSERT INTO meta (key, value) VALUES (?, ?)", kept)
    return changes


def is_settled(catalog: Catalog) -> bool:
    return all(catalog.settled(root) is not None for root in catalog.roots())


def same(one: Changes, other: Changes) -> bool:
    """Tell whether two looks ask for the same, whatever they remember and took."""
    return replace(one, looks={}, seconds=0) == replace(other, looks={}, seconds=0)


def test_a_first_run_settles_what_the_next_one_looks_at(
    catalog: Catalog, embedder: BlockMeans, images: Path
) -> None:
    index(catalog, embedder, images)
    (root,) = catalog.roots()
    settled = catalog.settled(root)
    assert settled is not None
    assert (settled.unchanged, settled.still_skipped) == (16, 2)
    found = find_changes(catalog, [images])
    assert (found.unchanged, found.still_skipped, len(found.work), found.looks) == (16, 2, 0, {})
    assert same(found, compared(catalog, images))


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))]
)
def test_whatever_happens_is_seen_as_without_remembering(
    catalog: Catalog, embedder: BlockMeans, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)  # noqa: S311 - chooses what happens
    folder = fill(tmp_path / "in", 6)
    (folder / "sub").mkdir()
    (folder / "sub/broken.jpg").write_bytes(b"no image")
    elsewhere = fill(tmp_path / "other", 2, first=40)
    number = 100

    def add() -> None:
        scene(number, (64, 48)).save(folder / f"{rng.choice(['', 'sub/'])}{number}.png")

    def one() -> Path:
        return rng.choice(sorted(path for path in folder.rglob("*.*") if path.is_file()))

    steps: dict[str, Callable[[], object]] = {
        "nothing": lambda: None,
        "add": add,
        "delete": lambda: one().unlink(),
        "touch": lambda: os.utime(one(), ns=(number, number)),
        "rename": lambda: one().rename(folder / f"{number}.png"),
        "rewrite": lambda: scene(number, (64, 48)).save(folder / "000.png"),
        "break": lambda: (folder / "000.png").write_bytes(b"%d" % number),
        "link": lambda: os.link(one(), elsewhere / f"{number}.png"),
        "swap": lambda: shutil.copy2(one(), folder / f"sub/{number}.png"),
    }
    runs: list[tuple[Path, ...]] = [(folder,), (folder, elsewhere), (folder / "sub",), ()]
    index(catalog, embedder, folder)
    seen = 0
    for _ in range(25):
        number += 1
        steps[rng.choice(sorted(steps))]()
        asked = rng.choice(runs)
        seen += any(catalog.settled(root) for root in catalog.roots())
        assert same(find_changes(catalog, asked), compared(catalog, *asked))
        index(catalog, embedder, *asked)
        assert find_changes(catalog, asked).work == []
    assert seen > 3


def test_another_decoder_has_skipped_files_tried_again(
    catalog: Catalog, embedder: BlockMeans, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(catalog, embedder, images)
    monkeypatch.setattr(header, "READ_RULES", "other")
    assert len(find_changes(catalog, [images]).work) == 2


def test_a_file_that_could_not_be_read_for_now_keeps_its_root_open(
    catalog: Catalog, embedder: BlockMeans, tmp_path: Path
) -> None:
    folder = fill(tmp_path / "in", 3)
    changes = find_changes(catalog, [folder])
    (folder / "001.png").unlink()
    assert run(catalog, changes, lambda: embedder).gone == 1
    assert not is_settled(catalog)
    assert index(catalog, embedder, folder).unchanged == 2
    assert is_settled(catalog)


def test_a_root_whose_files_another_one_names_too_stays_open(
    catalog: Catalog, embedder: BlockMeans, tmp_path: Path
) -> None:
    first, second = fill(tmp_path / "a", 2), tmp_path / "b"
    second.mkdir()
    os.link(first / "000.png", second / "same.png")
    assert index(catalog, embedder, first, second).hard_links == 1
    open_ones = [root.path for root in catalog.roots() if catalog.settled(root) is None]
    assert open_ones == [os.fsencode(second)]
    (first / "000.png").unlink()
    summary = index(catalog, embedder, first, second)
    assert (summary.gone, summary.reused) == (0, 1)  # it has its other name
