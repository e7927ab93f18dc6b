"""What the package logs, for programs that use it: each event, by the logger of its module."""

from __future__ import annotations

import gzip
import logging
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from outcome import SMALL_MODEL

from dedup.collection import Collection
from dedup.spec import ModelSpec
from dedup.store.catalog import Catalog
from dedup.store.repair import repair_catalog

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from outcome import Outcome

OLD = Path(__file__).parent / "store" / "fixtures" / "format4-2d10181.sqlite.gz"


def test_who_sets_up_no_logging_sees_none() -> None:
    assert [type(one) for one in logging.getLogger("dedup").handlers] == [logging.NullHandler]


def events(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [
        (one.name.removeprefix("dedup."), one.getMessage())
        for one in caplog.records
        if one.name.startswith("dedup.")
    ]


def test_indexing_says_what_it_reads_skips_and_starts(
    images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dedup")
    bad = images / "bad.jpg"
    bad.write_bytes(b"")
    store = tmp_path / "new"
    with Collection.create(store, ModelSpec(SMALL_MODEL, untrained=True)) as made:
        summary = made.index(images)
        made.duplicates()
    read = summary.indexed + summary.reused + summary.skipped
    found = events(caplog)
    assert found[0] == ("models.loading", f"loading {SMALL_MODEL}, untrained")
    (engine,) = [text for name, text in found if name == "runtimes.select" and " runs " in text]
    assert re.fullmatch(
        rf"{SMALL_MODEL} runs in (openvino|onnxruntime|torch) [\d.]+ \w+ \w+", engine
    )
    (start, end) = [text for name, text in found if name == "indexing.pipeline"]
    assert start == f"{store}: indexing, {read} files to read"
    assert end.rpartition(", in ")[0] == (
        f"{store}: {summary.indexed} indexed, {summary.reused} reused, 0 unchanged, "
        f"{summary.skipped} skipped, 0 gone"
    )
    skipped = [text for name, text in found if name == "indexing.writer"]
    assert sorted(skipped) == [f"skipped {one.path!r}: {one.reason}" for one in summary.new_skips]
    assert f"skipped {str(bad)!r}: empty file" in skipped
    (proofs,) = [text for name, text in found if name == "proof.prover"]
    assert re.fullmatch(rf"{re.escape(str(store))}: \d+ pairs checked, 1 of them proven", proofs)


def test_the_build_of_an_index_is_logged(
    collection: Collection, drawn: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dedup.query")
    collection.query(drawn / "a" / "0.jpg", 1)
    collection.query(drawn / "a" / "0.jpg", 1)
    images = collection.status().images
    assert events(caplog) == [
        ("query", f"{collection.path}: built the index (flat) of {images} images")
    ]


def test_damaged_rows_are_logged(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(sqlite3.connect(store / "catalog.sqlite")) as raw, raw:
        raw.execute("UPDATE files SET size = size + 1 WHERE id = 1")
    repair_catalog(store)
    assert events(caplog) == [
        (
            "store.repair",
            f"{store}: 1 damaged rows dropped; the catalog as it was is kept as catalog.repair.bak",
        )
    ]


def test_an_upgrade_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "dedup.store")
    store = tmp_path / "store"
    store.mkdir()
    with gzip.open(OLD) as old:
        (store / "catalog.sqlite").write_bytes(old.read())
    with closing(Catalog.open(store)) as catalog:
        (note,) = catalog.notes
    assert note.startswith("Upgraded the collection from format 4 to format ")
    assert events(caplog) == [("store.migrations", f"{store}: {note}")]


def test_verbose_shows_it_on_the_command_line(dedup: Callable[..., Outcome], images: Path) -> None:
    bad = images / "bad.jpg"
    bad.write_bytes(b"")
    done = dedup("index", images, "--views", "details", "--verbose")
    assert done.code == 0
    assert done.err.count(f"skipped {str(bad)!r}: empty file") == 1
    assert "  skipped" not in done.err
    assert "files to read" in done.err
    assert logging.getLogger("dedup").level == logging.NOTSET
