"""Whether one place on flat ground carries other ink on either image: other words, another face.

What is drawn over one image alone lies on ground there, or on ink that it covers. Where either has
ink and the other bare ground within one small place, both carry something, and neither was drawn
over the other. Ground and ink are told in each image by itself, whatever its tone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from dedup.proof.channels import off_levels
from dedup.proof.exchanged import continued, exchanged
from dedup.proof.in_line import in_a_line
from dedup.proof.ranks import percentiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

_STROKE_SHARE = 0.5  # of what differs
_JOINED_PIXELS = 5  # between the strokes of a piece
_BESIDE_PIXELS, _AROUND_PIXELS = 2, 7  # where ground is looked for, from a piece on
_MOST_PIECES = 40
_GROUND_LEVELS = 14  # of its commonest colour, at least
_MIN_GROUND_SHARE = 0.6  # of what is around a piece; other words may be
_MIN_INK_LEVELS = 64.0  # at its strongest; what is fainter may be a texture
_INK_SHARE, _BARE_SHARE = 0.4, 0.14  # of the strongest ink of a piece; patterns are no ink
_MIN_PIXELS, _MIN_SHARE, _MIN_ALONE_SHARE = 6, 0.035, 0.15
"""Of a piece's ink, that is on one alone: well clear of the other's, or at all. Cards of two people
have .04 to .1 and .17 to .3; of 590 edited copies a photograph beneath a tiled mark has .02 and
.06."""


def inked_apart(one: Bytes, two: Bytes, places: Mask) -> int:
    """Count the pieces of places with ink in either image where the other has none.

    Parameters
    ----------
    one, two : (H, W, 3) RGB
    places : (H, W), where they differ
    """
    left, top, width, height = cv2.boundingRect(places.view(np.uint8))
    if not width:
        return 0
    rows, columns = _grown((left, top, width, height))
    mask = np.ascontiguousarray(places[rows, columns]).view(np.uint8)
    joined = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((_JOINED_PIXELS,) * 2, np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    count, stroke = 0, 0.0
    for number in 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable")[:_MOST_PIECES]:
        *box, area = stats[number].tolist()
        if area < 2 * _MIN_PIXELS:
            break
        around = _grown(box)
        own, near = labels[around] == number, mask[around]
        box[:2] = box[0] + columns.start, box[1] + rows.start
        around = _grown(box)
        apart = _apart(one[around], two[around], own, near)
        apart = apart or in_a_line(one, two, places, box)
        count += apart or exchanged(one[around], two[around], own)
        # Of words laid over one of two a letter may happen to lie beside ink, and not all of them.
        if stroke >= 0 and (more := continued(one[around], two[around], own)) is not None:
            stroke = stroke + area if more else -np.inf
    return count or int(stroke >= _STROKE_SHARE * np.count_nonzero(mask))


def _grown(box: Sequence[int]) -> tuple[slice, slice]:
    """Give the rows and columns of a box, by its left, top, width and height, and around it."""
    left, top, width, height = box
    return (
        slice(max(0, top - _AROUND_PIXELS), top + height + _AROUND_PIXELS),
        slice(max(0, left - _AROUND_PIXELS), left + width + _AROUND_PIXELS),
    )


def _apart(one: Bytes, two: Bytes, own: Mask, places: Bytes) -> bool:
    # Most pieces have no ink in one of the images, which a look at its levels tells.
    if any(int(np.ptp(each[..., 1][own])) < _MIN_INK_LEVELS // 2 for each in (one, two)):
        return False
    beyond = cv2.dilate(own.view(np.uint8), _square(_AROUND_PIXELS))
    beyond[cv2.dilate(places, _square(_BESIDE_PIXELS)) > 0] = 0
    first = _inks(one, own, beyond > 0)
    second = _inks(two, own, beyond > 0) if first else None
    if first is None or second is None:
        return False
    pairs = (first, second), (second, first)
    total = int((first.ink | second.ink).sum())
    clear = min(int((mine.ink & _inner(theirs.bare)).sum()) for mine, theirs in pairs)
    if clear >= max(_MIN_PIXELS, _MIN_SHARE * total):
        return True
    # Of small words few strokes are clear of all of the other's.
    alone = min(int((mine.ink & theirs.bare).sum()) for mine, theirs in pairs)
    return clear > 0 and alone >= max(2 * _MIN_PIXELS, _MIN_ALONE_SHARE * total)


def _inner(mask: Mask) -> Mask:
    """Leave out what is next to anything else."""
    return np.asarray(cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)


class _Inks(NamedTuple):
    """What one image has in a piece: (H, W) each."""

    ink: Mask
    bare: Mask


def _inks(image: Bytes, own: Mask, beyond: Mask) -> _Inks | None:
    """Tell ink from bare ground in a piece; None where there is no flat ground around it."""
    around = image[beyond].astype(np.int32)
    if len(around) < _MIN_PIXELS:
        return None
    levels = around.sum(axis=1) // 3
    counts = np.bincount(levels, minlength=256 + _GROUND_LEVELS)
    common = int(np.convolve(counts, np.ones(_GROUND_LEVELS), "valid").argmax())
    near = (levels >= common) & (levels < common + _GROUND_LEVELS)
    ground = around[near].mean(axis=0)
    apart = off_levels(image, ground.round())
    strongest = percentiles(apart[own].astype(np.float32), 95)[0]
    bare = apart <= max(_GROUND_LEVELS, _BARE_SHARE * strongest)
    if strongest < _MIN_INK_LEVELS or float(bare[beyond].mean()) < _MIN_GROUND_SHARE:
        return None
    ink = apart >= _INK_SHARE * strongest
    return _Inks(np.asarray(own & ink), np.asarray(bare))


def _square(pixels: int) -> Bytes:
    """Give the kernel that reaches so far."""
    return np.ones((2 * pixels + 1,) * 2, np.uint8)
