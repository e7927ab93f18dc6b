"""What acting on files gives: rows, and the answers that hold them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dedup.answer import Answer


@dataclass(frozen=True, slots=True)
class ActedFile:
    """What became of one file.

    Parameters
    ----------
    action : "trash", "move", "delete", "hardlink", "reflink" or "symlink"; "carry" of a file of
        XMP that was written beside a keeper
    outcome : "done", "refused", "undone", "planned" (of a dry run), "interrupted" (before it was
        its turn) or "lost" (another program removed it)
    bytes : size of the file
    to : where it is now, or would be; "" where it was or nowhere
    reason : why it was refused; "" otherwise
    """

    path: str
    action: str
    outcome: str
    bytes: int
    to: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Acted(Answer[ActedFile]):
    """What `apply` or `undo` did, by the order in which it was done.

    Parameters
    ----------
    run : its name, for `undo` and `log`; "" where nothing was done; of a dry run of `undo` the name
        of what would be taken back
    """

    rows_in: ClassVar[str] = "files"
    run: str
    files: tuple[ActedFile, ...]
    notes: tuple[str, ...] = ()

    def count(self, outcome: str) -> int:
        """Count the files of one outcome."""
        return sum(file.outcome == outcome for file in self.files)

    def bytes_of(self, outcome: str) -> int:
        """Add up the sizes of the files of one outcome."""
        return sum(file.bytes for file in self.files if file.outcome == outcome)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of `apply`, or an undo of one.

    Parameters
    ----------
    run : its name
    started : ISO 8601 in UTC
    done : files that are as it left them; none of an undo
    undone : files that were brought back; by it, of an undo
    refused : files that were not touched
    bytes : of the files that are `done`; of an undo of the `undone`
    undo_of : the run that an undo took back; "" of other runs
    action : as of `ActedFile`, several separated by commas; "undo" of an undo
    """

    run: str
    started: str
    done: int
    undone: int
    refused: int
    bytes: int
    undo_of: str = ""
    action: str = ""


@dataclass(frozen=True, slots=True)
class RunsAnswer(Answer[Run]):
    """All runs, the newest first."""

    rows_in: ClassVar[str] = "runs"
    runs: tuple[Run, ...]
    notes: tuple[str, ...] = ()
