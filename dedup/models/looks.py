"""What the layers of a network see of one image: maps, and which layers have some to show."""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from dedup.models.extractor import Extractor
from dedup.models.layers import PREDICTION, list_layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from dedup.models.features import FloatArray
    from dedup.models.layers import LayerInfo
    from dedup.models.loading import LoadedModel

_MAP: Final = 3  # sides of an output without the batch
_TOKENS: Final = 2
_LEAST_SIDE: Final = 2  # a single value is no map


def layers_to_show(loaded: LoadedModel) -> list[str]:
    """Choose one layer for each size of map, the largest first: the last of those nested least.

    Those that are nested more than one deeper than the least are parts of blocks, and no maps of
    the image, it may be, but of attention.
    """
    chosen: dict[int, LayerInfo] = {}
    for one in list_layers(loaded.module, loaded.input_size):
        side = _side(one.shape)
        before = chosen.get(side)
        if side < _LEAST_SIDE or one.name == PREDICTION or one.type == "Identity":
            continue
        if before is None or one.name.count(".") <= before.name.count("."):
            chosen[side] = one
    deepest = 1 + min((one.name.count(".") for one in chosen.values()), default=0)
    sides = sorted(chosen, reverse=True)
    return [chosen[side].name for side in sides if chosen[side].name.count(".") <= deepest]


def _side(shape: tuple[int, ...] | None) -> int:
    """Give the side of the square that an output maps; 0 where it is none."""
    if shape is not None and len(shape) == _MAP and shape[1] == shape[2]:
        return shape[1]
    if shape is not None and len(shape) == _MAP and shape[0] == shape[1]:
        return shape[0]
    return isqrt(shape[0]) if shape is not None and len(shape) == _TOKENS else 0


def see(
    loaded: LoadedModel, pixels: npt.NDArray[np.uint8], layers: Sequence[str]
) -> dict[str, FloatArray]:
    """Run a model on one image.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 RGB, of the model's input size

    Returns
    -------
    Per layer (C, h, w).

    Raises
    ------
    LayerError : no such layer, or one that puts out no maps.
    """
    mean, std = (np.array(each, np.float32) for each in (loaded.mean, loaded.std))
    scaled = (pixels / np.float32(255) - mean) / std
    batch = torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1)[None]))
    with Extractor(loaded.module, layers, reduce=False) as extractor:
        features = extractor(batch)
    return {layer: features.maps(layer)[0] for layer in features}
