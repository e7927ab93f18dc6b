"""Whether indexed files are still what was indexed, at the moment when they are to be shown.

A file that is gone or has changed is not what the catalog says, and so neither a keeper nor a
duplicate nor a match. A root that is missing, or empty where files were, is an unplugged drive:
nothing is known of its files, and they are shown only when that is asked for. Members of an archive
are what was indexed as long as the archive is; servers are not asked, which a note says.
"""

from __future__ import annotations

import os
import shlex
from collections import Counter
from enum import Enum
from stat import S_ISREG
from typing import TYPE_CHECKING, Final

from dedup.mounts import keeps_inodes
from dedup.records import INODE_BITS, Kind, is_url

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dedup.records import FileEntry, IndexedFile, Root


ONLY_PLAIN: Final = "only plain files are acted on"
"""What is said of members of archives, files of servers and images that are kept."""


class Freshness(Enum):
    """How a file is, compared with what was recorded of it."""

    HERE = "here"
    CHANGED = "changed"
    GONE = "gone"
    OFFLINE = "offline"


def is_offline(root: bytes) -> bool:
    """Say whether a root at which files were indexed is missing, or empty."""
    try:
        with os.scandir(root) as entries:
            return next(entries, None) is None
    except PermissionError:
        return False
    except OSError:
        return True


def is_absent(root: Root) -> bool:
    """Say whether a root that had files is not there; a server is not asked."""
    if root.kind in {Kind.FILES, Kind.NAMES} or is_url(root.path):
        return False
    return is_offline(root.path) if root.is_folder else not os.path.isfile(root.path)


def look(path: bytes, before: FileEntry, *, keeps_inodes: bool = True) -> Freshness:
    """Look at one file of a root that is there.

    Parameters
    ----------
    path : absolute
    before : what was recorded of it
    keeps_inodes : whether another inode means another file
    """
    try:
        now = os.lstat(path)
    except OSError:
        return Freshness.GONE
    # As `is_unchanged`, but a hundred thousand times within a second.
    unchanged = (
        now.st_mtime_ns == before.mtime_ns
        and now.st_size == before.size
        and (before.ctime_ns is None or now.st_ctime_ns == before.ctime_ns)
        and (not keeps_inodes or now.st_ino & INODE_BITS == before.inode)
        and S_ISREG(now.st_mode)
    )
    return Freshness.HERE if unchanged else Freshness.CHANGED


def _look_in_archive(archive: bytes, before: FileEntry) -> Freshness:
    """Look at the archive that a member is in; it was recorded with the archive's times."""
    try:
        now = os.stat(archive)
    except OSError:
        return Freshness.GONE
    unchanged = now.st_mtime_ns == before.mtime_ns and before.ctime_ns in (None, now.st_ctime_ns)
    return Freshness.HERE if unchanged else Freshness.CHANGED


class Lookout:
    """Looks at the files of a collection, each once, and remembers what was not to be shown.

    Parameters
    ----------
    offline : whether files of offline roots are shown
    asked : an absolute folder whose files are shown although its root is offline
    plain : whether only a person's own files are shown, those that may be acted on
    """

    def __init__(
        self,
        roots: Iterable[Root],
        *,
        offline: bool = False,
        asked: bytes | None = None,
        plain: bool = False,
    ) -> None:
        self._roots = {root.id: root for root in roots}
        self._plain = plain
        self._kept_out: Counter[int] = Counter()  # by root: files that may not be acted on
        self._unasked: Counter[int] = Counter()  # by root: files of servers
        self._offline_shown = offline
        self._asked = None if asked is None else asked.rstrip(b"/") + b"/"
        self._offline: dict[int, bool] = {}
        self._keeps_inodes: dict[int, bool] = {}
        self._seen: dict[bytes, Freshness] = {}
        self._offline_files: Counter[tuple[int, bool]] = Counter()  # by root, and if shown
        self._lost = 0

    def state(self, file: IndexedFile) -> Freshness:
        """Say how a file is."""
        seen = self._seen.get(file.path)
        if seen is None:
            seen = self._seen[file.path] = self._look(file)
        return seen

    def is_offline(self, root: int) -> bool:
        """Say whether a root is not there."""
        found = self._offline.get(root)
        if found is None:
            found = self._offline[root] = is_absent(self._roots[root])
        return found

    def leaves_out(self, root: int) -> bool:
        """Say whether no file of a root may be shown; none of them is looked at."""
        found = self._roots[root]
        if self._plain and not found.is_plain:
            return True
        hides = not self._offline_shown and self._asked is None
        return hides and self.is_offline(root)

    def shows(self, file: IndexedFile) -> bool:
        """Say whether a file may be shown."""
        state = self.state(file)
        if state is Freshness.OFFLINE:
            return self._shows_offline_at(file.path)
        return state is Freshness.HERE

    def _shows_offline_at(self, path: bytes) -> bool:
        return self._offline_shown or (self._asked is not None and path.startswith(self._asked))

    def _look(self, file: IndexedFile) -> Freshness:
        root = self._roots[file.root]
        if self._plain and not root.is_plain:
            self._kept_out[file.root] += 1
            return Freshness.CHANGED
        if file.entry.is_name:
            return Freshness.HERE
        if is_url(root.path):
            self._unasked[file.root] += 1
            return Freshness.HERE
        if self.is_offline(file.root):
            self._offline_files[file.root, self._shows_offline_at(file.path)] += 1
            return Freshness.OFFLINE
        if root.kind is Kind.ARCHIVE:
            state = _look_in_archive(root.path, file.entry)
        else:
            keeps = self._keeps_inodes.get(file.root)
            if keeps is None:
                keeps = self._keeps_inodes[file.root] = keeps_inodes(root.path)
            state = look(file.path, file.entry, keeps_inodes=keeps)
        self._lost += state is not Freshness.HERE
        return state

    def notes(self) -> tuple[str, ...]:
        """Say what was left out and why, one sentence each."""
        notes = []
        if self._lost:
            files = (
                "1 file is gone or has changed since it was indexed"
                if self._lost == 1
                else f"{self._lost:,} files are gone or have changed since they were indexed"
            )
            notes.append(f"{files}; run: dedup index")
        for (root, shown), count in sorted(self._offline_files.items()):
            path = os.fsdecode(self._roots[root].path)
            files = _files(count)
            what = (
                f"{files} of it shown as indexed"
                if shown
                else f"{files} of it left out; to see them: --offline; if it is gone for good: "
                f"dedup roots --forget {shlex.quote(path)}"
            )
            notes.append(f"{path} is not there (an unplugged drive?): {what}")
        for root, count in sorted(self._kept_out.items()):
            path = os.fsdecode(self._roots[root].path)
            notes.append(f"{path}: {_files(count)} left out; {ONLY_PLAIN}")
        for root, count in sorted(self._unasked.items()):
            path = os.fsdecode(self._roots[root].path)
            notes.append(f"{path}: {_files(count)} taken as indexed; to ask again: dedup index")
        return tuple(notes)


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"
