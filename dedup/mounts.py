"""What the system says about mounted file systems."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MOUNTS = Path("/proc/self/mountinfo")

_UNSTABLE = re.compile(r"(?:vfat|msdos|exfat|fuse.*|9p|nfs4?|cifs|smb3|smbfs)$")
"""File systems that may number a file anew, at every mount or at any time."""

_ESCAPED = re.compile(rb"\\([0-7]{3})")


def keeps_inodes(folder: bytes, mounts: Path = MOUNTS) -> bool:
    """Say whether a file below a folder keeps its inode's number as long as it is the same file.

    Parameters
    ----------
    folder : absolute, symbolic links resolved
    mounts : a table of mounts as Linux gives it; where there is none, inodes are trusted

    Notes
    -----
    What is mounted below the folder counts, too: one file system that does not keep them is enough.
    """
    prefix = folder.rstrip(b"/") + b"/"
    holder, holding = b"", ""
    for point, kind in _table(mounts):
        inner = point.rstrip(b"/") + b"/"
        if prefix.startswith(inner) and len(inner) >= len(holder):
            holder, holding = inner, kind  # of several on one point the last is on top
        elif inner.startswith(prefix) and _UNSTABLE.match(kind):
            return False
    return not _UNSTABLE.match(holding)


def mount_point(folder: bytes, mounts: Path = MOUNTS) -> bytes | None:
    """Give the innermost folder at which something is mounted that holds another folder.

    Between two of them nothing can be renamed, not even within one file system. None where there is
    no table of mounts; parameters as in `keeps_inodes`.
    """
    prefix = folder.rstrip(b"/") + b"/"
    points = [point for point, _ in _table(mounts)]
    holding = [point for point in points if prefix.startswith(point.rstrip(b"/") + b"/")]
    return max(holding, key=len, default=None)


def _table(mounts: Path) -> Iterator[tuple[bytes, str]]:
    """Read at which folders something is mounted, and of what kind it is."""
    try:
        lines = mounts.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        left, _, right = line.partition(b" - ")
        point = _ESCAPED.sub(lambda match: bytes([int(match[1], 8)]), left.split(b" ")[4])
        yield point, os.fsdecode(right.split(b" ")[0])
