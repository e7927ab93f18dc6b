"""Folders that may not be written, names that are too long: each is said, the rest goes on."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from trees import contents, tree

from dedup.actions.moves import MAX_NAME_BYTES, numbered
from dedup.collection import Collection
from dedup.errors import PlanError
from dedup.mounts import mount_point

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dedup.actions.outcomes import ActedFile

LONG = "é" * 125  # 250 bytes, as in the names of some downloads


def by_name(acted: object) -> dict[str, ActedFile]:
    return {os.path.basename(file.path): file for file in acted}  # type: ignore[attr-defined]


@pytest.fixture
def users(
    ordinary_user: Path, indexed: Path, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Collection]:
    """A collection of somebody who may not do everything; read and written as that user."""
    monkeypatch.setenv("XDG_DATA_HOME", os.fspath(ordinary_user / "home"))
    user = os.geteuid()
    os.seteuid(os.getuid())  # who made the files that are copied, and may import every module
    shutil.copytree(drawn, ordinary_user / "images")
    with Collection.open(shutil.copytree(indexed, ordinary_user / "store")) as opened:
        opened.move_root(drawn, ordinary_user / "images")
        opened.index()
        opened.plan(tier="exact")
        for path in ordinary_user.rglob("*"):
            os.chown(path, user, -1)
        os.seteuid(user)
        opened.index()
        yield opened


def test_a_folder_that_may_not_be_written_is_left_alone(users: Collection) -> None:
    images = users.path.parent / "images"
    (images / "c").mkdir()
    shutil.copy(images / "a/5.jpg", images / "c/five.jpg")
    users.index()
    before = tree(images)
    for action in ("trash", "delete"):
        plan = users.plan(tier="exact", action=action)
        (images / "b").chmod(0o500)
        acted = by_name(plan.apply())
        assert acted["0 copy.jpg"].reason == "permission denied"
        assert (acted["0 copy.jpg"].outcome, acted["five.jpg"].outcome) == ("refused", "done")
        (images / "b").chmod(0o700)
        users.undo()
        assert tree(images) == before
    plan = users.plan(tier="exact", action="hardlink")
    (images / "b").chmod(0o500)
    with pytest.raises(PlanError, match=r"hardlink is not possible in .*/b .*Nothing was done"):
        plan.apply()
    (images / "b").chmod(0o700)
    assert tree(images) == before


def test_a_keeper_that_may_not_be_read_keeps_its_copies(users: Collection) -> None:
    images = users.path.parent / "images"
    plan = users.plan(tier="exact")
    (images / "a/0.jpg").chmod(0)
    acted = by_name(plan.apply())
    assert acted["0 copy.jpg"].reason == "its keeper cannot be read: Permission denied"
    (images / "a/0.jpg").chmod(0o600)


def test_without_a_place_for_the_trash_nothing_is_touched(
    users: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = users.plan(tier="exact")
    home = users.path.parent / "closed"
    home.mkdir(0o500)
    monkeypatch.setenv("XDG_DATA_HOME", os.fspath(home))
    before = tree(users.path.parent / "images")
    with pytest.raises(
        PlanError, match=r"no trash for .*: .*/closed cannot be written.*dedup plan"
    ):
        plan.apply(dry_run=True)
    with pytest.raises(PlanError, match=r"no trash for .*: cannot be written: Permission denied"):
        plan.apply()
    assert tree(users.path.parent / "images") == before
    home.chmod(0o700)
    assert plan.apply(dry_run=True).count("planned") == len(plan)
    assert not [*home.iterdir()]  # it only looks


def test_long_names_go_and_come(own: Collection, images: Path, home: Path) -> None:
    for number in range(3):
        folder = images / f"b/{number}"
        folder.mkdir()
        shutil.copy(images / "a/5.jpg", folder / f"{LONG}.jpg")
    own.index()
    before, everything = tree(images), contents(images)
    acted = own.apply(own.plan(tier="exact"))
    assert {file.outcome for file in acted} == {"done"}
    assert contents(images, home / "Trash/files") == everything
    own.undo()
    assert tree(images) == before


def test_numbers_fit_in_a_name() -> None:
    names = [name for _, name in zip(range(3), numbered(f"/x/{LONG}.jpg"), strict=False)]
    assert names == [f"/x/{LONG}.jpg", f"/x/{LONG[:-2]} (2).jpg", f"/x/{LONG[:-2]} (3).jpg"]
    assert all(len(os.fsencode(name)) - 3 <= MAX_NAME_BYTES for name in names)


def test_a_path_too_long_for_its_target_is_refused(
    own: Collection, images: Path, tmp_path: Path
) -> None:
    deep = images / "b"
    while len(os.fsencode(deep)) < 3700:
        deep /= "d" * 200
    deep.mkdir(parents=True)
    shutil.copy(images / "a/5.jpg", deep / "five.jpg")
    own.index()
    before = tree(images)
    away = tmp_path
    while len(os.fsencode(away)) < 600:
        away /= "e" * 200
    acted = by_name(own.apply(own.plan(tier="exact", action=f"move:{away}")))
    assert (acted["five.jpg"].outcome, acted["five.jpg"].reason) == (
        "refused",
        "file name too long",
    )
    with pytest.raises(PlanError, match=r"cannot create the folder: file name too long"):
        own.apply(own.plan(tier="exact", action=f"move:{tmp_path / ('f' * 300)}"))
    own.undo()
    assert tree(images) == before


def test_the_trash_is_sought_where_something_is_mounted(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:1 /x /photos\\040here rw - ext4 /dev/a rw\n"
    )
    assert mount_point(b"/home/me", table) == b"/"
    assert mount_point(b"/photos here/2019", table) == b"/photos here"
    assert mount_point(b"/photos hereafter", table) == b"/"
    assert mount_point(b"/", tmp_path / "none") is None
