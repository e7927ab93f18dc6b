"""Whether one image is another one, resampled to its size, perhaps sharpened, and then saved.

Programs resample by one of a few filters, and sharpen by what a blur takes away, at some leaving
alone what that changes least. A JPEG that is made of the outcome moves each coefficient by any part
of half a step, all equally often, and none farther. An image that was there first is off that: it
has details of its own, or, where it is soft and strongly compressed, lies closer to what the other
one makes of it than its own steps would have left it.
"""

from __future__ import annotations

from functools import cached_property
from math import ceil, floor, nan
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from dedup.images.history import all_coefficients, grey_of
from dedup.proof.channels import at_ends

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]
    Doubles = npt.NDArray[np.float64]
    Kernel = Callable[[Doubles], Doubles]

_BLOCK = 8
_FEWEST_OF_A_PLACE, _FEWEST = 50, 200  # coefficients
_NOISE = 0.6  # levels squared, that whole levels of pixels leave of a coefficient
_STRAY = 0.02  # of coefficients that may be anywhere within some steps
_STRAY_STEPS = 8
_FITTED_PIXELS = 25_000
_STIFFNESS = 1e-3  # of weights of filters, against levels squared
_CLIPPED = (6, 249)  # levels up to and from which what was saved may have been cut off
_SETTLINGS, _SETTLED = 4, 0.001  # at most so often, until it moves by no more pixels than that

SHARPENED = 3  # of `_KERNELS`, the one whose outcome is sharpened
_AROUND = 16  # pixels that blurs reach
_BLURS = (0.5, 0.8, 1.2, 1.8, 2.6, 3.6)  # widths between which those of programs are mixtures
_SPARED_BLURS, _SPARED_LEVELS = (0.8, 1.8, 3.0), 3
"""What programs change by fewer levels they leave as it is, unless they are told otherwise."""


class Line(NamedTuple):
    """Where the pixels of one side lie on another one.

    Parameters
    ----------
    step : pixels of the source per pixel of what is made
    begin : of the source, where what is made begins
    """

    step: float
    begin: float = 0.0

    def within(self, source: int, made: int) -> tuple[int, int]:
        """Give from where to where pixels of what is made lie on the source."""
        first, last = -self.begin / self.step, (source - self.begin) / self.step
        return max(0, ceil(first)), min(made, floor(last))


def resampled(
    source: Pixels,
    made: Pixels,
    steps: Floats,
    most: int,
    placed: tuple[Line, Line] | None = None,
) -> float:
    """Tell how well an image is explained as another one that was resampled and then quantised.

    Parameters
    ----------
    source, made : RGB of any two sizes, turned as the blocks of `made` are stored
    steps : (8, 8), by which its luminance was quantised; 1 of what was not
    most : pixels of a side of `made` that are looked at, in its middle
    placed : down and across, roughly; without, all of one is all of the other

    Returns
    -------
    Natural logarithm, on average over its coefficients, of how much likelier they are if they were
    quantised after the best of resamplings than if they lay around it by chance, at whatever
    distance they do. About 0 for what was made so; not a number where too few tell.
    """
    sides = list(zip(source.shape[:2], made.shape[:2], strict=True))
    lines = list(placed or (Line(before / after) for before, after in sides))
    both = zip(lines, sides, strict=True)
    down, across = (middle_part(*line.within(*side), most) for line, side in both)
    if not down or not across:
        return nan
    moved = 1.0 if placed else 0.0
    for _ in range(_SETTLINGS):
        if moved > _SETTLED:
            lines, moved = _settled(source, made, lines, (down, across))
    rows, columns = filters(source, lines, (down, across))
    pixels = made[down.start : down.stop, across.start : across.stop]
    parts = [
        np.ascontiguousarray(part[rows.inner, columns.inner])
        for part in mixtures(source[rows.taken, columns.taken], rows, columns)
    ]
    sound = unclipped(pixels)
    seen = grey_of(pixels) - 128
    return quantised(mixed(parts, seen, sound), seen, steps, sound)


def middle_part(first: int, last: int, most: int) -> range:
    """Give the pixels of whole blocks in the middle between two, none of them at an end."""
    first, last = -(-first // _BLOCK), last // _BLOCK
    blocks = max(0, min(most // _BLOCK, last - first - 2))
    start = first + (last - first - blocks) // 2
    return range(start * _BLOCK, (start + blocks) * _BLOCK)


def filters(
    source: Pixels, lines: Sequence[Line], some: tuple[range, range]
) -> tuple[Filters, Filters]:
    """Give what filters down and across."""
    rows, columns = map(Filters, source.shape, some, lines)
    return rows, columns


def _settled(
    source: Pixels, made: Pixels, lines: list[Line], some: tuple[range, range]
) -> tuple[list[Line], float]:
    """Correct a placing to a small part of a pixel, by how levels rise (Lucas and Kanade 1981).

    Returns
    -------
    The lines, and by how many pixels what is made has moved in its middle, or towards its ends.
    """
    levels = placed_levels(source, lines, some)
    wanted = grey_of(made[some[0].start : some[0].stop, some[1].start : some[1].stop])
    return corrected(levels, wanted, lines, some, np.arange(0, wanted.size, 3))


def placed_levels(
    source: Pixels, lines: Sequence[Line], some: tuple[range, range]
) -> tuple[Floats, Floats, Floats]:
    """Give an image's grey levels where it is placed, and how they rise downwards and across."""
    rows, columns = filters(source, lines, some)
    level = grey_of(source[rows.taken, columns.taken])
    level = columns.across(columns.only(SHARPENED), rows.down(rows.only(SHARPENED), level))[0]
    level, down, across = (each[rows.inner, columns.inner] for each in (level, *np.gradient(level)))
    return level, down, across


def corrected(
    levels: tuple[Floats, Floats, Floats],
    wanted: Floats,
    lines: Sequence[Line],
    some: tuple[range, range],
    used: npt.NDArray[np.intp],
) -> tuple[list[Line], float]:
    """Correct a placing by what some pixels differ by; what it gives is as of `_settled`.

    Parameters
    ----------
    levels : (H, W) what is placed, and how it rises downwards and across
    wanted : (H, W) what it is placed on
    used : numbers of the pixels that tell
    """
    level, down, across = levels
    y, x = np.ix_(*(np.linspace(-1, 1, len(each)) for each in some))
    parts = level, np.ones_like(level), down, y * down, across, x * across
    table = np.stack([part.ravel()[used] for part in parts]).astype(np.float64)
    left = (wanted - level).ravel()[used]
    weights = np.linalg.solve(table @ table.T + np.eye(len(parts)), table @ left)
    moves = np.clip(weights[2:].reshape(2, 2), -1, 1)
    found = []
    for line, each, (shift, growth) in zip(lines, some, moves.tolist(), strict=True):
        step = line.step * (1 + 2 * growth / len(each))
        middle = (each.start + each.stop) / 2
        found.append(Line(step, line.begin + line.step * (middle + shift) - step * middle))
    return found, float(np.abs(moves).max())


def mixtures(source: Pixels, rows: Filters, columns: Filters) -> list[Floats]:
    """Give what an image may be a mixture of that was resampled, and then sharpened or blurred."""
    reduces = rows.reduces or columns.reduces
    down, across = (each.all(quick=reduces) for each in (rows, columns))
    parts = list(columns.across(across, rows.down(down, grey_of(source) - 128)))
    plain = parts[SHARPENED]
    parts += [np.asarray(cv2.GaussianBlur(plain, (0, 0), sigma)) for sigma in _BLURS]
    parts.append(np.asarray(cv2.blur(plain, (3, 3))))
    channels = rows.down(down[SHARPENED, None], source.transpose(2, 0, 1).astype(np.float32))
    colours = np.dstack([*columns.across(across[SHARPENED, None], channels)])
    for sigma in _SPARED_BLURS:
        change = colours - np.asarray(cv2.GaussianBlur(colours, (0, 0), sigma), np.float32)
        np.copyto(change, 0, where=np.abs(change) > _SPARED_LEVELS)
        parts.append(grey_of(change))
    return parts


def unclipped(pixels: Pixels) -> npt.NDArray[np.bool_]:
    """Choose blocks none of whose pixels may be cut off, (N,); all, where too few are left."""
    height, width = (side // _BLOCK for side in pixels.shape[:2])
    clipped = at_ends(pixels, *_CLIPPED)
    whole = ~np.any(clipped.reshape(height, _BLOCK, width, _BLOCK), axis=(1, 3)).ravel()
    return whole if np.count_nonzero(whole) >= _FEWEST_OF_A_PLACE else np.ones_like(whole)


def mixed(parts: list[Floats], wanted: Floats, sound: npt.NDArray[np.bool_]) -> Floats:
    """Mix what filters give so that it is nearest to what is wanted in sound blocks."""
    blocks = sound.reshape(-1, wanted.shape[1] // _BLOCK)
    used = np.repeat(np.repeat(blocks, _BLOCK, axis=0), _BLOCK, axis=1)
    chosen = np.flatnonzero(used)
    chosen = chosen[:: max(1, len(chosen) // _FITTED_PIXELS)]
    table = np.stack([part.ravel()[chosen] for part in parts]).astype(np.float64)
    target = wanted.ravel()[chosen].astype(np.float64)
    normal = table @ table.T + _STIFFNESS * target.size * np.eye(len(parts))
    weights = np.linalg.solve(normal, table @ target)
    made = np.zeros_like(wanted)
    for weight, part in zip(weights.tolist(), parts, strict=True):
        cv2.scaleAdd(part, weight, made, made)
    return made


def quantised(made: Floats, seen: Floats, steps: Floats, sound: npt.NDArray[np.bool_]) -> float:
    """Give what `resampled` does, of what filters made and of what is there, less 128."""
    before, after = (all_coefficients(each)[:, sound] for each in (np.clip(made, -128, 127), seen))
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
_TOGETHER = 48  # pixels filtered by one product: most weights of more are zero
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


class Filters:
    """Filters along one side.

    Parameters
    ----------
    source : pixels of the whole side
    some : pixels that are asked for; those around them are given as well
    line : how these lie on the source

    Attributes
    ----------
    taken : pixels of the source that all may depend on
    inner : where, among what is given, those are that are asked for
    """

    def __init__(self, source: int, some: range, line: Line) -> None:
        self._step = line.step
        first, last = line.within(source, some.stop + _AROUND)
        start, stop = max(first, some.start - _AROUND), max(some.stop, last)
        self.inner = slice(some.start - start, some.stop - start)
        self._ends = line.begin + np.arange(start, stop + 1) * self._step
        self._reach = _REACH * max(1.0, self._step)
        first, last = self._ends[0] - self._reach, self._ends[-1] + self._reach
        self.taken = slice(max(0, int(first)), min(source, int(last) + 1))

    @property
    def reduces(self) -> bool:
        """Whether fewer pixels come out."""
        return self._step > 1

    def all(self, *, quick: bool) -> Floats:
        """Give the weights, (K, given, taken), of all filters, those of `_KERNELS` first.

        Parameters
        ----------
        quick : with `_QUICK` ones
        """
        at, off = self._reached
        wide = max(1.0, self._step)
        values = [kernel(off / wide) for kernel in _KERNELS]
        values += [kernel(off) for kernel in (_QUICK if quick else ())]
        begins, ends = self._ends[:-1, None], self._ends[1:, None]
        areas = np.minimum(ends, at + 1) - np.maximum(begins, at)
        return self._weights(at, np.stack([*values, np.maximum(areas, 0)]))

    def only(self, number: int) -> Floats:
        """Give the weights, (1, given, taken), of one of `_KERNELS`."""
        at, off = self._reached
        return self._weights(at, _KERNELS[number](off / max(1.0, self._step))[None])

    def down(self, weights: Floats, levels: Floats) -> Floats:
        """Filter columns, (taken, W) or (K, taken, W), to (K, given, W)."""
        return np.concatenate(
            [weights[:, some, used] @ levels[..., used, :] for some, used in self._bands()], axis=1
        )

    def across(self, weights: Floats, levels: Floats) -> Floats:
        """Filter rows, (K, H, taken), to (K, H, given)."""
        turned = weights.transpose(0, 2, 1)
        return np.concatenate(
            [levels[..., used] @ turned[:, used, some] for some, used in self._bands()], axis=2
        )

    def _bands(self) -> Iterator[tuple[slice, slice]]:
        """Give some of the pixels given, and those taken that they depend on, up to the last."""
        at, _ = self._reached
        for start in range(0, len(at), _TOGETHER):
            some = at[start : start + _TOGETHER] - self.taken.start
            yield (
                slice(start, start + _TOGETHER),
                slice(max(0, int(some[0, 0])), int(some[-1, -1]) + 1),
            )

    @cached_property
    def _reached(self) -> tuple[npt.NDArray[np.int64], Doubles]:
        """Give the pixels that any filter may reach, and how far they are, (given, K)."""
        middles = (self._ends[:-1] + self._ends[1:])[:, None] / 2
        at = np.floor(middles - self._reach).astype(np.int64)
        at = at + np.arange(int(2 * self._reach) + 2)
        return at, np.asarray(at + 0.5 - middles, np.float64)

    def _weights(self, at: npt.NDArray[np.int64], values: Doubles) -> Floats:
        """Put values, (K, given, reached), where they are; those of each pixel are one in all."""
        values = np.where((at >= self.taken.start) & (at < self.taken.stop), values, 0)
        values /= values.sum(axis=2, keepdims=True)
        spare = at.shape[1]  # columns for what is beyond the ends
        shape = len(values), len(at), self.taken.stop - self.taken.start + 2 * spare
        weights = np.zeros(shape, np.float32)
        places = np.clip(at - self.taken.start + spare, 0, shape[2] - 1)
        weights[:, np.arange(len(at))[:, None], places] = values
        return weights[..., spare:-spare]
