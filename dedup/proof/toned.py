"""Which of two versions was saved from the other with other tones, by what its JPEG explains.

What a JPEG made of the outcome of an edit lies off that by any part of half a step, each equally
often, and by no more. The other way round nothing is so: what was there first is off what can be
made of the copy by what the copy's JPEG took, which hardly has the shape that its own steps, if it
has any, would give it.
"""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.images.history import all_coefficients, grey_of
from dedup.proof.generations import is_exact
from dedup.proof.lineage import BLURRED, is_fine, parts_of, retoned, sound, windows
from dedup.proof.original import MOST_PIXELS
from dedup.proof.resampling import quantised

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.lineage import Window
    from dedup.proof.original import Original

    Doubles = npt.NDArray[np.float64]
    Floats = npt.NDArray[np.float32]
    Pixels = npt.NDArray[np.uint8]

_BLOCK = 8
_KNOTS = 9  # of the tone curve of a channel
_BLURS = (2.5, 3.5)  # besides those of `parts_of`
_FILTERS = BLURRED.stop - BLURRED.start + len(_BLURS)
_FITTED_PIXELS, _FITS = 12_000, 3

_EXPLAINED, _CLEARLY = -0.1, 0.15
"""Logarithms of likelihoods, as `resampling.quantised` has them: the least of what was made from
the other, and by how much at least it is above that of the other way round."""

_EXPLAINED_FINELY = -0.02  # of JPEGs of fine steps, whose noise is as small as of whole levels
_CLEARLY_CONVERTED = 0.9
"""The margin for what was once a JPEG, and saved without loss: that may be the made one's own."""


def saved_toned(one: Original, two: Original, placed: Doubles) -> int:
    """Tell which of two images was made from the other by tones, colours and sharpness, then saved.

    Parameters
    ----------
    placed : (3, 3), pixels of the second to those of the first, of the files' own sizes

    Returns
    -------
    1 or 2, the one that was; 0 where that cannot be told: neither was, or they do not lie on each
    other pixel on pixel.
    """
    both = one, two
    if max(np.prod(each.size) for each in both) > MOST_PIXELS or one.has_profile != two.has_profile:
        return 0
    if not any(each.opened.header.format == "JPEG" for each in both):
        return 0
    cut = windows(one, two, placed)
    if cut is None:
        return 0
    scores = explained(cut[1], cut[0]), explained(cut[0], cut[1])
    if any(map(isnan, scores)):
        return 0
    made = 1 if scores[0] > scores[1] else 2
    window, source, ahead = cut[made - 1], cut[2 - made], abs(scores[0] - scores[1])
    if window.lossy:
        converted = not source.lossy and source.steps is not None
        unedited = converted and not retoned(source.pixels, window.pixels)
        least = _CLEARLY_CONVERTED if unedited else _CLEARLY
        enough = _EXPLAINED_FINELY if is_fine(window) else _EXPLAINED
        return made if max(scores) >= enough and ahead >= least else 0
    exactly = both[made - 1].is_lossless and is_exact(max(scores), ahead)
    # A JPEG that was made at the same steps once more has lost next to nothing.
    return made if exactly and not _has_steps_of(window, source) else 0


def _has_steps_of(window: Window, jpeg: Window) -> bool:
    """Tell whether what was once a JPEG was at the steps of another one."""
    if window.steps is None or jpeg.steps is None:
        return False
    known = window.steps > 1
    return bool((window.steps == jpeg.steps)[known].mean() > 0.5)  # noqa: PLR2004 - most of them


def explained(source: Window, made: Window) -> float:
    """Give how well one is explained as the other one edited and saved, about 0 where it was so.

    Returns
    -------
    As `resampling.quantised` has it; not a number where too few tell.
    """
    y, x = made.grid
    wanted = grey_of(made.pixels)
    height, width = ((side - at) & -_BLOCK for side, at in zip(wanted.shape, (y, x), strict=True))
    inner = slice(y, y + height), slice(x, x + width)
    after = wanted[inner] - 128
    seen = all_coefficients(after)
    steps = made.steps if made.lossy and made.steps is not None else np.ones((8, 8), np.float32)
    parts, found = _parts(source.pixels), []
    # What JPEG took of grain looks like a blur, which then must not be among what is tried.
    for some in (parts, parts[:-_FILTERS]):
        before = _mixed(some, wanted)[inner] - 128
        off = np.abs(all_coefficients(before) - seen).mean(axis=0)
        found.append(quantised(before, after, steps, sound(made.pixels[inner], off)))
    return max(found)


def _mixed(parts: Floats, wanted: Floats) -> Floats:
    """Mix parts, (P, H * W), to what is nearest to (H, W) grey levels."""
    target = wanted.ravel()
    step = max(1, target.size // _FITTED_PIXELS)
    table, goal = parts[:, ::step].astype(np.float64), target[::step].astype(np.float64)
    used: Doubles = np.ones(len(goal))
    for _ in range(_FITS):
        normal = (table * used) @ table.T + 1e-6 * len(goal) * np.eye(len(parts))
        weights = np.linalg.solve(normal, (table * used) @ goal)
        left = np.abs(goal - weights @ table)
        used = (left < 3 * np.median(left) + 1).astype(np.float64)  # no words over it
    return np.asarray((weights.astype(np.float32) @ parts).reshape(wanted.shape), np.float32)


def _parts(source: Pixels) -> Floats:
    """(P, H * W) what an edit is mixed from: as `lineage` has it, curves, and last of all blurs."""
    parts = parts_of(source)
    apart = 255 / (_KNOTS - 1)
    levels = source.transpose(2, 0, 1).reshape(3, -1).astype(np.float32)
    curves = [
        np.maximum(0, 1 - np.abs(channel / np.float32(apart) - np.float32(knot)))
        for channel in levels
        for knot in range(1, _KNOTS - 1)
    ]
    light = grey_of(source) / 255
    blurs = [np.asarray(cv2.GaussianBlur(light, (0, 0), each)).ravel() for each in _BLURS]
    plain = np.delete(parts, BLURRED, axis=0)
    return np.concatenate([plain, np.stack(curves), parts[BLURRED], np.stack(blurs)])
