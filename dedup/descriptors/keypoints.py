"""Local features that survive copying: where an image has blobs, and what lies around each.

The same idea as SIFT (Lowe 2004) at a quarter of OpenCV's cost: no doubled image, and all blobs
are placed (`blobs`) and described (`patches`) together by a few calls. Three things are ours: few
features over wide scales, descriptors that a mirrored image shares (`mirror`), and nothing per
feature in Python. What is made of the descriptors is left to `dedup.descriptors.vlad`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dedup.descriptors import patches
from dedup.descriptors.blobs import FEATURES, FINE, fine_blobs, joined, strongest_blobs

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]

__all__ = ["FEATURES", "Keypoints", "describe", "find", "find_with_fine"]


@dataclass(frozen=True, slots=True)
class Keypoints:
    """F described blobs.

    Parameters
    ----------
    x, y, scale : (F,) place and blur, as shares of the longest side of the image
    angle : (F,) radians
    contrast : (F,) grey levels
    descriptors : (F, 128) RootSIFT rows of unit L2 norm (Arandjelović and Zisserman 2012)
    """

    x: Floats
    y: Floats
    scale: Floats
    angle: Floats
    contrast: Floats
    descriptors: Floats

    def __len__(self) -> int:
        return len(self.x)


def describe(grey: Bytes) -> Floats:
    """Describe the strongest blobs of an image; as `find`, the descriptors alone."""
    return find(grey).descriptors


def find(grey: Bytes) -> Keypoints:
    """Find and describe the strongest blobs of an image at every scale.

    Parameters
    ----------
    grey : (H, W) uint8

    Returns
    -------
    F is at most `FEATURES` and ties; none where there is no texture or a side is shorter than 10
    pixels
    """
    return find_with_fine(grey)[0]


def find_with_fine(
    grey: Bytes, larger: Bytes | None = None, most: Sequence[int] = FINE
) -> tuple[Keypoints, int]:
    """As `find`, and blobs at fine scales alone of the same image at another size.

    All are described together, which takes half as many calls as one kind after the other.

    Parameters
    ----------
    larger : (H, W) uint8; None: no fine ones
    most : of these at each scale, at most

    Returns
    -------
    The fine ones last, and how many others there are.
    """
    kinds, sides = [strongest_blobs(grey)], [max(grey.shape)]
    if larger is not None:
        kinds.append(fine_blobs(larger, most))
        sides.append(max(larger.shape))
    blobs = joined(kinds)
    pixel = np.concatenate(
        [each.steps[each.level] / np.float32(side) for each, side in zip(kinds, sides, strict=True)]
    )
    angles, descriptors = patches.describe(blobs)
    scale = blobs.sigmas[blobs.level] * pixel
    found = Keypoints(blobs.x * pixel, blobs.y * pixel, scale, angles, blobs.contrast, descriptors)
    return found, len(kinds[0].x)
