"""An image of a proof: both images, one laid over the other, and a heat map of what differs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.images.sheet import contact_sheet

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

_FULL_HEAT_LEVELS = 64.0  # grey levels of difference that are shown at full heat
_MIN_SHARED_PIXELS = 16  # pixels in common from which colours can be matched


def draw_proof(first: Pixels, second: Pixels, transform: npt.NDArray[np.float64] | None) -> Pixels:
    """Draw four panels side by side.

    Parameters
    ----------
    first, second : (H, W, 3) uint8 RGB, as they were described
    transform : (3, 3), the second's pixels to the first's; None when no placing was found

    Returns
    -------
    (H, W, 3) uint8 RGB: the first, the second, the second laid half over the first, and the
    difference of the two once colours are matched, from black (none) to yellow (64 grey levels
    or more); grey where they share nothing.
    """
    panels = [("first", first), ("second", second)]
    if transform is None:
        empty = np.full_like(first, 128)
        panels += [("no placing found", empty), ("nothing to compare", empty)]
    else:
        laid, shared = lay_over(first, second, transform)
        both = np.where(shared[..., None], (first // 2 + laid // 2), first)
        panels += [
            ("second laid over first", both.astype(np.uint8)),
            ("difference", heat_map(first, laid, shared)),
        ]
    return contact_sheet([panels])


def lay_over(
    first: Pixels, second: Pixels, transform: npt.NDArray[np.float64]
) -> tuple[Pixels, npt.NDArray[np.bool_]]:
    """Lay the second over the first.

    Returns
    -------
    It, as large as the first, and where it lies, (H, W).
    """
    size = (first.shape[1], first.shape[0])
    laid = cv2.warpPerspective(second, transform, size, flags=cv2.INTER_LINEAR)
    whole = np.full(second.shape[:2], 255, np.uint8)
    inside = cv2.warpPerspective(whole, transform, size, flags=cv2.INTER_NEAREST)
    return np.asarray(laid, np.uint8), np.asarray(inside > 0)


def heat_map(first: Pixels, laid: Pixels, shared: npt.NDArray[np.bool_]) -> Pixels:
    """Draw how far two differ where both are, once colours are matched; grey elsewhere."""
    heat = np.full_like(first, 128)
    if int(shared.sum()) < _MIN_SHARED_PIXELS:
        return heat
    matched = np.empty(first.shape, np.float32)
    for channel in range(3):
        ours, theirs = first[..., channel][shared], laid[..., channel][shared]
        slope, offset = np.polyfit(theirs.astype(np.float64), ours, 1) if np.ptp(theirs) else (0, 0)
        matched[..., channel] = slope * laid[..., channel] + offset
    difference = np.abs(matched - first).mean(axis=2)
    smooth = np.asarray(cv2.GaussianBlur(difference, (0, 0), 1.5))
    levels = np.clip(smooth * (255 / _FULL_HEAT_LEVELS), 0, 255).astype(np.uint8)
    colours = np.asarray(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), np.uint8)[..., ::-1]
    heat[shared] = colours[shared]
    return heat
