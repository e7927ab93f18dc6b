"""Which of two edited versions of one photograph was made from the other, as far as pixels tell.

One of them keeps to the steps of the other's JPEG (`lineage`), or has lost what the other shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.images.traits import detail
from dedup.proof.alignment import at_sizes, jacobian
from dedup.proof.filtered import filtered_from
from dedup.proof.generations import resampled_from, resampled_part
from dedup.proof.lineage import made_from_coarser
from dedup.proof.original import MOST_PIXELS
from dedup.proof.paper import is_page
from dedup.proof.ranks import median, percentiles
from dedup.proof.sharpness import blurred_in_parts
from dedup.proof.surround import holder_of, surrounded
from dedup.proof.toned import saved_toned
from dedup.proof.traces import traced

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.closely import Laid
    from dedup.proof.original import Original
    from dedup.proof.verdict import Verdict

    Doubles = npt.NDArray[np.float64]
    Floats = npt.NDArray[np.float32]

_LEAST_SIDE = 64
_QUARTER, _SIXTEENTH, _FEWEST_PLACES = 4, 16, 64
_BURNT_LEVELS = (0, 255)
_TEXTURE_LEVELS, _BURNT_SHARE, _BURNT_TIMES = 1.5, 0.002, 5.0
_BENDS = 20  # times the variance of grain, that of what `cv2.Laplacian` gives is
_RETONED_LEVELS = 6.0  # median difference; noise and compression leave light as it is
_CURVED_LEVELS = 2.0  # the same, of what brightness and contrast leave; filters of size leave less

_LEAST_SCALED = 1.03
_LEAST_RATIO = 1.25  # of sides; nearer ones say nothing
_ALL_SHARE = 0.98
_TILTED_DEGREES = 1.0
_SOFT, _FINE = 0.35, 0.6
"""Exponents of the ratio of sides, by which reaches of spectra differ: those of an image and its
enlargement by 1, of a sharp one and its reduction by 0."""


def origin(
    first: Original,
    second: Original,
    verdict: Verdict,
    described: tuple[tuple[int, ...], tuple[int, ...]],
    laid: Laid,
    framed: bool,  # noqa: FBT001 - asked by position
) -> int:
    """Say which of two was made from the other, as far as their pixels tell; else 0.

    Parameters
    ----------
    framed : one has a frame or a caption around what the other shows
    """
    if verdict.transform is None or first.is_part or second.is_part:
        return 0
    matrix = at_sizes(verdict.transform, described, (first.size, second.size))
    matrix = matrix / matrix[2, 2]
    return (
        surrounded(first, second, matrix, verdict.overlap)
        or made_from_coarser(first, second, matrix)
        or blurred_in_parts(laid)
        or _toned(first, second, matrix, verdict, framed=framed)
        or _resampled(first, second, matrix, verdict, laid, framed=framed)
        or _traced(first, second, matrix, verdict)
        or burnt_out(laid)
        or holds_resized(first, second, matrix, verdict.overlap)
        or _filtered(first, second, matrix, verdict)
    )


def _toned(
    first: Original, second: Original, placed: Doubles, verdict: Verdict, *, framed: bool
) -> int:
    """Tell which of two was saved from the other with other tones; of a part, that it was cut."""
    if min(verdict.overlap) >= _ALL_SHARE:
        return saved_toned(first, second, placed)
    # Of two exports of one master either may be saved better, the part or what has a frame.
    held = 2 if verdict.overlap[0] < verdict.overlap[1] else 1
    return held if not framed and saved_toned(first, second, placed) == held else 0


def _traced(first: Original, second: Original, placed: Doubles, verdict: Verdict) -> int:
    """Tell by what edits leave behind, where both show the same."""
    return traced(first, second, placed) if min(verdict.overlap) >= _ALL_SHARE else 0


def _filtered(first: Original, second: Original, placed: Doubles, verdict: Verdict) -> int:
    """Tell by what a coarse JPEG rounded away, where both show the same."""
    return filtered_from(first, second, placed) if min(verdict.overlap) >= _ALL_SHARE else 0


def _resampled(
    first: Original,
    second: Original,
    placed: Doubles,
    verdict: Verdict,
    laid: Laid,
    *,
    framed: bool,
) -> int:
    """Tell which of two was resized that are turned by quarters at most; 0 for others."""
    if verdict.tilt >= _TILTED_DEGREES:
        return 0
    whole = min(verdict.overlap) >= _ALL_SHARE
    scale = abs(float(np.linalg.det(placed[:2, :2]))) ** 0.5
    # Of two exports of one size either may be saved better, the part or what has a frame.
    unscaled = not whole and max(scale, 1 / scale) < _LEAST_SCALED
    if unscaled and framed:
        return 0
    if (not whole or first.size == second.size) and is_curved(laid):
        return 0  # which no filter explains
    if whole and not verdict.mirrored and abs(verdict.rotation) < _TILTED_DEGREES:
        return resampled_from(first, second)
    held = 2 if verdict.overlap[0] < verdict.overlap[1] else 1
    return resampled_part(first, second, placed, held if unscaled else 0)


def is_curved(laid: Laid) -> bool:
    """Tell whether light was changed by more than brightness and contrast."""
    one, two, inside = _reduced(laid, _SIXTEENTH)
    lights = [each.mean(axis=2)[inside] for each in (one, two)]
    if len(lights[0]) < _FEWEST_PLACES:
        return False
    low, middle, high = zip(*(percentiles(each, 20, 50, 80) for each in lights), strict=True)
    slope = (high[1] - low[1]) / max(1.0, high[0] - low[0])
    left = lights[1] - middle[1] - slope * (lights[0] - middle[0])
    return median(np.abs(left)) > _CURVED_LEVELS


def _reduced(laid: Laid, times: int) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Give both, (H, W, 3) RGB, and where both have pixels, (H, W), many times smaller."""
    height, width = laid.inside.shape
    size = max(1, width // times), max(1, height // times)
    inside = cv2.resize(laid.inside.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    one, two = (
        np.asarray(cv2.resize(each, size, interpolation=cv2.INTER_AREA)).astype(np.float32)
        for each in (laid.one, laid.two)
    )
    return one, two, np.asarray(inside)


def burnt_out(laid: Laid) -> int:
    """Tell which of two images, 1 or 2, has lost in black or white what the other shows there."""
    *both, inside = _reduced(laid, _QUARTER)
    light = np.abs(both[0].mean(axis=2) - both[1].mean(axis=2))[inside]
    if not light.size or median(light) < _RETONED_LEVELS:
        return 0
    lost = [
        float((_burnt(mine) & _textured(theirs) & inside[..., None]).any(axis=2).mean())
        for mine, theirs in (both, both[::-1])
    ]
    if max(lost) < _BURNT_SHARE or max(lost) < _BURNT_TIMES * min(lost):
        return 0
    burnt = 0 if lost[0] > lost[1] else 1
    if is_page(laid.greys[burnt]):
        return 0  # paper is white, and grey once it is photographed
    return 3 - laid.owner if burnt else laid.owner


def _burnt(levels: Floats) -> npt.NDArray[np.bool_]:
    black, white = _BURNT_LEVELS
    found = ((levels <= black) | (levels >= white)).astype(np.uint8)
    return np.asarray(cv2.erode(found, np.ones((5, 5), np.uint8)) > 0)


def _textured(levels: Floats) -> npt.NDArray[np.bool_]:
    """Tell where there is more than one shade, and more than shades that rise evenly."""
    bends = cv2.Laplacian(levels, cv2.CV_32F)
    return np.asarray(cv2.blur(bends * bends, (3, 3)) > _BENDS * _TEXTURE_LEVELS**2)


def holds_resized(
    one: Original, two: Original, placed: Doubles, overlap: tuple[float, float]
) -> int:
    """Tell which image, 1 or 2, shows the other among other things, and in another size.

    What is cropped is no larger than it was, unless it was enlarged, and then it is soft; and what
    is put among other things is not sharper there than it was.

    Parameters
    ----------
    placed : (3, 3), pixels of the second to those of the first, of the files' own sizes
    overlap : share of each that both show
    """
    holder = holder_of(overlap)
    if not holder or max(np.prod(one.size), np.prod(two.size)) > MOST_PIXELS:
        return 0
    outer, inner = (one, two) if holder == 1 else (two, one)
    slope = jacobian(placed, (two.size[1] - 1) / 2, (two.size[0] - 1) / 2)
    shrunk = float(abs(np.linalg.det(slope))) ** 0.5
    ratio = 1 / shrunk if holder == 1 else shrunk
    if 1 / _LEAST_RATIO < ratio < _LEAST_RATIO:
        return 0
    matrix = placed if holder == 1 else np.linalg.inv(placed)
    height, width = inner.size
    ends = np.array([(0, 0, 1), (width, 0, 1), (0, height, 1), (width, height, 1)], float)
    there = ends @ matrix.T
    there = np.rint(there[:, :2] / there[:, 2:]).astype(int)
    (left, top), (right, bottom) = np.maximum(there.min(axis=0), 0), there.max(axis=0)
    region = outer.pixels(*outer.size)[top:bottom, left:right]
    if min(region.shape[:2]) < _LEAST_SIDE:
        return 0
    finer = detail(inner.pixels(*inner.size)) / detail(region)
    made = finer > ratio ** -(_SOFT if ratio > 1 else _FINE)
    return holder if made else 0
