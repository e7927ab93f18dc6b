"""What was chosen, kept in the store: which files go, and which are keepers instead.

One JSON object a line, the last word on a file counts. A file is known by path and content, so that
a choice does not pass to another file of its name. A line that was cut short is passed over. One
review at a time: two would not know of each other's choices.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from dedup.errors import CollectionError, DedupError, LockedError
from dedup.files import output_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

FILE: Final = "review.jsonl"
_KINDS: Final = ("goes", "keeper")


class Choices:
    """What was chosen of files, by path; survives a restart.

    Parameters
    ----------
    path : of the file that it is kept in; read now, if it is there

    Raises
    ------
    LockedError : another review of the collection has it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = FileLock(path.with_suffix(".lock"), timeout=0, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout as error:
            reason = "another `dedup review` of it runs; use its page, or stop it"
            raise LockedError(path.parent, reason) from error
        except OSError as error:
            raise CollectionError(path.parent, f"cannot be written: {error.strerror}") from error
        self._kept: dict[str, dict[str, str]] = {kind: {} for kind in _KINDS}
        for line in self._read():
            self._take(line)
        self._whole = False

    def close(self) -> None:
        """Let another review have it."""
        self._lock.release()

    @property
    def going(self) -> Mapping[str, str]:
        """SHA-256 of the files that go, by path."""
        return self._kept["goes"]

    @property
    def keepers(self) -> Mapping[str, str]:
        """SHA-256 of the files that are keepers instead of those found, by path."""
        return self._kept["keeper"]

    def set_going(self, files: Mapping[str, str], *, goes: bool) -> None:
        """Let files go, or not.

        Parameters
        ----------
        files : SHA-256 by path

        Raises
        ------
        DedupError : it cannot be kept; nothing is changed.
        """
        self._set("goes", files, on=goes)

    def set_keepers(self, files: Mapping[str, str], *, on: bool) -> None:
        """Make files keepers, or not; as `set_going`."""
        self._set("keeper", files, on=on)

    def _set(self, kind: str, files: Mapping[str, str], *, on: bool) -> None:
        rows = [
            {"kind": kind, "path": path, "sha256": sha256, "on": on}
            for path, sha256 in files.items()
            if (self._kept[kind].get(path) == sha256) != on
        ]
        if not rows:
            return
        self._write(rows)
        for row in rows:
            self._take(row)

    def _take(self, row: Mapping[str, object]) -> None:
        kind, path, sha256 = row.get("kind"), row.get("path"), row.get("sha256")
        if kind not in _KINDS or not isinstance(path, str) or not isinstance(sha256, str):
            return
        if row.get("on"):
            self._kept[str(kind)][path] = sha256
        else:
            self._kept[str(kind)].pop(path, None)

    def _read(self) -> Iterable[dict[str, object]]:
        try:
            lines = self._path.read_text("ascii", "replace").splitlines()
        except FileNotFoundError:
            return
        except OSError as error:
            raise DedupError(f"{self._path}: cannot be read: {error.strerror}") from error
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict):
                yield row

    def _write(self, rows: list[dict[str, object]]) -> None:
        if not self._whole:  # once, without what was taken back, and without a line cut short
            kept = [
                {"kind": kind, "path": path, "sha256": sha256, "on": True}
                for kind, files in self._kept.items()
                for path, sha256 in files.items()
            ]
            with output_file(self._path) as file:
                file.write(_lines([*kept, *rows]))
            self._whole = True
            return
        try:
            with self._path.open("ab") as file:
                file.write(_lines(rows))
        except OSError as error:
            self._whole = False
            raise DedupError(
                f"the choice cannot be kept: {error.strerror}. Make room, then choose again"
            ) from error


def _lines(rows: list[dict[str, object]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
