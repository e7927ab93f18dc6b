"""File systems in files, mounted for a test; skipped with a word where that is not permitted."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Megabytes, how it is made, and by what it is mounted, the first that works.
KINDS = {
    "btrfs": (128, ["mkfs.btrfs", "-q"], [["mount"]]),
    "xfs": (320, ["mkfs.xfs", "-q"], [["mount"]]),
    "fat": (16, ["mkfs.vfat"], [["mount"]]),
    "exfat": (16, ["mkfs.exfat"], [["mount"], ["mount.exfat-fuse"]]),
}


@contextmanager
def mounted(kind: str, folder: Path, *, size: str = "") -> Iterator[Path]:
    """Mount a new file system below a folder; "tmpfs" is in memory, of a size such as "1m"."""
    point, image = folder / f"{kind} here", folder / f"{kind}.image"
    point.mkdir()
    if kind == "tmpfs":
        if not _works(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", os.fspath(point)]):
            pytest.skip("needs the right to mount")
        with _unmounted(point):
            yield point
        return
    megabytes, make, ways = KINDS[kind]
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    if not _works([*make, os.fspath(image)]):
        pytest.skip(f"needs {make[0]}")
    try:
        command = ["losetup", "-f", "--show", os.fspath(image)]
        loop = subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs a loop device")
    try:
        if not any(_works([*way, loop, os.fspath(point)]) for way in ways):
            pytest.skip(f"needs the right to mount {kind}, and a system that knows it")
        with _unmounted(point):
            yield point
    finally:
        subprocess.run(["losetup", "-d", loop], check=True)


@contextmanager
def _unmounted(point: Path) -> Iterator[None]:
    try:
        yield
    finally:
        subprocess.run(["umount", point], check=True)


def _works(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
