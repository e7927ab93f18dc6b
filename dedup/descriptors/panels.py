"""The panels of a page, a collage or a screen: what plain strips or straight seams set apart.

A photograph on a page shows up in a panel. Compared with the panel alone it is compared as large as
it is there, and without what is around it. An image of many panels shows each of them small.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]

MOST = 6
"""Panels that are looked at."""

MANY = 4
"""Panels from which on an image is a sheet; of 400 photographs two have as many."""

_PLAIN_LEVELS = 12.0  # between the 3rd and the 97th percentile of a line of one colour
_TAIL_SHARE = 0.03
_SEAM_LEVELS = 14.0  # mean step across a seam
_SEAM_SHARE = 0.7  # of a seam's pixels that step by more than compression does
_STEP_LEVELS = 8
_SEAM_OVER_USUAL = 3.0
_MIN_SIDE_SHARE = 0.12  # of the shorter side
_MIN_SIDE_PIXELS = 32
_MAX_SHARE = 0.97  # of the image; more is all of it
_DEPTH = 6


class Box(NamedTuple):
    """Shares of the width and the height, ends excluded."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        """Share of the image."""
        return (self.right - self.left) * (self.bottom - self.top)


def panels(grey: Bytes) -> list[Box]:
    """Find the panels of an image, the largest first; none where it is one itself.

    Parameters
    ----------
    grey : (H, W)
    """
    height, width = grey.shape
    found: list[tuple[int, int, int, int]] = []
    _cut(grey, (0, 0, width, height), _least(grey), _DEPTH, found)
    boxes = [
        Box((left + 1) / width, (top + 1) / height, (right - 1) / width, (bottom - 1) / height)
        for left, top, right, bottom in found
    ]
    boxes.sort(key=lambda box: (-box.area, box))
    return boxes if boxes and boxes[0].area < _MAX_SHARE else []


def is_sheet(grey: Bytes) -> bool:
    """Tell a sheet of many images, (H, W)."""
    least = _least(grey)
    if min(grey.shape) < least:
        return False  # a strip, or a line
    # A third of each line tells most photographs from sheets, in a third of the time.
    lines = np.ascontiguousarray(grey[:, ::3]), np.ascontiguousarray(grey[::3].T)
    return any(len(_spans(each, least)) > 1 for each in lines) and len(panels(grey)) >= MANY


def _least(grey: Bytes) -> int:
    height, width = grey.shape
    least: int = round(_MIN_SIDE_SHARE * min(height, width))
    return max(_MIN_SIDE_PIXELS, least)


def _cut(
    grey: Bytes,
    box: tuple[int, int, int, int],
    least: int,
    depth: int,
    found: list[tuple[int, int, int, int]],
) -> None:
    """Cut along plain strips and seams, across and down in turn, as long as there are any."""
    left, top, right, bottom = box
    if min(right - left, bottom - top) < least:
        return
    part = grey[top:bottom, left:right]
    if depth:
        for axis in (0, 1):
            spans = _spans(part if axis == 0 else part.T, least)
            if spans != [(0, part.shape[axis])]:
                for begin, end in spans:
                    inner = (
                        (left, top + begin, right, top + end)
                        if axis == 0
                        else (left + begin, top, left + end, bottom)
                    )
                    _cut(grey, inner, least, depth - 1, found)
                return
    found.append(box)


def _varied(part: Bytes) -> npt.NDArray[np.bool_]:
    """Mark rows of which too much is on either side of their mean to be plain.

    Most are, and need not be sorted.
    """
    middle = np.asarray(cv2.reduce(part, 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F)).astype(np.int16)
    reach = int(_PLAIN_LEVELS / 2) + 1
    below, above = (np.clip(middle + by, 0, 255).astype(np.uint8) for by in (-reach, reach))
    low, high = (_counts(each) for each in (part < below, part > above))
    few = _TAIL_SHARE * part.shape[1] + 2
    return np.asarray(np.minimum(low, high) > few)


def _at_share(ranked: Bytes, share: float) -> npt.NDArray[np.float64]:
    """Give the value below which a share of each sorted row lies, between neighbours linearly."""
    place = share * (ranked.shape[1] - 1)
    low, high = ranked[:, int(place)], ranked[:, min(int(place) + 1, ranked.shape[1] - 1)]
    return np.asarray(low + place % 1 * (high.astype(np.float64) - low))


def _counts(some: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Count what is marked in each row; as `np.count_nonzero`, several times as fast."""
    counts = cv2.reduce(some.view(np.uint8), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)
    return np.asarray(counts, np.int32)[:, 0]


def _means(levels: Bytes) -> npt.NDArray[np.float32]:
    """Give the mean of each row."""
    return np.asarray(cv2.reduce(levels, 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F), np.float32)[:, 0]


def _spans(part: Bytes, least: int) -> list[tuple[int, int]]:
    """Find the runs of rows between plain rows and seams, those of at least so many."""
    plain = ~_varied(part)
    if plain.any():
        ranked = np.sort(part[plain], axis=1)  # of bytes, which is quicker than `np.percentile`
        plain[plain] = _at_share(ranked, 0.97) - _at_share(ranked, 0.03) <= _PLAIN_LEVELS
    ends = np.flatnonzero(np.diff(np.concatenate([[1], plain, [1]]).astype(np.int8)))
    runs = list(zip(ends[0::2].tolist(), ends[1::2].tolist(), strict=True))
    steps = np.asarray(cv2.absdiff(part[1:], part[:-1]), np.uint8)
    size, share = _means(steps), _counts(steps > _STEP_LEVELS) / part.shape[1]
    usual = cv2.blur(size[None], (15, 1))[0] if len(size) else size
    seams = (size > _SEAM_LEVELS) & (share > _SEAM_SHARE) & (size > _SEAM_OVER_USUAL * usual)
    spans: list[tuple[int, int]] = []
    for begin, end in runs:
        cuts = [row + 1 for row in np.flatnonzero(seams).tolist() if begin < row + 1 < end]
        spans += pairwise([begin, *cuts, end])
    return [(begin, end) for begin, end in spans if end - begin >= least]
