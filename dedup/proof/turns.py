"""Images turned by quarters or mirrored, and where their pixels come to lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Doubles = npt.NDArray[np.float64]
    Pixels = npt.NDArray[np.uint8]


def turning(size: tuple[int, int], turn: npt.NDArray[np.int64]) -> Doubles:
    """Give where the pixels of an image come to lie once it is `turned`, its corner at 0: (3, 3).

    Parameters
    ----------
    turn : (2, 2), a turn by quarters or a mirror
    """
    there = np.eye(3)
    there[:2, :2] = turn
    sides = size if turn[0, 1] else size[::-1]
    there[:2, 2] = [side - 1 if row.sum() < 0 else 0 for row, side in zip(turn, sides, strict=True)]
    return there


def turned(pixels: Pixels, turn: npt.NDArray[np.int64]) -> Pixels:
    """Turn an image by quarters, or mirror it; `turn` as for `turning`."""
    if turn[0, 1]:
        pixels = pixels.transpose(1, 0, 2)
    return pixels[:: int(turn[1].sum()), :: int(turn[0].sum())]
