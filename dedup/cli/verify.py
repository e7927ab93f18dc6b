"""`dedup verify` and `dedup repair`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dedup.cli import cluster
from dedup.cli.formats import chosen_format, rows_options
from dedup.cli.options import EXIT_FOUND
from dedup.cli.output import Column, counted, note, progress_bars, shown, write_rows
from dedup.cli.stores import shared_store_option

if TYPE_CHECKING:
    from pathlib import Path

_COLUMNS = (
    Column("kind", lambda row: row.kind),
    Column("path", lambda row: shown(row.path), path=True),
    Column("detail", lambda row: shown(row.detail)),
)


@click.command("verify")
@shared_store_option
@click.option(
    "--deep",
    is_flag=True,
    help="Read every indexed file as well, and compare it with what was indexed: finds content "
    "that changed while size and times did not. In object storage: read every object of the "
    "collection.",
)
@rows_options
def verify_command(
    store: Path | str | None,
    deep: bool,  # noqa: FBT001 - click passes flags by name
    kind: str | None,
    output: Path | None,
) -> None:
    """Check that the collection is as it was written.

    Checks the catalog (SQLite's own check, its tables, the checksum of every row, what rows refer
    to) and the index. Nothing is changed. Exit code 3 if anything was found.

    \b
    Examples:
      dedup verify
      dedup verify --deep
    """
    from dedup.session import find_store
    from dedup.verbs import integrity

    form = chosen_format(kind, output=output)
    if isinstance(store, str):
        cluster.verify(store, form, output, deep=deep)
        return
    with progress_bars("files") as progress:
        answer = integrity.verify(
            integrity.store_in(store) if store is not None else find_store(), progress, deep=deep
        )
    from dedup.report.integrity import Finding

    write_rows(answer, Finding, form, _COLUMNS, output=output)
    note(*answer.notes)
    if deep:
        note(f"Compared {counted(answer.files_read, 'file')} with what was indexed.")
    if len(answer):
        note(f"{counted(len(answer), 'finding')}. `dedup repair` fixes what it can.")
        raise click.exceptions.Exit(EXIT_FOUND)
    note("Everything is as it was written.")


@click.command("repair")
@shared_store_option
@rows_options
def repair_command(store: Path | str | None, kind: str | None, output: Path | None) -> None:
    """Repair what can be repaired in a damaged collection.

    Drops damaged rows, rebuilds a damaged database, and reads the files concerned again. Sound
    decisions are kept, and what is lost is named. The catalog is copied first. Images are never
    changed. In object storage: drops damaged objects, so that `dedup index` and `dedup list` make
    them again, and deletes what no list needs any more.

    \b
    Examples:
      dedup repair
      dedup verify || dedup repair
    """
    from dedup.session import find_store
    from dedup.verbs import integrity

    form = chosen_format(kind, output=output)
    if isinstance(store, str):
        cluster.repair(store, form, output)
        return
    with progress_bars("files") as progress:
        answer = integrity.repair(
            integrity.store_in(store) if store is not None else find_store(), progress
        )
    from dedup.report.integrity import Finding

    write_rows(answer, Finding, form, _COLUMNS, output=output)
    note(*answer.notes)
    note(f"Repaired: {counted(len(answer), 'finding')}." if len(answer) else "Nothing to repair.")
