"""What a path names, wherever it lies: a file, a member of an archive, something on a server.

Everything that reads an indexed image comes by here: indexing, the proof, thumbnails, checks. The
path alone says how: no file lies below a file, so that what does is a member of an archive.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from dedup.errors import SourceError
from dedup.records import INODE_BITS, FileEntry, is_url
from dedup.sources import archives, remote

if TYPE_CHECKING:
    from collections.abc import Callable


class Elsewhere(NamedTuple):
    """How to read what is no file of its own; both take what they are of from `elsewhere`."""

    read: Callable[[int], bytes]
    entry: Callable[[], FileEntry | None]


def elsewhere(path: bytes) -> Elsewhere | None:
    """Say how to read what is no plain file; None where nothing but a file can be meant."""
    if is_url(path):
        server = remote.split(path)
        return Elsewhere(
            lambda limit: remote.read(path, limit),
            lambda: remote.asked_for(server.root, [server.name or b""])[0],
        )
    parts = archives.split(path)
    if parts is None:
        return None
    return Elsewhere(lambda limit: archives.read(*parts, limit), lambda: member_entry(path, *parts))


def entry_of(path: bytes, *, follow: bool = False) -> FileEntry | None:
    """Describe what is at a path now; None where nothing is.

    Parameters
    ----------
    path : the entry has it as it is
    follow : whether a symbolic link is followed

    Raises
    ------
    SourceError : a server gives no answer.
    """
    if not is_url(path):
        try:
            return entry_from(path, os.stat(path, follow_symlinks=follow))
        except NotADirectoryError:
            pass
        except OSError:
            return None
    place = elsewhere(path)
    found = None if place is None else place.entry()
    return None if found is None else found._replace(path=path)


def entry_from(path: bytes, facts: os.stat_result) -> FileEntry:
    """Describe a file by what the system says of it."""
    return FileEntry(
        path, facts.st_size, facts.st_mtime_ns, facts.st_dev, facts.st_ino & INODE_BITS,
        facts.st_nlink, facts.st_ctime_ns,
    )  # fmt: skip


def member_entry(path: bytes, archive: bytes, name: bytes) -> FileEntry | None:
    """Describe a member of an archive: its own size, and the times and inode of the archive."""
    try:
        member = archives.contents(archive).members.get(name)
        if member is None:
            return None
        facts = entry_from(path, os.stat(archive))
    except (OSError, SourceError):
        return None
    return facts._replace(size=member.size, links=1)
