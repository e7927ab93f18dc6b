"""An open database: its connections, transactions and rows of `meta`, and what is damaged."""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dedup.errors import CollectionError, DamagedError, FingerprintError
from dedup.fingerprint import Fingerprint
from dedup.store.checksums import sound, write_meta
from dedup.store.connections import Connections
from dedup.store.schema import REPAIR, connect, translated, upgrade

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator
    from pathlib import Path

COUNTED: Final = ("roots", "images", "files", "decisions")
"""Tables whose rows are counted at every commit: of a page that lost some, nothing else tells."""

UNBOUND: Final = "unbound"
"""The row of `meta` that stands for a fingerprint that is lost, until there is another one."""

LOST_MODEL: Final = (
    "the model that this collection was made with is lost, and what it computed with it: "
    "embeddings and calibration. Name a model again: dedup index --model NAME; folders and "
    "decisions are kept"
)

RUNNING: Final = "running"
"""The row of `meta` that is not empty from when indexing begins until it has ended."""

_NEEDED: Final = {"fingerprint", "version"}
_WORDS: Final = {
    "roots": "folder",
    "images": "image",
    "files": "file",
    "embeddings": "embedding",
    "parts": "part",
    "decisions": "decision",
    "calibration": "calibration",
}


class Database:
    """What `Catalog` stands on.

    Attributes
    ----------
    notes : what opening has to say: that an older format was upgraded
    left_out : ids of images whose embeddings are damaged, which are no longer read
    ids_read : what `gallery` read last of live images: version, what was left out, ids
    files_read : by version, rows of files that `gallery` has read and is to give yet
    """

    def __init__(self, store: Path) -> None:
        self.store = store
        note = upgrade(store)
        self.notes: tuple[str, ...] = () if note is None else (note,)
        self.left_out: frozenset[int] = frozenset()
        self.ids_read: tuple[tuple[int, frozenset[int]], Any] | None = None  # by `gallery`
        self.files_read: dict[int, list[tuple[Any, ...]]] = {}
        self._damaged: dict[str, int] = {}
        self._connections = Connections(store, partial(connect, store))
        try:
            self.fingerprint = self._read_fingerprint()
        except BaseException:
            self.close()
            raise

    def _read_fingerprint(self) -> Fingerprint:
        text = self._meta("fingerprint")
        if text is None and self._meta(UNBOUND) is not None:
            raise FingerprintError(self.store, LOST_MODEL)
        if text is None:
            raise DamagedError(
                self.store, "its making was interrupted; remove the folder, index again"
            )
        try:
            return Fingerprint.from_json(text)
        except (ValueError, KeyError, TypeError) as error:
            raise _bad_meta(self.store, "fingerprint") from error

    def close(self) -> None:
        """Release the database; every later use raises `CollectionError`."""
        self._connections.close()

    @property
    def connection(self) -> sqlite3.Connection:
        """The database, for bulk reads by `dedup.store.gallery`: the calling thread's connection.

        Raises
        ------
        CollectionError : the collection is closed.
        """
        return self._connections.get()

    # -- meta ------------------------------------------------------------------------------------

    @property
    def parts_compared(self) -> str | None:
        """What `list` last compared the parts of, and how: pairs that were proven then are kept."""
        return self._meta("parts_compared")

    @parts_compared.setter
    def parts_compared(self, state: str) -> None:
        with suppress(CollectionError), self.transaction():  # it only saves work
            self._set_meta("parts_compared", state)

    @property
    def parts_shared(self) -> str | None:
        """What comparing parts came to last, and of which images, as `duplicates.sharing` says."""
        return self._meta("parts_shared")

    @parts_shared.setter
    def parts_shared(self, found: str) -> None:
        with suppress(CollectionError), self.transaction():  # it only saves work
            self._set_meta("parts_shared", found)

    def _meta(self, key: str) -> str | None:
        """Read a value; one that is damaged counts as absent where it can be found out again."""
        with translated(self.store):
            row = self.connection.execute(
                f"SELECT value, {sound('meta')} FROM meta WHERE key = ?",  # noqa: S608 - constant
                (key,),
            ).fetchone()
        if row is None:
            return None
        if not row[1]:
            if key in _NEEDED:
                raise _bad_meta(self.store, key)
            return None
        return str(row[0])

    def _set_meta(self, key: str, value: str) -> None:
        write_meta(self.connection, key, value)

    def begin_run(self) -> None:
        """Record that indexing began, until a batch `ends_run`; a transaction of its own."""
        with self.transaction():
            self._set_meta(RUNNING, "1")

    @property
    def is_unfinished(self) -> bool:
        """Whether indexing is under way, or was broken off."""
        return bool(self._meta(RUNNING))

    @property
    def version(self) -> int:
        """Rises with every change of the gallery; the index is built for one version."""
        try:
            return int(self._meta("version") or 0)
        except ValueError as error:
            raise _bad_meta(self.store, "version") from error

    def gallery_changed(self) -> None:
        """Make indexes built before this transaction stale."""
        self._set_meta("version", str(self.version + 1))

    def row_counts(self) -> dict[str, int]:
        """Read how many rows tables had at the last commit; {} from before there were counts."""
        try:
            counts = json.loads(self._meta("rows") or "{}")
            return {table: int(counts[table]) for table in COUNTED if table in counts}
        except (ValueError, TypeError):
            return {}

    # -- transactions ------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything inside together, or nothing when an exception passes."""
        with translated(self.store):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._count_rows()
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    def _count_rows(self) -> None:
        counts = {
            table: self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - constant
            for table in COUNTED
        }
        if counts != self.row_counts():
            self._set_meta("rows", json.dumps(counts))

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read one state of the catalog, also while a writer commits."""
        with translated(self.store):
            self.connection.execute("BEGIN")
            try:
                yield
            finally:
                self.connection.execute("ROLLBACK")

    # -- damage ----------------------------------------------------------------------------------

    @property
    def damage(self) -> tuple[str, ...]:
        """Say what was found damaged and left out since the catalog was opened, in a sentence."""
        found = {**self._damaged}
        if self.left_out:
            found["embeddings"] = len(self.left_out)
        listed = ", ".join(
            f"{count:,} {_WORDS[table]}{'' if count == 1 else 's'}"
            for table, count in found.items()
            if count
        )
        if not listed:
            return ()
        note = (
            f"Damaged in the catalog and left out: {listed}. `dedup verify` lists them, {REPAIR} "
            "fixes what it can"
        )
        return (note,)

    def found_damaged(self, table: str, count: int) -> None:
        """Remember how many rows of a table the last reading of it left out."""
        self._damaged[table] = count

    def leave_out(self, images: Iterable[int]) -> bool:
        """No longer read images whose embeddings are damaged; False when that changes nothing."""
        more = self.left_out | frozenset(images)
        changed = more != self.left_out
        self.left_out = more
        return changed

    def forget_damage(self) -> None:
        """Read everything again: what was damaged has been dropped."""
        self.left_out = frozenset()
        self.ids_read = None
        self._damaged.clear()

    def mark_damage(self) -> None:
        """Have the next run of indexing mend what was found, where that can be written."""
        if not self.damage or self.connection.in_transaction or self.is_marked:
            return
        with suppress(CollectionError), self.transaction():
            self._set_meta("damaged", "1")

    @property
    def is_marked(self) -> bool:
        """Whether damage was found that indexing has not mended."""
        return self._meta("damaged") is not None


def _bad_meta(store: Path, key: str) -> DamagedError:
    return DamagedError(
        store,
        f"the catalog is damaged: its {key} is not what was written. Run {REPAIR}, or put back a "
        "backup of the folder; the images themselves are not touched.",
    )
