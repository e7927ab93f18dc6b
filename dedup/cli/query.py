"""`dedup query`."""

from __future__ import annotations

from pathlib import Path

import click

from dedup.cli import cluster_answers
from dedup.cli.files import Box, files_options, named_files
from dedup.cli.formats import chosen_format, format_options
from dedup.cli.options import (
    Name,
    Number,
    device_option,
    offline_option,
    open_collection,
    strict_option,
    weights_option,
)
from dedup.cli.output import Column, note, note_skips, progress_bars, shown, write_rows
from dedup.cli.own import read_vectors
from dedup.cli.stores import shared_store_option
from dedup.results import Neighbour

_COLUMNS = (
    Column("query", lambda row: shown(row.query) if row.rank == 1 else "", path=True),
    Column("rank", lambda row: str(row.rank), right=True),
    Column("similarity", lambda row: f"{row.similarity:.4f}", right=True),
    Column("path", lambda row: shown(row.path), path=True),
)

_SHARED = {"-k", "--files-from", "--column", "--strict", "--format", "--output", "-o", "-0",
           "--nul", "--csv-safe"}  # fmt: skip
"""What works in object storage."""


@click.command("query")
@click.argument("images", nargs=-1, metavar="[IMAGE]...", type=Name())
@shared_store_option
@click.option(
    "--text",
    type=Name(),
    metavar="WORDS",
    multiple=True,
    help="What is to be seen, in words: alone, or added to each IMAGE; repeatable. Takes a "
    "collection whose model has a text tower (open_clip:...).",
)
@click.option(
    "--not-text",
    type=Name(),
    metavar="WORDS",
    multiple=True,
    help="What is not to be seen: taken off the query; repeatable.",
)
@click.option(
    "--vector",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Instead of IMAGE: a vector, or several (Q, D), in a .npy file: of the collection's own "
    "width where it holds vectors of yours, else as `dedup export --fused` writes them.",
)
@click.option("-k", "k", type=click.IntRange(min=1), help="How many neighbours.  [default: 10]")
@click.option(
    "--threshold",
    type=Number(-1, 1),
    metavar="S",
    help="Instead of -k: everything at least this similar, from -1 to 1.",
)
@click.option(
    "--crop",
    type=Box(),
    metavar="X,Y,W,H",
    help="Look for a part of each IMAGE: left, top, width and height in pixels.",
)
@files_options
@offline_option
@weights_option
@device_option
@strict_option
@format_options
def query_command(
    images: tuple[str, ...],
    store: Path | str | None,
    text: tuple[str, ...],
    not_text: tuple[str, ...],
    vector: Path | None,
    k: int | None,
    threshold: float | None,
    crop: tuple[int, int, int, int] | None,
    files_from: str | None,
    column: str | None,
    offline: bool,  # noqa: FBT001 - click passes flags by name
    weights: Path | None,
    device: str,
    strict: bool,  # noqa: FBT001
    kind: str | None,
    output: Path | None,
    nul: bool,  # noqa: FBT001
    csv_safe: bool,  # noqa: FBT001
) -> None:
    """Show the indexed images nearest to each IMAGE, or to words.

    An IMAGE need not be indexed; one that is finds itself first. A folder or an archive stands for
    all images in it, and - reads names from stdin, one a line or separated by NUL. An IMAGE may be
    a URL.

    \b
    Examples:
      dedup query holiday.jpg
      dedup query street.jpg --crop 120,80,300,200
      dedup query holiday.jpg --threshold 0.9 --format paths
      dedup query --text "red bicycle at night"
      dedup query holiday.jpg --text "at night" --not-text people
      find . -newer mark -name '*.jpg' -print0 | dedup query - -k 1
      dedup query --vector features.npy -k 5
    """
    if k is not None and threshold is not None:
        raise click.UsageError("-k and --threshold exclude each other")
    form = chosen_format(kind, nul=nul, csv_safe=csv_safe, output=output)
    names = [name for image in images for name in (named_files("-") if image == "-" else [image])]
    names += named_files(files_from, column)
    if vector is None and not (names or text):
        raise click.UsageError("name an IMAGE, a list with --files-from, --text or --vector FILE")
    if vector is not None and (names or text or not_text or crop):
        raise click.UsageError("--vector stands alone: give no IMAGE and no words with it")
    rows = None if vector is None else read_vectors(vector)
    if vector is not None and rows is not None:
        names = [f"{vector}[{row}]" for row in range(len(rows))] if len(rows) > 1 else [f"{vector}"]
    notes: tuple[str, ...] = ()
    if isinstance(store, str):
        cluster_answers.refuse(cluster_answers.given_options(), _SHARED)
        answer = cluster_answers.query(store, names, k)
    else:
        with (
            open_collection(store, device, weights) as collection,
            progress_bars("images") as progress,
        ):
            answer = collection.query(
                names[0] if len(names) == 1 else names, k or 10, threshold, progress, crop=crop,
                text=text, not_text=not_text, vectors=rows, offline=offline,
            )  # fmt: skip
            notes = collection.notes
    write_rows(
        answer, Neighbour, form, _COLUMNS, nul=nul, ruled=True, csv_safe=csv_safe, output=output
    )
    note(*notes, *answer.notes)
    note_skips(answer.skipped, "give fewer at a time to see all")
    if answer.skipped and (strict or len(answer.skipped) >= len(names)):
        raise click.exceptions.Exit(1)
