"""What `why` proves of two indexed images, `list` finds, or says which bound kept it out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from repeating import with_copies

from dedup import Collection
from dedup.duplicates import sharing
from dedup.edits.catalogue import EDITS, drawn, edit
from dedup.images.encode import as_jpeg
from dedup.proof import VERIFIER
from dedup.results import Tier
from dedup.store.catalog import Catalog
from dedup.store.pairs import StoredVerdict, read_verdicts, write_verdicts
from dedup.verbs.pairs import why

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from hardset.files import File
from hardset.kinds import Asked
from hardset.table import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable

Pair = tuple[str, str]

PARTS = ("pasted on a page, drawn", "pasted in a collage, drawn", "crop to 15 %, drawn")


def saved(folder: Path, name: str, one: File, two: File) -> Pair:
    paths = folder / f"{name} 1{one.suffix}", folder / f"{name} 2{two.suffix}"
    for path, file in zip(paths, (one, two), strict=True):
        path.write_bytes(file.data)
    return str(paths[0]), str(paths[1])


def edited(folder: Path, names: Iterable[str] = EDITS) -> list[Pair]:
    """Draw a scene for each edit, and an edited copy beside it."""
    pairs = []
    for number, name in enumerate(names):
        rng = np.random.default_rng(number)
        scene = drawn(480, 640, rng)
        strengths = EDITS[name].strengths
        copy = edit(name, strengths[min(1, len(strengths) - 1)], scene, rng)
        pairs.append(
            saved(folder, name, *(File(as_jpeg(each, 90), ".jpg") for each in (scene, copy)))
        )
    return pairs


def listed(collection: Collection, pairs: list[Pair]) -> dict[Pair, Tier | None]:
    found = {frozenset((each.first, each.second)): each.tier for each in collection.pairs()}
    return {pair: found.get(frozenset(pair)) for pair in pairs}


@pytest.mark.slow
def test_list_finds_what_why_proves(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    kinds = [kind for kind in KINDS if not (kind.photographs or kind.asked is Asked.DIFFERENT)]
    pairs = edited(folder) + [saved(folder, kind.name, *kind.pair(0, None)) for kind in kinds]
    assert len(pairs) >= 60
    with Collection.open(tmp_path / "c", create=True) as collection:
        collection.index(folder)
        assert listed(collection, pairs) == {pair: why(*pair).tier for pair in pairs}


def test_a_bound_that_keeps_parts_out_is_said_and_why_lets_them_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    kinds = [kind for kind in KINDS if kind.name in PARTS]
    pairs = edited(folder, ["jpeg", "crop"])
    pairs += [saved(folder, kind.name, *kind.pair(0, None)) for kind in kinds]
    monkeypatch.setattr(sharing, "MOST_IMAGES", 1)
    with Collection.open(tmp_path / "c", create=True) as collection:
        collection.index(folder)
        before = listed(collection, pairs)
        proven = {pair: why(*pair).tier for pair in pairs}
        apart = {pair for pair in pairs if before[pair] != proven[pair]}
        assert apart
        assert any("up to 1 images" in note for note in collection.pairs().notes)
        notes = {pair: collection.why(*pair).notes for pair in pairs}
        said = {
            pair for pair in pairs if any("list had not compared" in each for each in notes[pair])
        }
        assert said == apart
        assert listed(collection, pairs) == proven


def test_copies_of_what_repeats_are_listed(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    pairs = with_copies(folder)
    with Collection.open(tmp_path / "c", create=True) as collection:
        collection.index(folder)
        assert listed(collection, pairs) == dict.fromkeys(pairs, Tier.RESAVED)


def test_why_has_the_last_word_over_a_first_look(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    [pair] = edited(folder, ["jpeg"])
    refused = StoredVerdict(None, "no common parts found", "no common parts found")
    with Collection.open(tmp_path / "c", create=True) as collection:
        collection.index(folder)
        collection.pairs()
    catalog = Catalog.open(tmp_path / "c")
    write_verdicts(catalog, VERIFIER, dict.fromkeys(read_verdicts(catalog, VERIFIER), refused))
    catalog.close()
    with Collection.open(tmp_path / "c") as collection:
        assert listed(collection, [pair]) == {pair: None}
        [note] = collection.why(*pair).notes
        assert "told these two apart at a first look (no common parts found)" in note
        assert listed(collection, [pair]) == {pair: Tier.RESAVED}
        assert collection.why(*pair).notes == ()
