"""An S3 endpoint for the tests of a folder, and cells for few rows."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from s3_endpoint import S3, serving
from s3_faults import Faults, Proxy, proxied

from dedup.distributed import blocks, dividing, divisions, joining, pairing
from dedup.distributed.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    """The endpoint, for fixtures that live longer than a test; see `S3.reachable`."""
    with serving() as server:
        yield server


@pytest.fixture
def s3(s3_server: S3) -> Iterator[S3]:
    """The endpoint, reachable during the test."""
    with s3_server.reachable():
        yield s3_server


@pytest.fixture
def bucket(s3: S3) -> str:
    """The URL of a new bucket, reachable during the test."""
    return s3.bucket()


@pytest.fixture
def proxy(s3: S3) -> Iterator[Proxy]:
    """A proxy that everything goes through, without faults at first."""
    with proxied(s3.endpoint, Faults(), seed=20) as running, s3.reachable(running.endpoint):
        yield running


@pytest.fixture(params=["s3", "file"])
def place(request: pytest.FixtureRequest) -> Storage:
    """An empty folder in a bucket, and one of the file system."""
    if request.param == "s3":
        return Storage.at(request.getfixturevalue("bucket") + "/a folder")
    folder: Path = request.getfixturevalue("tmp_path")
    return Storage.at(f"file://{quote(str(folder))}/a%20folder")


@pytest.fixture
def small_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divide a few thousand rows as millions are."""
    for module in (divisions, joining):
        monkeypatch.setattr(module, "ONE_CELL", 100)
    for module in (dividing, joining):
        monkeypatch.setattr(module, "TRAINING_ROWS", 100)
    monkeypatch.setattr(divisions, "LEAST_ROWS_OF_CELL", 100)
    monkeypatch.setattr(dividing, "ROWS_OF_GROUP", 900)
    monkeypatch.setattr(dividing, "PIECE_ROWS", 64)
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 500)
    monkeypatch.setattr(pairing, "SHARDS_OF_RANGE", 2)
