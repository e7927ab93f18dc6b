"""The tone of one image mapped onto another's, place by place.

Around every place, grey levels of one are a linear mix of the other's red, green and blue (He, Sun
and Tang 2010, guided filter): whatever was done to light and colour is nearly that over a small
part of an image, and other content never is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof import cells

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

_STEP = 4  # pixels between the places at which the mix is worked out
_SPAN = 11  # such places on a side
_SPARSE = 2  # every other pixel of a side tells as much of the 2,000 around a place
_STIFFNESS = 25.0  # squared levels; keeps faint colours from being amplified


def fitted(colour: Bytes, wanted: Floats, inside: Mask) -> Floats:
    """Give (H, W) what of `wanted` follows from the colours of the other image.

    Parameters
    ----------
    colour : (H, W, 3) RGB
    wanted : (H, W) grey
    inside : (H, W), pixels that count
    """
    shape = wanted.shape
    colour = cells.whole(colour, _STEP)
    some = slice(None, None, _SPARSE)
    few = cv2.split(np.ascontiguousarray(colour[some, some]))
    sparse = [each.astype(np.float32) for each in few]
    level = np.ascontiguousarray(cells.whole(wanted, _STEP)[some, some])
    counted = cells.whole(inside.view(np.uint8), _STEP, cv2.BORDER_CONSTANT)[some, some]
    weight = counted.astype(np.float32)
    weighed = [channel * weight for channel in sparse]
    product = np.empty_like(level)

    def average(values: Floats) -> Floats:
        small = cells.averaged(values, _STEP // _SPARSE)
        return np.asarray(cv2.boxFilter(small, -1, (_SPAN, _SPAN), borderType=cv2.BORDER_CONSTANT))

    total = average(weight) + 1e-6
    middle = [average(each) / total for each in weighed]
    target = average(np.multiply(level, weight, out=product)) / total
    spread, pull = {}, []
    for a in range(3):
        pulled = average(np.multiply(weighed[a], level, out=product))
        pull.append(pulled / total - middle[a] * target)
        for b in range(a, 3):
            both = average(np.multiply(weighed[a], sparse[b], out=product)) / total
            spread[a, b] = both - middle[a] * middle[b] + (_STIFFNESS if a == b else 0.0)
    mix = _solved(spread, pull)
    rest = target.copy()
    for share, each in zip(mix, middle, strict=True):
        rest -= share * each

    made = cells.interpolated(rest, _STEP, colour.shape)
    for channel, share in zip(cv2.split(colour), mix, strict=True):
        levels = channel.astype(np.float32)
        cv2.accumulateProduct(levels, cells.interpolated(share, _STEP, colour.shape), made)
    return np.ascontiguousarray(made[: shape[0], : shape[1]])


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
