"""Vectors of one's own: taken whole or not at all, compared, proven where ids are files."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from outcome import Outcome
from PIL import Image

from dedup.collection import Collection
from dedup.errors import CollectionError, FingerprintError, ModelError, VectorsError
from dedup.results import Tier
from dedup.spec import ModelSpec

Rows = npt.NDArray[Any]
Dedup = Callable[..., Outcome]

COUNT, WIDTH = 400, 48


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Rows of which 200 to 219 are close to the first twenty."""
    rng = np.random.default_rng(3)
    made = rng.normal(size=(COUNT, WIDTH))
    made[200:220] = 2 * made[:20] + 0.1 * rng.normal(size=(20, WIDTH))
    return made


@pytest.fixture(scope="module")
def ids() -> list[str]:
    return [f"https://shop/{number}.jpg" for number in range(COUNT)]


@pytest.fixture
def own(rows: Rows, ids: list[str], tmp_path: Path) -> Any:
    with Collection.from_vectors(ids, rows, path=tmp_path / "own") as made:
        yield made


def cosines(rows: Rows) -> Rows:
    """As they are stored: unit rows of fp16, of unit length again."""
    unit = (
        (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16).astype(np.float64)
    )
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    products: Rows = unit @ unit.T
    return products


def test_neighbours_of_a_vector_are_those_of_brute_force(
    own: Collection, rows: Rows, ids: list[str]
) -> None:
    found = own.query(["one", "two"], k=5, vectors=rows[[3, 210]])
    for name, row in (("one", 3), ("two", 210)):
        expected = np.argsort(-cosines(rows)[row], kind="stable")[:5]
        mine = [one for one in found if one.query == name]
        assert [one.path for one in mine] == [ids[number] for number in expected]
        np.testing.assert_allclose(
            [one.similarity for one in mine], cosines(rows)[row][expected], atol=2e-6
        )


def test_groups_are_the_planted_pairs_and_nothing_acts_on_names(
    own: Collection, ids: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = own.duplicates("similar", 0.9)
    pairs = {tuple(sorted(group.paths)) for group in found}
    assert pairs == {tuple(sorted((ids[row], ids[row + 200]))) for row in range(20)}
    assert not own.duplicates().groups
    assert "All ids are names and no files" in own.duplicates().notes[0]
    monkeypatch.chdir(tmp_path)  # where there is now a file of such a name
    Path("https:/shop").mkdir(parents=True)
    Path("https:/shop/203.jpg").write_bytes(b"dear")
    plan = own.plan(tier="similar", reference=())
    assert not plan.entries
    assert not plan.left_out
    assert "/ (names): 40 files left out; only plain files are acted on" in plan.notes


def test_new_vectors_are_compared_with_those_that_are_there(
    own: Collection, rows: Rows, ids: list[str]
) -> None:
    answer = own.compare([ids[1], "new", "far"], vectors=np.vstack([rows[1:3], -rows[:1]]),
                         tier="similar", threshold=0.9)  # fmt: skip
    assert answer.compared == 3
    assert {one.path: one.match for one in answer} == {ids[1]: ids[201], "new": ids[2]}


def test_what_is_there_is_kept_and_a_new_vector_takes_the_place_of_the_old(
    own: Collection, rows: Rows, ids: list[str]
) -> None:
    assert own.add_vectors(ids, rows).unchanged == COUNT
    turned = rows.copy()
    turned[7] *= -1
    summary = own.add_vectors([*ids, "more"], np.vstack([turned, rows[7:8]]))
    assert (summary.indexed, summary.unchanged) == (2, COUNT - 1)
    assert any("1 vectors took the place" in note for note in summary.notes)
    assert [one.path for one in own.query(k=1, vectors=-rows[7:8])] == [ids[7]]
    assert [one.path for one in own.query(k=1, vectors=rows[7:8])] == ["more"]
    assert own.status().files == COUNT + 1


def test_a_calibration_takes_what_is_known(own: Collection, ids: list[str], tmp_path: Path) -> None:
    truth = tmp_path / "truth.json"
    groups = [{"tier": "near", "members": [ids[row], ids[row + 200]]} for row in range(20)]
    groups += [{"tier": "near", "members": [name]} for name in [*ids[20:200], *ids[220:]]]
    truth.write_text(json.dumps(groups))
    with pytest.raises(Exception, match="dedup calibrate --truth FILE"):
        own.calibrate()
    answer = own.calibrate(truth=truth)
    assert answer.edited == 0
    assert answer[0].true_pairs == pytest.approx(20)
    found = own.duplicates("similar", precision=0.8)
    right = {tuple(sorted((ids[row], ids[row + 200]))) for row in range(20)}
    assert len(right & {tuple(sorted(group.paths)) for group in found}) >= 0.8 * len(found) > 0


WRONG: dict[str, tuple[Callable[[Rows, list[str]], tuple[Any, Any]], type[Exception], str]] = {
    "twice": (lambda x, i: ([i[0], i[1], i[0]], x[:3]), VectorsError, "given twice: rows 0 and 2"),
    "counts": (lambda x, i: (i[:2], x[:3]), VectorsError, "2 ids for 3 vectors"),
    "nan": (lambda x, i: (i[:2], x[:2] * [[1], [np.nan]]), VectorsError, r"row 1 \(id .*holds NaN"),
    "infinite": (lambda x, i: (i[:1], x[:1] * 1e200), VectorsError, "row 0 .*too large"),
    "zeros": (lambda x, i: (i[:2], x[:2] * [[1], [0]]), VectorsError, "row 1 .*is zeros"),
    "width": (lambda x, i: (i[:2], x[:2, :5]), VectorsError, "have 5 values each.* 48"),
    "shape": (lambda x, i: (i[:1], x[0]), VectorsError, "have the shape"),
    "none": (lambda x, _: ([], x[:0]), VectorsError, "have the shape"),
    "empty": (lambda x, _: (["a", ""], x[:2]), VectorsError, "row 1: it is empty"),
    "parent": (lambda x, _: (["a/../b"], x[:1]), VectorsError, "cannot have a part '..'"),
    "kind of id": (lambda x, _: (["a", None], x[:2]), VectorsError, "row 1: an id is text"),
    "kind": (lambda x, i: (i[:1], x[:1].astype(str)), TypeError, "real numbers"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_taken_is_named_and_nothing_is_taken(
    own: Collection, rows: Rows, ids: list[str], tmp_path: Path, name: str
) -> None:
    wrong, error, says = WRONG[name]
    before = own.status().files, own.query(k=3, vectors=rows[:1]).neighbours
    with pytest.raises(error, match=says):
        own.add_vectors(*wrong(rows, ids))
    assert (own.status().files, own.query(k=3, vectors=rows[:1]).neighbours) == before
    if name != "width":
        with pytest.raises(error, match=says):
            Collection.from_vectors(*wrong(rows, ids), path=tmp_path / "other")
        assert not (tmp_path / "other").exists()


def test_a_run_that_is_stopped_leaves_no_collection(
    rows: Rows, ids: list[str], tmp_path: Path
) -> None:
    def stop(stage: str, done: int, _: int) -> None:
        if stage == "Indexing" and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Collection.from_vectors(ids, rows, path=tmp_path / "own", progress=stop)
    assert not (tmp_path / "own").exists()


def test_a_collection_holds_given_vectors_or_a_models(
    own: Collection, store: Path, rows: Rows, drawn: Path
) -> None:
    with pytest.raises(CollectionError, match="there is a collection already"):
        Collection.from_vectors(None, rows, path=own.path)
    with pytest.raises(CollectionError, match="Give vectors with their ids"):
        own.index(drawn)
    with pytest.raises(ModelError, match="dedup query --vector"):
        own.query(drawn / "a/0.jpg")
    with pytest.raises(FingerprintError, match="vectors of 48 values, not vectors of 5 values"):
        Collection.open(own.path, ModelSpec(vectors=5))
    with Collection.open(store) as other:
        with pytest.raises(CollectionError, match="embeds images itself"):
            other.add_vectors(None, rows)
        with pytest.raises(Exception, match="dedup export --fused"):
            other.query(vectors=rows[:1])


# -- ids that are files ----------------------------------------------------------------------------


def pixels_of(path: Path) -> Rows:
    """Embed an image in the simplest way: its pixels."""
    try:
        with Image.open(path) as image:
            small = image.convert("RGB").resize((6, 6))
    except OSError:
        return np.ones(108)
    return np.asarray(small, np.float64).ravel() - 127.5


@pytest.fixture
def given(images: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], Rows]:
    """Relative paths of files, and a vector of each; and a name."""
    monkeypatch.chdir(images.parent)
    names = sorted(os.path.relpath(path, images.parent) for path in images.rglob("*.*"))
    rows = np.stack([pixels_of(Path(name)) for name in names])
    return [*names, "a name"], np.vstack([rows, rows[:1]])


def test_files_are_proven_and_planned_as_everywhere(
    given: tuple[list[str], Rows], images: Path
) -> None:
    with Collection.from_vectors(*given, path="own") as own:
        assert any("of the names are files that are no images" in note for note in own.notes)
        found = {(group.keeper, one.path): one.tier for group in own.duplicates()
                 for one in group.duplicates}  # fmt: skip
        assert found[os.fspath(images / "a/0.jpg"), os.fspath(images / "b/0 copy.jpg")] == "exact"
        assert {Tier.EXACT, Tier.PIXELS, Tier.RESAVED} <= set(found.values())
        assert "a name" not in {path for pair in found for path in pair}
        plan = own.plan()
        assert plan.entries
        acted = own.apply(plan, dry_run=True)
        assert {one.outcome for one in acted} == {"planned"}
        (alike,) = [group for group in own.duplicates("similar", 0.9999) if "a name" in group.paths]
        assert alike.keeper == os.fspath(images / "a/0.jpg")  # a file before a name


def test_files_that_have_not_changed_are_not_read_again(
    given: tuple[list[str], Rows], images: Path
) -> None:
    names, rows = given
    with Collection.from_vectors(names, rows, path="own") as own:
        again = own.add_vectors(names, rows)
        assert (again.indexed, again.reused) == (0, 0)
        other = rows.copy()
        other[names.index("images/a/1.jpg")] *= -1
        own.add_vectors(names, other)
        (nearest,) = own.query(k=1, vectors=-rows[[names.index("images/a/1.jpg")]])
        assert nearest.path == os.fspath(images / "a/1.jpg")
        (images / "a/2.jpg").unlink()  # a name from now on
        own.add_vectors(names, rows)
        paths = own.features().paths
        assert "images/a/2.jpg" in paths
        assert os.fspath(images / "a/2.jpg") not in paths
        shutil.copy(images / "a/3.jpg", images / "a/2.jpg")
        own.add_vectors(names, rows)
        assert os.fspath(images / "a/2.jpg") in own.features().paths
        assert "images/a/2.jpg" not in own.features().paths


def test_ids_that_are_one_file_or_outside_the_root_are_refused(
    given: tuple[list[str], Rows], images: Path
) -> None:
    _, rows = given
    with pytest.raises(VectorsError, match="are one file: rows 0 and 1"):
        Collection.from_vectors(["images/a/1.jpg", "images/./a/1.jpg"], rows[:2], path="own")
    with pytest.raises(VectorsError, match="is outside"):
        Collection.from_vectors([images / "a/1.jpg"], rows[:1], path="own", root=images / "b")
    assert not Path("own").exists()


# -- the command -----------------------------------------------------------------------------------


def test_commands_take_files_of_vectors_and_ids(
    dedup: Dedup, rows: Rows, ids: list[str], tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", rows.astype(np.float16))
    np.save(tmp_path / "q.npy", rows[5])
    with (tmp_path / "ids.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("number", "id"), *enumerate(ids)])
    store, x, q, names = (tmp_path / name for name in ("s", "x.npy", "q.npy", "ids.csv"))
    made = dedup("index", "--vectors", x, "--ids", names, "-s", store)
    assert made.code == 0
    assert "of 400 vectors" in made.err
    assert "400 unchanged" in dedup("index", "--vectors", x, "--ids", names, "-s", store).err
    asked = dedup("query", "--vector", q, "-k", "2", "-s", store)
    assert [row["path"] for row in asked.rows] == [ids[5], ids[205]]
    assert asked.rows[0]["query"] == os.fspath(q)
    found = dedup("compare", "--vectors", x, "--ids", names, "--against", store, "--tier",
                  "similar", "--threshold", "0.9")  # fmt: skip
    assert len(found.rows) == 40
    listed = dedup("list", "--tier", "similar", "--threshold", "0.9", "-s", store)
    assert len(listed.rows) == 20
    assert dedup("verify", "--deep", "-s", store).code == 0
    with sqlite3.connect(store / "catalog.sqlite") as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (5,)
    connection.close()


@pytest.mark.parametrize(
    ("content", "arguments", "says"),
    [
        (b"no array", [], "not an array of numbers in a .npy file"),
        (None, [], "cannot be read: No such file"),
        (b"a,b\n1,2\n", ["--ids"], "a column id or path was expected; its columns: a, b"),
        (b"", ["--ids"], "holds no ids"),
    ],
)
def test_files_that_hold_nothing_of_the_kind_are_named(
    dedup: Dedup, tmp_path: Path, content: bytes | None, arguments: list[str], says: str
) -> None:
    file, store = tmp_path / "file", tmp_path / "s"
    if content is not None:
        file.write_bytes(content)
    np.save(tmp_path / "x.npy", np.eye(3))
    given = [tmp_path / "x.npy", *arguments, file] if arguments else [file]
    done = dedup("index", "--vectors", *given, "-s", store)
    assert done.code == 1
    assert says in done.err
    assert os.fspath(file) in done.err
    assert not store.exists()


def test_options_that_contradict_each_other_are_refused(dedup: Dedup, drawn: Path) -> None:
    assert dedup("index", drawn, "--vectors", "x.npy").code == 2
    assert dedup("index", drawn, "--ids", "x.csv").code == 2
    assert dedup("query").code == 2
    assert dedup("query", "a.jpg", "--vector", "x.npy").code == 2
    assert dedup("compare", "--against", drawn).code == 2
