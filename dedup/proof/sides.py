"""Whose side a difference is on: what was drawn over one image leaves the other clean beneath.

Across the edge of something drawn, the image that it was drawn on is steep, and steps by as much as
the two differ there; the other goes on as if nothing were. Where both do, both carry something:
other words, another face. On plain ground slopes tell that best, on textured ground steps do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from dedup.proof.residual import contrast, mean

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Doubles = npt.NDArray[np.float64]
    Numbers = npt.NDArray[np.int32]
    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

_MIN_GAP_LEVELS = 20.0
_MIN_PIECE_PIXELS = 6
_STEEPER = 1.6
_AGAINST_SHARE = 0.4  # of a rim; over textures words and stickers have up to .28 on them
_SLOPE_LIMITS = (0.65, 0.12)
_STEP_PIXELS = 5  # on a side of the window in which either side of an edge is averaged
_STEP_SPAN_PIXELS = 11
_STEP_OF_ONE = 0.65  # of the gap, that one image makes
_PLAINER = 4.0
_STEP_LIMITS = (0.73, 0.1)
_LARGE_STEP_LIMITS = (0.55, 0.2)
_COLOUR_SHARE, _EITHER_SHARE = 0.25, 0.2  # of what differs most; something on one has .18 of it
_COLOURED_SHARE = 0.9  # of what differs in light, that differs in colour
_NEAR_PIXELS = 5
LARGE_SHARE = 0.03  # of the image; so much is seldom one thing in place of another


class Shares(NamedTuple):
    """Of what differs, the shares that are on one image and on the other.

    Parameters
    ----------
    limits : the least share of the one, and the most of the other, for something drawn
    """

    one: float
    two: float
    limits: tuple[float, float]

    @property
    def drawn(self) -> bool:
        """Whether all is on one side."""
        least, most = self.limits
        return max(self.one, self.two) >= least and min(self.one, self.two) <= most


def sides(one: Floats, two: Floats, places: Mask, *, large: bool) -> Shares | None:
    """Sort differences by the image that they are on.

    Parameters
    ----------
    one, two : (H, W) grey, light and colour of one mapped onto the other's
    places : (H, W), where they differ
    large : they are `LARGE_SHARE` of the whole image at least, of which this may be a part

    Returns
    -------
    None where all of it is faint.
    """
    mask = opened((np.abs(one - two) > _MIN_GAP_LEVELS) & places)
    rim = rim_of(mask)
    found = _by_slopes(one, two, mask, rim)
    return (
        found
        if found is None or found.drawn
        else _by_steps(one, two, mask, rim, places, large=large)
    )


def in_colour(one: Bytes, two: Bytes, gap: Floats, places: Mask, *, large: bool) -> Shares | None:
    """Sort differences by the colours that one image has there and the other has not.

    Over textures colours tell more than light: they seldom change with them. All that differs has
    to lie beneath such a colour, since ink of another colour on the other side would not.

    Parameters
    ----------
    one, two : (H, W, 3) RGB, colours of one mapped onto the other's
    gap : (H, W), by which they differ in light
    places : (H, W), where they differ
    large : as for `sides`

    Returns
    -------
    None where colours do not tell.
    """
    mine, theirs = (_chroma(each) for each in (one, two))
    coloured = (np.abs(mine - theirs) > _MIN_GAP_LEVELS) & places
    near = cv2.dilate(
        coloured.any(axis=0).astype(np.uint8), np.ones((_NEAR_PIXELS, _NEAR_PIXELS), np.uint8)
    )
    all_of_it = opened((np.abs(gap) > _MIN_GAP_LEVELS) & places) > 0
    if not all_of_it.any() or float(near[all_of_it].mean()) < _COLOURED_SHARE:
        return None
    area = coloured.sum(axis=(1, 2))
    found = [
        sides(mine[at], theirs[at], places, large=large)
        for at in np.flatnonzero(2 * area >= area.max())
    ]
    told = [shares for shares in found if shares is not None and shares.drawn]
    agreed = len({shares.one > shares.two for shares in told}) == 1
    return told[0] if agreed and len(told) == len(found) else None


def coloured_on_both(one: Bytes, two: Bytes, gap: Floats, places: Mask) -> Shares | None:
    """Give the shares of what differs in colour where a good part of it is on either image.

    Stickers or words of two colours, one on each, differ in light as if one of them were all.

    Parameters
    ----------
    one, two, gap, places : as for `in_colour`

    Returns
    -------
    Not drawn on one side alone; None where colours do not say so.
    """
    mine, theirs = (_chroma(each) for each in (one, two))
    masks = [opened((np.abs(each) > _MIN_GAP_LEVELS) & places) for each in (gap, *(mine - theirs))]
    least = _COLOUR_SHARE * max(int(mask.sum()) for mask in masks)
    for first, second, mask in zip(mine, theirs, masks[1:], strict=True):
        if mask.sum() >= least:
            shares = _by_slopes(first, second, mask, rim_of(mask))
            if shares is not None and min(shares[:2]) >= _EITHER_SHARE:
                return shares
    return None


def _chroma(image: Bytes) -> Floats:
    """Give (2, H, W)."""
    channels = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb))[1:]
    return np.stack(channels).astype(np.float32)


def _by_slopes(one: Floats, two: Floats, mask: Bytes, rim: Mask) -> Shares | None:
    """Sort pieces by the image that is the steeper one along their rims; None of next to none."""
    found = pieces_by_slopes(one, two, mask, rim)
    return None if found is None else found.shares()


class Pieces(NamedTuple):
    """Places that differ, in pieces.

    Parameters
    ----------
    labels : (H, W), the piece of each pixel; 0: of none
    area : (N,) pixels; 0 for what is no piece
    on_one, on_two : (N,) whether it is on this image
    boxes : (N, 4) left, top, width and height of each
    """

    labels: Numbers
    area: Doubles
    on_one: Mask
    on_two: Mask
    boxes: Numbers

    def shares(self) -> Shares:
        """Sum up."""
        one, two = (
            float(self.area[on].sum() / self.area.sum()) for on in (self.on_one, self.on_two)
        )
        return Shares(one, two, _SLOPE_LIMITS)


def pieces_by_slopes(one: Floats, two: Floats, mask: Bytes, rim: Mask) -> Pieces | None:
    """Tell of each piece whose it is by slopes along its rim; None of next to none."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    area = stats[:, cv2.CC_STAT_AREA].astype(np.float64)
    area[0] = 0
    area[area < _MIN_PIECE_PIXELS] = 0
    if area.sum() <= _MIN_PIECE_PIXELS:
        return None
    first, second = steep(one)[rim], steep(two)[rim]
    own = labels[rim].astype(np.int32)
    steeper = _steeper(first, second, own, len(area)), _steeper(second, first, own, len(area))
    boxes = np.asarray(stats[:, : cv2.CC_STAT_AREA], np.int32)
    return Pieces(np.asarray(labels, np.int32), area, *steeper, boxes)


def _steeper(mine: Floats, theirs: Floats, own: Numbers, count: int) -> Mask:
    """Mark the pieces along whose rims one image is the steeper one.

    One strong edge, as of a dark thing where the other image has a pale one, must not speak for the
    whole rim.

    Parameters
    ----------
    mine, theirs : (P,) slopes along all rims
    own : (P,) the piece of each, of so many
    """
    first, second = (np.bincount(own, values, count) for values in (mine, theirs))
    against = np.bincount(own, theirs > _STEEPER * mine, count)
    agreed = against <= _AGAINST_SHARE * np.bincount(own, minlength=count)
    return np.asarray((first > _STEEPER * second) & agreed)


def rim_of(mask: Bytes) -> Mask:
    """Give the pixels of places that have one beyond them beside them."""
    return np.asarray((mask > 0) & (cv2.erode(mask, np.ones((3, 3), np.uint8)) == 0))


def opened(mask: Mask) -> Bytes:
    """Leave out what is one pixel wide; 1 where places are, else 0."""
    kernel = np.ones((2, 2), np.uint8)
    return np.asarray(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, kernel), np.uint8)


def _by_steps(
    one: Floats, two: Floats, mask: Bytes, rim: Mask, places: Mask, *, large: bool
) -> Shares:
    faint = opened((np.abs(one - two) > _MIN_GAP_LEVELS / 2) & places)
    within, ground = mask.astype(np.float32), (faint == 0).astype(np.float32)
    beside = rim & (mean(ground, _STEP_PIXELS) > 0.1)  # noqa: PLR2004 -- has ground near it
    mine, theirs = (_level(image, within) - _level(image, ground) for image in (one, two))
    gap = np.where(beside, mine - theirs, 0)
    # What the two images make of a step adds up to the gap.
    part = mean(mine * gap, _STEP_SPAN_PIXELS) / (mean(gap * gap, _STEP_SPAN_PIXELS) + 1e-6)
    part, weight = part[beside], np.minimum(np.abs(gap[beside]), 3 * _MIN_GAP_LEVELS)
    total = float(weight.sum()) or 1.0
    first, second = weight[part > _STEP_OF_ONE], weight[part < 1 - _STEP_OF_ONE]
    limits = _LARGE_STEP_LIMITS if large else _STEP_LIMITS
    shares = sorted((float(first.sum()) / total, float(second.sum()) / total))
    # A hole or a plain patch makes no step of its own beside what is as bright as it is.
    calm = [float(np.median(contrast(each)[mask > 0])) + 0.1 for each in (one, two)]
    plainer = calm[0] < calm[1] / _PLAINER or (
        calm[0] < calm[1] * _PLAINER and first.sum() > second.sum()
    )
    least, most = shares
    return Shares(most, least, limits) if plainer else Shares(least, most, limits)


def _level(image: Floats, weight: Floats) -> Floats:
    """Average over a window, of the pixels with a weight."""
    return mean(image * weight, _STEP_PIXELS) / (mean(weight, _STEP_PIXELS) + 1e-6)


def steep(image: Floats) -> Floats:
    """Give the steepest slope next to every pixel, in levels per pixel."""
    across = cv2.Sobel(image, -1, 1, 0, scale=1 / 8)
    slope = cv2.magnitude(across, cv2.Sobel(image, -1, 0, 1, scale=1 / 8))
    return np.asarray(cv2.dilate(slope, np.ones((3, 3), np.uint8)), np.float32)
