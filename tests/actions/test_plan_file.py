"""Plans that were edited, cut short or come from elsewhere are refused as a whole."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from trees import tree

from dedup.collection import Collection
from dedup.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def _set(key: str, value: object, at: int = 0) -> Callable[[dict[str, Any]], object]:
    return lambda plan: plan["files"][at].__setitem__(key, value)


def _head(key: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda plan: plan.__setitem__(key, value)


def keeper_goes(plan: dict[str, Any]) -> None:
    first = next(row for row in plan["files"] if row["tier"] == "exact")
    plan["files"].append(
        first | {
            "path": first["keeper"], "keeper": first["path"], "sha256": first["keeper_sha256"],
            "keeper_sha256": first["sha256"], "stat": first["keeper_stat"],
            "keeper_stat": first["stat"],
        }
    )  # fmt: skip


def other_keeper(plan: dict[str, Any]) -> None:
    one = next(row for row in plan["files"] if row["tier"] == "pixels")
    other = next(row for row in plan["files"] if row["tier"] == "exact")
    one |= {key: other[key] for key in ("keeper", "keeper_sha256", "keeper_stat")}


def other_tier(plan: dict[str, Any]) -> None:
    next(row for row in plan["files"] if row["tier"] == "pixels")["tier"] = "resaved"


def stray_sidecar(plan: dict[str, Any]) -> None:
    row = plan["files"][0]
    plan["files"].append(
        row | {"kind": "sidecar", "path": row["keeper"][:-4] + ".txt", "of": [row["path"]],
               "stat": row["stat"] | {"inode": 1}}
    )  # fmt: skip


EDITS: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    ("version", _head("plan", 2), "version 2"),
    ("old version", _head("plan", 0), "version 0, and this dedup reads 1"),
    ("no files", _head("files", {}), "no list of files"),
    ("identity", _head("identity", "0" * 16), "another collection"),
    ("store", _head("collection", "/elsewhere"), "another collection"),
    ("outside", _set("path", "/etc/passwd"), "outside the indexed folders"),
    ("keeper outside", _set("keeper", "/etc/passwd"), "outside the indexed folders"),
    ("dots", _set("path", "/x/../etc/passwd"), "without '.' and '..'"),
    ("relative", _set("path", "a.jpg"), "not an absolute path"),
    ("nul", _set("path", "/x/a\0b"), "NUL"),
    ("surrogate", _set("path", "/x/\ud800"), "cannot be the name"),
    ("type", _set("path", 3), "path is not text"),
    ("action", _set("action", "shred"), "is not an action"),
    ("move", _set("action", "move:"), "not an absolute path"),
    ("move dots", _set("action", "move:/a/../b"), "without '.' and '..'"),
    ("digest", _set("sha256", "zz"), "is not a SHA-256"),
    ("facts", _set("stat", {"size": 1}), "stat does not hold"),
    ("tier", _set("tier", "sure"), "is not a tier"),
    ("kind", _set("kind", "folder"), "neither image nor sidecar"),
    ("keeper goes", keeper_goes, "is also to go"),
    ("twice", lambda plan: plan["files"].append(plan["files"][0]), "is named twice"),
    ("other keeper", other_keeper, "nothing proves"),
    ("other tier", other_tier, "nothing proves"),
    ("stray sidecar", stray_sidecar, "is not a sidecar of"),
    ("no certificate", lambda plan: [row.update(certificate="") for row in plan["files"]],
     "nothing proves"),
    ("links", lambda plan: [row.update(action="hardlink") for row in plan["files"]],
     "same bytes only"),
]  # fmt: skip


@pytest.fixture(scope="module")
def own(
    indexed: Path, drawn: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Collection]:
    """One collection for all: nothing is done to its files but in the last test."""
    folder = tmp_path_factory.mktemp("planned")
    with Collection.open(shutil.copytree(indexed, folder / "store")) as opened:
        shutil.copytree(drawn, folder / "images")
        opened.move_root(drawn, folder / "images")
        opened.index()
        opened.plan().write(folder / "plan.json")
        yield opened


@pytest.fixture
def images(own: Collection) -> Path:
    return own.path.parent / "images"


@pytest.fixture
def written(own: Collection, tmp_path: Path) -> Path:
    return Path(shutil.copy(own.path.parent / "plan.json", tmp_path))


@pytest.mark.parametrize(("edit", "says"), [edit[1:] for edit in EDITS], ids=[e[0] for e in EDITS])
def test_an_edit_that_makes_no_sense_refuses_the_whole_plan(
    own: Collection,
    images: Path,
    written: Path,
    edit: Callable[[dict[str, Any]], object],
    says: str,
) -> None:
    before = tree(images)
    plan = json.loads(written.read_text("utf-8"))
    edit(plan)
    written.write_text(json.dumps(plan))
    with pytest.raises(PlanError, match=says):
        own.apply(written)
    assert tree(images) == before
    assert len(own.runs()) == 0


def test_a_plan_that_was_cut_short_is_refused_at_any_length(
    own: Collection, images: Path, written: Path
) -> None:
    before, whole = tree(images), written.read_bytes()
    for length in range(0, len(whole) - 3, 97):
        written.write_bytes(whole[:length])
        with pytest.raises(PlanError):
            own.apply(written)
    assert tree(images) == before


@pytest.mark.parametrize("text", ["[]", "{}", "[" * 100_000, "\xff", '{"plan": true, "files": []}'])
def test_what_is_no_plan_is_refused(own: Collection, tmp_path: Path, text: str) -> None:
    (tmp_path / "other.json").write_text(text, "latin-1")
    with pytest.raises(PlanError):
        own.apply(tmp_path / "other.json")
    with pytest.raises(PlanError, match="cannot be read"):
        own.apply(tmp_path)
    assert os.path.isdir(tmp_path)


def test_entries_may_be_taken_out_and_actions_changed(own: Collection, written: Path) -> None:
    plan = json.loads(written.read_text("utf-8"))
    plan["files"] = [row | {"action": "delete"} for row in plan["files"] if row["tier"] == "exact"]
    written.write_text(json.dumps(plan, indent=1))
    acted = own.apply(written)
    assert {(file.action, file.outcome) for file in acted} == {("delete", "done")}
