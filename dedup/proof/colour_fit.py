"""The tone of one image mapped onto another's, place by place.

Around every place, grey levels of one are a linear mix of the other's red, green and blue (He, Sun
and Tang 2010, guided filter): whatever was done to light and colour is nearly that over a small
part of an image, and other content never is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

_STEP = 4  # pixels between the places at which the mix is worked out
_SPAN = 11  # such places on a side
_STIFFNESS = 25.0  # squared levels; keeps faint colours from being amplified


def fitted(colour: Bytes, wanted: Floats, inside: Mask) -> Floats:
    """Give (H, W) what of `wanted` follows from the colours of the other image.

    Parameters
    ----------
    colour : (H, W, 3) RGB
    wanted : (H, W) grey
    inside : (H, W), pixels that count
    """
    height, width = wanted.shape
    size = (max(1, width // _STEP), max(1, height // _STEP))
    channels = [np.ascontiguousarray(colour[..., c]).astype(np.float32) for c in range(3)]
    weight = inside.astype(np.float32)

    def average(values: Floats) -> Floats:
        small = cv2.resize(values * weight, size, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.boxFilter(small, -1, (_SPAN, _SPAN), borderType=cv2.BORDER_CONSTANT))

    total = average(np.ones_like(weight)) + 1e-6
    middle = np.stack([average(channel) / total for channel in channels], -1)
    target = average(wanted) / total
    spread = np.empty((*target.shape, 3, 3), np.float64)
    pull = np.empty((*target.shape, 3), np.float64)
    for a in range(3):
        pull[..., a] = average(channels[a] * wanted) / total - middle[..., a] * target
        for b in range(a, 3):
            product = average(channels[a] * channels[b]) / total
            spread[..., a, b] = spread[..., b, a] = product - middle[..., a] * middle[..., b]
    spread[..., np.arange(3), np.arange(3)] += _STIFFNESS
    mix = np.linalg.solve(spread, pull[..., None])[..., 0]
    rest = target - (mix * middle).sum(-1)
    full = (width, height)
    made = cv2.resize(rest.astype(np.float32), full, interpolation=cv2.INTER_LINEAR)
    for channel, share in zip(channels, np.moveaxis(mix.astype(np.float32), -1, 0), strict=True):
        made += channel * cv2.resize(share, full, interpolation=cv2.INTER_LINEAR)
    return np.asarray(made, np.float32)
