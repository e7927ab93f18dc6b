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
    middle = [average(channel) / total for channel in channels]
    target = average(wanted) / total
    spread, pull = {}, []
    for a in range(3):
        pull.append(average(channels[a] * wanted) / total - middle[a] * target)
        for b in range(a, 3):
            product = average(channels[a] * channels[b]) / total
            spread[a, b] = product - middle[a] * middle[b] + (_STIFFNESS if a == b else 0.0)
    mix = _solved(spread, pull)
    rest = target.copy()
    for share, each in zip(mix, middle, strict=True):
        rest -= share * each

    def spread_out(values: Floats) -> Floats:
        full = (width, height)
        return np.asarray(cv2.resize(values, full, interpolation=cv2.INTER_LINEAR), np.float32)

    made = spread_out(rest)
    for channel, share in zip(channels, mix, strict=True):
        made += channel * spread_out(share)
    return made


def _solved(spread: dict[tuple[int, int], Floats], pull: list[Floats]) -> list[Floats]:
    """Solve the symmetric 3 x 3 system of every place, by Cramer's rule.

    Parameters
    ----------
    spread : by row and column, the upper half
    """
    a, b, c, d, e, f = (
        spread[at].astype(np.float64) for at in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    )
    first, second, third = d * f - e * e, c * e - b * f, b * e - c * d
    whole = a * first + b * second + c * third
    rows = (
        (first, second, third),
        (second, a * f - c * c, b * c - a * e),
        (third, b * c - a * e, a * d - b * b),
    )
    x, y, z = pull
    solved = ((one * x + two * y + three * z) / whole for one, two, three in rows)
    return [share.astype(np.float32) for share in solved]
