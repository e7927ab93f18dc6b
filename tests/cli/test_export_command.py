from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outcome import Outcome

    from dedup.collection import Collection

    Dedup = Callable[..., Outcome]


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
        ("features.csv", "global_pool", ".npz, .parquet"),
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
