"""Large places with an outline on both images: another thing was put on one ground.

Where something was drawn over one of two images, the other goes on across its outline as it does a
little further in and a little further out. Where either has a thing of its own there, both step.
That is asked along the whole outline, so that textures on either side of it average out.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from dedup.proof.channels import gap_levels
from dedup.proof.shapes import filled

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

_GAP_LEVELS = 20
_MIN_SHARE = 0.01  # of the part looked at, in one piece
_JOINED_PIXELS = 9
_MIN_COVERED_SHARE = 0.3  # of a piece, that differs by a closer look
_ACROSS = 4  # pixels on either side of an outline; soft edges are as wide
_AWAY = (11, 19)
_EDGE_PIXELS = 20  # of the image; its frame has no outline
_FEWEST_PIXELS = 30
_NOISE = 60.0  # squared levels, of all channels
_STEP = 3 * 20.0**2  # squared levels that are a step
# Of 370 copies with something drawn on them by three hands the product was .98 at most, of pairs
# with two things on one ground 1.8 and more
_MIN_BOTH = 1.4
_MAX_OF_ONE, _SURELY_BOTH = 0.87, 3.0
_MAX_ALIKE, _DETAIL_PIXELS = 0.15, 9  # other things .06; one thing in two lights .24 and more
_EITHER = (1 - _MAX_OF_ONE, _MAX_OF_ONE)


class Outline(NamedTuple):
    """What two images do across an outline.

    Parameters
    ----------
    one, two : times the usual, squared
    stepped : share of it on which both step plainly, at least
    part : of what they differ by, that the first makes
    alike : correlation of the details within, which one thing in two lights has
    """

    one: float
    two: float
    stepped: float
    part: float
    alike: float

    @property
    def on_both(self) -> bool:
        """Whether either has a thing of its own there."""
        both = min(self.one, self.two) * self.stepped
        if both < _MIN_BOTH or self.alike > _MAX_ALIKE:
            return False
        low, high = _EITHER
        return low <= self.part <= high or both >= _SURELY_BOTH


def outline(one: Bytes, two: Bytes, places: Mask) -> Outline | None:
    """Ask what both images do across the outlines of large places that differ.

    Parameters
    ----------
    one, two : (H, W, 3) RGB, colours of one mapped onto the other's
    places : (H, W), where they differ

    Returns
    -------
    None where nothing large does.
    """
    solid = _large(one, two, places)
    if solid is None:
        return None
    found = _points(solid)
    if found is None:
        return None
    at, normal = found
    steps, ratios, stepped = [], [], []
    for image in (one, two):
        smooth = np.asarray(cv2.blur(image, (3, 3)), np.uint8)
        across = _step(smooth, at, normal, _ACROSS, -_ACROSS)
        near, far = _AWAY
        usual = [_step(smooth, at, normal, far, near), _step(smooth, at, normal, -near, -far)]
        squares = (across**2).sum(axis=1)
        rest = sum(float((each**2).sum(axis=1).mean()) for each in usual) / 2
        ratios.append(float(squares.mean()) / (rest + _NOISE))
        stepped.append(float((squares > _STEP).mean()))
        steps.append(across)
    gap = steps[0] - steps[1]
    part = float((steps[0] * gap).sum() / ((gap * gap).sum() + 1e-6))
    return Outline(ratios[0], ratios[1], min(stepped), part, _alike(one, two, solid))


def _large(one: Bytes, two: Bytes, places: Mask) -> Bytes | None:
    """Fill what differs in large pieces; None where there are none."""
    mask = cv2.inRange(gap_levels(one, two), _GAP_LEVELS + 1, 255)
    if np.count_nonzero(places) < _MIN_SHARE / 2 * mask.size:
        return None
    wide = np.ones((_JOINED_PIXELS,) * 2, np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, wide)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, wide)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    area = stats[:, cv2.CC_STAT_AREA]
    covered = np.bincount(labels[places], minlength=len(area))
    large = (area >= _MIN_SHARE * mask.size) & (covered >= _MIN_COVERED_SHARE * area)
    large[0] = False
    if not large.any():
        return None
    return filled(large[labels].view(np.uint8))


def _points(solid: Bytes) -> tuple[Floats, Floats] | None:
    """Give (P, 2) places on outlines, and what is inwards there; None of too few."""
    contours, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    at = np.concatenate([each[:, 0] for each in contours])[::2]
    height, width = solid.shape
    far = ((at >= _EDGE_PIXELS) & (at < (width - _EDGE_PIXELS, height - _EDGE_PIXELS))).all(axis=1)
    at = at[far]
    if len(at) < _FEWEST_PIXELS:
        return None
    inwards, outwards = (cv2.distanceTransform(each, cv2.DIST_L2, 5) for each in (solid, 1 - solid))
    depth = cv2.GaussianBlur(cv2.subtract(inwards, outwards), (0, 0), 2)
    slopes = [cv2.Sobel(depth, -1, right, 1 - right, scale=1 / 8) for right in (1, 0)]
    normal = np.stack([each[at[:, 1], at[:, 0]] for each in slopes], axis=1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-3
    return at.astype(np.float32), np.asarray(normal, np.float32)


def _alike(one: Bytes, two: Bytes, solid: Bytes) -> float:
    """Correlate the details of two images within places, but for their edges."""
    within = cv2.erode(solid, np.ones((7, 7), np.uint8)) > 0
    details = []
    for image in (one, two):
        level = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)).astype(np.float32)
        details.append((level - cv2.blur(level, (_DETAIL_PIXELS, _DETAIL_PIXELS)))[within])
    mine, theirs = details
    together, spreads = float(mine @ theirs), float(mine @ mine) * float(theirs @ theirs)
    return together / (sqrt(spreads) + 1)


def _step(image: Bytes, at: Floats, normal: Floats, within: int, beyond: int) -> Floats:
    """Give (P, 3) what an image rises by from so far outwards to so far inwards."""

    def values(depth: int) -> Floats:
        high = (image.shape[1] - 1, image.shape[0] - 1)
        x, y = np.clip(np.rint(at + depth * normal), 0, high).astype(np.intp).T
        return np.asarray(image[y, x], np.float32)

    return values(within) - values(beyond)
