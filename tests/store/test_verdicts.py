from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dedup.fingerprint import Fingerprint
from dedup.results import Tier
from dedup.store.catalog import Catalog
from dedup.store.pairs import (
    StoredVerdict,
    has_verdicts,
    proven_with,
    read_verdict,
    read_verdicts,
    write_verdicts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ONE, TWO, THREE = (bytes([number]) * 32 for number in (1, 2, 3))
NEAR = StoredVerdict(Tier.NEAR, "cropped to 80%", "shows more", 2)
REFUTED = StoredVerdict(None, "the textures differ", "the textures differ")


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    fingerprint = Fingerprint("none", "none", "0" * 64, ("none",), 8, 8, "none")
    opened = Catalog.create(tmp_path / "store", fingerprint)
    yield opened
    opened.close()


def test_a_verdict_is_read_alone_as_it_is_among_all(catalog: Catalog) -> None:
    assert not has_verdicts(catalog, "now")
    kept = {(ONE, TWO): NEAR, (ONE, THREE): REFUTED}
    write_verdicts(catalog, "now", kept)
    write_verdicts(catalog, "before", {(TWO, THREE): NEAR})
    assert read_verdicts(catalog, "now") == kept
    assert {pair: read_verdict(catalog, "now", pair) for pair in kept} == kept
    assert read_verdict(catalog, "now", (TWO, THREE)) is None  # of an older check
    assert proven_with(catalog, "now", ONE) == {TWO}
    assert proven_with(catalog, "now", TWO) == {ONE}
    assert proven_with(catalog, "now", THREE) == set()
    assert [has_verdicts(catalog, which) for which in ("now", "before", "never")] == [1, 1, 0]


def test_a_damaged_verdict_is_none(catalog: Catalog) -> None:
    write_verdicts(catalog, "now", {(ONE, TWO): NEAR})
    catalog.connection.execute("UPDATE verdicts SET tier = 'resaved'")
    assert read_verdict(catalog, "now", (ONE, TWO)) is None
    assert not has_verdicts(catalog, "now")
