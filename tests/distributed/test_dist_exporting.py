"""Embeddings written straight from object storage are those of the fetched collection."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import pytest

from dedup.distributed.collection import SharedCollection
from dedup.distributed.commits import committed
from dedup.distributed.exporting import features
from dedup.distributed.storage import Storage
from dedup.errors import CollectionError, LayerError, VectorsError
from dedup.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outcome import Outcome

    from dedup.collection import Collection

SHARD = 5
DETAILS = ModelSpec(views="details")
needs_lance = pytest.mark.skipif(find_spec("lance") is None, reason="needs the extra lance")


@pytest.fixture(scope="module")
def made(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[SharedCollection, Path]:
    """A collection with a file that is gone and one that cannot be read, and the fetched one."""
    folder = tmp_path_factory.mktemp("exporting")
    shutil.copytree(drawn, folder / "images")
    url = f"file://{folder}/store"
    shared = SharedCollection.open(url, DETAILS, create=True, engine="inline", shard=SHARD)
    shared.index(f"file://{folder}/images")
    min(path for path in folder.rglob("images/*.*") if path.is_file()).unlink()
    shared.index()
    shared.fetch(folder / "fetched").close()
    return shared, folder


def of_one_machine(folder: Path, *, fused: bool) -> dict[str, dict[str, list[float]]]:
    from dedup.collection import Collection

    with Collection.open(folder / "fetched") as collection:
        return _rows(collection, fused=fused)


def _rows(collection: Collection, *, fused: bool) -> dict[str, dict[str, list[float]]]:
    table = collection.features(fused=fused)
    return {
        path: {name: rows[row].tolist() for name, rows in table.embeddings.items()}
        | {"size": [int(table.width[row]), int(table.height[row])]}
        for row, path in enumerate(table.paths)
    }


@pytest.mark.parametrize("what", ["fused", "layers"])
def test_features_come_by_shard_and_are_those_of_one_machine(
    made: tuple[SharedCollection, Path], what: str
) -> None:
    shared, folder = made
    fused = what == "fused"
    found, told = {}, list[tuple[str, int, int]]()
    for table in features(shared.run, (), lambda *words: told.append(words), fused=fused):
        assert 0 < len(table) <= SHARD
        for row, path in enumerate(table.paths):
            sizes = {"size": [int(table.width[row]), int(table.height[row])]}
            vectors = {name: rows[row].tolist() for name, rows in table.embeddings.items()}
            found[path] = {**vectors, **sizes}
    expected = of_one_machine(folder, fused=fused)
    assert found.keys() == expected.keys()
    for path, values in expected.items():
        assert found[path].keys() == values.keys()
        for name, numbers in values.items():
            # A content that is in two shards was embedded twice, in batches of other sizes.
            assert found[path][name] == pytest.approx(numbers, rel=1e-6)
    assert told[-1] == ("Reading shards", len(told), len(told))


def test_what_is_not_stored_is_refused(
    made: tuple[SharedCollection, Path], tmp_path: Path, dedup: Callable[..., Outcome]
) -> None:
    shared, _ = made
    with pytest.raises(LayerError, match="layer 'conv_9' is not stored"):
        shared.export(tmp_path / "x.lance", "conv_9")
    with pytest.raises(VectorsError, match="leave out layers"):
        shared.export(tmp_path / "x.lance", "global_pool", fused=True)
    told = dedup("export", "--store", shared.path, "-o", tmp_path / "x.npz")
    assert told.code == 2
    assert "dedup fetch" in told.err
    assert not [*tmp_path.glob("x*")]


def test_of_nothing_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/text.jpg").write_bytes(b"no image")
    url = f"file://{tmp_path}/store"
    with SharedCollection.open(url, DETAILS, create=True, engine="inline") as shared:
        shared.index(f"file://{tmp_path}/images")
        with pytest.raises(CollectionError, match="no image"):
            list(features(shared.run, (), lambda *_: None, fused=True))


_LANCE = """
import json, sys
import lance
from dedup.distributed.collection import SharedCollection
from dedup.distributed.storage import StorageError
with SharedCollection.open(sys.argv[1], engine="inline") as shared:
    try:
        told = shared.export(sys.argv[2], fused=True)
    except StorageError as error:
        raise SystemExit(str(error))
table = lance.dataset(sys.argv[2]).to_table()
print(json.dumps([told.rows, table["path"].to_pylist(), table["fused"].to_pylist()]))
"""


def in_lance(url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Export in a process of its own: once imported, Lance warns of every fork."""
    return subprocess.run(
        [sys.executable, "-c", _LANCE, url, folder],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )


@needs_lance
def test_a_lance_data_set_holds_every_row(
    made: tuple[SharedCollection, Path], tmp_path: Path
) -> None:
    shared, folder = made
    done = in_lance(shared.path, tmp_path / "x.lance")
    assert done.returncode == 0, done.stderr
    count, paths, rows = json.loads(done.stdout)
    expected = of_one_machine(folder, fused=True)
    assert count == len(paths) == len(expected)
    for path, row in zip(paths, rows, strict=True):
        assert np.array_equal(row, expected[path]["fused"])


@needs_lance
def test_what_breaks_off_leaves_no_data_set(
    made: tuple[SharedCollection, Path], tmp_path: Path
) -> None:
    _, folder = made
    shutil.copytree(folder / "store", tmp_path / "store")
    storage = Storage.at(f"file://{tmp_path}/store")
    lost = committed(storage, "embed")["000002"].key
    storage.delete([lost])
    done = in_lance(storage.url, tmp_path / "x.lance")
    assert done.returncode == 1
    assert f"{lost} is missing" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"store"}
