"""Images that lost more than a JPEG loses: to AVIF, WebP, JPEG 2000, or to a palette.

How much such a file lost cannot be read off it, and it is lost in other places than a JPEG loses
it. But the other image, saved the same way, into as many bytes or by the same palette, loses the
same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.images.encode import in_colours_of, with_losses
from dedup.proof.original import LOSSLESS, MOST_PIXELS
from dedup.proof.whole import FINE_CHECK, PLACES_CHECK, Frames

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from dedup.proof.original import Original
    from dedup.proof.verdict import Check

    Bytes = npt.NDArray[np.uint8]


def saved_alike(
    one: Original, two: Original, laid: Frames, found: tuple[Check, ...]
) -> tuple[Frames, tuple[Check, ...]]:
    """Save one of two as the other was, where that explains their differences.

    Parameters
    ----------
    laid, found : how they lie, and the checks on that

    Returns
    -------
    Frames and their checks, all passed; else what was given.
    """
    failed = next((check.name for check in found if not check.passed), "")
    if failed not in {PLACES_CHECK, FINE_CHECK}:
        return laid, found
    for lossy, source, clean in _ways(one, two, laid):
        again = _saved(lossy, source, laid.fine if clean else laid.coarse)
        if again is None:
            continue
        qualities = laid.qualities[::-1] if clean else laid.qualities
        saved = Frames(again, laid.fine if clean else laid.coarse, qualities, source=source)
        checks = tuple(saved.checks())
        if all(check.passed for check in checks):
            return saved, checks
    return laid, found


def _ways(one: Original, two: Original, laid: Frames) -> Iterator[tuple[Original, Bytes, bool]]:
    """Give a file with losses, the other image at its size, and whether that is the coarse one."""
    size = laid.coarse.shape[:2]
    if np.prod(size) > MOST_PIXELS:
        return
    large, small = (one, two) if np.prod(one.size) >= np.prod(two.size) else (two, one)
    if small.size == size:
        fine = laid.fine
        if fine.shape[:2] != size:
            fine = np.asarray(cv2.resize(fine, size[::-1], interpolation=cv2.INTER_AREA))
        yield small, fine, False
    if large.size == size and laid.fine.shape[:2] == size:
        yield large, laid.coarse, True


def _saved(like: Original, pixels: Bytes, seen: Bytes) -> Bytes | None:
    """Save an image as a file was, and read it; None for a format of which that is not known.

    Parameters
    ----------
    seen : what the file shows
    """
    opened = like.opened
    if like.is_part:
        return None
    if opened.header.mode == "P":
        both = (in_colours_of(opened.image, pixels, dithered=each) for each in (True, False))
        made = [each for each in both if each is not None]
        return min(made, key=lambda each: float(cv2.norm(each, seen, cv2.NORM_L1)), default=None)
    if like.quality == LOSSLESS:
        return None
    return with_losses(pixels, opened.header.format, len(like.data))
