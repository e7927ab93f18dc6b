"""The prover: the same verdicts in threads and in processes, and pictures that are gone."""

from __future__ import annotations

import hashlib
import itertools
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

from dedup.edits.catalogue import drawn, edit
from dedup.fingerprint import Fingerprint
from dedup.images.decode import DECODER
from dedup.images.encode import as_jpeg, write_png
from dedup.proof import verify
from dedup.proof.prover import Prover, described
from dedup.store.catalog import Catalog
from dedup.store.pairs import StoredVerdict, content_pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FINGERPRINT = Fingerprint("blocks", "none", "0" * 64, ("blocks",), 32, 32, DECODER)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog.create(tmp_path / "store", FINGERPRINT)
    yield opened
    opened.close()


@pytest.fixture
def sources(tmp_path: Path) -> dict[bytes, list[bytes]]:
    """Three scenes and a copy of each, by content."""
    found = {}
    for seed in range(3):
        original = drawn(240, 320, np.random.default_rng(seed))
        path = tmp_path / f"{seed}.png"
        write_png(original, path)
        copy = tmp_path / f"{seed}.jpg"
        copy.write_bytes(as_jpeg(edit("crop", 0.8, original, np.random.default_rng(seed)), 85))
        for file in (path, copy):
            found[hashlib.sha256(file.read_bytes()).digest()] = [os.fsencode(file)]
    return found


@pytest.fixture(params=[10**6, 1], ids=["threads", "processes"], autouse=True)
def _worth(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dedup.proof.prover.WORTH_PROCESSES", request.param)


def quiet(*_: object) -> None:
    pass


def test_verdicts_are_those_of_checking_one_by_one(
    catalog: Catalog, sources: dict[bytes, list[bytes]]
) -> None:
    features = {content: described(paths[0]) for content, paths in sources.items()}
    pairs = [content_pair(*pair) for pair in itertools.combinations(sources, 2)]
    with Prover(catalog, sources, quiet) as prover:
        prover.prove(pairs[:4])
        prover.prove(pairs)
        for one, other in pairs:
            verdict = verify(features[one], features[other])
            expected = StoredVerdict(verdict.near, verdict.evidence)
            assert prover.verdict(other, one) == expected
        assert sum(bool((found := prover.verdict(*pair)) and found.near) for pair in pairs) == 3


def test_pairs_with_a_picture_that_is_gone_stay_unchecked(
    catalog: Catalog, sources: dict[bytes, list[bytes]]
) -> None:
    gone, changed, *rest = sources
    os.remove(sources[gone][0])
    with open(sources[changed][0], "ab") as file:
        file.write(b"more")
    pairs = [content_pair(*pair) for pair in itertools.combinations(sources, 2)]
    with Prover(catalog, sources, quiet) as prover:
        prover.prove(pairs)
        assert prover.unreadable == {gone, changed}
        for pair in pairs:
            assert (prover.verdict(*pair) is None) == bool({gone, changed} & set(pair))
    with Prover(catalog, sources, quiet) as again:
        assert again.verdict(*rest[:2]) is not None  # kept in the collection


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="open files are not shown")
def test_a_prover_that_is_killed_leaves_nothing(
    catalog: Catalog,
    sources: dict[bytes, list[bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", os.fspath(temporary))
    seen: list[list[str]] = []
    pairs = [content_pair(*pair) for pair in itertools.combinations(sources, 2)]
    with Prover(catalog, sources, lambda *_: seen.append(os.listdir(temporary))) as prover:
        prover.prove(pairs)
    assert seen
    assert not any(seen)
