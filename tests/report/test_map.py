"""`dedup map`: where images lie, what is near them, and what each kind of file holds."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pages import read_page
from PIL import Image

from dedup.collection import Collection
from dedup.errors import DedupError
from dedup.report import map as map_page
from dedup.report.layout import Layout, lay_out, principal_components
from dedup.spec import ModelSpec
from dedup.verbs import reporting

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outcome import Outcome

    Run = Callable[..., Outcome]


def blobs(count: int, spread: float = 0.3) -> tuple[Any, Any]:
    """Rows around four centres, and the centre of each."""
    rng = np.random.default_rng(0)
    centre = rng.integers(0, 4, count)
    rows = rng.normal(size=(4, 32))[centre] + spread * rng.normal(size=(count, 32))
    return rows.astype(np.float32), centre


@pytest.fixture
def no_umap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be where UMAP is not installed; to import and compile it takes ten seconds."""
    monkeypatch.setitem(sys.modules, "umap", None)


def check(found: Layout, rows: Any) -> None:
    """Compare representatives and outliers with plain definitions."""
    reduced = principal_components(rows)
    unit = reduced / np.linalg.norm(reduced, axis=1, keepdims=True)
    sizes = [int((found.cluster == number).sum()) for number in range(found.cluster.max() + 1)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(found.representatives) == len(sizes)
    for number, row in enumerate(found.representatives):
        assert found.cluster[row] == number
        members = np.flatnonzero(found.cluster == number)
        off = np.linalg.norm(unit - unit[members].mean(axis=0), axis=1)
        assert off[row] == pytest.approx(off[members].min())
    apart = np.sort(np.linalg.norm(unit[:, None] - unit[None], axis=2), axis=1)
    remote = apart[:, :15].mean(axis=1)
    assert set(np.flatnonzero(found.outliers)) == set(np.argsort(-remote)[: len(rows) // 100])


def test_principal_components_are_those_of_the_svd() -> None:
    rows, _ = blobs(120)
    left, sizes, _ = np.linalg.svd((rows - rows.mean(axis=0)).astype(np.float64))
    found = principal_components(rows)
    assert found.shape == (120, 32)
    expected = np.abs(left[:, :32] * sizes)
    np.testing.assert_allclose(np.abs(found), expected, atol=1e-4)


@pytest.mark.usefixtures("no_umap")
def test_without_umap_the_map_is_two_components_and_says_so() -> None:
    rows, centre = blobs(300)
    found = lay_out(rows)
    np.testing.assert_array_equal(found.places, principal_components(rows)[:, :2])
    assert found.notes == ("UMAP is not installed: pip install 'dedup-vision[map]'",)
    check(found, rows)
    for number in range(found.cluster.max() + 1):
        assert len(set(centre[found.cluster == number])) == 1


@pytest.mark.usefixtures("no_umap")
def test_without_scikit_learn_there_are_no_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    found = lay_out(blobs(40)[0])
    assert (set(found.cluster), found.representatives) == ({-1}, ())


@pytest.mark.slow  # UMAP is compiled when it is first used
def test_umap_keeps_clusters_apart_and_two_runs_agree() -> None:
    rows, centre = blobs(5000)
    one, two = lay_out(rows), lay_out(rows)
    assert one.notes == ()
    np.testing.assert_array_equal(one.places, two.places)
    np.testing.assert_array_equal(one.cluster, two.cluster)
    check(one, rows)
    assert all(
        len(set(centre[one.cluster == number])) == 1 for number in range(one.cluster.max() + 1)
    )
    assert {*centre[one.cluster >= 0]} == {0, 1, 2, 3}
    middles = np.array([one.places[centre == number].mean(axis=0) for number in range(4)])
    nearest = np.linalg.norm(one.places[:, None] - middles, axis=2).argmin(axis=1)
    assert (nearest == centre).mean() > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("count", [3, 4, 15, 16])
@pytest.mark.parametrize("kind", ["different", "same", "zero"])
def test_any_number_of_images_has_a_map(count: int, kind: str) -> None:
    rows = np.random.default_rng(1).normal(size=(count, 8)).astype(np.float32)
    rows = {"different": rows, "same": rows[:1].repeat(count, axis=0), "zero": 0 * rows}[kind]
    found = lay_out(rows)
    assert found.places.shape == (count, 2)
    assert np.isfinite(found.places).all()


def test_fewer_than_three_images_have_none(tmp_path: Path) -> None:
    with pytest.raises(DedupError, match="at least 3 images; there are 2"):
        lay_out(np.eye(2, dtype=np.float32))
    with Collection.create(tmp_path / "store", ModelSpec(views=("details",))) as empty:
        for name in ("map.html", "map.png"):
            with pytest.raises(DedupError, match="at least 3 images; there are 0"):
                empty.map(tmp_path / name)
    assert not list(tmp_path.glob("map.*"))


@pytest.mark.usefixtures("no_umap")
def test_a_large_collection_is_not_proven_for_a_map(
    own: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "_SOON_COMPARED", 0)
    own.index()
    (tmp_path / "images/a/9.jpg").write_bytes((tmp_path / "images/a/8.jpg").read_bytes() + b"\0")
    own.index()  # something new, so that no list is of this state

    def marked() -> list[set[str]]:
        answer = own.map(tmp_path / "map.html")
        noted.append(any("not all been compared" in note for note in answer.notes))
        data = read_page(tmp_path / "map.html").data
        return [{data["names"][at] for at in one["members"]} for one in data["groups"]]

    noted: list[bool] = []
    assert marked() == [{"0.jpg", "0 again.jpg", "0 copy.jpg"}]
    groups = own.duplicates().groups
    assert len(marked()) == len(groups) > 1
    assert noted == [True, False]


@pytest.mark.usefixtures("no_umap")
def test_the_page_holds_every_file_with_its_marks(collection: Collection, tmp_path: Path) -> None:
    answer = collection.map(tmp_path / "map.html")
    page = read_page(tmp_path / "map.html")
    data = page.data
    paths = [
        os.path.join(data["folders"][folder], name)
        for folder, name in zip(data["folder"], data["names"], strict=True)
    ]
    table = collection.features()
    assert (paths, answer.files) == (table.paths, len(paths))
    listed = {group.number: set(group.paths) for group in collection.duplicates()}
    shown = {one["number"]: {paths[at] for at in one["members"]} for one in data["groups"]}
    assert shown == listed
    for at, number in enumerate(data["thumbnail"]):
        with Image.open(paths[at]) as image:
            small = np.asarray(image.convert("RGB").resize((96, 72)), np.float64)
        (tmp_path / "thumbnail.webp").write_bytes(page.thumbnails[number])
        with Image.open(tmp_path / "thumbnail.webp") as image:
            assert max(image.size) == 96
            again = np.asarray(image.convert("RGB").resize((96, 72)), np.float64)
        assert np.abs(small - again).mean() < 20
    places = [(data["x"][at], data["y"][at]) for at in range(len(paths))]
    for at, digest in enumerate(table.digests):  # files of one content lie on one place
        assert places[at] == places[table.digests.index(digest)]
    assert "default-src 'none'; img-src data:; style-src 'sha256-" in page.policy
    assert "unsafe" not in page.policy


@pytest.mark.usefixtures("no_umap")
def test_the_table_holds_the_places(collection: Collection, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    answer = collection.map(tmp_path / "map.parquet")
    table = parquet.read_table(tmp_path / "map.parquet")
    assert table.column_names == ["id", "path", "x", "y", "cluster"]
    features = collection.features()
    assert table["path"].to_pylist() == features.paths
    ids = dict(zip(features.digests, table["id"].to_pylist(), strict=True))
    assert [ids[digest] for digest in features.digests] == table["id"].to_pylist()
    assert len(set(ids.values())) == answer.images == len(ids)
    _, first = np.unique(table["id"].to_numpy(), return_index=True)
    layer = collection.status().layers[0]
    rows = features[layer][first]
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    places = np.stack([table[axis].to_numpy()[first] for axis in ("x", "y")], axis=1)
    np.testing.assert_allclose(places, principal_components(rows)[:, :2], atol=1e-5)
    assert table["cluster"].to_pylist() == [None] * len(features)  # nine images are too few


def test_clusters_are_numbered_in_the_table_as_in_the_answer(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    rows, _ = blobs(60)
    points = map_page.Points(
        [f"/{number}.jpg" for number in range(60)], np.arange(60), np.arange(60) + 7, [], rows
    )
    cluster = np.array([0] * 30 + [1] * 20 + [-1] * 10, np.int32)
    found = Layout(rows[:, :2], cluster, (3, 40), np.zeros(60, np.bool_), "")
    shown = map_page.Shown((), None, "", {})
    path = tmp_path / "map.parquet"
    answer = map_page.write_map(points, found, shown, path, lambda *_: None)
    assert parquet.read_table(path)["cluster"].to_pylist() == [1] * 30 + [2] * 20 + [None] * 10
    assert [*answer] == [map_page.Cluster(1, 30, "/3.jpg"), map_page.Cluster(2, 20, "/40.jpg")]


@pytest.mark.usefixtures("no_umap")
def test_the_image_has_the_points(collection: Collection, tmp_path: Path) -> None:
    answer = collection.map(tmp_path / "map.png")
    places = map_page.on_sheet(principal_components(_rows(collection))[:, :2])
    with Image.open(tmp_path / "map.png") as image:
        pixels = np.asarray(image)
    assert pixels.shape == (1600, 1600, 3)
    for x, y in np.rint(places * 1440).astype(int) + 80:
        assert tuple(pixels[y, x]) == (176, 181, 188)
    assert answer.clusters == ()


def _rows(collection: Collection) -> Any:
    features = collection.features()
    _, first = np.unique(features.digests, return_index=True)
    rows = features[collection.status().layers[0]][np.sort(first)]
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.usefixtures("no_umap")
def test_labels_come_from_a_table(own: Collection, images: Path, tmp_path: Path) -> None:
    (tmp_path / "kinds.csv").write_text(
        f'path,kind\na/0.jpg,"x, <b>"\n{images / "a/1.jpg"},y\nb/1.png,\nnowhere.jpg,z\n'
    )
    answer = own.map(tmp_path / "map.html", labels=tmp_path / "kinds.csv", column="kind")
    data = read_page(tmp_path / "map.html").data
    label = dict(zip(data["names"], (data["labels"][at] for at in data["label"]), strict=True))
    assert (label["0.jpg"], label["1.jpg"], label["2.jpg"]) == ("x, <b>", "y", "")
    assert data["labelled"] == "kind"
    assert any(
        "paths that mean no file of the collection: 1 (nowhere.jpg)" in one for one in answer.notes
    )
    with pytest.raises(DedupError, match=r"no column 'sort'; its columns: path, kind"):
        own.map(tmp_path / "map.html", labels=tmp_path / "kinds.csv", column="sort")
    with pytest.raises(DedupError, match="cannot be read"):
        own.map(tmp_path / "map.html", labels=tmp_path / "none.csv")


@pytest.mark.usefixtures("no_umap")
def test_what_is_gone_is_not_on_the_map(own: Collection, images: Path, tmp_path: Path) -> None:
    (images / "a/5.jpg").unlink()
    answer = own.map(tmp_path / "map.html")
    assert "5.jpg" not in read_page(tmp_path / "map.html").data["names"]
    assert any("1 file is gone or has changed" in note for note in answer.notes)


def test_where_all_are_out_of_reach_it_says_why(
    own: Collection, images: Path, tmp_path: Path
) -> None:
    images.rename(tmp_path / "unplugged")
    with pytest.raises(DedupError, match=r"there are 0\. .*images is not there"):
        own.map(tmp_path / "map.html")


@pytest.mark.slow  # UMAP is compiled when it is first used
def test_two_maps_of_a_collection_are_the_same(collection: Collection, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    files = [tmp_path / "one.parquet", tmp_path / "two.parquet"]
    assert [collection.map(file).notes for file in files] == [(), ()]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.usefixtures("no_umap")
def test_thumbnails_are_bounded_and_the_remarkable_come_first(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_page, "MOST_THUMBNAILS", 8)
    answer = collection.map(tmp_path / "map.html")
    page = read_page(tmp_path / "map.html")
    assert len(page.thumbnails) == 8
    assert any("8 of 14 images have a thumbnail" in note for note in answer.notes)
    assert any("8 of 14" in note for note in page.data["notes"])
    grouped = {at for group in page.data["groups"] for at in group["members"]}
    assert all(page.data["thumbnail"][at] >= 0 for at in grouped)


@pytest.mark.usefixtures("no_umap")
def test_the_command_says_what_it_wrote(dedup: Run, store: Path, tmp_path: Path) -> None:
    done = dedup("map", "-s", store, "-o", tmp_path / "map.html")
    assert done.code == 0, done.err
    assert "16 files, 0 clusters, 0 outliers" in done.err
    assert "pip install 'dedup-vision[map]'" in done.err
    wrong = dedup("map", "-s", store, "-o", tmp_path / "map.svg")
    assert (wrong.code, ".html, .png or .parquet" in wrong.err) == (1, True)
    nowhere = dedup("map", "-s", store, "-o", tmp_path / "no" / "map.html")
    assert (nowhere.code, "there is no folder" in nowhere.err) == (1, True)
