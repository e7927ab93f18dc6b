"""What the system says about mounted file systems."""

from __future__ import annotations

import os
import re
from pathlib import Path

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
    try:
        lines = mounts.read_bytes().splitlines()
    except OSError:
        return True
    prefix = folder.rstrip(b"/") + b"/"
    holder, holding = b"", ""
    for line in lines:
        left, _, right = line.partition(b" - ")
        point = _ESCAPED.sub(lambda match: bytes([int(match[1], 8)]), left.split(b" ")[4])
        kind = os.fsdecode(right.split(b" ")[0])
        inner = point.rstrip(b"/") + b"/"
        if prefix.startswith(inner) and len(inner) >= len(holder):
            holder, holding = inner, kind  # of several on one point the last is on top
        elif inner.startswith(prefix) and _UNSTABLE.match(kind):
            return False
    return not _UNSTABLE.match(holding)
