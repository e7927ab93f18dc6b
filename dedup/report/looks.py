"""What layers see of an image, as a contact sheet: `dedup layers MODEL --image X --maps FILE`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from dedup.arguments import path_of, strings_of
from dedup.errors import DedupError, LayerError
from dedup.images.decode import decode_square, read_file
from dedup.images.encode import write_png
from dedup.images.resize import resize
from dedup.images.sheet import contact_sheet
from dedup.results import Layer, LayersAnswer
from dedup.spec import ModelSpec

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]

STRONGEST: Final = 6
"""Channels of a layer that are shown."""

_SIDE: Final = 200
_STOPS: Final = np.array(  # viridis (Smith and van der Walt 2015)
    [(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)], np.float32
)


def layer_maps(
    image: str | os.PathLike[str],
    output: str | os.PathLike[str],
    spec: ModelSpec | None = None,
    layers: str | Iterable[str] = (),
) -> LayersAnswer:
    """Draw what layers see of an image: their mean, and the channels that vary most over it.

    Parameters
    ----------
    output : a .png
    spec : the model; None: the one that a new collection gets
    layers : dotted names; none means one for each size of map

    Returns
    -------
    The layers that are shown, each with the shape of its maps.

    Raises
    ------
    ImageError : the image cannot be read.
    LayerError : no such layer, or one that puts out no maps.
    DedupError : another ending, or the file cannot be written.
    """
    from dedup.binding import model_of
    from dedup.models.loaded import LoadedModel
    from dedup.models.looks import layers_to_show, see

    path, name = Path(path_of(output, "output")), path_of(image, "image")
    if path.suffix.lower() != ".png":
        raise DedupError(f"{path}: maps are drawn as a .png")
    spec, wanted = spec or ModelSpec(), strings_of(layers, "layers")
    data = read_file(name)
    loaded = model_of(spec)
    if not isinstance(loaded, LoadedModel):
        raise LayerError(f"{loaded.name} is an ONNX file, whose layers cannot be drawn")
    _, height, width = loaded.input_size
    pixels = decode_square(data, height, width, name, srgb=True).pixels
    wanted = wanted or tuple(layers_to_show(loaded))
    if not wanted:
        raise LayerError(f"{loaded.name} has no layer that puts out maps")
    seen = see(loaded, pixels, wanted)
    shown = resize(pixels, _SIDE, _SIDE)
    write_png(contact_sheet([_row(layer, maps, shown) for layer, maps in seen.items()]), path)
    modules = dict(loaded.module.named_modules())
    return LayersAnswer(
        loaded.name,
        tuple(
            Layer(layer, type(modules.get(layer)).__name__, maps.shape)
            for layer, maps in seen.items()
        ),
    )


def strongest(maps: Floats) -> list[int]:
    """Give the channels of (C, H, W) maps that vary most over the image, at most `STRONGEST`."""
    order: list[int] = np.argsort(-maps.std(axis=(1, 2)), kind="stable")[:STRONGEST].tolist()
    return order


def in_colour(plane: Floats) -> Pixels:
    """Colour (H, W) values, from dark blue for the lowest to yellow for the highest."""
    low, high = float(plane.min()), float(plane.max())
    level = (plane - low) / ((high - low) or 1.0)
    stops = np.linspace(0, 1, len(_STOPS))
    channels = [np.interp(level, stops, _STOPS[:, channel]) for channel in range(3)]
    return np.asarray(np.rint(np.stack(channels, axis=2)), np.uint8)


def _row(layer: str, maps: Floats, image: Pixels) -> list[tuple[str, Pixels]]:
    planes = [("mean", maps.mean(axis=0))]
    planes += [(f"channel {channel}", maps[channel]) for channel in strongest(maps)]
    drawn = [(title, enlarged(in_colour(plane))) for title, plane in planes]
    return [(layer.encode("ascii", "replace").decode(), image), *drawn]


def enlarged(pixels: Pixels) -> Pixels:
    """Repeat pixels, so that each can be seen, to the side of a panel or near below."""
    times = max(1, _SIDE // max(pixels.shape[:2]))
    return np.ascontiguousarray(pixels.repeat(times, axis=0).repeat(times, axis=1))
