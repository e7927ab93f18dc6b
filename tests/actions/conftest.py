"""What a collection lists, and a trash of the test's own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dedup.collection import Collection


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep what is thrown away out of the user's trash."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", os.fspath(folder))
    return folder


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
