"""Where two images differ in colour alone, as yellow on white and orange on grey do.

What is drawn in a colour as light as its ground is next to nothing in grey levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof import cells
from dedup.proof.ranks import percentiles
from dedup.proof.residual import blobs, contrast

if TYPE_CHECKING:
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

_KEPT_LEVELS = 6.0  # of chroma, in three quarters of the pixels: else the whole was recoloured
_GAP_LEVELS, _OF_CONTRAST = 30.0, 0.75  # that differ; and at least of the contrast that is there
_MIN_PIXELS = 4  # at half the resolution, which is all that most files keep of colours


def coloured_places(one: Bytes, two: Bytes, inside: Mask) -> Mask:
    """Find places that differ in colour, (H, W), where the rest of both has the same colours.

    Parameters
    ----------
    one, two : (H, W, 3) RGB
    inside : (H, W), pixels that count
    """
    found = np.zeros(inside.shape, np.bool_)
    both = [
        cv2.cvtColor(cells.averaged(cells.cut(each, 2), 2), cv2.COLOR_RGB2YCrCb)
        for each in (one, two)
    ]
    off = cv2.absdiff(*both)[..., 1:].max(axis=2).astype(np.float32)
    if percentiles(off, 75)[0] > _KEPT_LEVELS or float(off.max()) <= _GAP_LEVELS:
        return found
    allowed = np.full_like(off, _GAP_LEVELS)
    for each in both:
        for at in (1, 2):
            spread = contrast(each[..., at].astype(np.float32))
            np.maximum(allowed, _OF_CONTRAST * spread, out=allowed)
    height, width = off.shape
    within = np.ones(off.shape, np.bool_)
    mask, _ = blobs(np.asarray(off / allowed, np.float32), within, _MIN_PIXELS)
    grown = mask.repeat(2, axis=0).repeat(2, axis=1)[: inside.shape[0], : inside.shape[1]]
    found[: 2 * height, : 2 * width] = grown
    return found & inside
