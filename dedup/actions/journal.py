"""What a run is about to do and has done, a JSON line a step, on disk before the step is taken.

One journal a run, in `runs/<name>/` of the collection. It is only ever added to; an undo adds to
the journal of the run that it takes back. A line that was cut short by a kill was not acted upon,
and is passed over.
"""

from __future__ import annotations

import errno
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self

from dedup.errors import CollectionError, DedupError
from dedup.files import sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RUNS: Final = "runs"
JOURNAL: Final = "journal.jsonl"
_TAIL: Final = 4096

ABOUT: Final = "about"
DONE: Final = "done"
BACK: Final = "back"
REFUSED: Final = "refused"
UNDO: Final = "undo"
UNDONE: Final = "undone"
LOST: Final = "lost"
INTERRUPTED: Final = "interrupted"
"""Why a file is as it was that a run would have come to."""
STAYS: Final = "stays"
"""An undo that was not made: the file is as the run left it."""


@dataclass(slots=True)
class Item:
    """One file of a run.

    Parameters
    ----------
    number : in the order of acting
    about : what was written ahead: path, action, sha256, stat, quarantine, to, …
    state : `ABOUT`, `DONE`, `BACK`, `REFUSED`, `UNDO`, `UNDONE` or `LOST`
    facts : what the catalog is to keep of the file that is at the path now; None: none is
    reason : why it was refused
    undo : name of the undo that it was last part of; "" of none
    """

    number: int
    about: dict[str, Any]
    state: str
    facts: dict[str, int] | None = None
    reason: str = ""
    keeper_facts: dict[str, int] | None = None
    undo: str = ""

    @property
    def path(self) -> str:
        """Where the file was."""
        return str(self.about["path"])

    @property
    def action(self) -> str:
        """What was done, without a folder."""
        return str(self.about["action"])

    @property
    def to(self) -> str:
        """Where the file went."""
        return str(self.about.get("to") or "")

    @property
    def outcome(self) -> str:
        """What became of it, as `ActedFile.outcome` has it."""
        if self.state == BACK and self.reason != INTERRUPTED:
            return "refused"
        outcomes = {STAYS: DONE, ABOUT: INTERRUPTED, BACK: INTERRUPTED, UNDO: INTERRUPTED}
        return outcomes.get(self.state, self.state)

    @property
    def bytes(self) -> int:
        """The size of the file."""
        return int(self.about["stat"]["size"]) if "stat" in self.about else 0


@dataclass(slots=True)
class History:
    """What a journal says, by its lines so far.

    Parameters
    ----------
    is_open : whether it does not say that the run ended
    trials : how the names of small files begin that were made to see whether links are possible
    undos : when each undo of the run was started, by its name
    undo : the last of them; "" where there was none
    """

    run: str
    started: str = ""
    items: dict[int, Item] = field(default_factory=dict)
    is_open: bool = True
    trials: list[str] = field(default_factory=list)
    undos: dict[str, str] = field(default_factory=dict)
    undo: str = ""

    def undone_by(self, undo: str) -> list[Item]:
        """List what an undo brought back and nothing has taken away since, in the run's order."""
        return [item for item in self.items.values() if (item.undo, item.state) == (undo, UNDONE)]

    def take(self, line: dict[str, Any]) -> None:
        """Take in one line."""
        step = line.get("step")
        self.is_open = step != "end"
        if step == "begin":
            self.started = str(line.get("started", ""))
        elif step == "begin undo":
            self.undo = str(line.get("name", ""))
            self.undos[self.undo] = str(line.get("started", ""))
        elif step == "trial":
            self.trials.append(str(line["start"]))
        elif step in (ABOUT, REFUSED):
            self.items[line["n"]] = Item(line["n"], line, step, reason=line.get("reason", ""))
        elif step == "to":
            self.items[line["n"]].about |= {"to": line["to"], "note": line.get("note", "")}
        elif step in (DONE, BACK, UNDO, UNDONE, LOST, STAYS):
            item = self.items[line["n"]]
            item.state = DONE if step == STAYS else step
            item.undo = self.undo
            if step != UNDO:
                item.reason = line.get("reason", "")
            if step in (DONE, BACK, UNDONE):
                item.facts = line.get("facts")
                item.keeper_facts = line.get("keeper_facts")


class Journal:
    """A journal that is open to be added to, with what it says so far.

    A context manager; `history` is what was read and written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / JOURNAL
        self.run = folder.name
        self.history = read_history(folder)
        self._file = os.open(
            self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        if not _ends_a_line(self._path):
            os.write(self._file, b"\n")

    @classmethod
    def begin(cls, store: Path, **facts: Any) -> Journal:
        """Begin the journal of a new run."""
        name, started = _new_name()
        folder = store / RUNS / name
        with _as_error(store):
            folder.mkdir(parents=True)
            journal = cls(folder)
        for above in (folder, folder.parent, store):
            sync_folder(above)
        try:
            journal.write("begin", started=started, **facts)
        except BaseException:
            journal.close()
            raise
        return journal

    def begin_undo(self) -> str:
        """Begin to take the run back; gives the undo's own name."""
        name, started = _new_name()
        self.write("begin undo", name=name, started=started)
        return name

    def write(
        self, step: str, number: int | None = None, *, sync: bool = True, **values: Any
    ) -> None:
        """Add a line; with `sync` it is on disk when this returns.

        Raises
        ------
        CollectionError : it cannot be written, and the step must not be taken.
        """
        line = {"step": step} | ({} if number is None else {"n": number}) | values
        data = json.dumps(line).encode() + b"\n"
        with _as_error(self._path):
            before = os.fstat(self._file).st_size
            if os.write(self._file, data) != len(data):
                os.ftruncate(self._file, before)  # or the next line would go with this one
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if sync:
            self.sync()
        self.history.take(line)

    def sync(self) -> None:
        """Have what was written on disk when this returns.

        Raises
        ------
        CollectionError : as `write`.
        """
        with _as_error(self._path):
            os.fsync(self._file)

    def close(self) -> None:
        """Close it."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _new_name() -> tuple[str, str]:
    """Name what begins now, so that names sort by time; with the time."""
    now = datetime.now(UTC)
    name = f"{now:%Y%m%d-%H%M%S}-{(now.microsecond << 16) // 1_000_000:04x}"
    return name, now.isoformat(timespec="seconds")


@contextmanager
def _as_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CollectionError(path, f"the journal cannot be written: {error.strerror}") from error


def read_history(folder: Path) -> History:
    """Read a journal."""
    history = History(folder.name)
    try:
        with open(folder / JOURNAL, "rb") as file:
            for text in file:
                line = _parsed(text)
                if line is not None:
                    history.take(line)
    except FileNotFoundError:
        history.is_open = False
    except (OSError, KeyError, TypeError) as error:
        raise DedupError(
            f"{folder / JOURNAL}: cannot be read ({error}). It says where files were and went: "
            "check them, then move its folder away"
        ) from error
    return history


def _parsed(text: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) and text.endswith(b"\n") else None


def runs_of(store: Path) -> list[Path]:
    """List the folders of all runs, the newest first."""
    try:
        found = [path for path in (store / RUNS).iterdir() if (path / JOURNAL).is_file()]
    except FileNotFoundError:
        return []
    return sorted(found, key=lambda path: path.name, reverse=True)


def unfinished(store: Path) -> list[Path]:
    """List the runs whose journal does not say that they ended, the newest first."""
    return [folder for folder in runs_of(store) if not _is_ended(folder / JOURNAL)]


def _tail(path: Path) -> bytes:
    with open(path, "rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - _TAIL))
        return file.read()


def _is_ended(path: Path) -> bool:
    last = _tail(path).rpartition(b"\n")[0].rpartition(b"\n")[2]
    line = _parsed(last + b"\n") if _ends_a_line(path) else None
    return line is not None and line.get("step") == "end"


def _ends_a_line(path: Path) -> bool:
    tail = _tail(path)
    return not tail or tail.endswith(b"\n")


def find_run(store: Path, name: str) -> Path:
    """Find a run by its name.

    Raises
    ------
    DedupError
    """
    for folder in runs_of(store):
        if folder.name == name:
            return folder
    raise DedupError(f"{store}: there is no run {name!r}; to see them: dedup log")


def find_undo(store: Path, name: str) -> History | None:
    """Find the run that was taken back by the undo of a name; None: there is no such undo."""
    folders = runs_of(store)
    if any(folder.name == name for folder in folders):
        return None
    histories = map(read_history, folders)
    return next((history for history in histories if name in history.undos), None)
