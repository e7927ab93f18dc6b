"""What a tree of files holds, to be compared before and after."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from pathlib import Path
from typing import Any


def tree(folder: Path) -> dict[str, Any]:
    """Describe every file below a folder: content, mode, time, owner; and every link."""
    found: dict[str, Any] = {}
    for path in sorted(os.walk(os.fsencode(folder))):
        top, _, names = path
        for name in names:
            whole = os.path.join(top, name)
            facts = os.lstat(whole)
            found[os.fsdecode(os.path.relpath(whole, os.fsencode(folder)))] = (
                os.readlink(whole)
                if stat.S_ISLNK(facts.st_mode)
                else hashlib.sha256(Path(os.fsdecode(whole)).read_bytes()).hexdigest(),
                stat.S_IMODE(facts.st_mode),
                facts.st_mtime_ns,
                facts.st_uid,
                facts.st_nlink,
            )
    return found


def contents(*folders: Path) -> Counter[str]:
    """Count every content that is anywhere below some folders."""
    return Counter(what for folder in folders for what, *_ in tree(folder).values())
