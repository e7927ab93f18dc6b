"""Places on the outlines of what two images differ by, and what either has across them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]
    Numbers = npt.NDArray[np.intp]

_EDGE_PIXELS = 8  # of the image; its frame has no outline
_FEWEST_PLACES = 30
REACH = 6  # pixels on either side of an outline
_RUN_PIXELS = 24  # of an outline that are told together


class Places(NamedTuple):
    """Places on outlines: (P, 2) where, what is inwards there, and (P,) the run."""

    at: Floats
    normal: Floats
    run: Numbers


def places_on(mask: Bytes) -> Places | None:
    """Give the outlines of what is marked, and of holes in it; None of too few."""
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return None
    at = np.concatenate([each[:, 0] for each in contours])
    lengths = np.array([len(each) for each in contours])
    piece = np.repeat(np.arange(len(contours)), lengths)
    within = np.arange(len(at)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    run = piece * (int(lengths.max()) // _RUN_PIXELS + 1) + within // _RUN_PIXELS
    high = (mask.shape[1] - _EDGE_PIXELS, mask.shape[0] - _EDGE_PIXELS)
    far = ((at >= _EDGE_PIXELS) & (at < high)).all(axis=1)
    if np.count_nonzero(far) < _FEWEST_PLACES:
        return None
    at = at[far]
    inwards, outwards = (cv2.distanceTransform(each, cv2.DIST_L2, 5) for each in (mask, 1 - mask))
    depth = cv2.GaussianBlur(cv2.subtract(inwards, outwards), (0, 0), 2)
    slopes = [cv2.Sobel(depth, -1, right, 1 - right) for right in (1, 0)]
    normal = np.stack([each[at[:, 1], at[:, 0]] for each in slopes], axis=1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-3
    return Places(at.astype(np.float32), normal.astype(np.float32), run[far])


def across(image: Floats, at: Floats, normal: Floats) -> Floats:
    """Give (P, 13, 3) what an image has across an outline, from beyond it to within."""
    depths = np.arange(-REACH, REACH + 1, dtype=np.float32)
    x, y = (at[:, axis, None] + normal[:, axis, None] * depths for axis in (0, 1))
    most = 1 << 14  # rows, of which the library takes no more at once
    found = [
        cv2.remap(image, x[start : start + most], y[start : start + most], cv2.INTER_LINEAR)
        for start in range(0, len(x), most)
    ]
    return np.asarray(np.concatenate(found), np.float32)
