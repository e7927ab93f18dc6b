"""Two files on one raster, as the proof places them: to be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dedup.duplicates.explain import proven, sight
from dedup.images.decode import bounded_size
from dedup.proof import Original
from dedup.proof.alignment import at_sizes
from dedup.proof.drawing import heat_map, lay_over

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]


class Overlay(NamedTuple):
    """The second of two images where the first has it.

    Parameters
    ----------
    laid : (H, W, 3) uint8 RGB, the second on the raster of the first; black where it has nothing
    heat : of the same size; see `dedup.proof.drawing.heat_map`
    """

    laid: Pixels
    heat: Pixels


def overlay(first: tuple[bytes, str], second: tuple[bytes, str], side: int) -> Overlay | None:
    """Lay the second of two files over the first.

    Parameters
    ----------
    first, second : bytes and name
    side : the longest of the result

    Returns
    -------
    None where the proof places neither in the other.

    Raises
    ------
    ImageError : one of them cannot be read as an image.
    """
    sights = [sight(name, data) for data, name in (first, second)]
    matrix = proven(*sights).transform
    if matrix is None:
        return None
    one, two = Original(*first), Original(*second)
    sizes = [bounded_size(each.opened.header, side) for each in (one, two)]
    matrix = at_sizes(matrix, [each.pixels.shape[:2] for each in sights], sizes)
    pixels = one.pixels(*sizes[0])
    laid, shared = lay_over(pixels, two.pixels(*sizes[1]), matrix)
    return Overlay(laid, heat_map(pixels, laid, shared))
