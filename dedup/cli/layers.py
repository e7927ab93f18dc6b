"""`dedup layers`."""

from __future__ import annotations

from pathlib import Path

import click

from dedup.cli.formats import chosen_format, rows_options
from dedup.cli.options import Name, weights_option
from dedup.cli.output import Column, note, write_rows
from dedup.cli.preparation import unpickle_option
from dedup.results import Layer
from dedup.spec import ModelSpec


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
@unpickle_option
@click.option(
    "--image",
    type=Name(),
    metavar="FILE",
    help="Draw what layers see in this image; needs --maps.",
)
@click.option(
    "--maps",
    type=click.Path(path_type=Path),
    metavar="FILE.png",
    help="The picture to draw: a row for each layer, with its mean and the channels that vary "
    "most.",
)
@click.option(
    "--layer",
    "wanted",
    type=Name(),
    metavar="NAME",
    multiple=True,
    help="A layer to draw; repeatable. Default: one for each size of map.",
)
@rows_options
def layers_command(
    model: str | None,
    weights: Path | None,
    unpickle: bool,  # noqa: FBT001 - click passes flags by name
    image: str | None,
    maps: Path | None,
    wanted: tuple[str, ...],
    kind: str | None,
    output: Path | None,
) -> None:
    """Show the layers of MODEL that can be hooked: types and shapes.

    Shapes are for one image at the model's input size. Weights are downloaded only to draw maps.

    \b
    Examples:
      dedup layers mobilenetv2_100
      dedup layers --weights mobilenetv2_100.safetensors
      dedup layers copies-2 --image holiday.jpg --maps seen.png
    """
    if model is None and weights is None:
        raise click.UsageError("give a MODEL, or its --weights FILE")
    if (image is None) != (maps is None) or (wanted and maps is None):
        raise click.UsageError("--image and --maps go together, and --layer needs both")
    if image is not None and maps is not None:
        from dedup.report.looks import layer_maps

        drawn = layer_maps(image, maps, ModelSpec(model, weights, unpickle=unpickle), wanted)
        note(f"Wrote {maps}: {', '.join(layer.name for layer in drawn)}", *drawn.notes)
        return
    from dedup.binding import layers

    form = chosen_format(kind, output=output)
    answer = layers(ModelSpec(model, weights, unpickle=unpickle))
    write_rows(answer, Layer, form, _COLUMNS, output=output)
    note(*answer.notes)
