"""Places that are lighter or darker in one of two images, as softly as if the lens had seen it so.

Whatever is laid over an image ends within a pixel or two, and edits of light change all of it or
come in from its sides. A spot in the midst of a radiograph, a thing retouched away with a soft
brush: these leave all detail as it is, and only other light, which local tones would explain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof import cells
from dedup.proof.colour_rule import mapped
from dedup.proof.ranks import median, percentiles

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.closely import Laid

    Bytes = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

BLENDED = "a place has other light in one of them, and no outline"
BLENDED_CHECK = "places that are lighter or darker, with no outline"

_SIDE = 256  # pixels that are left of the longer side
_SAME_COLOUR = 4.0  # levels of chroma, at three quarters of the image: else it was recoloured
_KEPT_LEVELS = 2.0  # of light, at three quarters of the image: else a rule is fitted
_USUAL_LEVELS = 2.5  # at nine tenths of it: else more was done to the whole than a rule tells
_LEAST_LEVELS, _LEAST_PIXELS, _MOST_SHARE = 10.0, 30, 0.06  # of a place
_TOP_LEVELS, _GLANCE_LEVELS = 14.0, 9.0  # at the top of one; of light, as grey has it
_SOFTLY = 0.22  # of the most by which they differ, from one pixel to the next
_DETAIL = 1.5  # times the other's, there
_ONE_WAY = 0.85  # of what differs around; a blur darkens beside what it makes lighter


def blended_in(laid: Laid) -> bool:
    """Tell whether a place in the midst has other light alone, which rises softly all around."""
    step = max(1, round(max(laid.inside.shape) / _SIDE))
    if not _may_be(laid, step):
        return False
    one, two = (_small(each, step) for each in (laid.one, laid.two))
    whole = _small(laid.inside.view(np.uint8) * np.uint8(255), step)
    inside = np.asarray(cv2.erode(whole, np.ones((3, 3), np.uint8)) > 250)  # noqa: PLR2004 -- whole
    if not inside.any():
        return False

    def usual(values: Floats, share: float) -> float:
        # Every fourth pixel tells as much.
        return percentiles(np.abs(values[inside][::4]), share)[0]

    first, second = (
        cv2.split(cv2.cvtColor(each, cv2.COLOR_RGB2YCrCb).astype(np.float32)) for each in (one, two)
    )
    levels = [np.asarray(each[0], np.float32) for each in (first, second)]
    off = [
        np.asarray(mine - theirs, np.float32) for mine, theirs in zip(first, second, strict=True)
    ]
    if max(usual(each, 75) for each in off[1:]) > _SAME_COLOUR:
        return False
    gaps = cv2.split(one.astype(np.float32) - two)
    if usual(off[0], 75) > _KEPT_LEVELS:
        gaps = [levels[0] - mapped(two, levels[0], inside)]
    smooth = []
    for each in gaps:
        each[~inside] = 0
        smooth.append(np.asarray(cv2.GaussianBlur(each, (0, 0), 1), np.float32))
        if usual(smooth[-1], 90) > _USUAL_LEVELS:
            return False
    if max(float(np.abs(each).max()) for each in smooth) < _TOP_LEVELS:
        return False
    # Of a sticker one channel may be as its ground is, and not all of them.
    slope = np.max([_steepness(each) for each in smooth], axis=0)
    return any(_is_soft(sign * each, slope, levels, inside) for each in smooth for sign in (1, -1))


def _may_be(laid: Laid, step: int) -> bool:
    """Tell at a glance whether light differs more in one place than all over."""
    height, width = (max(1, side // step) for side in laid.inside.shape)
    gap = laid.greys[0] - laid.greys[1]
    few = np.asarray(cv2.resize(gap, (width, height), interpolation=cv2.INTER_AREA), np.float32)
    smooth = np.asarray(cv2.GaussianBlur(few, (0, 0), 1), np.float32)
    return float(np.abs(smooth - median(smooth)).max()) >= _GLANCE_LEVELS


def _small(image: Bytes, step: int) -> Bytes:
    height, width = (side // step for side in image.shape[:2])
    cut = cells.cut(image, step)
    return np.asarray(cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _steepness(gap: Floats) -> Floats:
    across, down = (cv2.Sobel(gap, -1, at, 1 - at, scale=1 / 8) for at in (1, 0))
    return np.asarray(cv2.magnitude(across, down), np.float32)


def _is_soft(gap: Floats, slope: Floats, levels: list[Floats], inside: Mask) -> bool:
    """Tell whether any place where one is lighter is as soft, and no blur of what the other has."""
    places = (gap > _LEAST_LEVELS).view(np.uint8)
    if np.count_nonzero(places) < _LEAST_PIXELS:
        return False
    count, labels, stats, _ = cv2.connectedComponentsWithStats(places, connectivity=8)
    fine = [np.abs(each - cv2.GaussianBlur(each, (0, 0), 2)) for each in levels]
    for place in range(1, count):
        area = int(stats[place, cv2.CC_STAT_AREA])
        if not _LEAST_PIXELS <= area <= _MOST_SHARE * gap.size:
            continue
        within = np.asarray(labels == place)
        around = _grown(within, 2)
        top = float(gap[within].max())
        if top < _TOP_LEVELS or not inside[around].all() or _at_the_edge(around):
            continue
        if float(slope[around].max()) > _SOFTLY * top:
            continue
        mine, theirs = (float(each[within].mean()) + 0.5 for each in fine)
        near = gap[_grown(within, int(area**0.5))]
        one_way = float(near.sum()) >= _ONE_WAY * float(np.abs(near).sum())
        if max(mine, theirs) <= _DETAIL * min(mine, theirs) or one_way:
            return True
    return False


def _grown(mask: Mask, pixels: int) -> Mask:
    kernel = np.ones((2 * pixels + 1,) * 2, np.uint8)
    return np.asarray(cv2.dilate(mask.view(np.uint8), kernel) > 0)


def _at_the_edge(mask: Mask) -> bool:
    return bool(mask[[0, -1]].any() or mask[:, [0, -1]].any())
