"""Acting on real file systems: what each can do it does, and is taken back; what not is said."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from loops import mounted
from trees import contents, tree

from dedup.collection import Collection
from dedup.errors import DedupError, PlanError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow


@pytest.fixture(params=["btrfs", "xfs", "fat", "exfat"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def there(kind: str, store: Path, drawn: Path, tmp_path: Path) -> Iterator[Collection]:
    """A collection whose images are on a file system of their own."""
    with mounted(kind, tmp_path) as point:
        shutil.copytree(drawn, point / "images", copy_function=shutil.copyfile)
        with Collection.open(store) as opened:
            opened.move_root(drawn, point / "images")
            opened.index()
            yield opened


@pytest.mark.parametrize("action", ["trash", "move", "delete", "hardlink", "symlink", "reflink"])
def test_what_a_file_system_can_do_is_done_and_taken_back(
    there: Collection, kind: str, tmp_path: Path, action: str
) -> None:
    images = tmp_path / f"{kind} here" / "images"
    before, everything = tree(images), contents(images)
    plan = there.plan(
        tier="exact", action=f"move:{tmp_path / 'away'}" if action == "move" else action
    )
    assert len(plan) == 2
    if action.endswith("link") and kind in ("fat", "exfat"):
        with pytest.raises(PlanError, match=r"is not possible in .* Nothing was done"):
            plan.apply()
        assert tree(images) == before
        return
    used = free_blocks(images)
    acted = plan.apply()
    assert [(file.outcome, file.reason) for file in acted] == [("done", "")] * 2
    if action == "reflink":
        now = tree(images)
        assert without_links(now) == without_links(before)
        assert free_blocks(images) >= used
    elif action in ("trash", "move"):
        assert contents(images.parent, tmp_path / "away") >= everything
    assert there.undo().count("undone") == 2
    assert tree(images) == before
    assert not [path for path in images.rglob("*") if ".dedup-" in path.name]


def free_blocks(folder: Path) -> int:
    os.sync()
    return os.statvfs(folder).f_bfree


@pytest.mark.parametrize("kind", ["fat", "exfat"])
def test_a_target_that_does_not_tell_cases_apart_keeps_both(
    own: Collection, images: Path, tmp_path: Path, kind: str
) -> None:
    shutil.copy(images / "a/3.jpg", images / "b/three.jpg")
    shutil.copy(images / "a/4.jpg", images / "b/THREE.jpg")
    shutil.copy(images / "a/5.jpg", images / "b/what?.jpg")
    own.index()
    before = tree(images)
    with mounted(kind, tmp_path) as point:
        acted = own.apply(own.plan(tier="exact", action=f"move:{point / 'away'}"))
        outcomes = {os.path.basename(file.path): file for file in acted}
        assert outcomes["THREE.jpg"].outcome == outcomes["three.jpg"].outcome == "done"
        assert len({file.to.lower() for file in acted if file.to}) == acted.count("done")
        # A name that the target cannot hold is refused, or held all the same.
        assert (images / "b/what?.jpg").exists() == (outcomes["what?.jpg"].outcome == "refused")
        own.undo()
        assert tree(images) == before


def test_what_is_mounted_twice_has_a_trash_of_its_own(own: Collection, images: Path) -> None:
    """Between two places of one file system nothing can be renamed."""
    before = tree(images)
    if subprocess.run(["mount", "--bind", images, images], check=False).returncode:
        pytest.skip("needs the right to mount")
    try:
        acted = own.apply(own.plan(tier="exact"))
        assert {file.outcome for file in acted} == {"done"}
        assert (images / f".Trash-{os.getuid()}/files/0 copy.jpg").exists()
        own.undo()
        shutil.rmtree(images / f".Trash-{os.getuid()}")
        assert tree(images) == before
        subprocess.run(["mount", "-o", "remount,bind,ro", images], check=True)
        with pytest.raises(PlanError, match=r"no trash for .*: cannot be written: Read-only"):
            own.apply(own.plan(tier="exact"))
        acted = own.apply(own.plan(tier="exact", action="delete"))
        assert {file.reason for file in acted} == {"read-only file system"}
        assert tree(images) == before
    finally:
        subprocess.run(["umount", images], check=True)


@pytest.mark.parametrize("action", ["move", "trash", "delete", "hardlink"])
def test_a_full_disk_loses_nothing(
    indexed: Path, images: Path, drawn: Path, tmp_path: Path, action: str
) -> None:
    """The journal's disk, and the target's, has room for the first files only."""
    with mounted("tmpfs", tmp_path, size="4m") as point:
        store, away = Path(shutil.copytree(indexed, point / "store")), point / "away"
        target = f"move:{away}" if action == "move" else action
        with Collection.open(store) as opened:
            opened.move_root(drawn, images)
            opened.index()
            before, everything = without_links(tree(images)), contents(images)
            for room in (0, 4096, 65536):
                plan = opened.plan(tier="exact", action=target)
                fill(point, room)
                try:
                    said = " ".join(file.reason for file in plan.apply())
                except DedupError as error:
                    said = str(error)
                (point / "ballast").unlink()
                assert room or "no space left" in said.lower(), said
                opened.recover()
                assert set(contents(images, tmp_path / "home", away)) >= set(everything), said
                if any(run.done for run in opened.runs()):
                    opened.undo()
                assert without_links(tree(images)) == before, said
                opened.index()


def without_links(found: dict[str, Any]) -> dict[str, Any]:
    return {path: facts[:4] for path, facts in found.items()}


def fill(folder: Path, room: int) -> None:
    """Fill a disk up to some bytes."""
    with (folder / "ballast").open("wb", 0) as file:
        size = 1 << 20
        while size >= 4096:
            try:
                file.write(b"x" * size)
            except OSError:
                size //= 2
        file.truncate(max(0, file.tell() - room))
