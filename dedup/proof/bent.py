"""Whether one image lies bent in the other, as another shot of the same things does.

Cropping, scaling, turning and stretching keep a frame's right angles in one of the two images.
What is straightened in perspective does not, and still agrees with its original everywhere to a
fraction of a pixel. A second shot has to be bent to fit the first, and then fits it less well: on
images of some 150 pixels that is all that tells shots of a burst from copies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dedup.proof.geometry import project
from dedup.proof.shared_parts import DIFFERS_CHECK
from dedup.proof.verdict import Check
from dedup.proof.verify import ALIKE_CHECK, SHIFT_CHECK

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.verdict import Verdict

    Doubles = npt.NDArray[np.float64]

MAX_BEND: Final = 0.35
"""Pixels of the coarser image. Of 859 copies of photographs of 144 to 256 pixels, drawn in 36 ways,
28 lie bent by more, 23 of them in perspective; of 60 pairs of shots 53 do."""

_MAX_SHIFT = 0.045  # pixels; .033 at most of 24 copies in perspective
_MAX_DIFFERS = 0.06  # .002
_MIN_ALIKE = 0.995  # .998
_GRID = 9


def bent(verdict: Verdict, shape: tuple[int, ...]) -> Check | None:
    """Give the check that refuses another shot; None where there is none to refuse.

    Parameters
    ----------
    verdict : of a pair that is near
    shape : of the first image as described
    """
    if verdict.transform is None:
        return None
    bend = bend_of(verdict.transform, shape) / max(1.0, verdict.scale)
    values = {check.name: check.value for check in verdict.checks}
    agrees = (
        values.get(SHIFT_CHECK, 0.0) <= _MAX_SHIFT
        and values.get(DIFFERS_CHECK, 0.0) <= _MAX_DIFFERS
        and values.get(ALIKE_CHECK, 1.0) >= _MIN_ALIKE
    )
    if bend <= MAX_BEND or agrees:
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
    x, y = np.meshgrid(*(np.linspace(0, side - 1, _GRID) for side in (shape[1], shape[0])))
    there = np.stack([x.ravel(), y.ravel()], axis=1)
    back = project(np.asarray(np.linalg.inv(matrix), np.float64), there)
    there -= there.mean(axis=0)
    back -= back.mean(axis=0)
    affinity = np.asarray(np.linalg.lstsq(back, there, rcond=None)[0].T, np.float64)
    off = back @ _squared(affinity).T - there
    return float(np.sqrt((off**2).sum(axis=1).mean()))


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
