"""`dedup status`, `dedup layers` and `dedup export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dedup.cli.options import (
    chosen_format,
    open_collection,
    report_format_option,
    shown,
    store_option,
    weights_option,
)
from dedup.cli.output import bytes_in_words, counted, note, write_jsonl, write_table

if TYPE_CHECKING:
    from dedup.results import Status


@click.command("status")
@store_option
@click.option("--skipped", is_flag=True, help="List the files that could not be read, and why.")
@report_format_option
def status_command(store: Path | None, skipped: bool, kind: str | None) -> None:  # noqa: FBT001 - click passes flags by name
    """Tell the story of the collection at a glance.

    \b
    Examples:
      dedup status
      dedup status --skipped
    """
    table = chosen_format(kind) == "table"
    with open_collection(store) as collection:
        if skipped:
            skips = collection.skipped()
            if table:
                rows = [(shown(skip.path), skip.reason) for skip in skips]
                write_table([("path", "left"), ("reason", "left")], rows)
            else:
                write_jsonl({"path": skip.path, "reason": skip.reason} for skip in skips)
            return
        status = collection.status()
    if table:
        _write_status(status)
    else:
        write_jsonl([_as_row(status)])


def _as_row(status: Status) -> dict[str, object]:
    return {
        "path": status.path,
        "model": status.model,
        "views": status.views,
        "layers": status.layers,
        "dimensions": status.dimensions,
        "roots": [
            {"path": root.path, "files": root.files, "present": root.present}
            for root in status.roots
        ],
        "files": status.files,
        "images": status.images,
        "trivial": status.trivial,
        "gone": status.gone,
        "skipped": status.skipped,
        "skips": status.skips,
        "bytes_indexed": status.bytes_indexed,
        "bytes_catalog": status.bytes_catalog,
        "updated": status.updated,
        "index": status.index,
        "index_kind": status.index_kind,
        "index_recall": status.index_recall,
    }


def _write_status(status: Status) -> None:
    layers = ", ".join(
        f"{layer} ({status.dimensions[layer]} values)" if layer in status.dimensions else layer
        for layer in status.layers
    )
    rows = [
        ("collection", f"{shown(status.path)} ({bytes_in_words(status.bytes_catalog)})"),
        ("model", status.model),
        ("views", " and ".join(status.views)),
        ("stored", layers),
        ("last indexed", status.updated or "never to the end"),
        ("pictures", f"{counted(status.files, 'file')}, {bytes_in_words(status.bytes_indexed)}"),
        ("", f"{status.images:,} different contents, {status.trivial:,} of them blank or tiny"),
    ]
    for number, root in enumerate(status.roots):
        state = "" if root.present else "  not there now; kept"
        title = "" if number else "folders"
        rows.append((title, f"{shown(root.path)}: {counted(root.files, 'file')}{state}"))
    rows.append(("skipped", counted(status.skipped, "file")))
    rows += [("", f"{count:,} × {reason}") for reason, count in status.skips.items()]
    rows.append(("gone", counted(status.gone, "file")))
    structure = f", {status.index_kind}" if status.index_kind else ""
    recall = f", recall@10 {status.index_recall:.3f}" if status.index_recall is not None else ""
    rows.append(("index", f"{status.index}{structure}{recall}"))
    write_table([("", "left"), ("", "left")], rows)


@click.command("layers")
@click.argument("model", required=False, metavar="[MODEL]")
@weights_option
@report_format_option
def layers_command(model: str | None, weights: Path | None, kind: str | None) -> None:
    """Print every layer of MODEL that can be hooked, its type and its output's shape.

    Shapes are those of one picture at the model's input size. No weights are downloaded.

    \b
    Examples:
      dedup layers mobilenetv2_100
      dedup layers --weights mobilenetv2_100.safetensors
    """
    if model is None and weights is None:
        raise click.UsageError("name a MODEL, or give its --weights FILE")
    from dedup.models.loading import list_model_layers

    layers = list_model_layers(model, weights=weights)
    if chosen_format(kind) == "table":
        write_table(
            [("layer", "left"), ("type", "left"), ("output", "left")],
            (
                (
                    layer.name,
                    layer.type,
                    "did not run" if layer.shape is None else " × ".join(map(str, layer.shape)),
                )
                for layer in layers
            ),
        )
    else:
        write_jsonl(
            {"layer": layer.name, "type": layer.type, "shape": layer.shape} for layer in layers
        )


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
    metavar="NAME",
    multiple=True,
    help="A stored layer; repeatable. Default: all.",
)
def export_command(store: Path | None, output: Path, layers: tuple[str, ...]) -> None:
    """Write the stored embeddings to a file, one row per picture file.

    \b
    Examples:
      dedup export -o features.npz
      dedup export -o features.parquet --layer global_pool
    """
    with open_collection(store) as collection:
        rows = collection.export(output, layers)
    note(f"Wrote {counted(rows, 'row')} to {output}")
