"""Descriptors of an image made equal to those of its mirror image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Flags = npt.NDArray[np.bool_]

_MIRRORED: Final = np.arange(128).reshape(4, 4, 8)[::-1][:, :, -np.arange(8)].ravel()
# SIFT's cells and directions, mirrored along the main direction. No bin is its own image, so that
# there are 64 pairs.
_ONE: Final = np.flatnonzero(np.arange(128) < _MIRRORED)
_OTHER: Final = _MIRRORED[_ONE]


def fold_mirror(descriptors: Floats, axis: Floats) -> tuple[Floats, Flags]:
    """Make descriptors equal to those of the mirrored image.

    Parameters
    ----------
    descriptors : (F, 128) from `keypoints`
    axis : (64,) the direction in which descriptors differ most from their mirror image

    Returns
    -------
    (F, 128) of the same norms: sums of the bins that a mirror exchanges, and their differences with
    the sign that makes the component along `axis` positive; and (F,) whether that sign was changed,
    which a mirror exchanges
    """
    by_bin = descriptors.T  # whose rows lie together, as `patches` gives them
    one, other = by_bin[_ONE], by_bin[_OTHER]
    folded = np.empty_like(by_bin)
    sums, differences = folded[: len(_ONE)], folded[len(_ONE) :]
    np.add(one, other, out=sums)
    np.subtract(one, other, out=differences)
    folded *= np.float32(np.sqrt(0.5))
    turned = axis @ differences < 0
    differences *= np.where(turned, np.float32(-1), np.float32(1))
    return folded.T, turned


def asymmetry(descriptors: Floats) -> Floats:
    """Find the axis for `fold_mirror`: the main direction of the differences.

    Returns
    -------
    (64,) of unit L2 norm
    """
    differences = descriptors[:, _ONE] - descriptors[:, _OTHER]
    _, axes = np.linalg.eigh(differences.T @ differences)
    return np.asarray(axes[:, -1] * np.sign(axes[:, -1].sum()), np.float32)
