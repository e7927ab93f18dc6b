"""Which of two versions was saved from the other with other tones, by what its JPEG explains.

What a JPEG made of the outcome of an edit lies off that by any part of half a step, each equally
often, and by no more. The other way round nothing is so: what was there first is off what can be
made of the copy by what the copy's JPEG took, which hardly has the shape that its own steps, if it
has any, would give it.
"""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from dedup.images.history import all_coefficients, grey_of
from dedup.proof.generations import is_exact
from dedup.proof.lineage import (
    BLURRED,
    comparable,
    fitted_weights,
    is_fine,
    parts_of,
    retoned,
    sound,
)
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
_CURVES = np.maximum(
    0, 1 - np.abs(np.arange(256) * ((_KNOTS - 1) / 255) - np.arange(1, _KNOTS - 1)[:, None])
).astype(np.float32)
"""(K, 256), what each knot but the first and last gives to each level."""

_BLURS = (2.5, 3.5)  # besides those of `parts_of`
_FITTED_PIXELS = 4_000
_SIDE = 192  # pixels that are looked at

_EXPLAINED, _CLEARLY = -0.1, (0.1, 0.15)
"""Logarithms of likelihoods, as `resampling.quantised` has them: the least of what was made from
the other, and by how much at least it is above that of the other way round, where both have steps
up to `_VISIBLE_STEP`, and else."""

_EXPLAINED_WHOLLY, _CLEARLY_WHOLLY = -0.01, (0.035, 0.07)
"""The margin of what is explained as well as it can be. Of 163 edits of tone, colour and sharpness,
JPEG 80 to 97 both before and after, 101 are told by these margins, all rightly; the other way round
.013 is the most where one is explained wholly, and .075 elsewhere."""

_VISIBLE_STEP = 5.5  # levels of low steps, on average, of JPEG 80

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
    if not any(each.opened.header.format == "JPEG" for each in both):
        return 0
    cut = comparable(one, two, placed)
    if cut is None:
        return 0
    cut = _middle(cut[0]), _middle(cut[1])
    scores = explained(cut[1], cut[0]), explained(cut[0], cut[1])
    made = 1 if scores[0] > scores[1] else 2
    # Of other formats with losses it is not known how they would lie off the other one.
    known = both[2 - made].is_lossless or cut[2 - made].lossy
    if any(map(isnan, scores)) or not known:
        return 0
    window, source, ahead = cut[made - 1], cut[2 - made], abs(scores[0] - scores[1])
    if window.lossy:
        converted = not source.lossy and source.steps is not None
        unedited = converted and not retoned(source.pixels, window.pixels)
        margins = _CLEARLY if max(scores) < _EXPLAINED_WHOLLY else _CLEARLY_WHOLLY
        fine = all(is_fine(each, _VISIBLE_STEP) for each in (window, source))
        clearly = margins[0 if fine else 1]
        least = _CLEARLY_CONVERTED if unedited else clearly
        enough = _EXPLAINED_FINELY if is_fine(window) else _EXPLAINED
        return made if max(scores) >= enough and ahead >= least else 0
    exactly = both[made - 1].is_lossless and is_exact(max(scores), ahead)
    # A JPEG that was made at the same steps once more has lost next to nothing.
    return made if exactly and not _has_steps_of(window, source) else 0


def _middle(window: Window) -> Window:
    """Give the middle of a window, which takes half the time, its blocks where they were."""
    down, across = (
        slice(spare := max(0, side - _SIDE) // 2 & -_BLOCK, side - spare)
        for side in window.pixels.shape[:2]
    )
    return window._replace(pixels=window.pixels[down, across])


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
    parts, found = _Parts.of(source.pixels), []
    # What JPEG took of grain looks like a blur, which then must not be among what is tried.
    for blurred in (True, False):
        before = parts.mixed(wanted, blurred=blurred)[inner] - 128
        off = np.abs(all_coefficients(before) - seen).mean(axis=0)
        found.append(quantised(before, after, steps, sound(made.pixels[inner], off)))
    return max(found)


class _Parts(NamedTuple):
    """What an edit is mixed from: as `lineage` has it, tone curves of each channel, and blurs.

    Parameters
    ----------
    plain, blurs : (P, H * W) and (B, H * W)
    levels : (3, H * W), of which curves are made
    """

    plain: Floats
    blurs: Floats
    levels: Pixels

    @classmethod
    def of(cls, source: Pixels) -> _Parts:
        parts = parts_of(source)
        light = grey_of(source) / 255
        more = [np.asarray(cv2.GaussianBlur(light, (0, 0), each)).ravel() for each in _BLURS]
        levels = np.ascontiguousarray(source.transpose(2, 0, 1)).reshape(3, -1)
        plain = np.delete(parts, BLURRED, axis=0)
        return cls(plain, np.concatenate([parts[BLURRED], np.stack(more)]), levels)

    def mixed(self, wanted: Floats, *, blurred: bool) -> Floats:
        """Mix to what is nearest to (H, W) grey levels."""
        target = wanted.ravel()
        some = slice(None, None, max(1, target.size // _FITTED_PIXELS))
        blurs = self.blurs if blurred else self.blurs[:0]
        curves = np.concatenate([_CURVES[:, channel[some]] for channel in self.levels])
        table = np.concatenate([self.plain[:, some], curves, blurs[:, some]])
        weights = fitted_weights(table, target[some])
        plain, bent, soft = np.split(weights, np.cumsum([len(self.plain), len(curves)]))
        made = plain @ self.plain
        for channel, mine in zip(self.levels, bent.reshape(3, -1), strict=True):
            made += (mine @ _CURVES)[channel]
        if blurred:
            made += soft @ blurs
        return np.asarray(made.reshape(wanted.shape), np.float32)
