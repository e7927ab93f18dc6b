"""What is known of folders, files and images: what scanning finds and the catalog keeps."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, NamedTuple

INODE_BITS: Final = (1 << 63) - 1
"""What is kept of an inode's number: SQLite's integers are signed."""

VERIFIER: Final = "proof-23"
"""Changes with every change that can change a verdict on a pair (`proof`); stored ones are keyed by
it."""

TRAITS: Final = "traits-5"
"""Changes with every change that can change a trait of an image (`images.traits`); stored ones are
keyed by it."""

_URL: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]+://")


class Kind(StrEnum):
    """What a root is, by which its files are listed and read."""

    FOLDER = "folder"
    """of this computer, listed whole"""
    FILES = "files"
    """files named one by one; the root is "/", or a server"""
    ARCHIVE = "archive"
    """a zip or tar; its files are the members"""
    REMOTE = "remote"
    """a folder or bucket by its URL"""
    KEPT = "kept"
    """images handed over in memory, kept as files inside the collection"""
    NAMES = "names"
    """no files: what vectors of the user's own are called; nothing is looked for"""


NAMES: Final = b"/ (names)"
"""The root of ids that are names and no files; no folder is there, and nothing is looked for."""


NAME_MARK: Final = b"="
"""Before a name in the catalog, which may begin like an absolute path."""


class Root(NamedTuple):
    """An indexed folder, or another source of images.

    Parameters
    ----------
    path : absolute, symbolic links resolved; or a URL without a slash at its end
    exclude : patterns of what is left out, by gitignore's rules
    """

    id: int
    path: bytes
    exclude: tuple[str, ...] = ()
    kind: Kind = Kind.FOLDER

    @property
    def is_folder(self) -> bool:
        """Whether a folder of this computer is scanned."""
        return self.kind in {Kind.FOLDER, Kind.KEPT}

    @property
    def is_plain(self) -> bool:
        """Whether its files are a person's own on this computer, so that they may be acted on."""
        return self.kind is Kind.FOLDER or (self.kind is Kind.FILES and not is_url(self.path))

    def holds(self, path: bytes) -> bool:
        """Say whether an absolute path is below this root."""
        return path.startswith(self.path.rstrip(b"/") + b"/")


def is_url(path: bytes) -> bool:
    """Tell a URL from a path."""
    return b"://" in path and _URL.match(path) is not None


class FileEntry(NamedTuple):
    """An image file by name, as its directory entry describes it.

    Parameters
    ----------
    path : relative to the root, parts joined by `os.sep`, the raw bytes of the file system
    size : bytes; 0 of what is a name and no file
    inode : the lowest 63 bits of it
    links : names that the file has; the others may lie outside the root
    ctime_ns : when content, name or owner last changed, which no program can set; None: not known
    """

    path: bytes
    size: int
    mtime_ns: int
    device: int
    inode: int
    links: int = 1
    ctime_ns: int | None = None

    @property
    def is_name(self) -> bool:
        """Whether it is an id of the user's own that is no file; files of no bytes are skipped."""
        return not self.size


class KnownFile(NamedTuple):
    """What the catalog knows of a file.

    Parameters
    ----------
    tried_with : None unless it was skipped for good
    ctime_ns : None where it was recorded by a version that did not look
    """

    path: bytes
    id: int
    size: int
    mtime_ns: int
    state: str
    tried_with: str | None
    inode: int
    ctime_ns: int | None


class IndexedFile(NamedTuple):
    """A file as it was recorded.

    Parameters
    ----------
    path : absolute
    root : id of its root
    """

    path: bytes
    root: int
    entry: FileEntry


def is_unchanged(now: FileEntry, before: FileEntry | KnownFile, *, keeps_inodes: bool) -> bool:
    """Say whether a file is the one that was recorded under its name, as far as can be seen.

    Parameters
    ----------
    before : a time of change that is not known counts as equal
    keeps_inodes : whether another inode means another file
    """
    return (
        now.size == before.size
        and now.mtime_ns == before.mtime_ns
        and (before.ctime_ns is None or now.ctime_ns == before.ctime_ns)
        and (not keeps_inodes or now.inode == before.inode)
    )


class ImageFacts(NamedTuple):
    """What is kept of an image, one per different content.

    Parameters
    ----------
    digest : SHA-256 of the file
    width, height : upright, pixels
    frames : 1 for stills; 0 where it is a name with a vector and no image
    trivial : blank or tiny, never a duplicate by similarity
    input_digest : XXH3 (128 bits) of the decoded input to the extractors
    damaged : whether stretches of it are lost, so that a sound copy is better
    remark : what a person should know of it: that parts are damaged, or what was left out
    """

    digest: bytes
    format: str
    width: int
    height: int
    frames: int
    trivial: bool
    input_digest: bytes
    damaged: bool = False
    remark: str | None = None


class Settled(NamedTuple):
    """What comparing a root with the catalog gave, valid as long as the root looks the same.

    Parameters
    ----------
    digest : of everything that was looked at
    unchanged : files that are indexed
    still_skipped : files that stay skipped
    hard_links : further names of these files
    """

    digest: str
    unchanged: int
    still_skipped: int
    hard_links: int
