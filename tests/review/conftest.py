"""A review of drawn images that many tests ask, and do not change."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from serving import Client, browsing

from dedup.collection import Collection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def reviewed(
    indexed: Path, drawn: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    """A browser in a review of a copy of `drawn`; choices, groups and files stay as they are."""
    folder = tmp_path_factory.mktemp("reviewed")
    shutil.copytree(drawn, folder / "images")
    shutil.copytree(indexed, folder / "store")
    with Collection.open(folder / "store") as collection:
        collection.move_root(drawn, folder / "images")
        collection.index()
        with browsing(collection) as client:
            yield client


@pytest.fixture
def browser(own: Collection) -> Iterator[Client]:
    """A browser in a review of `images`."""
    with browsing(own) as client:
        yield client
