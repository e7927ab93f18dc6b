"""What changes between plan and apply, or while it is applied, is refused; nothing is lost."""

from __future__ import annotations

import os
import shutil
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from trees import contents, tree

from dedup.actions import steps
from dedup.actions.moves import exchange

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from dedup.collection import Collection

TARGET = "b/0 copy.jpg"
KEEPER = "a/0.jpg"


def save(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"edited")


def save_as(path: Path) -> None:
    path.with_name("new").write_bytes(b"other bytes")
    os.replace(path.with_name("new"), path)


def same_size_and_time(path: Path) -> None:
    before = path.stat()
    save(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def link(path: Path) -> None:
    os.link(path, path.with_name("another"))


def link_to_keeper(path: Path) -> None:
    keeper = path.parent.parent / KEEPER
    if path != keeper:
        path.unlink()
        os.link(keeper, path)


def turn_into_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent.parent / "a/1.jpg")


CHANGES = [save, save_as, same_size_and_time, Path.unlink, link, link_to_keeper, turn_into_link]


@pytest.mark.parametrize(
    ("change", "action"),
    [
        (save_as, "delete"),
        (same_size_and_time, "delete"),
        (link_to_keeper, "hardlink"),
        *(
            pytest.param(change, action, marks=pytest.mark.slow)
            for change, action in product(CHANGES, ["delete", "hardlink"])
        ),
    ],
)
def test_a_file_that_changed_before_is_refused(
    own: Collection, images: Path, change: Callable[[Path], None], action: str
) -> None:
    plan = own.plan(tier="exact", action=action)
    change(images / TARGET)
    before = tree(images)
    acted = own.apply(plan)
    outcomes = {os.path.relpath(file.path, images): file.outcome for file in acted}
    assert outcomes.pop(TARGET) == "refused"
    assert set(outcomes.values()) == {"done"}
    after = tree(images)
    assert after.get(TARGET, ())[:3] == before.get(TARGET, ())[:3]


@pytest.mark.parametrize("change", [same_size_and_time, Path.unlink, turn_into_link])
def test_nothing_goes_when_its_keeper_has_changed(
    own: Collection, images: Path, change: Callable[[Path], None]
) -> None:
    plan = own.plan(tier="exact", action="delete")
    change(images / KEEPER)
    before = tree(images)
    refused = [file for file in own.apply(plan) if "b/0" in file.path]
    assert [file.outcome for file in refused] == ["refused", "refused"]
    assert all("keeper" in file.reason for file in refused)
    assert {name: tree(images).get(name) for name in before if "0" in name} == {
        name: facts for name, facts in before.items() if "0" in name
    }


RACES = [
    (change, action, moment)
    for change in (save, save_as, same_size_and_time, Path.unlink)
    for action, moment in [
        *product(["trash", "delete"], ["written_ahead", "take_aside"]),
        *product(["hardlink", "symlink"], ["written_ahead", "exchange", "check_aside"]),
    ]
]
QUICK = {("delete", "take_aside"), ("hardlink", "exchange"), ("hardlink", "check_aside")}


@pytest.mark.parametrize(
    ("change", "action", "moment"),
    [
        pytest.param(
            *race,
            marks=[] if race[0] is save and race[1:] in QUICK else [pytest.mark.slow],
        )
        for race in RACES
    ],
)
def test_what_is_saved_while_it_is_acted_upon_is_kept(
    own: Collection,
    images: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], None],
    action: str,
    moment: str,
) -> None:
    """A program changes the file just before a step; the step itself is the real one."""
    plan = own.plan(tier="exact", action=action)
    path = images / TARGET
    done: list[Counter[str]] = []
    step = getattr(steps, moment)

    def raced(*arguments: Any) -> Any:
        if not done and path.exists() and os.fspath(path) in repr(arguments):
            change(path)
            done.append(contents(images, home))
        return step(*arguments)

    monkeypatch.setattr(steps, moment, raced)
    own.apply(plan)
    monkeypatch.undo()
    there = contents(images, home)
    for content in done[0]:
        assert there[content] > 0, content
    assert not [name for name in tree(images) if "quarantine" in name or ".part" in name]


def test_a_file_that_is_open_for_writing_is_left_alone(own: Collection, images: Path) -> None:
    plan = own.plan(tier="exact", action="delete")
    with (images / TARGET).open("r+b"):
        acted = own.apply(plan)
    (refused,) = [file for file in acted if file.outcome == "refused"]
    assert refused.path == os.fspath(images / TARGET)
    assert "open for writing" in refused.reason
    assert (images / TARGET).exists()
    assert own.plan(tier="exact", action="delete").entries


def test_a_new_file_at_the_path_is_not_overwritten_when_the_old_one_returns(
    own: Collection, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = own.plan(tier="exact", action="delete")
    path, step = images / TARGET, steps.check_aside

    def raced(item: Any) -> Any:
        if item.path == os.fspath(path):
            path.write_bytes(b"new")
            save(Path(item.about["quarantine"]))
        return step(item)

    monkeypatch.setattr(steps, "check_aside", raced)
    (refused,) = [file for file in own.apply(plan) if file.outcome == "refused"]
    assert path.read_bytes() == b"new"
    assert path.with_name("0 copy (2).jpg").read_bytes().startswith(b"edited")
    assert "0 copy (2).jpg" in refused.reason


def test_a_folder_that_became_a_link_is_not_followed(own: Collection, images: Path) -> None:
    plan = own.plan(tier="exact", action="delete")
    shutil.move(images / "b", images / "c")
    (images / "b").symlink_to(images / "c")
    before = tree(images)
    refused = [file for file in own.apply(plan) if "/b/" in file.path]
    assert {file.outcome for file in refused} == {"refused"}
    assert tree(images)["c/0 copy.jpg"] == before["c/0 copy.jpg"]


@pytest.mark.parametrize("action", ["symlink", "hardlink"])
def test_a_new_file_with_the_number_of_the_old_one_is_not_taken_for_it(
    own: Collection, images: Path, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """A program saves anew, renames what it finds in its place, and saves anew once more."""
    plan = own.plan(tier="exact", action=action)
    path, number = images / TARGET, (images / TARGET).stat().st_ino
    unlink_aside = steps.unlink_aside

    def before_the_swap(first: str, second: str) -> None:
        if Path(second) == path and path.stat().st_ino == number:
            path.with_name("new").write_bytes(b"saved first")
            os.replace(path.with_name("new"), path)
        exchange(first, second)

    def before_it_is_taken_back(item: Any) -> None:
        if item.path == os.fspath(path):
            path.rename(path.with_name("moved"))
            for count in range(500):
                path.with_name(f"new {count}").write_bytes(b"saved then")
                if path.with_name(f"new {count}").stat().st_ino == number:
                    path.with_name(f"new {count}").rename(path)
                    break
            else:
                pytest.skip("needs a file system that gives numbers of files again")
        unlink_aside(item)

    monkeypatch.setattr(steps, "exchange", before_the_swap)
    monkeypatch.setattr(steps, "unlink_aside", before_it_is_taken_back)
    own.apply(plan)
    saved = {one.read_bytes() for one in path.parent.iterdir() if one.is_file()}
    assert {b"saved first", b"saved then"} <= saved
