"""How indexed files are found to be, file by file."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from dedup.freshness import Freshness, Lookout, is_offline, look
from dedup.mounts import keeps_inodes
from dedup.records import FileEntry, IndexedFile, Root

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def recorded(path: Path) -> FileEntry:
    now = path.lstat()
    name = os.fsencode(path)
    return FileEntry(
        name, now.st_size, now.st_mtime_ns, now.st_dev, now.st_ino, ctime_ns=now.st_ctime_ns
    )


def edit_in_place(path: Path) -> None:
    """Change a byte; size and times stay, but for the one that no program can set."""
    before = path.stat()
    time.sleep(0.02)  # file systems count time in steps of a few milliseconds
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_with_equal_times(path: Path) -> None:
    before, other = path.stat(), path.with_name("other")
    other.write_bytes(path.read_bytes()[::-1])
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def make_link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


CHANGES: dict[str, tuple[Callable[[Path], object], Freshness]] = {
    "nothing": (lambda path: path.read_bytes(), Freshness.HERE),
    "read": (lambda path: path.read_bytes(), Freshness.HERE),
    "grown": (lambda path: path.write_bytes(b"longer than before"), Freshness.CHANGED),
    "touched": (lambda path: os.utime(path, (1, 1)), Freshness.CHANGED),
    "edited in place": (edit_in_place, Freshness.CHANGED),
    "replaced": (replace_with_equal_times, Freshness.CHANGED),
    "a link now": (make_link, Freshness.CHANGED),
    "deleted": (lambda path: path.unlink(), Freshness.GONE),
    "folder deleted": (lambda path: shutil.rmtree(path.parent), Freshness.GONE),
}


@pytest.mark.parametrize(("change", "state"), CHANGES.values(), ids=CHANGES)
def test_what_became_of_a_file(
    tmp_path: Path, change: Callable[[Path], object], state: Freshness
) -> None:
    path = tmp_path / "sub" / "file.png"
    path.parent.mkdir()
    path.write_bytes(b"content")
    before = recorded(path)
    change(path)
    assert look(os.fsencode(path), before) is state


def test_an_unknown_time_of_change_counts_as_equal(tmp_path: Path) -> None:
    path = tmp_path / "file.png"
    path.write_bytes(b"content")
    before = recorded(path)._replace(ctime_ns=None)
    assert look(os.fsencode(path), before) is Freshness.HERE
    replace_with_equal_times(path)
    assert look(os.fsencode(path), before) is Freshness.CHANGED  # by its inode
    assert look(os.fsencode(path), before, keeps_inodes=False) is Freshness.HERE


def test_a_folder_that_is_missing_or_empty_is_offline(tmp_path: Path) -> None:
    root = tmp_path / "root"
    assert is_offline(os.fsencode(root))
    root.mkdir()
    assert is_offline(os.fsencode(root))
    (root / "anything").touch()
    assert not is_offline(os.fsencode(root))
    assert is_offline(os.fsencode(root / "anything"))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, IndexedFile]:
    """One file that is here, one that is gone, and two of a root that is not there."""
    found = {}
    for root, name in ((1, "here/a"), (1, "here/b"), (2, "drive/c"), (2, "drive/sub/d")):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"content")
        found[name[-1]] = IndexedFile(os.fsencode(path), root, recorded(path))
    (tmp_path / "here/b").unlink()
    shutil.rmtree(tmp_path / "drive")
    return found


def lookout(tmp_path: Path, *, offline: bool = False, asked: str | None = None) -> Lookout:
    roots = [Root(1, os.fsencode(tmp_path / "here")), Root(2, os.fsencode(tmp_path / "drive"))]
    folder = None if asked is None else os.fsencode(tmp_path / asked)
    return Lookout(roots, offline=offline, asked=folder)


@pytest.mark.parametrize(
    ("offline", "asked", "shown", "left_out"),
    [
        (False, None, "a", 2),
        (True, None, "acd", 0),
        (False, "drive", "acd", 0),
        (False, "drive/sub", "ad", 1),
        (False, "here", "a", 2),
    ],
)
def test_what_is_shown(
    tmp_path: Path,
    files: dict[str, IndexedFile],
    offline: bool,  # noqa: FBT001 - a parameter of the test
    asked: str | None,
    shown: str,
    left_out: int,
) -> None:
    looking = lookout(tmp_path, offline=offline, asked=asked)
    assert looking.notes() == ()
    for _ in range(2):  # each is counted once
        assert "".join(name for name in files if looking.shows(files[name])) == shown
    gone, *drive = looking.notes()
    assert gone == "1 file is gone or has changed since it was indexed; run: dedup index"
    counted = [f"{left_out} file{'s' * (left_out > 1)} of it left out"] if left_out else []
    for note, words in zip(drive, counted, strict=False):
        assert words in note
        assert f"dedup roots --forget {tmp_path / 'drive'}" in note
    assert len(drive) == bool(left_out) + (left_out < 2)


MOUNTS = rb"""22 1 8:1 / / rw - ext4 /dev/sda1 rw
30 22 8:2 / /home rw shared:1 - btrfs /dev/sda2 rw
31 22 8:17 / /media/usb\040stick rw - exfat /dev/sdb1 rw
32 22 0:50 / /mnt/nas rw - nfs4 nas:/ rw
33 30 0:51 / /home/me/cloud rw - fuse.rclone cloud: rw
34 32 8:33 / /mnt/nas/disk rw - xfs /dev/sdc1 rw
35 22 8:49 / /twice rw - ext4 /dev/sdd1 rw
36 35 0:52 / /twice rw - 9p host rw
"""


@pytest.mark.parametrize(
    ("folder", "keeps"),
    [
        (b"/srv", True),
        (b"/home/you", True),
        (b"/home/me", False),  # a cloud is mounted in it
        (b"/home/me/cloudy", True),
        (b"/home/me/cloud", False),
        (b"/media/usb stick/DCIM", False),
        (b"/media/usb stick 2", True),
        (b"/mnt/nas/photos", False),
        (b"/mnt/nas/disk/photos", True),
        (b"/twice", False),
        (b"/", False),
    ],
)
def test_which_file_systems_keep_inodes(
    tmp_path: Path,
    folder: bytes,
    keeps: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    table = tmp_path / "mountinfo"
    table.write_bytes(MOUNTS)
    assert keeps_inodes(folder, table) is keeps
    assert keeps_inodes(folder, tmp_path / "none")
