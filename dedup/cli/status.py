"""`dedup status`."""

from __future__ import annotations

import os
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
        raise click.UsageError(f"{form} needs plain rows: add --skipped or --remarks")
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
    from dedup.cli.facts import Fact, write_facts

    layers = ", ".join(
        f"{layer} ({status.dimensions[layer]:,} numbers)" if layer in status.dimensions else layer
        for layer in status.layers
    )
    kinds = f"{status.images:,} different contents, {status.trivial:,} of them blank or tiny"
    facts = [
        Fact("collection", bytes_in_words(status.bytes_catalog), shown(status.path)),
        Fact("model", status.model),
        Fact("views", " and ".join(status.views)),
        Fact("kept per image", layers),
        Fact("last indexed", moment_in_words(status.updated or "") or "never completely"),
        Fact("images", f"{counted(status.files, 'file')}, {bytes_in_words(status.bytes_indexed)}"),
        Fact("", kinds),
    ]
    for number, root in enumerate(status.roots):
        state = "" if root.present else "; not there now, its images are kept"
        is_list = root.kind == "files" and root.path == os.sep
        where = "named one by one" if is_list else shown(root.path)
        name = "" if number else "folders"
        facts.append(Fact(name, f"{counted(root.files, 'file')}{state}", where))
    facts.append(Fact("skipped", counted(status.skipped, "file")))
    facts += [Fact("", f"{count:,} × {reason}") for reason, count in status.skips.items()]
    facts.append(Fact("gone", counted(status.gone, "file")))
    recall = ""
    if status.index_recall is not None:
        recall = f"; finds {status.index_recall:.1%} of the ten nearest images"
    facts.append(Fact("search index", f"{_INDEX_STATES[status.index]}{recall}"))
    write_facts(facts)
