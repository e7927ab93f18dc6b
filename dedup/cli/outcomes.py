"""How it looks what became of files: what `dedup apply`, `undo` and `log` print."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from dedup.actions.outcomes import ActedFile
from dedup.cli.output import Column, bytes_in_words, counted, note, shown, write_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dedup.actions.outcomes import Acted

_MOST: Final = 20  # rows that a person reads on a screen
_REASONS: Final = 10
_COLUMNS = (
    Column("path", lambda row: shown(row.path), path=True),
    Column("action", lambda row: row.action),
    Column("outcome", lambda row: row.outcome),
    Column("to", lambda row: shown(row.to), path=True, optional=True),
    Column("reason", lambda row: row.reason, optional=True),
)

verbose_option = click.option(
    "--verbose",
    "-v",
    is_flag=True,
    help=f"List every file. Otherwise a table of more than {_MOST} has only those that were "
    "refused.",
)


class Outcomes(NamedTuple):
    """How outcomes are written.

    Parameters
    ----------
    form, output : as of `write_rows`
    verbose : whether a table has every row; without it a long one has refused files alone
    """

    form: str
    output: Path | None = None
    verbose: bool = True

    def write(self, acted: Acted) -> None:
        """Write what became of each file; in a table those that were refused stand last."""
        if self.form != "table":
            write_rows(acted, ActedFile, self.form, _COLUMNS, output=self.output)
            return
        refused = [file for file in acted if file.outcome == "refused"]
        rows = [*(file for file in acted if file.outcome != "refused"), *refused]
        if self._shortens(acted):
            rows = refused[:_MOST]
        write_rows(rows, ActedFile, self.form, _COLUMNS)

    def sum_up(self, acted: Acted, outcome: str, words: str, where: str = "") -> None:
        """Count what went well and what was refused, with the reasons, the most frequent first.

        Parameters
        ----------
        outcome, words : what went well, as of `ActedFile`, and in words
        where : option that names the collection
        """
        done = counted(acted.count(outcome), "file")
        note(f"{done} {words}, {bytes_in_words(acted.bytes_of(outcome))}")
        refused = [file for file in acted if file.outcome == "refused"]
        if refused:
            is_shown = self.form == "table" and not self._shortens(acted)
            note(
                f"{counted(len(refused), 'file')} refused and left untouched{':' * (not is_shown)}"
            )
            if not is_shown:
                note_reasons(refused)
        if self._shortens(acted):
            is_logged = acted.run and outcome != "planned"
            again = f"dedup log {acted.run}{where}" if is_logged else "--verbose"
            note(f"To list every file: {again}")

    def _shortens(self, acted: Acted) -> bool:
        return self.form == "table" and not self.verbose and len(acted) > _MOST


def note_reasons(refused: Sequence[ActedFile]) -> None:
    """Count the reasons for which files were refused, a line each."""
    reasons = Counter(file.reason for file in refused)
    order = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    for reason, count in order[:_REASONS]:
        note(f"  {count:,} × {reason}")
    if len(order) > _REASONS:
        note(f"  … and {counted(len(order) - _REASONS, 'other reason')}")
