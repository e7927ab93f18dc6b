"""`dedup roots`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dedup.cli.formats import chosen_format, rows_options
from dedup.cli.options import Name, open_collection, store_option
from dedup.cli.output import Column, note, shown, write_rows

if TYPE_CHECKING:
    from pathlib import Path

_COLUMNS = (
    Column("path", lambda row: shown(row.path), path=True),
    Column("files", lambda row: f"{row.files:,}", right=True),
    Column("", lambda row: "present" if row.present else "offline"),
)


@click.command("roots")
@store_option
@click.option(
    "--forget",
    metavar="PATH",
    type=Name(),
    help="Drop the folder PATH and its files from the collection. The files are not touched, and "
    "what was computed from them is kept.",
)
@click.option(
    "--move",
    nargs=2,
    metavar="OLD NEW",
    type=Name(),
    help="Record that the folder OLD is now at NEW.",
)
@rows_options
def roots_command(
    store: Path | None,
    forget: str | None,
    move: tuple[str, str] | None,
    kind: str | None,
    output: Path | None,
) -> None:
    """Show the indexed folders, and which of them are there now.

    A folder that is missing, or that held images and is empty now, is offline: a drive that is not
    plugged in. Its images are kept, but left out of answers.

    \b
    Examples:
      dedup roots
      dedup roots --forget /media/old-drive
      dedup roots --move /media/usb /mnt/photos
    """
    if forget is not None and move is not None:
        raise click.UsageError("--forget and --move cannot be combined")
    from dedup.report.status import RootStatus

    form = chosen_format(kind, output=output)

    with open_collection(store) as collection:
        if forget is not None:
            answer = collection.forget_root(forget)
        elif move is not None:
            answer = collection.move_root(*move)
        else:
            answer = collection.roots()
        if forget is None and move is None:
            write_rows(answer, RootStatus, form, _COLUMNS, output=output)
            if not len(answer):
                note("No folder is indexed.")
        note(*collection.notes, *answer.notes)
