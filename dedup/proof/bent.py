"""Whether one image lies bent in the other, as another shot of the same things does.

Cropping, scaling, turning and stretching keep a frame's right angles in one of the two images.
What is straightened in perspective does not, and still agrees with its original everywhere to a
fraction of a pixel. What lost detail may be placed bent by noise, and fits as well where it is
not. A second shot has to be bent to fit the first, and then fits it less well: on images of some
150 pixels that is all that tells shots of a burst from copies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from dedup.proof.geometry import project
from dedup.proof.shared_parts import DIFFERS_CHECK
from dedup.proof.verdict import Check
from dedup.proof.verify import ALIKE_CHECK, SHIFT_CHECK

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.description import Features
    from dedup.proof.verdict import Verdict

    Floats = npt.NDArray[np.float32]
    Doubles = npt.NDArray[np.float64]

MAX_BEND: Final = 0.35
"""Pixels of the coarser image. Of 859 copies of photographs of 144 to 256 pixels, drawn in 36 ways,
28 lie bent by more, 23 of them in perspective; of 60 pairs of shots 53 do."""

_MAX_SHIFT = 0.045  # pixels; .033 at most of 24 copies in perspective
_MAX_DIFFERS = 0.06  # .002
_MIN_ALIKE = 0.995  # .998
_MAX_FITTED = 1.06
"""What a placing that keeps right angles leaves unexplained, as a multiple of what the bent one
does. Ten of eighteen copies that lie bent leave less, and of eleven pairs of shots one 1.09 and the
others 1.2 and more."""

_CLEARLY_BENT, _WELL_FITTED, _LEAST_SIDE = 5.0, 0.1, 200
_CLEARLY_SHIFT, _CLEARLY_ALIKE = 0.09, 0.99
"""The same of what is plainly in perspective, as a photographed print: times what the right
angles leave, what is left at most, and the longest side. Shots by hand of so many pixels have 4.4
times at most; of 14 photographed prints and screens that agree less than above, 12 have more."""

_DETAIL_PIXELS = 2.5
_RIM_PIXELS = 13
_GRID = 9


def bent(one: Features, two: Features, verdict: Verdict) -> Check | None:
    """Give the check that refuses another shot; None where there is none to refuse.

    Parameters
    ----------
    verdict : of a pair that is near
    """
    if verdict.transform is None:
        return None
    shape = one.grey.shape
    bend = bend_of(verdict.transform, shape) / max(1.0, verdict.scale)
    values = {check.name: check.value for check in verdict.checks}
    shift, alike = values.get(SHIFT_CHECK, 0.0), values.get(ALIKE_CHECK, 1.0)
    few = values.get(DIFFERS_CHECK, 0.0) <= _MAX_DIFFERS
    if bend <= MAX_BEND or (few and shift <= _MAX_SHIFT and alike >= _MIN_ALIKE):
        return None
    straight, left = (
        _misfit(one, two, placed)
        for placed in (right_angled(verdict.transform, shape), verdict.transform)
    )
    plainly = (
        straight >= _CLEARLY_BENT * left
        and left <= _WELL_FITTED
        and min(max(one.grey.shape), max(two.grey.shape)) >= _LEAST_SIDE
    )
    if plainly and few and shift <= _CLEARLY_SHIFT and alike >= _CLEARLY_ALIKE:
        return None
    if straight <= _MAX_FITTED * left:
        return None
    return Check("bend of the placing, in pixels", bend, MAX_BEND, passed=False)


def bend_of(matrix: Doubles, shape: tuple[int, ...]) -> float:
    """Say how far a placing is from one that turns, scales and stretches.

    Parameters
    ----------
    matrix : (3, 3), the second image's pixels to the first's
    shape : of the first image

    Returns
    -------
    The root mean square over the first image, in its pixels.
    """
    there, back = _grid(matrix, shape)
    off = project(right_angled(matrix, shape), back) - there
    return float(np.sqrt((off**2).sum(axis=1).mean()))


def right_angled(matrix: Doubles, shape: tuple[int, ...]) -> Doubles:
    """Give the placing nearest to one that turns, scales and stretches alone, (3, 3)."""
    there, back = _grid(matrix, shape)
    middles = there.mean(axis=0), back.mean(axis=0)
    affinity = np.linalg.lstsq(back - middles[1], there - middles[0], rcond=None)[0].T
    placed = np.eye(3)
    placed[:2, :2] = _squared(np.asarray(affinity, np.float64))
    placed[:2, 2] = middles[0] - placed[:2, :2] @ middles[1]
    return placed


def _grid(matrix: Doubles, shape: tuple[int, ...]) -> tuple[Doubles, Doubles]:
    """Give (N, 2) points all over the first image, and where they lie in the second."""
    x, y = np.meshgrid(*(np.linspace(0, side - 1, _GRID) for side in (shape[1], shape[0])))
    there = np.stack([x.ravel(), y.ravel()], axis=1)
    return there, project(np.asarray(np.linalg.inv(matrix), np.float64), there)


def _misfit(one: Features, two: Features, matrix: Doubles) -> float:
    """Give the share of details that a placing does not explain, 0 to 2."""
    size = one.grey.shape[::-1]
    laid = cv2.warpPerspective(two.grey.astype(np.float32), matrix, size)
    cover = cv2.warpPerspective(np.full(two.grey.shape, 255, np.uint8), matrix, size)
    rim = np.ones((_RIM_PIXELS, _RIM_PIXELS), np.uint8)
    inside = cv2.erode(cover, rim, borderValue=0) == 255  # noqa: PLR2004 -- whole
    if not inside.any():
        return 0.0
    mine, theirs = (_details(np.asarray(each, np.float32))[inside] for each in (one.grey, laid))
    return 1 - float(np.corrcoef(mine, theirs)[0, 1])


def _details(level: Floats) -> Floats:
    smooth = cv2.GaussianBlur(level, (0, 0), _DETAIL_PIXELS)
    return np.asarray(level - smooth, np.float32)


def _squared(affinity: Doubles) -> Doubles:
    """Find the nearest (2, 2) that stretches along the sides of one of the images, and turns."""
    found: list[Doubles] = []
    for each in (affinity, affinity.T):
        lengths = np.linalg.norm(each, axis=0)
        left, _, right = np.linalg.svd(each / np.maximum(lengths, np.finfo(float).tiny))
        turn = np.asarray(left @ right, np.float64)
        found.append(turn * (turn * each).sum(axis=0))
    one, two = found[0], found[1].T
    return one if np.linalg.norm(one - affinity) <= np.linalg.norm(two - affinity) else two
