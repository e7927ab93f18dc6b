"""Whatever a plan is edited into, the last copy of an image never goes.

The model knows what each file shows by its name: all whose names begin with the same digit show one
scene. After each plan every scene that was there before has to be there still, in a regular file
below the indexed folder; trash and links do not count. What is no copy of anything has to be there,
in the trash or where it was moved to.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trees import contents, tree

from dedup.collection import Collection
from dedup.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Callable

    Rows = list[dict[str, Any]]
    Edit = Callable[["Lab", Rows, random.Random], None]


class Lab:
    """A collection whose files are put back before each plan, and the plan of all of them."""

    def __init__(self, folder: Path, indexed: Path, drawn: Path) -> None:
        self.folder, self.images, self.away = folder, folder / "images", folder / "away"
        self.kept = folder / "kept"
        shutil.copytree(drawn, self.kept)
        for name in ("a/5.jpg", "b/0 copy.jpg"):
            (self.kept / name).with_suffix(".xmp").write_text(name)
        shutil.copytree(self.kept, self.images)
        with Collection.open(shutil.copytree(indexed, folder / "store")) as collection:
            collection.move_root(drawn, self.images)
            collection.index()
            collection.plan().write(folder / "plan.json")
        self.base = (folder / "plan.json").read_text("utf-8")
        self.shows = {
            hashlib.sha256(path.read_bytes()).hexdigest(): path.name[0]
            for path in self.kept.rglob("*")
            if path.name[0].isdigit() and path.suffix != ".xmp"
        }

    def files(self) -> list[Path]:
        return sorted(path for path in self.images.rglob("*") if not path.is_dir())

    def look(self) -> tuple[set[str], set[str]]:
        """Give the scenes of regular files, and all contents that show none."""
        there = tree(self.images)
        files = {there[path][0] for path in there if not (self.images / path).is_symlink()}
        return {self.shows[what] for what in files & self.shows.keys()}, files - self.shows.keys()

    def stat(self, path: str) -> dict[str, int]:
        found = os.lstat(path)
        return {
            "size": found.st_size, "mtime_ns": found.st_mtime_ns,
            "device": found.st_dev, "inode": found.st_ino,
        }  # fmt: skip

    def sha256(self, path: str) -> str:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()

    def reset(self) -> dict[str, Any]:
        """Put the files back, and give the plan as if it had just been made."""
        for place in (self.images, self.away, self.folder / "home"):
            shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.kept, self.images)
        shutil.rmtree(self.folder / "store/runs", ignore_errors=True)
        plan: dict[str, Any] = json.loads(self.base)
        for row in plan["files"]:
            row["stat"] = self.stat(row["path"])
            if row["keeper"]:
                row["keeper_stat"] = self.stat(row["keeper"])
        return plan


# -- edits of plans --------------------------------------------------------------------------------


# Each takes the lab, the rows and dice, whether it needs them or not.
# ruff: noqa: ARG001


def turned(row: dict[str, Any]) -> dict[str, Any]:
    pairs = [("path", "keeper"), ("sha256", "keeper_sha256"), ("stat", "keeper_stat")]
    return row | {a: row[b] for one in pairs for a, b in (one, one[::-1])}


def images_of(rows: Rows) -> Rows:
    return [row for row in rows if row["kind"] == "image"]


def drop(lab: Lab, rows: Rows, dice: random.Random) -> None:
    rows.remove(dice.choice(rows))


def double(lab: Lab, rows: Rows, dice: random.Random) -> None:
    rows.append(dict(dice.choice(rows)))


def turn(lab: Lab, rows: Rows, dice: random.Random) -> None:
    at = rows.index(dice.choice(images_of(rows)))
    rows[at] = turned(rows[at])


def keeper_goes(lab: Lab, rows: Rows, dice: random.Random) -> None:
    rows.append(turned(dice.choice(images_of(rows))))


def chain(lab: Lab, rows: Rows, dice: random.Random) -> None:
    """Let a file go for the sake of one that goes."""
    one, other = dice.choice(images_of(rows)), turned(dice.choice(images_of(rows)))
    one |= {key: other[key] for key in ("keeper", "keeper_sha256", "keeper_stat")}


def new_row(lab: Lab, rows: Rows, dice: random.Random) -> None:
    """Let a file go for another one of the same bytes, as a program may."""
    row = dict(dice.choice(images_of(rows)))
    first = Path(row["path"])
    same = [path for path in lab.files() if first.exists() and is_same(path, first)]
    if len(same) > 1 and not any(map(Path.is_symlink, same)):
        rows[:] = [other for other in rows if other["path"] not in map(os.fspath, same)]
        keeper = dice.choice(same)
        rows += [
            pair(lab, row, path, keeper) | {"tier": "exact"} for path in same if path != keeper
        ]


def is_same(one: Path, other: Path) -> bool:
    return one.exists() and one.read_bytes() == other.read_bytes()


def pair(lab: Lab, row: dict[str, Any], path: Path, keeper: Path) -> dict[str, Any]:
    names = os.fspath(path), os.fspath(keeper)
    return row | {
        "path": names[0], "sha256": lab.sha256(names[0]), "stat": lab.stat(names[0]),
        "keeper": names[1], "keeper_sha256": lab.sha256(names[1]),
        "keeper_stat": lab.stat(names[1]),
    }  # fmt: skip


def strange_row(lab: Lab, rows: Rows, dice: random.Random) -> None:
    """Let any file go for any other, with facts that are true."""
    files = [path for path in lab.files() if not path.is_symlink()]
    rows.append(pair(lab, dice.choice(images_of(rows)), *dice.sample(files, 2)))
    rows[-1]["tier"] = dice.choice(["exact", rows[-1]["tier"]])


def lie(lab: Lab, rows: Rows, dice: random.Random) -> None:
    """Change a fact; of another device it is not even a change."""
    row = dice.choice(images_of(rows))
    key = dice.choice(["size", "mtime_ns", "device", "device", "device", "inode"])
    row[dice.choice(["stat", "keeper_stat"])][key] += 1


def respell(lab: Lab, rows: Rows, dice: random.Random) -> None:
    row, key = dice.choice(images_of(rows)), dice.choice(["path", "keeper"])
    folder, name = os.path.split(row[key])
    link = lab.images / f"to {os.path.basename(folder)}"
    if not link.is_symlink():
        link.symlink_to(folder)
    row[key] = dice.choice([f"{folder}/./{name}", f"{folder}//{name}", f"{link}/{name}"])


def actions(lab: Lab, rows: Rows, dice: random.Random) -> None:
    action = dice.choice(["trash", f"move:{lab.away}", "delete", "hardlink", "symlink"])
    for row in rows if dice.random() < 0.5 else [dice.choice(rows)]:
        if action in ("trash", f"move:{lab.away}") or row["tier"] == "exact":
            row["action"] = action


def as_sidecar(lab: Lab, rows: Rows, dice: random.Random) -> None:
    row = dict(dice.choice(images_of(rows)))
    rows.append(turned(row) | {"kind": "sidecar", "of": [row["path"]]})


# -- what other programs do ------------------------------------------------------------------------


def relink(lab: Lab, rows: Rows, dice: random.Random) -> None:
    """Make a file a hard or symbolic link to one of the same scene."""
    row = dice.choice(images_of(rows))
    one, other = dice.sample([Path(row["path"]), Path(row["keeper"])], 2)
    if one.exists() and other.exists() and not other.is_symlink():
        one.unlink()
        if dice.random() < 0.5:
            os.link(other, one)
        else:
            os.symlink(other, one)
        if dice.random() < 0.5 and not one.is_symlink():
            for row in images_of(rows):  # and the plan knows
                for path, stat in (("path", "stat"), ("keeper", "keeper_stat")):
                    if row[path] == os.fspath(one):
                        row[stat] = lab.stat(row[path])


def any_file(lab: Lab, rows: Rows, dice: random.Random) -> Path:
    """Choose a keeper, or any file."""
    keeper = Path(dice.choice(images_of(rows))["keeper"])
    return keeper if dice.random() < 0.5 and os.path.lexists(keeper) else dice.choice(lab.files())


def vanish(lab: Lab, rows: Rows, dice: random.Random) -> None:
    any_file(lab, rows, dice).unlink()


def save(lab: Lab, rows: Rows, dice: random.Random) -> None:
    path = any_file(lab, rows, dice)
    if not path.is_symlink():
        path.write_bytes(dice.randbytes(9))


def move_folder(lab: Lab, rows: Rows, dice: random.Random) -> None:
    if not (lab.images / "b").is_symlink():
        shutil.move(lab.images / "b", lab.images / "c")
        (lab.images / "b").symlink_to(lab.images / "c")


EDITS: list[Edit] = [drop, actions, actions, new_row, relink, vanish, save, move_folder]
NONSENSE: list[Edit] = [double, turn, keeper_goes, chain, strange_row, lie, respell, as_sidecar]


@pytest.fixture(scope="module")
def lab(indexed: Path, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("edited"), indexed, drawn)


@pytest.mark.parametrize("plans", [50, pytest.param(1000, marks=pytest.mark.slow)])
def test_the_last_copy_never_goes(lab: Lab, monkeypatch: pytest.MonkeyPatch, plans: int) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", os.fspath(lab.folder / "home"))
    seen: Counter[str] = Counter()

    with Collection.open(lab.folder / "store") as collection:

        @settings(
            max_examples=plans, deadline=None, derandomize=True, database=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(
            st.lists(st.sampled_from(EDITS), max_size=4),
            st.lists(st.sampled_from(NONSENSE), max_size=1),
            st.integers(0, 1 << 20),
        )
        def plan_is_safe(edits: list[Edit], nonsense: list[Edit], seed: int) -> None:
            (lab.folder / "home").mkdir(exist_ok=True)
            plan, dice = lab.reset(), random.Random(seed)  # noqa: S311 - edits are no secret
            for edit in (actions, *edits, *nonsense):
                if images_of(plan["files"]):
                    edit(lab, plan["files"], dice)
            (lab.folder / "plan.json").write_text(json.dumps(plan))
            scenes, others = lab.look()
            try:
                acted = collection.apply(lab.folder / "plan.json")
            except PlanError:
                seen["refused as a whole"] += 1
                assert lab.look() == (scenes, others)
                return
            for file in acted:
                seen[f"{file.action} {file.outcome}"] += 1
            now, left = lab.look()
            assert now == scenes, [edit.__name__ for edit in (*edits, *nonsense)]
            assert others <= left | set(contents(lab.folder / "home", lab.away))

        plan_is_safe()
    done = {what.split()[0] for what in seen if what.endswith("done")}
    assert done >= {"trash", "delete", "hardlink", "symlink"}, seen
    assert seen["trash refused"], seen
    assert 0 < seen["refused as a whole"] < 0.8 * plans, seen
