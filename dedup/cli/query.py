"""`dedup query`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    Column("tier", lambda row: row.tier.value if row.tier else "", optional=True),
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
    help="What to look for, in words: alone, or added to each IMAGE; repeatable. Needs a "
    "collection whose model has a text tower (open_clip:...).",
)
@click.option(
    "--not-text",
    type=Name(),
    metavar="WORDS",
    multiple=True,
    help="What to avoid, in words: subtracted from the query; repeatable.",
)
@click.option(
    "--vector",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Instead of IMAGE: one vector, or several (Q, D), in a .npy file: as wide as the "
    "collection's own if it holds your vectors, else as `dedup export --fused` writes them.",
)
@click.option(
    "-k", "k", type=click.IntRange(min=1), help="How many neighbours to show. [default: 10]"
)
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
    help="Look for only a part of each IMAGE: left, top, width and height in pixels.",
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
    **form: Any,
) -> None:
    """Show the indexed images nearest to each IMAGE, or to words.

    An IMAGE is a file, a URL, a folder or an archive (all images in it), or - to read names from
    stdin, one per line or separated by NUL. It need not be indexed; one that is finds itself first.
    Nothing is proven here: the table shows tiers that `dedup list`, `compare` or `why` proved
    before.

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
        raise click.UsageError("-k and --threshold cannot be combined")
    kind = chosen_format(**form)
    names = [name for image in images for name in (named_files("-") if image == "-" else [image])]
    names += named_files(files_from, column)
    if vector is not None and (names or text or not_text or crop):
        raise click.UsageError("--vector stands alone: give no IMAGE and no words with it")
    names, rows = _asked(names, vector)
    if not (names or text):
        raise click.UsageError("give an IMAGE, a list with --files-from, --text or --vector FILE")
    if isinstance(store, str):
        cluster_answers.refuse(_SHARED)
        answer = cluster_answers.query(store, names, k)
    else:
        with open_collection(store, device, weights) as collection, progress_bars("images") as bars:
            answer = collection.query(
                names[0] if len(names) == 1 else names, k or 10, threshold, bars, crop=crop,
                text=text, not_text=not_text, vectors=rows, offline=offline,
            )  # fmt: skip
        note(*collection.notes)
    del form["kind"]
    write_rows(answer, Neighbour, kind, _COLUMNS, ruled=True, **form)
    note(*answer.notes)
    note_skips(answer.skipped, "give fewer at a time to see all")
    if answer.skipped and (strict or len(answer.skipped) >= len(names)):
        raise click.exceptions.Exit(1)


def _asked(names: list[str], vector: Path | None) -> tuple[list[str], Any]:
    """Read the vectors that are asked with, where they are, and name them."""
    if vector is None:
        return names, None
    rows = read_vectors(vector)
    several = [f"{vector}[{row}]" for row in range(len(rows))]
    return several if len(rows) > 1 else [f"{vector}"], rows
