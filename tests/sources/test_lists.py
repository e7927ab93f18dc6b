"""Names out of lists and columns of tables."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from dedup.errors import SourceError
from dedup.sources.lists import names_in, read_names
from dedup.sources.tables import Table

if TYPE_CHECKING:
    from pathlib import Path


def test_names_are_one_a_line_or_end_with_nul() -> None:
    assert names_in(b"a.jpg\nb c.jpg\r\n\n") == ["a.jpg", "b c.jpg"]
    assert names_in(b"a\nb.jpg\0c\xff.jpg\0") == ["a\nb.jpg", os.fsdecode(b"c\xff.jpg")]


def test_a_column_is_relative_to_its_table(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text('\ufeffimage,label\na.jpg,1\n"b,c.jpg",2\n,3\ns3://b/k.jpg,4\n')
    wanted = [f"{tmp_path}/a.jpg", f"{tmp_path}/b,c.jpg", "s3://b/k.jpg"]
    assert read_names(os.fspath(table), "image") == wanted
    (tmp_path / "t.tsv").write_text("only\nx.jpg\n")
    assert read_names(os.fspath(tmp_path / "t.tsv")) == [f"{tmp_path}/x.jpg"]


def test_of_several_columns_that_of_paths_holds_the_names(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("label,path,\ncat,a.jpg,\n")
    assert read_names(os.fspath(tmp_path / "t.csv")) == [f"{tmp_path}/a.jpg"]


def test_columns_are_read_in_the_order_asked_for_with_the_place_of_each_row(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    from pyarrow import parquet

    (tmp_path / "t.tsv").write_text('n\ttext\n1\t"a,\nb"\n\n2\t\n')
    assert [*Table(tmp_path / "t.tsv").rows("text", "n")] == [
        ("line 3", ["a,\nb", "1"]),
        ("line 5", ["", "2"]),
    ]
    parquet.write_table(pa.table({"n": [1, 2], "text": ["a", None]}), tmp_path / "t.parquet")
    assert [*Table(tmp_path / "t.parquet").rows("text", "n", "n")] == [
        ("row 1", ["a", 1, 1]),
        ("row 2", ["", 2, 2]),
    ]


def test_parquet_is_read_by_its_column(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    from pyarrow import parquet

    path = os.fspath(tmp_path / "t.parquet")
    parquet.write_table(pa.table({"image": ["a.jpg", None, "/b.jpg"], "label": [1, 2, 3]}), path)
    assert read_names(path, "image") == [f"{tmp_path}/a.jpg", "/b.jpg"]
    with pytest.raises(SourceError, match=r"no column 'img'; its columns: image, label"):
        read_names(path, "img")
    with pytest.raises(SourceError, match="the column label holds int, not names"):
        read_names(path, "label")
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    with pytest.raises(SourceError, match=r"bad\.parquet: not Parquet"):
        read_names(os.fspath(tmp_path / "bad.parquet"), "image")


@pytest.mark.parametrize(
    ("name", "content", "column", "reason"),
    [
        ("t.csv", "a,b\n1,2\n", None, "which column holds the names. Its columns: a, b"),
        ("t.csv", "a,b\n1,2\n", "c", "no column 'c'; its columns: a, b"),
        ("t.csv", "", "c", "its columns: none"),
        ("t.csv", "a,b\n1\n", "b", "line 2: 1 cells, for the columns a, b"),
        ("t.csv", "a,b\n1,2,3\n", "b", "line 2: 3 cells, for the columns a, b"),
        ("t.csv", 'a,b\n1,"2\n', "b", "line 2: not CSV"),
        ("t.txt", "a\n", "b", "a column is of a table"),
        (None, "", None, "cannot be read: No such file"),
    ],
)
def test_what_cannot_be_read_says_why(
    tmp_path: Path, name: str | None, content: str, column: str | None, reason: str
) -> None:
    path = tmp_path / (name or "missing.csv")
    if name is not None:
        path.write_text(content)
    with pytest.raises(SourceError, match=f"{path.name}.*{reason}"):
        read_names(os.fspath(path), column)
