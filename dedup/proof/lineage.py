"""Which of two edited versions of one photograph was made from the other, by what JPEG left.

A coarse JPEG rounds coefficients to its steps. What is made from it by another tone, by a turn or a
mirror, by a crop, or by putting it among other things, keeps to these steps once that is undone,
closer than its own steps alone would explain: it lacks what the coarse one rounded away. What the
coarse one was made from still has that, and lies anywhere between the steps.
"""

from __future__ import annotations

from math import inf, log
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from dedup.images.history import all_coefficients, grey_of, steps_in
from dedup.proof.alignment import jacobian
from dedup.proof.channels import at_ends
from dedup.proof.original import MOST_PIXELS
from dedup.proof.paper import is_page
from dedup.proof.ranks import median, percentiles
from dedup.proof.turns import turned, turning

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.original import Original

    Doubles = npt.NDArray[np.float64]
    Floats = npt.NDArray[np.float32]
    Pixels = npt.NDArray[np.uint8]

_MOST_SIDE = 256  # pixels that are looked at, in the middle of what both show
_LEAST_SIDE = 64
_BLOCK = 8
_MOST_DRIFT_PIXELS = 1.5  # of any corner, from a placing by whole pixels
_SEARCHED_PIXELS = 2
_LEAST_MATCH = 0.5  # correlation of fine details, where they lie on each other

_RETONED_LEVELS = 6.0  # median difference; noise and compression leave light as it is
_LEAST_STEP = 3.0  # levels; whole levels of pixels and fitted tones hide finer ones
_COARSER = 1.3
"""Times the other image's steps, once these are as strong as in the image that is asked: its own
errors hide finer ones, and where both have the same few levels either keeps to the other's."""
_FEWEST_VALUES, _FEWEST_PLACES = 40, 3
_NEAREST_SHARE = 0.95  # of values; the others may be clipped
_SIGMAS, _PARTS = (0.8, 1.6, 4.0), 16
BLURRED = slice(10, 10 + len(_SIGMAS))
"""Of what `parts_of` gives, those that are blurred."""
_FITTED_PIXELS, _FITS = 12_000, 3
_CLIPPED = (1, 254)
_DRAWN_OVER = 2.0  # times the median of what is left over of a block

_KEEPS_TO_STEPS = -0.15
"""Logarithm of how far what is made keeps to steps, squared, against all distances alike: that is
0, and less where the finer of two was made from the coarser."""
_CLOSELY = -1.4
"""The same of what was saved without loss, where it is a drawing, whose letters repeat, or keeps to
finer steps by itself, of which other contrast may make these: what was made so has -1.65 and less.
"""

_FINE_STEP = 2.0
_NEAR_STEPS = 1.25  # times as coarse
_SAME_LEVELS = 0.05
_MARGIN = 0.4  # less than the same for the steps of the other


def made_from_coarser(one: Original, two: Original, placed: Doubles) -> int:
    """Tell which of two images is made from the other one, where that is a coarser JPEG.

    Parameters
    ----------
    placed : (3, 3), pixels of the second to those of the first, of the files' own sizes

    Returns
    -------
    1 or 2, the one that was; 0 where that cannot be told: neither was, or their steps are alike,
    or they do not lie on each other pixel on pixel.
    """
    if max(np.prod(one.size), np.prod(two.size)) > MOST_PIXELS:
        return 0
    if not any(map(_may_be_coarse, (one, two))):
        return 0
    both = windows(one, two, placed)
    if both is None:
        return 0
    if both[0].lossy != both[1].lossy and _is_converted(both[0].pixels, both[1].pixels):
        return 2 if both[0].lossy else 1
    numbers = sorted((1, 2), key=lambda number: -coarseness(both[number - 1].steps))
    if one.has_profile != two.has_profile and (one, two)[numbers[0] - 1].has_profile:
        return 0  # its steps are of other colours than are seen
    coarse, fine = (both[number - 1] for number in numbers)
    return numbers[1] if _keeps_to_steps(coarse, fine) else 0


def _is_converted(one: Pixels, two: Pixels) -> bool:
    """Tell whether light is the same all over, as where a JPEG was saved without loss."""
    lights = grey_of(one), grey_of(two)
    bent = np.abs(cv2.Laplacian(lights[0], cv2.CV_32F)) >= 1  # what is plain, a JPEG keeps
    off = np.abs(lights[0] - lights[1])[bent]
    return off.size >= _FEWEST_VALUES and percentiles(off, 99)[0] < _SAME_LEVELS


def _keeps_to_steps(coarse: Window, fine: Window) -> bool:
    kept = _spread(coarse, fine)
    if not kept < _KEEPS_TO_STEPS or kept >= _spread(fine, coarse) - _MARGIN:
        return False
    if fine.lossy and not retoned(coarse.pixels, fine.pixels):
        return True
    # By itself it keeps to the steps of an earlier JPEG, to which others may be near.
    earlier = fine._replace(steps=steps_left(fine)) if fine.lossy else fine
    if earlier.steps is None:
        return fine.lossy or not is_page(grey_of(fine.pixels)) or kept < _CLOSELY
    back = _spread(earlier, coarse)
    apart = not of_near_steps(earlier.steps, coarse.steps)
    told = fine.lossy or back < inf or kept < _CLOSELY
    return apart and told and kept < back - _MARGIN


class Window(NamedTuple):
    """What both show of one image, turned as the first is.

    Parameters
    ----------
    pixels : (H, W, 3) RGB
    grid : y and x of the first whole block of the JPEG, below 8
    steps : (8, 8), as its blocks lie, 1 where they cannot be told; None: it was never a JPEG
    lossy : it is a JPEG, and not only made from one
    """

    pixels: Pixels
    grid: tuple[int, int]
    steps: Floats | None
    lossy: bool


def _upright_steps(file: Original) -> Floats | None:
    steps, header = file.steps, file.opened.header
    if header.format != "JPEG" or steps is None:
        return None
    return steps.T if header.orientation >= 5 else steps  # noqa: PLR2004 - on its side


def coarseness(steps: Floats | None) -> float:
    """Give how coarse low steps are, in levels; 0 where there are none."""
    return 0.0 if steps is None else float(steps[:3, :3].mean())


def _may_be_coarse(file: Original) -> bool:
    steps = _upright_steps(file)
    if steps is None:
        return file.is_lossless
    return len(_places(steps)) >= _FEWEST_PLACES


def steps_left(window: Window) -> Floats | None:
    """Give the steps of an earlier JPEG on the same blocks; None where there was none."""
    y, x = window.grid
    return steps_in(grey_of(window.pixels[y:, x:]) - 128)


def of_near_steps(one: Floats | None, two: Floats | None) -> bool:
    """Tell whether two have low steps that are about as coarse."""
    if one is None or two is None:
        return False
    return 1 / _NEAR_STEPS < coarseness(one) / coarseness(two) < _NEAR_STEPS


def is_fine(window: Window, most: float = _FINE_STEP) -> bool:
    """Tell whether the low steps of a JPEG are of so many levels at most."""
    return coarseness(window.steps) <= most


def retoned(one: Pixels, two: Pixels) -> bool:
    """Tell whether light was changed."""
    return median(np.abs(grey_of(one[::2, ::2]) - grey_of(two[::2, ::2]))) >= _RETONED_LEVELS


def _places(steps: Floats) -> list[int]:
    """List the places of a block that are quantised coarsely, but for its mean."""
    return [place for place in np.flatnonzero(steps >= _LEAST_STEP).tolist() if place]


def _ends(file: Original) -> tuple[int, int]:
    """Give y and x, upright, of a corner of the blocks of a JPEG."""
    turn, (height, width) = file.opened.header.orientation, file.size
    return height if turn in {3, 4, 6, 7} else 0, width if turn in {2, 3, 7, 8} else 0


def windows(one: Original, two: Original, placed: Doubles) -> tuple[Window, Window] | None:
    """Cut out what both show, pixel on pixel; None where they do not lie so."""
    turn = _whole_turn(two.size, placed)
    if turn is None:
        return None
    height, width = two.size
    shape = (width, height) if turn[0, 1] else (height, width)
    back = turning(two.size, turn)
    shift = (placed @ np.linalg.inv(back))[:2]
    middle = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2, 1.0])
    x, y = np.rint(shift @ middle - middle[:2]).astype(int).tolist()
    first, second = one.pixels(*one.size), turned(two.pixels(*two.size), turn)
    at = _settled(first, second, (y, x))
    if at is None:
        return None
    cut = [_middle(low, high) for low, high in zip(*_shared(one.size, shape, at), strict=True)]
    (top, bottom), (left, right) = cut
    y, x = at
    ends = _ends(two)
    corner = back @ np.array([ends[1] - 0.5, ends[0] - 0.5, 1.0]) + 0.5
    steps = _upright_steps(two)
    return (
        _window(
            one,
            first[top:bottom, left:right],
            _grid(_ends(one), (top, left)),
            _upright_steps(one),
        ),
        _window(
            two,
            second[top - y : bottom - y, left - x : right - x],
            _grid((round(corner[1]), round(corner[0])), (top - y, left - x)),
            steps.T if steps is not None and turn[0, 1] else steps,
        ),
    )


def comparable(one: Original, two: Original, placed: Doubles) -> tuple[Window, Window] | None:
    """Cut out what both show, as `windows`; None as well where their values cannot be compared."""
    if max(np.prod(one.size), np.prod(two.size)) > MOST_PIXELS:
        return None
    return None if one.has_profile != two.has_profile else windows(one, two, placed)


def _window(file: Original, pixels: Pixels, grid: tuple[int, int], steps: Floats | None) -> Window:
    found = Window(pixels, grid, steps, lossy=steps is not None)
    return found if found.lossy or not file.is_lossless else found._replace(steps=steps_left(found))


def _whole_turn(size: tuple[int, int], placed: Doubles) -> npt.NDArray[np.int64] | None:
    """Give the turn or mirror, (2, 2), of a placing by whole pixels; None where it is another."""
    height, width = size
    slope = jacobian(placed, (width - 1) / 2, (height - 1) / 2)
    turn = np.rint(slope).astype(np.int64)
    if not np.array_equal(np.abs(turn).sum(axis=0), (1, 1)) or abs(np.linalg.det(turn)) < 1:
        return None
    corners = np.array([(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)], float)
    there = np.c_[corners, np.ones(4)] @ placed.T
    off = there[:, :2] / there[:, 2:] - corners @ turn.T
    return turn if np.abs(off - off.mean(axis=0)).max() <= _MOST_DRIFT_PIXELS else None


def _shared(
    one: tuple[int, int], two: tuple[int, int], at: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Give where what both show begins and ends in the first, each (y, x)."""
    begin = max(0, at[0]), max(0, at[1])
    return begin, (min(one[0], two[0] + at[0]), min(one[1], two[1] + at[1]))


def _middle(low: int, high: int) -> tuple[int, int]:
    spare = max(0, high - low - _MOST_SIDE) // 2
    return low + spare, high - spare


def _grid(corner: tuple[int, int], begin: tuple[int, int]) -> tuple[int, int]:
    return (corner[0] - begin[0]) % _BLOCK, (corner[1] - begin[1]) % _BLOCK


def _settled(first: Pixels, second: Pixels, at: tuple[int, int]) -> tuple[int, int] | None:
    """Correct a placing to the pixel; None where nothing agrees there."""
    reach = _SEARCHED_PIXELS
    (top, left), (bottom, right) = _shared(first.shape[:2], second.shape[:2], at)
    (top, bottom), (left, right) = _middle(top, bottom), _middle(left, right)
    if min(bottom - top, right - left) < _LEAST_SIDE:
        return None
    part = first[top + reach : bottom - reach, left + reach : right - reach]
    among = second[top - at[0] : bottom - at[0], left - at[1] : right - at[1]]
    match = cv2.matchTemplate(_fine(among), _fine(part), cv2.TM_CCOEFF_NORMED)
    y, x = np.unravel_index(int(np.argmax(match)), match.shape)
    if match[y, x] < _LEAST_MATCH:
        return None
    return at[0] + reach - int(y), at[1] + reach - int(x)


def _fine(pixels: Pixels) -> Floats:
    level = grey_of(pixels)
    return level - np.asarray(cv2.GaussianBlur(level, (0, 0), 2.0))


def _spread(coarse: Window, fine: Window) -> float:
    """Give how far one image keeps to the steps of another, as `_KEEPS_TO_STEPS` has it.

    Infinity where too little tells.
    """
    if coarse.steps is None:
        return inf
    seen = grey_of(coarse.pixels)
    y, x = coarse.grid
    after, before, plain = (
        all_coefficients(each[y:, x:] - 128)
        for each in (seen, _made(fine.pixels, seen), grey_of(fine.pixels))
    )
    kept = sound(coarse.pixels[y:, x:], np.abs(before - after).mean(axis=0))
    own = fine.steps if fine.lossy and fine.steps is not None else np.ones_like(coarse.steps)
    found = []
    for place in _places(coarse.steps):
        step = float(coarse.steps.flat[place])
        nearest = np.rint(after[place, kept] / step) * step
        some = nearest != 0
        if np.count_nonzero(some) < _FEWEST_VALUES:
            continue
        made, was = before[place, kept][some], plain[place, kept][some]
        stronger = float(made @ was) / (float(was @ was) + 1e-6)
        if step >= _COARSER * stronger * float(own.flat[place]):
            apart = np.sort(np.abs(made - nearest[some]))
            near = apart[: int(_NEAREST_SHARE * len(apart))]
            alike = (_NEAREST_SHARE * step) ** 2 / 12
            found.append(log(max(1e-3, float((near**2).mean()) / alike)))
    return median(np.array(found, np.float32)) if len(found) >= _FEWEST_PLACES else inf


def sound(pixels: Pixels, off: Floats) -> npt.NDArray[np.bool_]:
    """Choose blocks that nothing is drawn over, and none of whose pixels are clipped, (N,)."""
    height, width = (side // _BLOCK for side in pixels.shape[:2])
    some = at_ends(pixels, *_CLIPPED)[: height * _BLOCK, : width * _BLOCK]
    blocks = some.reshape(height, _BLOCK, width, _BLOCK)
    whole = ~blocks.any(axis=(1, 3)).ravel()
    if not whole.any():
        return whole
    return np.asarray(whole & (off <= max(1e-3, _DRAWN_OVER * median(off[whole]))))


def _made(source: Pixels, wanted: Floats) -> Floats:
    """Make what is wanted of another image, by tones, colours, sharpness, and light at the edges.

    Parameters
    ----------
    source : (H, W, 3) RGB
    wanted : (H, W) grey levels
    """
    return mixed_of(parts_of(source), wanted, _FITTED_PIXELS)


def mixed_of(parts: Floats, wanted: Floats, pixels: int) -> Floats:
    """Mix parts, (P, H * W), to what is nearest to (H, W), as about so many pixels tell."""
    target = wanted.ravel()
    step = max(1, target.size // pixels)
    some = np.ascontiguousarray(parts[:, ::step])  # which BLAS takes as it is
    weights = fitted_weights(some, target[::step])
    return np.asarray((weights @ parts).reshape(wanted.shape), np.float32)


def fitted_weights(table: Floats, goal: Floats) -> Floats:
    """Fit rows, (P, N), to (N,), without what is far off: words over it."""
    used: Floats = np.ones(len(goal), np.float32)
    weights: Floats = np.zeros(len(table), np.float32)
    for turn in range(_FITS):
        if turn:
            off = np.abs(goal - weights @ table)
            used = (off < 3 * median(off) + 1).astype(np.float32)
        heavy = table * used
        normal = (heavy @ table.T).astype(np.float64) + 1e-6 * len(goal) * np.eye(len(table))
        pull = (heavy @ goal).astype(np.float64)
        weights = np.linalg.solve(normal, pull).astype(np.float32)
    return weights


def parts_of(source: Pixels) -> Floats:
    """(P, H * W) what tones, filters and vignettes are mixed from."""
    height, width = source.shape[:2]
    parts = np.empty((_PARTS, height, width), np.float32)
    parts[0] = 1
    for at, channel in enumerate(cv2.split(np.ascontiguousarray(source)), 1):
        np.multiply(channel, np.float32(1 / 255), out=parts[at])
    parts[1:4] -= np.float32(0.5)
    np.multiply(parts[1:4], parts[1:4], out=parts[4:7])
    np.multiply(parts[1:4], parts[[2, 3, 1]], out=parts[7:10])
    level = np.tensordot(np.array((0.299, 0.587, 0.114), np.float32), parts[1:4], 1)
    for at, sigma in enumerate(_SIGMAS, BLURRED.start):
        cv2.GaussianBlur(level, (0, 0), sigma, dst=parts[at])
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    np.add(x * x, y * y, out=parts[13], casting="same_kind")
    np.multiply(parts[13], level, out=parts[14])
    np.multiply(level * level, level, out=parts[15])
    return parts.reshape(_PARTS, -1)
