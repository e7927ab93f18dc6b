"""`dedup contains`, and how folders that are inside others look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dedup.answer import keys_of, row_of
from dedup.cli.formats import chosen_format, format_options
from dedup.cli.groups import Output, note_left_out
from dedup.cli.options import Name, offline_option, open_collection, store_option, tier_option
from dedup.cli.output import (
    Column,
    bytes_in_words,
    counted,
    note,
    progress_bars,
    say,
    shown,
    write_csv,
    write_jsonl,
    write_paths,
    write_rows,
)
from dedup.results import Tier

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dedup.report.folders import FolderOverlap


def _percent(share: float) -> str:
    return f"{int(share * 100)}%"  # never 100 before all is inside


def _figure(count: int) -> str:
    return f"{count:,}" if count else ""


_COLUMNS = (
    Column("", lambda row: _percent(row.share), right=True),
    Column("of", lambda row: shown(row.folder), path=True),
    Column("is inside", lambda row: shown(row.inside), path=True),
    Column("images", lambda row: f"{row.files:,}", right=True),
    Column("exact", lambda row: _figure(row.exact), right=True, optional=True),
    Column("proven", lambda row: _figure(row.proven), right=True, optional=True),
    Column("only there", lambda row: _figure(len(row.only)), right=True, optional=True),
    Column("size", lambda row: bytes_in_words(row.bytes), right=True),
)


@click.command("contains")
@click.argument("folder", metavar="A", type=Name())
@click.argument("inside", metavar="B", type=Name())
@store_option
@tier_option("exact,pixels,resaved")
@offline_option
@format_options
def contains_command(
    folder: str,
    inside: str,
    store: Path | None,
    tiers: frozenset[Tier],
    offline: bool,  # noqa: FBT001 - click passes flags by name
    kind: str | None,
    output: Path | None,
    nul: bool,  # noqa: FBT001
    csv_safe: bool,  # noqa: FBT001
) -> None:
    """Show how much of folder A is in folder B, and what is not.

    Both are indexed folders, or inside one. An image of A is in B if a file there has the same
    bytes or pixels, or is proven to show the same and is no lesser version: not smaller, more
    compressed, damaged, or without the camera's data. Images that could not be read count as only
    in A; files that are not images are ignored. --format paths prints what is only in A. `dedup
    list --folders` finds such folders; `dedup plan A --into B` plans which files of A may go.

    \b
    Examples:
      dedup contains /media/old-backup ~/Pictures
      dedup contains ~/Desktop/phone ~/Pictures -0 | xargs -0 cp -t ~/Pictures/new
    """
    form = chosen_format(kind, nul=nul, csv_safe=csv_safe, output=output)
    _check_tiers(tiers)
    with open_collection(store) as collection, progress_bars() as progress:
        answer = collection.contains(folder, inside, tier=tiers, offline=offline, progress=progress)
    if form == "table":
        _write_answer(answer)
    elif form == "paths":
        write_paths(answer, nul=nul)
    else:
        _print_overlaps([answer], Output(form, nul, csv_safe, output))
    note(*collection.notes, *answer.notes)


def _check_tiers(tiers: frozenset[Tier]) -> None:
    if Tier.SIMILAR in tiers:
        raise click.UsageError(
            "the tier similar proves nothing: it cannot show that a folder is inside another"
        )


def _write_answer(answer: FolderOverlap) -> None:
    folder = shown(answer.folder)
    say(f"{folder} is {_percent(answer.share)} inside {shown(answer.inside)}")
    there = answer.exact + answer.proven
    size = bytes_in_words(answer.bytes)
    say(
        f"  {there:,} of {counted(answer.files, 'image')}, {size}: {answer.exact:,} by their "
        f"bytes, {answer.proven:,} proven"
    )
    if answer.only:
        say(f"  {len(answer.only):,} only in {folder}:")
    for path in answer:
        say(shown(path))


def list_folders(
    store: Path | None,
    tiers: frozenset[Tier],
    under: tuple[str, ...],
    limit: int | None,
    out: Output,
    *,
    offline: bool,
) -> None:
    """Print the folders that are inside others; parameters as of `dedup list`."""
    _check_tiers(tiers)
    with open_collection(store) as collection, progress_bars() as progress:
        answer = collection.folders(tier=tiers, under=under, offline=offline, progress=progress)
    _print_overlaps(answer[:limit], out)
    note_left_out(len(answer), limit, "folder")
    if not len(answer):
        note("No folder is at least half inside another one.")
    note(*collection.notes, *answer.notes)


def _print_overlaps(overlaps: Sequence[FolderOverlap], out: Output) -> None:
    from dedup.report.folders import FolderOverlap

    if out.form == "csv":
        heads = [key for key in keys_of(FolderOverlap) if key != "only"]
        rows = (
            {head: row[head] for head in heads} | {"path": path}
            for row in map(row_of, overlaps)
            for path in row["only"] or [""]
        )
        write_csv([*heads, "path"], rows, safe=out.csv_safe)
    elif out.form == "jsonl":
        write_jsonl(map(row_of, overlaps))
    elif overlaps or out.form == "parquet":
        write_rows(overlaps, FolderOverlap, out.form, _COLUMNS, output=out.output)
