"""`dedup map`."""

from __future__ import annotations

from pathlib import Path

import click

from dedup.cli.formats import to_write
from dedup.cli.options import column_option, labels_option, open_collection, store_option
from dedup.cli.output import counted, note, progress_bars


@click.command("map")
@store_option
@labels_option
@column_option
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A page (.html), an image (.png), or a table of id, path, x, y and cluster (.parquet).",
)
def map_command(store: Path | None, labels: str | None, column: str, output: Path) -> None:
    """Draw all images as a map, with similar ones near each other.

    The page works without a network: thumbnails, clusters, duplicate groups, outliers, search. It
    is laid out by UMAP, which needs the extra `map`. The same collection gives the same map.

    \b
    Examples:
      dedup map -o map.html
      dedup map -o map.html --labels truth.csv --column species
      dedup map -o map.parquet
    """
    to_write(output)
    with open_collection(store) as collection, progress_bars() as progress:
        answer = collection.map(output, labels=labels, column=column, progress=progress)
        note(*collection.notes, *answer.notes)
    parts = [counted(answer.files, "file"), counted(len(answer), "cluster")]
    note(f"Wrote {answer.path}: {', '.join(parts)}, {counted(answer.outliers, 'outlier')}.")
