"""check, split, leaks, sample and compare by class, on files: in Python and as commands."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from drawings import scene
from PIL import Image

from dedup.collection import Collection
from dedup.datasets.issues import ISSUES
from dedup.errors import DedupError, SearchError
from dedup.proof import NO_COMMON_PARTS, VERIFIER
from dedup.spec import ModelSpec
from dedup.store.catalog import Catalog
from dedup.store.pairs import read_verdicts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from outcome import Outcome

    Run = Callable[..., Outcome]

ROOT = Path(__file__).parent.parent.parent
SIZE = (160, 120)
SURE = "conflict,blank,dark,odd_aspect"


def draw(folder: Path) -> None:
    """Draw train (10 files) and test (8) of two classes, with leaks and things to look at.

    test/dog/leak.jpg: bytes of train/cat/0.jpg. test/cat/small.png: train/cat/1 made smaller.
    train/dog/again.jpg: bytes of train/dog/6.jpg. train/cat/blank.png, dark.png; test/dog/long.png.
    """
    number = 0
    for subset, each in (("train", 3), ("test", 2)):
        for label in ("cat", "dog"):
            (folder / subset / label).mkdir(parents=True)
            for _ in range(each):
                scene(number, SIZE).save(folder / subset / label / f"{number}.jpg", quality=92)
                number += 1
    shutil.copy(folder / "train/cat/0.jpg", folder / "test/dog/leak.jpg")
    shutil.copy(folder / "train/dog/4.jpg", folder / "train/dog/again.jpg")
    with Image.open(folder / "train/cat/1.jpg") as image:
        image.resize((128, 96)).save(folder / "test/cat/small.png")
    Image.new("RGB", SIZE, (200, 30, 20)).save(folder / "train/cat/blank.png")
    dark = np.asarray(scene(50, SIZE)) // 8
    Image.fromarray(dark).save(folder / "train/cat/dark.png")
    scene(51, (640, 40)).save(folder / "test/dog/long.png")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set and a collection of it by details, which take no model; not to be changed."""
    top = tmp_path_factory.mktemp("questions")
    draw(top / "data")
    with Collection.create(top / "store", ModelSpec(views="details")) as collection:
        assert collection.index(top / "data").found == 16
    return top


@pytest.fixture
def data(made: Path) -> Iterator[tuple[Collection, Path]]:
    with Collection.open(made / "store") as opened:
        yield opened, made / "data"


def named(path: str, folder: Path) -> str:
    return os.path.relpath(path, os.path.realpath(folder))


def test_check_lists_what_deserves_a_look(data: tuple[Collection, Path]) -> None:
    collection, folder = data
    answer = collection.check(labels="folders", issues={*ISSUES} - {"mislabelled"})
    found = [(one.issue, named(one.path, folder)) for one in answer]
    assert found == [
        ("conflict", "test/dog/leak.jpg"),
        ("blank", "train/cat/blank.png"),
        ("dark", "train/cat/dark.png"),
        ("odd_aspect", "test/dog/long.png"),
    ]
    conflict, blank, dark, long = answer
    assert (conflict.label, conflict.other, conflict.score) == ("dog", "cat", 0.5)
    assert named(conflict.match, folder) == "train/cat/0.jpg"
    assert conflict.evidence == "exact: same bytes"
    assert (blank.score, blank.threshold) == (0.0, 0.05)
    assert 0 < dark.score < dark.threshold == 0.35
    assert (long.score, long.evidence) == (40 / 640, "640×40 pixels")
    assert (answer.checked, answer.skipped, answer.count("dark")) == (16, (), 1)


def test_check_looks_for_what_is_asked(data: tuple[Collection, Path]) -> None:
    collection, folder = data
    assert {one.issue for one in collection.check()} == {"blank", "dark", "odd_aspect"}
    (only,) = collection.check(issues="dark")
    assert named(only.path, folder) == "train/cat/dark.png"
    with pytest.raises(ValueError, match="labels are needed to find conflict, mislabelled"):
        collection.check(issues=["conflict"])
    with pytest.raises(ValueError, match="issues is one of conflict, mislabelled"):
        collection.check(issues="ugly")


def test_the_label_of_most_copies_counts_as_right(data: tuple[Collection, Path]) -> None:
    collection, folder = data
    labels = {
        "train/cat/0.jpg": "a", "test/dog/leak.jpg": "b",
        "train/cat/1.jpg": "a", "test/cat/small.png": "a",
        "train/dog/4.jpg": ["x", "y"], "train/dog/again.jpg": ["x"],
    }  # fmt: skip
    answer = collection.check(labels=labels, issues="conflict")
    found = {named(one.path, folder): (one.label, one.other) for one in answer}
    assert len(found) == 2
    assert found.get("test/dog/leak.jpg", ("b", "a")) == ("b", "a")
    assert {"train/dog/4.jpg", "train/dog/again.jpg"} & found.keys()
    assert not collection.check(labels=labels, issues="conflict", tier="resaved").issues


def test_files_that_cannot_be_read_now_are_skipped(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "data", tmp_path / "data")
    with Collection.create(tmp_path / "store", ModelSpec(views="details")) as collection:
        collection.index(tmp_path / "data")
        (tmp_path / "data/train/cat/dark.png").unlink()
        answer = collection.check()
        assert {one.issue for one in answer} == {"blank", "odd_aspect"}
        assert answer.checked == 15
        assert any("1 file is gone" in note for note in answer.notes)
        shutil.rmtree(tmp_path / "data")
        for ask in (
            collection.check,
            lambda: collection.sample(1),
            lambda: collection.split([0.5, 0.5]),
        ):
            with pytest.raises(SearchError, match="there are no images here"):
                ask()


def subsets_of(answer: Any, folder: Path) -> dict[str, str]:
    return {named(one.path, folder): one.subset for one in answer}


def test_split_tears_no_group(data: tuple[Collection, Path]) -> None:
    collection, folder = data
    pairs = [(named(one.first, folder), named(one.second, folder)) for one in collection.pairs()]
    assert len(pairs) == 3
    for seed in range(4):
        answer = collection.split([0.5, 0.25, 0.25], seed=seed)
        subsets = subsets_of(answer, folder)
        assert len(subsets) == 16
        assert [one.path for one in answer] == sorted(one.path for one in answer)
        assert all(subsets[first] == subsets[second] for first, second in pairs)
        groups = {named(one.path, folder): one.group for one in answer}
        assert all(groups[first] == groups[second] > 0 for first, second in pairs)
        assert sum(group > 0 for group in groups.values()) == 6
        sizes = [one.files for one in answer.shares if one.label is None]
        assert sizes == [8, 4, 4]
        assert answer == collection.split([0.5, 0.25, 0.25], seed=seed)


def test_split_proves_only_where_shares_suffer(made: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(made / "data", tmp_path / "data")
    for number in (61, 62):  # half of one scene and half of another: no copies, but they share
        both = scene(60, (320, 240))
        both.paste(scene(number, (160, 240)), (160, 0))
        both.save(folder / f"{number}.jpg", quality=92)
        scene(number, SIZE).save(folder / f"{number}-other.jpg", quality=92)  # makes them 20
    with Collection.create(tmp_path / "store", ModelSpec(views="details")) as collection:
        collection.index(folder)
        answer = collection.split([0.5, 0.25, 0.25])
        catalog = Catalog.open(tmp_path / "store")
        found = read_verdicts(catalog, VERIFIER).values()
        assert {(one.tier, one.evidence) for one in found} == {(None, NO_COMMON_PARTS)}
        catalog.close()
        known = {frozenset((one.first, one.second)) for one in collection.pairs()}
        assert collection.split([0.5, 0.25, 0.25]) == answer
        alike = {os.path.realpath(folder / f"{number}.jpg") for number in (61, 62)}
        assert alike not in known
        (group,) = {one.group for one in answer if one.path in alike}  # may be one
        assert [one.path for one in answer if one.group == group > 0] == sorted(alike)
        labels = {named(one.path, folder): "many" for one in answer}
        labels |= {named(path, folder): "few" for path in alike}
        answer = collection.split([0.5, 0.5], stratify="labels", labels=labels)
    few = [one for one in answer if one.label == "few"]
    assert {one.path for one in few} == alike
    assert {one.subset for one in few} == {"train", "test"}
    assert [one.group for one in few] == [0, 0]
    group_of = {one.path: one.group for one in answer}
    assert all(len({group_of[path] for path in pair} - {0}) == 1 for pair in known)


def test_split_by_labels_keeps_the_shares_of_each(data: tuple[Collection, Path]) -> None:
    collection, folder = data
    answer = collection.split([0.5, 0.5], stratify="labels", names=["a", "b"])
    assert [(one.subset, one.label, one.files) for one in answer.shares] == [
        ("a", None, 8), ("b", None, 8), ("a", "cat", 4), ("b", "cat", 4),
        ("a", "dog", 4), ("b", "dog", 4),
    ]  # fmt: skip
    assert {one.label for one in answer} == {"cat", "dog"}
    with pytest.raises(DedupError, match="no column 'species'"):
        table = folder.parent / "t.csv"
        table.write_text("path,label\ntrain/cat/0.jpg,x\n")
        collection.split([0.5, 0.5], stratify="species", labels=table)
    with pytest.raises(ValueError, match="labels need stratify"):
        collection.split([0.5, 0.5], labels=table)


def test_leaks_of_a_given_split(data: tuple[Collection, Path], tmp_path: Path) -> None:
    collection, folder = data
    answer = collection.leaks("folders")
    assert [
        (
            one.tier.value,
            one.subset,
            named(one.path, folder),
            one.match_subset,
            named(one.match, folder),
        )
        for one in answer
    ] == [
        ("exact", "test", "test/dog/leak.jpg", "train", "train/cat/0.jpg"),
        ("resaved", "test", "test/cat/small.png", "train", "train/cat/1.jpg"),
    ]
    assert answer.files == {"test": 7, "train": 9}
    assert [one.tier.value for one in collection.leaks("folders", tier="exact")] == ["exact"]
    split = collection.split([0.5, 0.5])
    for column in ("subset", "split"):
        table = tmp_path / "split.csv"
        with table.open("w") as file:
            writer = csv.writer(file)
            writer.writerow(["path", column])
            writer.writerows([one.path, one.subset] for one in split)
        assert len(collection.leaks(table)) == 0
    torn = tmp_path / "torn.csv"
    torn.write_text("path,subset\ntrain/dog/4.jpg,a\ntrain/dog/again.jpg,b\nno.jpg,b\n")
    (leak,) = collection.leaks(torn).leaks
    assert {leak.subset, leak.match_subset} == {"a", "b"}
    assert collection.leaks(torn).notes[:2] == (
        "torn.csv: paths that mean no file of the collection: 1 (no.jpg)",
        "14 files are in no subset, and not looked at",
    )
    torn.write_text("path,subset\ntrain/dog/4.jpg,a\n")
    with pytest.raises(DedupError, match="a split has two subsets and more; there is a"):
        collection.leaks(torn)
    with pytest.raises(DedupError, match="a split is 'folders', or a table"):
        collection.leaks("split.txt")


def test_sample_takes_no_image_twice(data: tuple[Collection, Path]) -> None:
    collection, folder = data
    answer = collection.sample(13, seed=3)
    taken = [named(one.path, folder) for one in answer]
    assert (len(set(taken)), answer.among, answer.similarity) == (13, 13, 1.0)
    for pair in (
        ("train/cat/0.jpg", "test/dog/leak.jpg"),
        ("train/dog/4.jpg", "train/dog/again.jpg"),
    ):
        assert len({*pair} & {*taken}) == 1
    assert "test/cat/small.png" not in taken  # its keeper stands for it
    other = {named(one.path, folder) for one in collection.sample(13, keep="under:test")}
    assert "test/cat/small.png" in other
    assert [one.rank for one in answer] == [*range(1, 14)]
    assert answer[0].similarity is None
    assert collection.sample(4, seed=3).taken == answer.taken[:4]
    with pytest.raises(DedupError, match="14 images are more than there are: 13 different ones, "
                                         "without 3 copies"):  # fmt: skip
        collection.sample(14)


def test_compare_counts_by_class(data: tuple[Collection, Path]) -> None:
    collection, folder = data
    answer = collection.compare_classes(folder / "test", folder / "train")
    assert [(one.label, one.images, one.found, one.exact, one.resaved) for one in answer] == [
        ("cat", 3, 1, 0, 1),
        ("dog", 4, 1, 1, 0),
    ]
    assert [one.share for one in answer] == [1 / 3, 1 / 4]
    assert len(answer.comparison) == 2
    labels = {os.fspath(folder / "test/dog/leak.jpg"): "x"}
    named_ones = collection.compare_classes(folder / "test", folder / "train", labels=labels)
    assert {one.label: (one.images, one.found) for one in named_ones} == {"x": (1, 1), "": (6, 1)}


# -- commands --------------------------------------------------------------------------------------


def test_the_commands_give_rows_and_exit_codes(dedup: Run, made: Path) -> None:
    store, folder = ("--store", made / "store"), made / "data"
    done = dedup("check", *store, "--labels", "folders", "--issue", SURE,
                 "--fail-on", "conflict")  # fmt: skip
    assert (done.code, done.rows[0]["issue"], done.rows[0]["score"]) == (3, "conflict", 0.5)
    assert [*done.rows[0]] == [
        "path", "issue", "score", "threshold", "label", "other", "match", "evidence",
    ]  # fmt: skip
    assert "16 files checked: 1 conflict, 1 blank, 1 dark, 1 odd_aspect" in done.err
    assert dedup("check", *store, "--fail-on", "blurry,outlier").code == 0
    assert dedup("check", *store, "--issue", "dark", "--fail-on", "any").code == 3
    paths = dedup("check", *store, "--issue", "dark", "-0").out
    assert paths == os.fsencode(os.path.realpath(folder / "train/cat/dark.png")) + b"\0"
    assert b"dog \xe2\x86\x92 cat" in dedup(
        "check", *store, "--labels", "folders", "--format", "table"
    ).out  # fmt: skip
    for wrong, says in (
        (("--issue", "conflict"), "need --labels"),
        (("--issue", "ugly"), "'ugly' is not an issue; issues are"),
        (("--issue", "dark", "--fail-on", "blurry"), "names only issues that are not looked for"),
    ):
        done = dedup("check", *store, *wrong)
        assert done.code == 2
        assert says in done.err


def test_split_and_leaks_as_commands(dedup: Run, made: Path) -> None:
    store = ("--store", made / "store")
    done = dedup("split", *store, "--ratios", ".5", ".25", ".25", "--format", "csv")
    assert done.code == 0
    assert "train: 8 files, 50.0%" in done.err
    for same in ((".5,.25,.25",), (".5,.25", ".25")):
        assert dedup("split", *store, "--format", "csv", "--ratios", *same).out == done.out
    glued = dedup("split", "--ratios=.5", ".25", ".25", *store, "--format", "csv")
    assert glued.out == done.out
    header, *rows = done.out.decode().splitlines()
    assert (header, len(rows)) == ("path,subset,label,group", 16)
    Path("split.csv").write_bytes(done.out)
    leaks = dedup("split", *store, "--given", "split.csv", "--fail-on", "near")
    assert (leaks.code, leaks.out) == (0, b"")
    leaks = dedup("split", *store, "--given", "folders", "--fail-on", "exact")
    assert leaks.code == 3
    assert [*leaks.rows[0]] == [
        "path", "subset", "match", "match_subset", "tier", "similarity", "evidence",
    ]  # fmt: skip
    assert "2 leaks between subsets: test 7, train 9" in leaks.err
    for wrong, says in (
        ((), "give either --ratios or --given"),
        (("--ratios", ".8", ".1"), "the ratios add up to 1, not to 0.9: 0.8 0.1"),
        (("--ratios", "x"), "could not convert"),
        (("--ratios", ".5", ".5", "--names", "a"), "names are 2, one a ratio"),
        (("--ratios", ".5", ".5", "--fail-on", "near"), "--fail-on needs --given"),
        (("--given", "folders", "--stratify", "labels"), "need --ratios"),
        (("--ratios", ".5", ".5", "--labels", "truth.csv"), "--labels needs --stratify"),
    ):
        done = dedup("split", *store, *wrong)
        assert done.code == 2
        assert says in done.err


def test_sample_and_classes_as_commands(dedup: Run, made: Path) -> None:
    store = ("--store", made / "store")
    done = dedup("sample", *store, "-n", "3")
    assert [[*row] for row in done.rows] == [["rank", "path", "similarity"]] * 3
    assert done.rows[0]["similarity"] is None
    assert "3 images of 13 different ones" in done.err
    done = dedup("sample", *store, "-n", "13", "--keep", "under:test", "--format", "paths")
    assert b"small.png" in done.out
    done = dedup("sample", *store, "-n", "99")
    assert (done.code, done.out) == (1, b"")
    assert "Error: 99 images are more than there are" in done.err
    done = dedup("compare", made / "data/test", "--against", made / "data/train", *store,
                 "--labels", "folders", "--fail-on", "exact")  # fmt: skip
    assert done.code == 3
    assert done.rows[0] == {
        "label": "cat", "images": 3, "found": 1, "share": 0.3333,
        "exact": 0, "pixels": 0, "resaved": 1, "near": 0, "similar": 0,
    }  # fmt: skip


# -- files for CI ----------------------------------------------------------------------------------


PROGRAMS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]


def loaded(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


@pytest.fixture
def repo(made: Path, tmp_path: Path, dedup: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the data set, and its collection in it, as after a first run."""
    _ = dedup  # which goes to a folder of its own
    shutil.copytree(made / "data", tmp_path / "repo/data")
    with Collection.create(tmp_path / "repo/.dedup", ModelSpec(views="details")) as collection:
        collection.index(tmp_path / "repo")
    monkeypatch.chdir(tmp_path / "repo")
    return tmp_path / "repo"


def test_the_hooks_of_pre_commit_fail_on_what_they_name(dedup: Run, repo: Path) -> None:
    hooks = {one["id"]: one for one in loaded(".pre-commit-hooks.yaml")}
    assert hooks.keys() == {"dedup-check", "dedup-leaks"}
    commands = []
    for hook in hooks.values():
        assert (hook["language"], hook["pass_filenames"]) == ("python", False)
        program, *arguments = str(hook["entry"]).split()
        assert program in PROGRAMS
        commands.append([*arguments, *map(str, hook["args"])])
    check, leaks = (dedup(*command) for command in commands)
    assert (check.code, leaks.code) == (3, 3)
    assert [row["issue"] for row in check.rows] == ["conflict", "blank"]
    assert [named(row["path"], repo) for row in leaks.rows] == [
        "data/test/dog/leak.jpg",
        "data/test/cat/small.png",
    ]
    for row in (*leaks.rows, check.rows[1]):
        Path(row["path"]).unlink()
    assert [dedup(*command).code for command in commands] == [0, 0]


@pytest.mark.usefixtures("repo")
def test_the_action_runs_what_it_says(dedup: Run) -> None:
    action = loaded("action.yml")
    install, *steps = action["runs"]["steps"]
    assert install["run"] == 'python -m pip install "$GITHUB_ACTION_PATH"'
    assert [step["if"] for step in steps] == ["inputs.check != ''", "inputs.split != ''"]
    inputs = {name: one["default"] for name, one in action["inputs"].items()}
    inputs["split"] = ". --given folders --fail-on near"
    for step, name in zip(steps, ("check", "split"), strict=True):
        assert step["env"] == {name.upper(): f"${{{{ inputs.{name} }}}}"}
        # What its shell makes of the step, with a program that shows its arguments.
        script = f"""dedup() {{ printf '%s\\0' "$@"; }}; {step["run"]}"""
        environment = {**os.environ, name.upper(): inputs[name]}
        shell = subprocess.run(["bash", "-ec", script], env=environment, capture_output=True,
                               check=True)  # fmt: skip
        done = dedup(*shell.stdout.split(b"\0")[:-1])
        assert done.code == 3, done.err
        assert b"leak.jpg" in done.out
