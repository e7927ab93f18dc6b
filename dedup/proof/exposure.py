"""Bursts and exposure brackets: shots of one scene, of which one may have got more light.

Of brackets each shows what the other has lost in its shadows or highlights. Where the camera wrote
down its exposure that tells them. Where it did not, their light does: a longer exposure multiplies
all of it by one number. So does a slider for brightness, which leaves the noise of the one shot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof import cells
from dedup.proof.alignment import at_sizes
from dedup.proof.one_shot import noise_apart

if TYPE_CHECKING:
    from dedup.proof.closely import Laid
    from dedup.proof.original import Original
    from dedup.proof.verdict import Verdict

    Shapes = tuple[tuple[int, int], tuple[int, int]]

TAKEN_APART = "two shots: the camera wrote another time"
RECORDED_APART = "two shots: the camera wrote another exposure"
EXPOSED_APART = "two shots: one is exposed for longer, and nothing else sets them apart"
_SHIFTED_SECONDS = 900.0
"""By multiples of a quarter of an hour clocks are set right afterwards, for the time zone."""

_TILE_PIXELS = 8
_MIN_TILES = 20
_SHADOW_HIGHLIGHT_LEVELS = (12, 243)  # beyond them light is lost
_MIN_RATIO = 1.3  # of encoded values; of light that is four fifths of a stop
_MAX_LEFT_LEVELS = 3.0  # at nine tenths of the tiles: brackets 2.1, edits of contrast 4.5 and more


def taken_apart(one: Original, two: Original) -> bool:
    """Tell two shots by one camera by when it took them, as of a still scene from a tripod."""
    first, second = one.moment, two.moment
    if first is None or second is None or first.camera != second.camera:
        return False
    if (first.seconds - second.seconds) % _SHIFTED_SECONDS:
        return True
    return "" not in (first.fraction, second.fraction) and first.fraction != second.fraction


def recorded_apart(one: Original, two: Original) -> bool:
    """Tell two shots by what the camera wrote."""
    return None not in (one.exposure, two.exposure) and one.exposure != two.exposure


def exposed_apart(
    one: Original, two: Original, verdict: Verdict, described: Shapes, laid: Laid
) -> bool:
    """Tell two shots by their light: of one it is the other's, multiplied by one number.

    Parameters
    ----------
    verdict : with its placing
    described : (H, W) of both as they were described
    laid : both on one raster
    """
    times = times_as_light(laid)
    if times is None or verdict.transform is None:
        return False
    placed = at_sizes(verdict.transform, described, (one.size, two.size))
    return noise_apart(one, two, placed / placed[2, 2], times)


def times_as_light(laid: Laid) -> float | None:
    """Give by what the first image's light is multiplied in the second; None of other changes."""
    low, high = _SHADOW_HIGHLIGHT_LEVELS
    lost = [cv2.inRange(each, (low,) * 3, (high,) * 3) == 0 for each in (laid.one, laid.two)]
    shown = (laid.inside & ~lost[0] & ~lost[1]).astype(np.float32)
    whole = cells.averaged(cells.cut(shown, _TILE_PIXELS), _TILE_PIXELS) > 0.99  # noqa: PLR2004
    if int(whole.sum()) < _MIN_TILES:
        return None
    both = [
        cells.averaged(cells.cut(each, _TILE_PIXELS), _TILE_PIXELS)[whole]
        .astype(np.float64)
        .ravel()
        for each in (laid.one, laid.two)
    ]
    darker, lighter = sorted(both, key=np.sum)
    ratio = float(darker @ lighter / (darker @ darker))
    left = np.abs(lighter - ratio * darker) / np.sqrt(ratio)
    if ratio < _MIN_RATIO or float(np.percentile(left, 90)) > _MAX_LEFT_LEVELS:
        return None
    first_is_darker = (darker is both[0]) == (laid.owner == 1)
    return ratio if first_is_darker else 1 / ratio
