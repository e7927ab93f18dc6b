"""What is known of folders, files and images: what scanning finds and the catalog keeps."""

from __future__ import annotations

from typing import NamedTuple


class Root(NamedTuple):
    """An indexed folder; `path` is absolute."""

    id: int
    path: bytes


class FileEntry(NamedTuple):
    """An image file by name, as its directory entry describes it.

    Parameters
    ----------
    path : relative to the root, parts joined by `os.sep`, the raw bytes of the file system
    links : names that the file has; the others may lie outside the root
    """

    path: bytes
    size: int
    mtime_ns: int
    device: int
    inode: int
    links: int = 1


class KnownFile(NamedTuple):
    """What the catalog knows of a file; `tried_with` is None unless it was skipped for good."""

    path: bytes
    id: int
    size: int
    mtime_ns: int
    state: str
    tried_with: str | None


class ImageFacts(NamedTuple):
    """What is kept of an image, one per different content.

    Parameters
    ----------
    digest : SHA-256 of the file
    width, height : upright, pixels
    frames : 1 for stills
    trivial : blank or tiny, never a duplicate by similarity
    input_digest : XXH3 (128 bits) of the decoded input to the extractors
    """

    digest: bytes
    format: str
    width: int
    height: int
    frames: int
    trivial: bool
    input_digest: bytes


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
