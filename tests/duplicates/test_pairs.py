"""What a table knows of pairs, and what the two checks add to it."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawings import scene
from tables import images, table

from dedup.duplicates.pairs import PairTable, compare_pixels, prove, unreadable_note
from dedup.duplicates.tiers import PairFacts
from dedup.proof.prover import Prover
from dedup.results import Tier
from dedup.store.pairs import Decision, StoredVerdict, content_pair

if TYPE_CHECKING:
    from pathlib import Path

    from dedup.store.catalog import Catalog

NEAR = StoredVerdict(Tier.NEAR, "cropped to 80%", "shows more", derived=2)


def quiet(*_: object) -> None:
    pass


def test_facts_are_the_same_in_either_order_but_for_the_side_of_the_verdict() -> None:
    known = table(
        images(5, pixels={0: b"same", 1: b"same", 2: b"", 3: b""}, trivial=[3]),
        near={(1, 2): 0.7},
        ignored=[(0, 4)],
    )
    expected = {
        (0, 1): PairFacts(same_pixels=True),
        (1, 2): PairFacts(verdict=StoredVerdict(Tier.NEAR, "cropped to 80%", "shows more")),
        (2, 3): PairFacts(trivial=True),
        (0, 4): PairFacts(ignored=True),
        (2, 4): PairFacts(),
    }
    for (first, second), facts in expected.items():
        assert known.facts(first, second) == facts
        verdict = facts.verdict and facts.verdict.turned()
        assert known.facts(second, first) == facts._replace(verdict=verdict)
    assert NEAR.turned() == StoredVerdict(Tier.NEAR, "shows more", "cropped to 80%", derived=1)
    assert known.facts(2, 4, alike=True) == PairFacts(alike=True)


def test_only_open_questions_are_left_to_a_proof() -> None:
    known = table(
        images(6, pixels={0: b"same", 1: b"same"}, trivial=[5]),
        near={(0, 2): 0.7},
        refuted=[(0, 3)],
        ignored=[(0, 4)],
    )
    pairs = [(0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (1, 2)]
    assert known.unproven(pairs) == {(1, 2)}


def test_decisions_are_found_by_content() -> None:
    known = images(3)
    zero, one, two = known.digest
    gone = b"\xff" * 32
    said = [(zero, two, False), (zero, one, True), (zero, gone, False)]
    decisions = {
        (first, second): Decision((first, second), duplicate, "")
        for first, second, duplicate in said
    }
    assert PairTable.of(known, decisions).ignored == {(0, 2)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Rows 0 to 3: a scene as PNG and BMP, another, and the first in another size."""
    folder = tmp_path / "in"
    folder.mkdir()
    scene(1, (40, 30)).save(folder / "0.png")
    scene(1, (40, 30)).save(folder / "1.bmp")
    scene(2, (40, 30)).save(folder / "2.png")
    scene(1, (80, 60)).save(folder / "3.png")
    return folder


def of_files(folder: Path, **options: object) -> tuple[PairTable, dict[int, list[bytes]]]:
    files = sorted(folder.iterdir())
    sizes = [(40, 30), (40, 30), (40, 30), (80, 60)]
    known = images(4, sizes=sizes, **options)  # type: ignore[arg-type]
    known.format[:] = [file.suffix[1:].upper() for file in files]
    known.digest[:] = [hashlib.sha256(file.read_bytes()).digest() for file in files]
    return table(known), {row: [os.fsencode(file)] for row, file in enumerate(files)}


def test_stills_of_one_size_that_may_be_equal_are_digested(folder: Path, catalog: Catalog) -> None:
    before, paths = of_files(folder)
    asked: list[tuple[str, int, int]] = []
    after = compare_pixels(
        before, [(0, 1), (2, 3)], paths, catalog, lambda *step: asked.append(step)
    )
    assert before.pixel_digest == [None] * 4
    assert after.pixel_digest[0] == after.pixel_digest[1] != None  # noqa: E711 - a chain
    assert after.pixel_digest[2:] == [None, None]
    assert asked == [("Comparing pixels", 1, 2), ("Comparing pixels", 2, 2)]
    assert after.facts(0, 1).same_pixels
    assert compare_pixels(after, [(0, 1)], {}, catalog, quiet) is after
    whole = compare_pixels(before, [(0, 1, 2, 3)], paths, catalog, quiet)
    assert [digest is None for digest in whole.pixel_digest] == [False, False, False, True]
    # Files of one format whose inputs differ cannot have the same pixels.
    assert compare_pixels(before, [(0, 2)], paths, catalog, quiet) is before


def test_animations_are_not_digested(folder: Path, catalog: Catalog) -> None:
    before, paths = of_files(folder, frames=[1, 2, 1, 1])
    assert compare_pixels(before, [(0, 1)], paths, catalog, quiet) is before


def test_files_that_changed_are_counted_and_prove_nothing(folder: Path, catalog: Catalog) -> None:
    known, paths = of_files(folder)
    (folder / "1.bmp").write_bytes(b"other")
    after = compare_pixels(known, [(0, 1)], paths, catalog, quiet)
    assert not after.facts(0, 1).same_pixels
    (said,) = after.notes
    assert said.startswith("1 image could not be read again to be compared pixel by pixel (moved")
    sources = {known.images.digest[row]: found for row, found in paths.items()}
    with Prover(catalog, sources, quiet) as prover:
        assert prove(known, [(0, 1)], prover).verdicts == {}
        (note,) = unreadable_note(prover)
    assert note.startswith("1 image could not be read again to be compared")


def test_proofs_come_with_the_similarity_of_what_is_near(folder: Path, catalog: Catalog) -> None:
    before, paths = of_files(folder)
    scene(1, (320, 240)).save(folder / "2.png")
    scene(1, (320, 240)).resize((160, 120)).save(folder / "3.png")
    known, _ = of_files(folder)
    sources = {known.images.digest[row]: found for row, found in paths.items()}
    vectors = np.eye(4, dtype=np.float32)
    vectors[3] = [0, 0, 0.6, 0.8]
    with Prover(catalog, sources, quiet) as prover:
        after = prove(known, [(2, 3), (0, 2)], prover, vectors)
        assert unreadable_note(prover) == ()
    assert after.proven == {(2, 3): pytest.approx(0.6)}
    assert set(after.verdicts) == {(2, 3), (0, 2)}
    assert after.verdicts[0, 2].tier is None
    pair = content_pair(known.images.digest[2], known.images.digest[3])
    assert prover.verdict(*pair) == after.verdicts[2, 3]
    assert before.verdicts == known.verdicts == {}
