"""Whether two files are one image saved twice, and which of them was saved from the other."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from dedup.proof.alignment import scaling
from dedup.proof.filtered import filtered_from
from dedup.proof.generations import is_repeated, resized_from, saved_from
from dedup.proof.lineage import made_from_coarser
from dedup.proof.original import LOSSLESS
from dedup.proof.pages import compare_pages
from dedup.proof.residual import compressed
from dedup.proof.sampled import sampled
from dedup.proof.saved_alike import saved_alike
from dedup.proof.small_print import AT_PLACES, is_shared_page, odd_place
from dedup.proof.traces import traced_again
from dedup.proof.verdict import Verdict
from dedup.proof.whole import PLACES_CHECK, Frames, frames, may_be_whole, same_shape

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from dedup.proof.original import Original
    from dedup.proof.side import Side
    from dedup.proof.verdict import Check

    Floats = npt.NDArray[np.float32]


_SIDE, _BLOCK = 256, 8  # pixels in the middle that are asked how they were compressed
_QUALITIES, _MOST_LEFT = (15, 20, 30, 35, 45, 60, 75), 0.85
_BESIDE, _CLEARLY = 10, 1.15
"""JPEGs that a file may have been before, and how much one leaves of what differs at most; and by
how much those that are so far from it leave more: all coarse ones take away noise, within .09."""

_LEAST_FINE = 0.67
"""Of the fine detail of what was compressed: of 40 JPEGs of 30 none has less than .74. What has no
noise, which a coarse JPEG takes away as well, has .4 to .6 of what has."""


class Compared(NamedTuple):
    """What comes of two images, frame on frame.

    Parameters
    ----------
    verdict : that both are one image, or that a place of a page differs; None: either may still be
        made from the other
    failed : the check that did, if one did
    page : both are one page, as far as they agree
    """

    verdict: Verdict | None
    failed: tuple[Check, ...] = ()
    page: bool = False


def resaved(one: Side, two: Side) -> Compared:
    """Compare frame on frame.

    Raises
    ------
    ImageError : a file cannot be decoded.
    """
    if not may_be_whole(one.features, two.features):
        return Compared(None)
    first, second = one.open(), two.open()
    if not same_shape(first.size, second.size):
        return Compared(None)
    if max(first.pages, second.pages) > 1:
        return Compared(compare_pages(first, second))
    return _frame_on_frame(one, two)


def _frame_on_frame(one: Side, two: Side) -> Compared:
    first, second = one.open(), two.open()
    laid, found = _laid(first, second)
    laid, found = sampled(first, second, laid, found)
    laid, found = _saved_twice(first, second, laid, found)
    laid, found = saved_alike(first, second, laid, found)
    if (odd := odd_place(laid, found)) is not None:
        placed = scaling(two.features.grey.shape, one.features.grey.shape)
        checks, all_of_it = (*found, odd), (1.0, 1.0)
        return Compared(Verdict(False, AT_PLACES, checks, all_of_it, placed))
    if all(check.passed for check in found):
        return Compared(_saved_again(one, two, laid, found))
    if first.has_profile != second.has_profile:
        bare = frames(first.as_stored(), second.as_stored())
        stored = tuple(bare.checks())
        if all(check.passed for check in stored):
            same = _saved_again(one, two, bare, stored)
            return Compared(_without_profile(same, first.has_profile))
    failed = tuple(check for check in found if not check.passed)[:1]
    return Compared(None, failed, is_shared_page(laid, found))


def _laid(first: Original, second: Original) -> tuple[Frames, tuple[Check, ...]]:
    """Lay two files on each other, and check that they are one image.

    Of two of one size either may have lost what no filter brings back, so that either is brought to
    the sharpness of the other.
    """
    laid = frames(first, second)
    if first.size != second.size:
        return laid, tuple(laid.checks())
    if laid.fine.shape == laid.coarse.shape:
        return _either_way(laid, partial(_turned, laid))
    return _either_way(laid, lambda: frames(second, first))  # large ones, on a smaller raster


def _turned(laid: Frames) -> Frames:
    """Take two of one size the other way round."""
    return Frames(laid.coarse, laid.fine, laid.qualities[::-1])


def _either_way(laid: Frames, turned: Callable[[], Frames]) -> tuple[Frames, tuple[Check, ...]]:
    found = tuple(laid.checks())
    if not found[-1].passed and found[-1].name == PLACES_CHECK:
        back = turned()
        again = tuple(back.checks())
        if all(check.passed for check in again):
            return back, again
    return laid, found


def _saved_twice(
    first: Original, second: Original, laid: Frames, found: tuple[Check, ...]
) -> tuple[Frames, tuple[Check, ...]]:
    """Allow for what a coarser JPEG took that either was before it was saved as it is.

    Parameters
    ----------
    laid, found : how they lie, and the checks on that

    Returns
    -------
    Frames and their checks, all passed; else what was given.
    """
    small = min(first.size, second.size)
    on_its_grid = laid.coarse.shape[:2] == small
    if laid.equalised is None or not on_its_grid or found[-1].name != PLACES_CHECK:
        return laid, found
    top, left = (max(0, side - _SIDE) // 2 & -_BLOCK for side in small)
    part = slice(top, top + _SIDE), slice(left, left + _SIDE)
    same_size = first.size == second.size
    made, seen = laid.greys if same_size else (laid.equalised[0], laid.greys[1])
    fine, coarse = laid.qualities
    coarse = min(coarse, _compressed_to(made[part], seen[part]))
    if same_size:
        fine = min(fine, _compressed_to(seen[part], made[part]))
    if (fine, coarse) == laid.qualities:
        return laid, found
    again = Frames(laid.fine, laid.coarse, (fine, coarse), sampled=laid.sampled)
    if same_size:
        again, checks = _either_way(again, partial(_turned, again))
    else:
        checks = tuple(again.checks())
    return (again, checks) if all(check.passed for check in checks) else (laid, found)


def _compressed_to(one: Floats, two: Floats) -> int:
    """Give the JPEG quality that makes most of one image of another one; `LOSSLESS` for none.

    Parameters
    ----------
    one, two : (H, W) grey, their corners on the grid
    """
    if _fine(two) < _LEAST_FINE * _fine(one):
        return LOSSLESS
    left = {each: float(np.abs(compressed(one, each) - two).mean()) for each in _QUALITIES}
    best = min(left, key=left.__getitem__)
    beside = min(each for at, each in left.items() if abs(at - best) >= _BESIDE)
    most = min(_MOST_LEFT * float(np.abs(one - two).mean()), beside / _CLEARLY)
    return best if left[best] <= most else LOSSLESS


def _fine(image: Floats) -> float:
    return float((image - cv2.GaussianBlur(image, (0, 0), 1)).std())


def _saved_again(one: Side, two: Side, laid: Frames, checks: tuple[Check, ...]) -> Verdict:
    placed = scaling(two.features.grey.shape, one.features.grey.shape)
    first, second = one.open(), two.open()
    derived = 0
    if laid.sampled:
        small = 1 if np.prod(first.size) < np.prod(second.size) else 2
        sizes = (second, first) if small == 1 else (first, second)
        derived = 3 - small if is_repeated(*sizes) else small
    elif first.size == second.size:
        derived = (
            made_from_coarser(first, second, np.eye(3))
            or saved_from(first, second)
            or traced_again(first, second)
            or filtered_from(first, second, np.eye(3))
        )
    if not derived and laid.equalised is not None:
        larger, response = laid.equalised
        derived = resized_from(first, second, larger, response.fine)
    return Verdict(
        near=True,
        evidence="the same image",
        derived=derived,
        checks=checks,
        overlap=(1.0, 1.0),
        transform=placed,
        scale=float(np.sqrt(placed[0, 0] * placed[1, 1])),
        resaved=True,
        backwards="the same image",
    )


def _without_profile(verdict: Verdict, second_lost_it: bool) -> Verdict:  # noqa: FBT001 - of two
    """Say that one was saved without its colour profile: the values are the same."""
    lost = "the same image, without its colour profile"
    has = "the same image, with the colour profile that the other has lost"
    if second_lost_it:
        return replace(verdict, evidence=lost, backwards=has, derived=2)
    return replace(verdict, evidence=has, backwards=lost, derived=1)
