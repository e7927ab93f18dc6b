"""One vector from several: how the parts of an image are joined, and what each of them weighs.

Knows parts by name and weight only. Which parts there are is for a fingerprint to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from dedup.search.similarity import unit_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

Rows: TypeAlias = "npt.NDArray[np.float32]"

_CONTENT_WEIGHT, _CONTENT_WEIGHT_UNTRAINED = 0.2, 0.05
"""Weights of content against details. Of the weights at which 99.5 % of copies have their original
among the 20 nearest, the one of highest recall at precision .99: .2 for `copies-2` and for
`mobilenetv2_100` alike (`scripts/bench quality`)."""

_BLOCK_ROWS = 8192


def content_weight(*, untrained: bool) -> float:
    """Return the weight in [0, 1] that content has in a new collection of both views."""
    return _CONTENT_WEIGHT_UNTRAINED if untrained else _CONTENT_WEIGHT


def fuse(weights: Mapping[str, float], parts: Mapping[str, npt.NDArray[np.floating]]) -> Rows:
    """Join the parts of images to one vector each.

    Parameters
    ----------
    weights : at least one, in the order in which parts are joined; they add up to 1
    parts : per name in `weights` (N, D_name), of any length; other names are ignored

    Returns
    -------
    (N, sum of D_name) float32, unit rows. Each part is brought to unit length and scaled by the
    square root of its weight, so that the cosine of two rows is the weighted mean of the cosines of
    their parts. Where one part is zeros (an image without texture), the others decide.
    """
    count = len(parts[next(iter(weights))])
    result = np.empty((count, sum(parts[name].shape[1] for name in weights)), np.float32)
    for start in range(0, count, _BLOCK_ROWS):  # in blocks, because norms are computed in fp64
        block = slice(start, start + _BLOCK_ROWS)
        scaled = [
            np.float32(weight**0.5) * unit_rows(parts[name][block])
            for name, weight in weights.items()
        ]
        result[block] = unit_rows(np.concatenate(scaled, axis=1))
    return result
