"""`dedup layers`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dedup.cli.options import Name, chosen_format, report_format_option, weights_option
from dedup.cli.output import Column, note, write_rows
from dedup.results import Layer
from dedup.spec import ModelSpec

if TYPE_CHECKING:
    from pathlib import Path


def _shape(layer: Layer) -> str:
    return "did not run" if layer.shape is None else " × ".join(map(str, layer.shape))


_COLUMNS = (
    Column("layer", lambda row: row.name),
    Column("type", lambda row: row.type),
    Column("output", _shape),
)


@click.command("layers")
@click.argument("model", required=False, metavar="[MODEL]", type=Name())
@weights_option
@report_format_option
def layers_command(model: str | None, weights: Path | None, kind: str | None) -> None:
    """Show every layer of MODEL that can be hooked, its type and the shape of its output.

    Shapes are those of one image at the model's input size. No weights are downloaded.

    \b
    Examples:
      dedup layers mobilenetv2_100
      dedup layers --weights mobilenetv2_100.safetensors
    """
    if model is None and weights is None:
        raise click.UsageError("name a MODEL, or give its --weights FILE")
    from dedup.binding import layers

    answer = layers(ModelSpec(model, weights))
    write_rows(answer, Layer, chosen_format(kind), _COLUMNS)
    note(*answer.notes)
