"""`dedup export`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dedup.cli import cluster_answers
from dedup.cli.options import Name, open_collection
from dedup.cli.output import counted, note, progress_bars
from dedup.cli.stores import shared_store_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command("export")
@shared_store_option
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    type=Name(),
    help="A file or folder ending in .npz, .parquet, .safetensors, .faiss (with the names in "
    ".faiss.csv), .lance, .hf (Hugging Face) or .fiftyone.json; or a database: qdrant:FOLDER, "
    "qdrant:URL, milvus:FILE.db, milvus:URL or pgvector:postgresql://…",
)
@click.option(
    "--layer",
    "layers",
    type=Name(),
    metavar="NAME",
    multiple=True,
    help="A stored layer; repeatable. Default: all.",
)
@click.option(
    "--fused",
    is_flag=True,
    help="Instead of layers: the unit vectors that `dedup query` compares. Their inner products "
    "are the similarities.",
)
@click.option(
    "--neighbours",
    type=click.IntRange(min=1),
    metavar="K",
    help="Instead of embeddings: the K nearest neighbours of every file, to .npz or .parquet.",
)
@click.option(
    "--name",
    default="dedup",
    show_default=True,
    type=Name(),
    metavar="NAME",
    help="The collection or table to create in a database.",
)
def export_command(
    store: Path | str | None,
    output: str,
    layers: tuple[str, ...],
    fused: bool,  # noqa: FBT001 - click passes flags by name
    neighbours: int | None,
    name: str,
) -> None:
    """Write the stored embeddings for other programs, a row per file.

    A collection in object storage is written to .lance shard by shard, however large it is; for
    other formats, fetch it first.

    \b
    Examples:
      dedup export -o features.npz
      dedup export -o features.parquet --layer global_pool
      dedup export --fused -o images.faiss
      dedup export --fused -o qdrant:http://localhost:6333 --name photos
      dedup export --neighbours 10 -o graph.parquet
    """
    if neighbours is not None and (layers or fused):
        raise click.UsageError("--neighbours cannot be combined with --layer or --fused")
    if layers and fused:
        raise click.UsageError("--fused takes all layers that are compared: leave out --layer")
    if isinstance(store, str):
        cluster_answers.export(store, output, layers, fused=fused)
        return
    with open_collection(store) as collection, progress_bars("images") as progress:
        if neighbours is None:
            answer = collection.export(output, layers, fused=fused, name=name)
        else:
            answer = collection.export_neighbours(output, neighbours, progress=progress)
    note(*collection.notes, *answer.notes)
    note(f"Wrote {counted(answer.rows, 'row')} to {answer.path}")
