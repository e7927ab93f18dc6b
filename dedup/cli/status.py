"""`dedup status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dedup.answer import row_of
from dedup.cli import cluster
from dedup.cli.formats import TABLES, chosen_format, rows_options
from dedup.cli.options import open_collection
from dedup.cli.output import (
    Column,
    bytes_in_words,
    counted,
    moment_in_words,
    note,
    shown,
    write_jsonl,
    write_rows,
    write_table,
)
from dedup.cli.stores import shared_store_option
from dedup.results import Skip

if TYPE_CHECKING:
    from pathlib import Path

    from dedup.report.status import Status

_SKIPS = (
    Column("path", lambda row: shown(row.path), path=True),
    Column("reason", lambda row: row.reason),
)
_REMARKS = (
    Column("path", lambda row: shown(row.path), path=True),
    Column("remark", lambda row: row.remark),
)


_INDEX_STATES = {
    "fresh": "up to date",
    "stale": "out of date; the next query brings it up to date",
    "none": "not built yet; the first query builds it",
}


@click.command("status")
@shared_store_option
@click.option("--skipped", is_flag=True, help="List the files that could not be read, and why.")
@click.option("--remarks", is_flag=True, help="List the images that are damaged or read in part.")
@rows_options
def status_command(
    store: Path | str | None,
    skipped: bool,  # noqa: FBT001 - click passes flags by name
    remarks: bool,  # noqa: FBT001
    kind: str | None,
    output: Path | None,
) -> None:
    """Show what the collection holds.

    \b
    Examples:
      dedup status
      dedup status --skipped
      dedup status --remarks
    """
    if skipped and remarks:
        raise click.UsageError("--skipped and --remarks cannot be combined")
    form = chosen_format(kind, output=output)
    if not (skipped or remarks) and form in TABLES:
        raise click.UsageError(f"{form} holds plain rows: it needs --skipped or --remarks")
    if isinstance(store, str):
        if remarks:
            raise click.UsageError("--remarks works only with a collection on this computer")
        cluster.status(store, form, skipped=skipped)
        return
    with open_collection(store) as collection:
        if skipped:
            skips = collection.skipped()
            write_rows(skips, Skip, form, _SKIPS, output=output)
            if not len(skips):
                note("No file was skipped.")
        elif remarks:
            from dedup.report.status import Remark

            remarks_on = collection.remarks()
            write_rows(remarks_on, Remark, form, _REMARKS, output=output)
            if not len(remarks_on):
                note("No image is damaged or read in part.")
        else:
            status = collection.status()
            if form == "table":
                _write_status(status)
            else:
                write_jsonl([row_of(status)])
            note(*status.notes)
    note(*collection.notes)


def _write_status(status: Status) -> None:
    layers = ", ".join(
        f"{layer} ({status.dimensions[layer]:,} numbers)" if layer in status.dimensions else layer
        for layer in status.layers
    )
    rows = [
        ("collection", f"{shown(status.path)} ({bytes_in_words(status.bytes_catalog)})"),
        ("model", status.model),
        ("views", " and ".join(status.views)),
        ("kept per image", layers),
        ("last indexed", moment_in_words(status.updated or "") or "never completely"),
        ("images", f"{counted(status.files, 'file')}, {bytes_in_words(status.bytes_indexed)}"),
        ("", f"{status.images:,} different contents, {status.trivial:,} of them blank or tiny"),
    ]
    for number, root in enumerate(status.roots):
        state = "" if root.present else "; not there now, its images are kept"
        title = "" if number else "folders"
        rows.append((title, f"{shown(root.path)}: {counted(root.files, 'file')}{state}"))
    rows.append(("skipped", counted(status.skipped, "file")))
    rows += [("", f"{count:,} × {reason}") for reason, count in status.skips.items()]
    rows.append(("gone", counted(status.gone, "file")))
    recall = ""
    if status.index_recall is not None:
        recall = f"; finds {status.index_recall:.1%} of the ten nearest images"
    rows.append(("search index", f"{_INDEX_STATES[status.index]}{recall}"))
    write_table([("", "left"), ("", "path")], rows)  # text that holds paths
