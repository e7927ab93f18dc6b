"""A collection whose files are the test's own, a trash of its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from dedup.collection import Collection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep what is thrown away out of the user's trash."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", os.fspath(folder))
    return folder


@pytest.fixture
def own(store: Path, drawn: Path, images: Path) -> Iterator[Collection]:
    """A collection of `images`; contents are known, so that nothing is embedded."""
    with Collection.open(store) as opened:
        opened.move_root(drawn, images)
        opened.index()
        yield opened


@pytest.fixture
def listed(own: Collection) -> Callable[[], list[str]]:
    """Name the duplicates that are listed, and the keepers."""

    def read() -> list[str]:
        return sorted(
            os.path.basename(path)
            for group in own.duplicates(["exact", "pixels", "resaved"])
            for path in (group.keeper, *(one.path for one in group.duplicates))
        )

    return read
