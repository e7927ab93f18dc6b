"""Labels from folders, tables, COCO, YOLO and mappings, and what is wrong with them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from dedup.datasets.labels import read_labels, text_of
from dedup.errors import DedupError

if TYPE_CHECKING:
    from pathlib import Path

PATHS = [f"/d/images/{name}" for name in ("cat/a.jpg", "cat/b.jpg", "dog/a.jpg", "c.jpg")]


def labels_of(source: Any, column: str = "label", paths: list[str] = PATHS) -> list[Any]:
    return read_labels(source, column, paths, ["/d/images"]).of


def written(folder: Path, name: str, content: object) -> Path:
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def test_folders_are_those_that_files_lie_in() -> None:
    assert labels_of("folders") == [("cat",), ("cat",), ("dog",), ("images",)]


def test_a_table_names_files_by_absolute_and_relative_paths_and_endings(tmp_path: Path) -> None:
    table = written(
        tmp_path, "t.csv",
        "kind,path,label\nx,cat/a.jpg,one\ny,/d/images/cat/b.jpg,two\nz,dog/a.jpg,\nw,no.jpg,one\n",
    )  # fmt: skip
    assert labels_of(table) == [("one",), ("two",), None, None]
    assert labels_of(table, "kind") == [("x",), ("y",), ("z",), None]
    notes = read_labels(table, "label", PATHS, ["/d/images"]).notes
    assert notes == ("t.csv: paths that mean no file of the collection: 1 (no.jpg)",)
    beside = written(tmp_path, "in/t.csv", "path,label\nx.jpg,1\n")
    assert labels_of(beside, paths=[os.path.realpath(tmp_path / "in/x.jpg")]) == [("1",)]


def test_parquet_is_a_table_too(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    import pyarrow.parquet

    columns = {"path": ["cat/a.jpg", "c.jpg", "cat/b.jpg"], "label": [0, 12, None]}
    pyarrow.parquet.write_table(arrow.table(columns), tmp_path / "t.parquet")
    assert labels_of(tmp_path / "t.parquet") == [("0",), None, None, ("12",)]
    written(tmp_path, "bad.parquet", "no")
    with pytest.raises(DedupError, match=r"bad\.parquet: not Parquet"):
        labels_of(tmp_path / "bad.parquet")


def test_coco_gives_the_classes_of_all_annotations(tmp_path: Path) -> None:
    data: dict[str, list[dict[str, object]]] = {
        "images": [
            {"id": 7, "file_name": "cat/a.jpg"},
            {"id": 8, "file_name": "dog/a.jpg"},
            {"id": 9, "file_name": "c.jpg"},
        ],
        "annotations": [
            {"image_id": 7, "category_id": 2},
            {"image_id": 7, "category_id": 1},
            {"image_id": 7, "category_id": 2},
            {"image_id": 8, "category_id": 1},
        ],
        "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
    }
    found = labels_of(written(tmp_path, "coco.json", data))
    assert found == [("cat", "dog"), None, ("dog",), ()]
    assert [text_of(one) for one in found] == ["cat+dog", "", "dog", ""]
    data["annotations"].append({"image_id": 10, "category_id": 1})
    with pytest.raises(DedupError, match="an annotation is of image 10, which is not listed"):
        labels_of(written(tmp_path, "coco.json", data))


@pytest.mark.parametrize("names", ["[dog, cat]", "{0: dog, 1: cat}"])
def test_yolo_keeps_labels_beside_images(tmp_path: Path, names: str) -> None:
    data = written(tmp_path, "data.yaml", f"train: images\nnames: {names}\n")
    paths = [os.fspath(tmp_path / f"images/train/{one}.jpg") for one in "abc"]
    written(tmp_path, "labels/train/a.txt", "1 .5 .5 .1 .1\n0 .2 .2 .1 .1\n1 .1 .1 .1 .1\n")
    written(tmp_path, "labels/train/b.txt", "\n")
    assert labels_of(data, paths=paths) == [("cat", "dog"), (), None]
    written(tmp_path, "labels/train/c.txt", "1 0 0 0 0\n2 0 0 0 0\n")
    with pytest.raises(DedupError, match=r"c\.txt, line 2: '2' is no class of .*, which has 2"):
        labels_of(data, paths=paths)
    with pytest.raises(DedupError, match=r"no image has a file of labels, such as /d/labels/cat/a"):
        labels_of(data)


def test_a_mapping_gives_labels_as_they_are() -> None:
    found = labels_of({"cat/a.jpg": 3, "/d/images/c.jpg": [5, 4], "dog/a.jpg": []})
    assert found == [("3",), None, (), ("4", "5")]
    with pytest.raises(TypeError, match=r"the label of 'c\.jpg' is a str or int, not float"):
        labels_of({"c.jpg": 0.5})


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.csv", "path,kind\nc.jpg,x\n", r"no column 'label'; its columns: path, kind"),
        ("t.csv", "file,label\nc.jpg,x\n", r"no column 'path'; its columns: file, label"),
        ("t.csv", "", r"no column 'path'; its columns: none"),
        (
            "t.csv",
            "path,label\nc.jpg,3\ncat/a.jpg,cat\n",
            r"numbers and names \('3' on line 2, 'cat' on line 3\)",
        ),
        (
            "t.csv",
            "path,label\nc.jpg,x\nc.jpg,y\n",
            r"line 3: 'c.jpg' is 'y' here, and 'x' on line 2",
        ),
        ("t.csv", "path,label\nq.jpg,x\n", r"none of its 1 paths is a file of the collection"),
        ("t.csv", 'path,label\n"c.jpg,x\n', r"line 2: not CSV"),
        ("t.json", "{", r"line 1: not JSON"),
        ("t.json", "[]", r"not of the form of COCO"),
        ("t.json", {"images": [{"id": 1}], "categories": []}, r"not of the form of COCO"),
        ("t.yaml", "names: [", r"not YAML"),
        ("t.yaml", "path: x", r"not of the form of YOLO"),
        ("t.yaml", "names: 3", r"not of the form of YOLO"),
        ("t.txt", "", r"labels are 'folders', or a file whose ending says what it is"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_error_that_names_it(
    tmp_path: Path, name: str, content: object, says: str
) -> None:
    with pytest.raises(DedupError, match=says) as raised:
        labels_of(written(tmp_path, name, content))
    assert name in str(raised.value)


def test_numbers_beside_names_in_a_mapping_and_files_that_are_not_there() -> None:
    with pytest.raises(DedupError, match=r"numbers and names \(3 of 'c\.jpg', 'x' of 'cat/a\.jpg'"):
        labels_of({"c.jpg": 3, "cat/a.jpg": "x"})
    for name in ("none.csv", "none.json", "none.yaml"):
        with pytest.raises(DedupError, match=f"{name}: cannot be read: No such file"):
            labels_of(name)
