"""Whether one image is another one, resampled to its size and then saved.

Programs resample by one of a few filters. A JPEG that is made of the outcome moves each coefficient
by any part of half a step, all equally often, and none farther. An image that was there first is
off that: it has details of its own, or, where it is soft and strongly compressed, lies closer to
what the other one makes of it than its own steps would have left it.
"""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING

import numpy as np

from dedup.images.history import all_coefficients, grey_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]
    Doubles = npt.NDArray[np.float64]
    Kernel = Callable[[Doubles], Doubles]

_BLOCK = 8
_FEWEST_OF_A_PLACE, _FEWEST = 50, 200  # coefficients
_NOISE = 0.3  # levels squared, that whole levels of pixels leave of a coefficient
_STRAY = 0.02  # of coefficients that may be anywhere within some steps
_STRAY_STEPS = 8
_FITTED_PIXELS = 25_000
_STIFFNESS = 1e-3  # of weights of filters, against levels squared


def resampled(source: Pixels, made: Pixels, steps: Floats, most: int) -> float:
    """Tell how well an image is explained as another one that was resampled and then quantised.

    Parameters
    ----------
    source, made : RGB of any two sizes, turned as the blocks of `made` are stored
    steps : (8, 8), by which its luminance was quantised; 1 of what was not
    most : pixels of a side of `made` that are looked at, in its middle

    Returns
    -------
    Natural logarithm, on average over its coefficients, of how much likelier they are if they were
    quantised after the best of resamplings than if they lay around it by chance, at whatever
    distance they do. About 0 for what was made so; not a number where too few tell.
    """
    down, across = (_middle(length, most) for length in made.shape[:2])
    if not down or not across:
        return nan
    rows, columns = (
        _Filters(before, after, some)
        for before, after, some in zip(source.shape, made.shape, (down, across), strict=False)
    )
    seen = grey_of(made[down.start : down.stop, across.start : across.stop]) - 128
    taken = grey_of(source[rows.taken, columns.taken]) - 128
    reduces = rows.reduces or columns.reduces
    parts = [
        np.asarray(one @ taken @ two.T, np.float32)
        for one, two in zip(rows.all(quick=reduces), columns.all(quick=reduces), strict=True)
    ]
    return _quantised(_fitted(parts, seen), seen, steps)


def _middle(length: int, most: int) -> range:
    """Give the pixels of whole blocks in the middle, none of them at an end."""
    blocks = max(0, min(most, length - 2 * _BLOCK) // _BLOCK)
    start = (length // _BLOCK - blocks) // 2 * _BLOCK
    return range(start, start + blocks * _BLOCK)


def _fitted(parts: list[Floats], wanted: Floats) -> Floats:
    """Mix what filters give so that it is nearest to what is wanted."""
    step = max(1, wanted.size // _FITTED_PIXELS)
    table = np.stack([part.ravel()[::step] for part in parts]).astype(np.float64)
    target = wanted.ravel()[::step].astype(np.float64)
    normal = table @ table.T + _STIFFNESS * target.size * np.eye(len(parts))
    weights = np.linalg.solve(normal, table @ target)
    made = np.zeros_like(wanted)
    for weight, part in zip(weights.tolist(), parts, strict=True):
        made += np.float32(weight) * part
    return made


def _quantised(made: Floats, seen: Floats, steps: Floats) -> float:
    """Give what `resampled` does, of what filters made and of what is there, less 128."""
    before, after = all_coefficients(np.clip(made, -128, 127)), all_coefficients(seen)
    step = steps.reshape(64, 1)
    some = np.abs(after) > step / 2
    some[0] = False
    some &= (np.count_nonzero(some, axis=1) >= _FEWEST_OF_A_PLACE)[:, None]
    if np.count_nonzero(some) < _FEWEST:
        return nan
    off = before - after
    squares = np.where(some, off * off, 0).sum(axis=1) / np.maximum(1, some.sum(axis=1))
    spread = np.broadcast_to(np.maximum(squares, _NOISE + 1 / 12)[:, None], some.shape)[some]
    step, off = np.broadcast_to(step, some.shape)[some], off[some]
    wide = 2 * (3 * _NOISE) ** 0.5 / np.pi  # of a logistic distribution, whose integral is simple
    even = (np.tanh((off + step / 2) / wide) - np.tanh((off - step / 2) / wide)) / (2 * step)
    chance = np.exp(-off * off / (2 * spread)) / np.sqrt(2 * np.pi * spread)
    stray = _STRAY / (_STRAY_STEPS * (step + 1)) * (np.abs(off) < _STRAY_STEPS / 2 * (step + 1))
    stray += 1e-9
    return float(np.log((even + stray) / (chance + stray)).mean())


# -- filters ---------------------------------------------------------------------------------------


def _box(at: Doubles) -> Doubles:
    return ((at > -0.5) & (at <= 0.5)).astype(np.float64)  # noqa: PLR2004 - half a pixel


def _triangle(at: Doubles) -> Doubles:
    return np.asarray(np.maximum(1 - np.abs(at), 0))


def _hamming(at: Doubles) -> Doubles:
    window = 0.54 + 0.46 * np.cos(np.pi * at)
    return np.asarray(np.where(np.abs(at) < 1, np.sinc(at) * window, 0))


def _cubic(sharpness: float) -> Kernel:
    """Give the kernel of Keys 1981; programs have it at -1/2 and -3/4."""

    def kernel(at: Doubles) -> Doubles:
        x = np.abs(at)
        near = ((sharpness + 2) * x - (sharpness + 3)) * x * x + 1
        far = sharpness * (((x - 5) * x + 8) * x - 4)
        return np.where(x < 1, near, np.where(x < 2, far, 0))  # noqa: PLR2004 - its reach

    return kernel


def _spline(at: Doubles) -> Doubles:
    """Give the cubic that smooths most, which Mitchell's is a mixture with."""
    x = np.abs(at)
    return np.asarray(
        np.where(x < 1, (4 - 6 * x * x + 3 * x**3) / 6, np.maximum(2 - x, 0) ** 3 / 6)
    )


def _lanczos(lobes: int) -> Kernel:
    def kernel(at: Doubles) -> Doubles:
        return np.asarray(np.where(np.abs(at) < lobes, np.sinc(at) * np.sinc(at / lobes), 0))

    return kernel


_REACH = 3  # of kernels, in pixels
_KERNELS: tuple[Kernel, ...] = (
    _box,
    _triangle,
    _hamming,
    _cubic(-0.5),
    _cubic(-0.75),
    _lanczos(_REACH),
    _spline,
)
_QUICK: tuple[Kernel, ...] = (_triangle, _cubic(-0.75))
"""Those that some programs reduce by without making them wider."""


class _Filters:
    """Filters along one side.

    Parameters
    ----------
    source, made : pixels of the whole side
    some : pixels of `made` that are asked for
    """

    def __init__(self, source: int, made: int, some: range) -> None:
        self._step = source / made
        self._ends = np.arange(some.start, some.stop + 1) * self._step
        self._reach = _REACH * max(1.0, self._step)
        first, last = self._ends[0] - self._reach, self._ends[-1] + self._reach
        self.taken = slice(max(0, int(first)), min(source, int(last) + 1))

    @property
    def reduces(self) -> bool:
        """Whether fewer pixels come out."""
        return self._step > 1

    def all(self, *, quick: bool) -> Iterator[Floats]:
        """Give weights, (asked for, taken), of one after another.

        Parameters
        ----------
        quick : with `_QUICK` ones
        """
        middles = (self._ends[:-1] + self._ends[1:])[:, None] / 2
        at = np.floor(middles - self._reach).astype(np.int64)
        at = at + np.arange(int(2 * self._reach) + 2)  # all that any filter may reach
        off = at + 0.5 - middles
        wide = max(1.0, self._step)
        for kernel in _KERNELS:
            yield self._weights(at, kernel(off / wide))
        for kernel in _QUICK if quick else ():
            yield self._weights(at, kernel(off))
        begins, ends = self._ends[:-1, None], self._ends[1:, None]
        areas = np.minimum(ends, at + 1) - np.maximum(begins, at)
        yield self._weights(at, np.maximum(areas, 0))

    def _weights(self, at: npt.NDArray[np.int64], values: Doubles) -> Floats:
        """Put values where they are, scaled so that those of each pixel are one in all."""
        values = np.where((at >= self.taken.start) & (at < self.taken.stop), values, 0)
        values /= values.sum(axis=1, keepdims=True)
        spare = at.shape[1]  # columns for what is beyond the ends
        weights = np.zeros((len(at), self.taken.stop - self.taken.start + 2 * spare), np.float32)
        places = np.clip(at - self.taken.start + spare, 0, weights.shape[1] - 1)
        np.put_along_axis(weights, places, values.astype(np.float32), axis=1)
        return weights[:, spare:-spare]
