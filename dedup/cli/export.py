"""`dedup export`."""

from __future__ import annotations

from pathlib import Path

import click

from dedup.cli.options import Name, open_collection, store_option
from dedup.cli.output import counted, note


@click.command("export")
@store_option
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A file ending in .npz or .parquet.",
)
@click.option(
    "--layer",
    "layers",
    type=Name(),
    metavar="NAME",
    multiple=True,
    help="A stored layer; repeatable. Default: all.",
)
def export_command(store: Path | None, output: Path, layers: tuple[str, ...]) -> None:
    """Write the stored embeddings to a file, one row per image file.

    \b
    Examples:
      dedup export -o features.npz
      dedup export -o features.parquet --layer global_pool
    """
    with open_collection(store) as collection:
        answer = collection.export(output, layers)
    note(*collection.notes, *answer.notes)
    note(f"Wrote {counted(answer.rows, 'row')} to {answer.path}")
