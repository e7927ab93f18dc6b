"""What goes into the catalog and comes out of it: roots, files, pictures."""

from __future__ import annotations

from typing import NamedTuple


class Root(NamedTuple):
    """An indexed folder; `path` is absolute."""

    id: int
    path: bytes


class KnownFile(NamedTuple):
    """What the catalog knows of a file; `tried_with` is None unless it was skipped for good."""

    path: bytes
    id: int
    size: int
    mtime_ns: int
    state: str
    tried_with: str | None


class FileFacts(NamedTuple):
    """A file as the scan saw it; `path` is relative to its root."""

    path: bytes
    size: int
    mtime_ns: int
    device: int
    inode: int


class ImageFacts(NamedTuple):
    """What is kept of a picture, one per different content.

    Parameters
    ----------
    digest : SHA-256 of the file
    width, height : upright, pixels
    frames : 1 for stills
    trivial : blank or tiny, never a duplicate by similarity
    input_digest : SHA-256 of the decoded input to the extractor
    """

    digest: bytes
    format: str
    width: int
    height: int
    frames: int
    trivial: bool
    input_digest: bytes


class Settled(NamedTuple):
    """What a look at a root gives, as long as the root looks the same.

    Parameters
    ----------
    digest : of all that was looked at
    unchanged : files that are indexed
    still_skipped : files that stay skipped
    hard_links : further names of these files
    """

    digest: str
    unchanged: int
    still_skipped: int
    hard_links: int
