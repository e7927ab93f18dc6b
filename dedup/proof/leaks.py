"""Light that was laid over a part of one of two images: leaks of light, flares, gradients.

It multiplies what lacks to white, in each channel by a share that changes slowly over the frame; a
dark gradient multiplies what there is above black. The colour of another product ends where the
product does, which no slow change follows.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof import cells
from dedup.proof.colour_rule import largest, tiles
from dedup.proof.drawn import Drawn

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.closely import Laid

    Floats = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

_SIDE = 128  # pixels that are left of the longer side
_REACH = 0.04  # of it, over which a share is told
_MOST = 1.05  # that a share may be: such light is added or taken, and never both
_KEPT, _MIN_KEPT_SHARE = 0.05, 0.15  # of a share, and of the pixels that keep their light
_TILE, _LEFT_LEVELS = 4, 9.0  # pixels of a tile, and what may be left of it
_MOST_TILES = 5
"""Tiles beside each other that may be farther off: of 34 leaks 28 leave no more, and of 68 pairs of
one thing in two colours the least leaves over 15."""


def relit(laid: Laid) -> tuple[Laid, Drawn] | None:
    """Bring one of two to the light that was laid over the other; None where none was.

    Returns
    -------
    Both in one light, and how much of which image has another.
    """
    step = max(1, round(max(laid.inside.shape) / _SIDE))
    small = [
        cells.averaged(cells.cut(each, step), step).astype(np.float32)
        for each in (laid.one, laid.two)
    ]
    share = cells.averaged(cells.cut(laid.inside.astype(np.float32), step), step)
    inside = np.asarray(share > 0.99)  # noqa: PLR2004 -- whole
    for first, end in product((True, False), (255.0, 0.0)):
        mine, theirs = (each - np.float32(end) for each in (small if first else small[::-1]))
        found = _share(mine, theirs, inside)
        kept = (np.abs(found - 1).max(axis=2) <= _KEPT)[inside]
        if not kept.size or float(kept.mean()) < _MIN_KEPT_SHARE:
            continue
        if float(found[inside].max()) <= _MOST and _leaves_nothing(mine * found - theirs, inside):
            on = 3 - laid.owner if first else laid.owner
            drawn = Drawn(1 - float(kept.mean()), on, "light")
            if first:
                return replace(laid, one=_under(laid.one, found, end)), drawn
            return replace(laid, two=_under(laid.two, found, end)), drawn
    return None


def _share(mine: Floats, theirs: Floats, inside: Mask) -> Floats:
    """Give (h, w, 3), by which the first has to be multiplied around each place."""
    sigma, weight = _REACH * max(inside.shape), inside[..., None].astype(np.float32)
    share = np.ones_like(mine)
    for _ in range(2):  # what averages cut off slopes, the second time gives back
        made = mine * share
        both, own = (
            cv2.GaussianBlur(values * weight, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
            for values in (made * theirs, made * made)
        )
        share = np.asarray(share * (both + 1) / (own + 1), np.float32)
    return share


def _leaves_nothing(left: Floats, inside: Mask) -> bool:
    far = np.zeros((), np.bool_)
    for at in range(3):
        means, used = tiles(np.ascontiguousarray(left[..., at]), inside, _TILE)
        far = far | ((np.abs(means) > _LEFT_LEVELS) & used)
    return largest(far) <= _MOST_TILES


def _under(image: Bytes, share: Floats, end: float) -> Bytes:
    """Lay light over an image of any size."""
    height, width = image.shape[:2]
    full = cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR)
    made = (image - np.float32(end)) * full + np.float32(end)
    return np.asarray(np.clip(np.rint(made), 0, 255), np.uint8)
