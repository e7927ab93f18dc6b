"""What acting on files needs of the catalog: contents by path, a key, and rows that follow."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

from dedup.records import INODE_BITS
from dedup.store.checksums import seal, sound, write_meta
from dedup.store.schema import translated
from dedup.store.trust import checked_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dedup.store.catalog import Catalog

_KEY: Final = "plan key"
_KEY_BYTES: Final = 32
_NAMES_AT_ONCE: Final = 2000  # of one statement

_GONE = "state = 'gone', checksum = " + seal("files", state="'gone'")
_BACK = (
    "state = 'indexed', size = ?1, mtime_ns = ?2, device = ?3, inode = ?4, ctime_ns = ?5, "
    "checksum = "
    + seal(
        "files",
        state="'indexed'",
        size="?1",
        mtime_ns="?2",
        device="?3",
        inode="?4",
        ctime_ns="?5",
    )
)


class Content(NamedTuple):
    """What is known of an indexed file.

    Parameters
    ----------
    file, image : ids
    digest : SHA-256
    width, height : upright, pixels
    remark : what a person should know of the image; "" where that is nothing
    """

    file: int
    size: int
    mtime_ns: int
    image: int
    digest: bytes
    format: str
    width: int
    height: int
    remark: str

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


class Back(NamedTuple):
    """A file that is where it was, whose inode or times may be others.

    Parameters
    ----------
    path : absolute
    digest : SHA-256 of its content, which was read
    """

    path: bytes
    digest: bytes
    size: int
    mtime_ns: int
    device: int
    inode: int
    ctime_ns: int


def contents_by_path(catalog: Catalog, wanted: set[bytes]) -> dict[bytes, Content]:
    """Map absolute paths of indexed files to what is known of them; damaged rows are left out."""
    files: dict[bytes, tuple[int, int, int, int]] = {}
    with translated(catalog.store):
        for root in catalog.roots():
            top = root.path.rstrip(b"/") + b"/"
            names = [path.removeprefix(top) for path in wanted if path.startswith(top)]
            for start in range(0, len(names), _NAMES_AT_ONCE):
                part = names[start : start + _NAMES_AT_ONCE]
                for name, *known in catalog.connection.execute(
                    "SELECT path, id, size, mtime_ns, image FROM files WHERE root = ?"  # noqa: S608 - marks only
                    f" AND path IN ({','.join('?' * len(part))})"
                    f" AND state = 'indexed' AND {sound('files')}",
                    (root.id, *part),
                ):
                    files[top + checked_path(catalog.store, name)] = tuple(known)
        # Each of them once, however many files it has: to check a row takes longer than to read it.
        images = {
            row[0]: row
            for row in catalog.connection.execute(
                "SELECT id, digest, format, width, height, coalesce(remark, '')"  # noqa: S608 - constant
                f" FROM images WHERE id IN (SELECT value FROM json_each(?)) AND {sound('images')}",
                (json.dumps(sorted({known[3] for known in files.values()})),),
            )
        }
    return {
        path: Content(*known[:3], *images[known[3]])
        for path, known in files.items()
        if known[3] in images
    }


def plan_key(catalog: Catalog, *, make: bool) -> bytes | None:
    """Give the secret with which a collection knows its own plans again.

    Parameters
    ----------
    make : whether one is made where there is none; a transaction of its own
    """
    with translated(catalog.store):
        row = catalog.connection.execute(
            f"SELECT value FROM meta WHERE key = ? AND {sound('meta')}",  # noqa: S608 - constant
            (_KEY,),
        ).fetchone()
    if row is not None:
        return bytes.fromhex(row[0])
    if not make:
        return None
    key = secrets.token_bytes(_KEY_BYTES)
    with catalog.transaction():
        write_meta(catalog.connection, _KEY, key.hex())
    return key


def name_of(key: bytes) -> str:
    """Give the name of the collection that has a key."""
    return hashlib.blake2b(key, digest_size=8, person=b"collection").hexdigest()


def record_acted(catalog: Catalog, gone: Iterable[bytes], back: Iterable[Back]) -> None:
    """Let rows follow what was done to files, in one transaction.

    Parameters
    ----------
    gone : absolute paths of files that were taken away
    back : files that are there; rows of other contents are left as they are
    """
    lost, there = list(gone), list(back)
    if not lost and not there:
        return
    roots = [(root.id, root.path.rstrip(b"/") + b"/") for root in catalog.roots()]
    with catalog.transaction():
        catalog.connection.executemany(
            f"UPDATE files SET {_GONE} WHERE root = ? AND path = ? AND {sound('files')}",  # noqa: S608 - constant
            [
                (root, path.removeprefix(top))
                for path in lost
                for root, top in roots
                if path.startswith(top)
            ],
        )
        catalog.connection.executemany(
            f"UPDATE files SET {_BACK} WHERE root = ?6 AND path = ?7 AND state != 'skipped'"  # noqa: S608 - constant
            f" AND image = (SELECT id FROM images WHERE digest = ?8) AND {sound('files')}",
            [
                (
                    one.size, one.mtime_ns, one.device, one.inode & INODE_BITS, one.ctime_ns,
                    root, one.path.removeprefix(top), one.digest,
                )
                for one in there
                for root, top in roots
                if one.path.startswith(top)
            ],
        )  # fmt: skip
        catalog.gallery_changed()
