from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from outcome import SMALL_MODEL, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dedup.collection import Collection

    Dedup = Callable[..., Outcome]


def test_status_tells_the_story(dedup: Dedup, store: Path, drawn: Path) -> None:
    status = json.loads(dedup("status", "-s", store).out)
    assert status["model"] == f"{SMALL_MODEL} (untrained)"
    assert status["dimensions"] == {"global_pool": 288, "details": 1024}
    assert status["roots"] == [{"path": os.path.realpath(drawn), "files": 16, "present": True}]
    assert (status["files"], status["images"], status["trivial"]) == (16, 14, 2)
    assert status["skipped"] == 2
    assert sum(status["skips"].values()) == 2
    assert status["index"] == "none"
    dedup("query", drawn / "a/0.jpg", "-s", store)
    assert json.loads(dedup("status", "-s", store).out)["index"] == "fresh"
    table = dedup("status", "-s", store, "--format", "table").text
    assert "16 files" in table


def test_skipped_files_are_listed_with_reasons(dedup: Dedup, store: Path, drawn: Path) -> None:
    done = dedup("status", "--skipped", "-s", store)
    found = [json.loads(line) for line in done.out.splitlines()]
    assert [os.path.relpath(row["path"], drawn) for row in found] == ["cut.jpg", "text.jpg"]
    assert found[1]["reason"].startswith("not an image")


def test_layers_prints_names_types_and_shapes(dedup: Dedup) -> None:
    done = dedup("layers", SMALL_MODEL)
    found = {row["layer"]: row for row in map(json.loads, done.out.splitlines())}
    assert found["global_pool"]["shape"] == [288, 1, 1]
    assert found["conv_stem"]["type"].startswith("Conv2d")
    assert "conv_stem" in dedup("layers", SMALL_MODEL, "--format", "table").text
    assert dedup("layers", "no_such_model").code == 1


def test_export_npz_holds_what_the_extractor_gave(
    dedup: Dedup, store: Path, collection: Collection, tmp_path: Path
) -> None:
    output = tmp_path / "features.npz"
    done = dedup("export", "-s", store, "-o", output)
    assert done.code == 0
    assert "Wrote 16 rows" in done.err
    with np.load(output, allow_pickle=False) as loaded:
        assert loaded["global_pool"].shape == (16, 288)
        assert loaded["global_pool"].dtype == np.float32
        assert loaded["path"].shape == (16,)
        table = collection.features()
        assert loaded["path"].tolist() == table.paths
        np.testing.assert_array_equal(loaded["global_pool"], table.embeddings["global_pool"])
        same = [str(path).endswith(("a/0.jpg", "b/0 copy.jpg")) for path in loaded["path"]]
        assert np.unique(loaded["global_pool"][same], axis=0).shape[0] == 1


def test_export_parquet_has_the_same_columns(dedup: Dedup, store: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    output = tmp_path / "features.parquet"
    assert dedup("export", "-s", store, "-o", output).code == 0
    table = parquet.read_table(output)
    assert table.num_rows == 16
    assert len(table["global_pool"][0]) == 288
    assert os.path.exists(table["path_bytes"][0].as_py())


@pytest.mark.parametrize(
    ("output", "layer", "says"),
    [
        ("features.csv", "global_pool", ".npz or .parquet"),
        ("no/where.npz", "global_pool", "there is no folder"),
        ("features.npz", "blocks", "not stored in this collection; stored: global_pool"),
    ],
)
def test_export_refuses_what_it_cannot_write(
    dedup: Dedup, store: Path, output: str, layer: str, says: str
) -> None:
    done = dedup("export", "-s", store, "-o", output, "--layer", layer)
    assert done.code == 1
    assert says in done.err
    assert os.listdir() == []
