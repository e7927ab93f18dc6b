"""Whether two files are one image saved twice: nothing cropped, added, turned or recoloured.

The coarser file's own pixels are the raster, so that compression can be told from content; the
other is laid on it frame on frame, without a search: a placing that has to be found is an edit.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof import cells
from dedup.proof.original import grey
from dedup.proof.residual import (
    OVERSAMPLED,
    Limits,
    Response,
    blobs,
    contrast,
    equalised,
    strangeness,
)
from dedup.proof.verdict import Check

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.description import Features
    from dedup.proof.original import Original

    Bytes = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]

MAX_RASTER_PIXELS = 3 << 20
"""A page of A4 at 250 dpi has about as many, and its smallest print is 20 pixels high on it."""

LIMITS = Limits(floor=8, share=0.4, noise=1.5, cap=24)
MIN_SPOT_PIXELS = 6
# Other ways of resizing small drawings leave 1.4, and so does JPEG of 50 somewhere in two
# megapixels; another digit 2.3 and more
MIN_PEAK = 1.5
_FEW_SPECKS_SHARE = 0.0003  # of such a JPEG .0002; noise of 12 levels .0005 and more
MAX_TONE_LEVELS = 4.0  # between tiles, at the 90th percentile
_MAX_COLOUR_LEVELS = 3.0
"""The same of colour: of 223 images saved again none leaves more than 1.9, and slight changes of
saturation and of white balance leave 3.2."""
_MAX_PLACE_LEVELS = 40.0
"""Of light, in any tile. Saving again leaves a tenth of that, and stickers and texts leave 60 and
more: these are told before a filter is fitted to all of a large image."""

PLACES_CHECK = "places that differ at full resolution"
FINE_CHECK = "sharpness of fine details against the other's"

_TILE_PIXELS, _FEW_PIXELS = 16, 4
_MAX_SHAPE_PIXELS = 1.01  # that rounding of sides explains
_GAIN = (0.95, 1.05)
_FINE = (0.6, 1.6)
_MIDDLE = (0.85, 1.12)
_MAX_LOOSE_LEVELS = 7.0  # mean difference of described images that may be one
_LOOSE_SIDE = 96
_MAX_ASPECT = 1.03
_SAME_SIZE = 1.01


def may_be_whole(one: Features, two: Features) -> bool:
    """Tell, by what is described, whether a look at the files is worth while."""
    (height, width), (tall, wide) = one.grey.shape, two.grey.shape
    if max(height * wide, width * tall) > _MAX_ASPECT * min(height * wide, width * tall) + 400:
        return False
    factor = min(1.0, _LOOSE_SIDE / max(height, width), _LOOSE_SIDE / max(tall, wide))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    first, second = (
        cv2.resize(each.grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        for each in (one, two)
    )
    off = cv2.blur(first - second, (3, 3))
    return float(np.abs(off).mean()) < _MAX_LOOSE_LEVELS


def same_shape(one: tuple[int, int], two: tuple[int, int]) -> bool:
    """Tell whether one size is the other but for scale and rounding."""
    large, small = (one, two) if one[0] * one[1] >= two[0] * two[1] else (two, one)
    return (
        abs(large[1] * small[0] / large[0] - small[1]) <= _MAX_SHAPE_PIXELS
        or abs(large[0] * small[1] / large[1] - small[0]) <= _MAX_SHAPE_PIXELS
    )


class Frames:
    """Two whole images on one raster.

    Parameters
    ----------
    fine, coarse : RGB; the fine one has up to `OVERSAMPLED` times the raster's pixels a side
    qualities : of the JPEGs that fine and coarse come from
    sampled : the fine one was shrunk to the coarse one's size by passing over some of its pixels
    source : RGB of the raster's size, of which the fine one was made as the coarse one was saved

    Attributes
    ----------
    equalised : (H, W) grey, the fine one at the coarse one's size and as sharp, and what that took;
        once `checks` got so far
    """

    def __init__(
        self,
        fine: Bytes,
        coarse: Bytes,
        qualities: tuple[int, int],
        *,
        sampled: bool = False,
        source: Bytes | None = None,
    ) -> None:
        self.sampled, self.source = sampled, source
        self.fine, self.coarse, self.qualities = fine, coarse, qualities
        self.equalised: tuple[Floats, Response] | None = None

    @classmethod
    def of(cls, large: Bytes, small: Bytes, qualities: tuple[int, int]) -> Frames:
        """Take two images of one shape, the larger first."""
        height, width = small.shape[:2]
        if large.shape[0] < _SAME_SIZE * height:
            size = (width, height)
        else:
            # Twice the raster, whatever is between: then every pixel of it is made of as many.
            size = (OVERSAMPLED * width, OVERSAMPLED * height)
        shrinks = large.shape[0] > size[1]
        how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        if large.shape[1::-1] != size:
            large = np.asarray(cv2.resize(large, size, interpolation=how))
        return cls(large, small, qualities)

    @cached_property
    def greys(self) -> tuple[Floats, Floats]:
        """The fine and the coarse one in grey levels."""
        return grey(self.fine), grey(self.coarse)

    def checks(self) -> list[Check]:
        """Compare shape by shape and tone by tone; the first that fails ends the list."""
        found = _tone(self.fine, self.coarse)
        if not all(check.passed for check in found):
            return found
        inside = np.ones(self.coarse.shape[:2], np.bool_)
        fine, seen = self.greys
        spread = contrast(seen)
        made, response = self.equalised = equalised(fine, seen, inside, spread)
        found += _sharpness(response)
        if not all(check.passed for check in found):
            return found
        lost = None if self.source is None else fine - grey(self.source)
        strange = strangeness(made, seen, self.qualities, LIMITS, MIN_SPOT_PIXELS, spread, lost)
        mask, spots = blobs(strange, inside, MIN_SPOT_PIXELS)
        if spots and float(mask.mean()) <= _FEW_SPECKS_SHARE:
            _, spots = blobs(strange, inside, MIN_SPOT_PIXELS, MIN_PEAK)
        found.append(Check(PLACES_CHECK, spots, 0, spots == 0))
        if spots:
            return found
        chroma = self._chroma()
        found.append(Check("places of another colour", chroma, 0, chroma == 0))
        return found

    def _chroma(self) -> int:
        height, width = (max(1, side // 2) for side in self.coarse.shape[:2])
        both = [
            cv2.cvtColor(
                cv2.resize(each, (width, height), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2YCrCb
            ).astype(np.float32)
            for each in (self.fine, self.coarse)
        ]
        inside = np.ones((height, width), np.bool_)
        limits = Limits(floor=20, share=0.7, noise=0, cap=0)
        count = 0
        for channel in (1, 2):
            one, two = (np.ascontiguousarray(each[..., channel]) for each in both)
            strange = strangeness(one, two, (100, 100), limits, 2 * MIN_SPOT_PIXELS)
            count += blobs(strange, inside, 2 * MIN_SPOT_PIXELS)[1]
        return count


def frames(one: Original, two: Original) -> Frames:
    """Lay two files of one shape on the raster of the smaller."""
    large, small = (one, two) if np.prod(one.size) >= np.prod(two.size) else (two, one)
    factor = min(1.0, (MAX_RASTER_PIXELS / float(np.prod(small.size))) ** 0.5)
    height, width = (max(1, round(side * factor)) for side in small.size)
    shrink = large.size[0] / height
    size = (OVERSAMPLED * height, OVERSAMPLED * width)
    if shrink < _SAME_SIZE:
        size = (height, width)
    elif shrink < OVERSAMPLED:
        size = large.size
    qualities = (large.noise_at(height), small.noise_at(height))
    return Frames.of(large.pixels(*size), small.pixels(height, width), qualities)


def _tone(fine: Bytes, coarse: Bytes) -> list[Check]:
    """Compare light and colour over tiles."""
    one, two = (
        cv2.cvtColor(_tiles(each, each.shape[0] // coarse.shape[0]) / 255, cv2.COLOR_RGB2YCrCb)
        * 255
        for each in (fine, coarse)
    )
    off = np.abs(one - two).reshape(-1, 3)
    light, colour = off[:, 0], off[:, 1:].max(axis=1)
    found = []
    for name, value, limit in (
        ("light that differs, in levels", np.percentile(light, 90), MAX_TONE_LEVELS),
        ("colour that differs, in levels", np.percentile(colour, 90), _MAX_COLOUR_LEVELS),
        ("light that differs in one place, in levels", light.max(), _MAX_PLACE_LEVELS),
    ):
        found.append(Check(name, float(value), limit, bool(value <= limit)))
    return found


def _tiles(image: Bytes, times: int) -> Floats:
    """Average over tiles of an image that has so many times the raster's pixels a side."""
    # Whole levels of a few pixels cost a fraction of floats of each.
    few = cells.averaged(cells.cut(image, _FEW_PIXELS * times), _FEW_PIXELS * times)
    side = _TILE_PIXELS // _FEW_PIXELS
    return cells.averaged(cells.cut(few.astype(np.float32), side), side)


def _sharpness(response: Response) -> list[Check]:
    found = []
    for name, value, (low, high) in (
        ("contrast against the other's", response.gain, _GAIN),
        (FINE_CHECK, response.fine, _FINE),
        ("sharpness of details against the other's", response.middle, _MIDDLE),
    ):
        limit = low if value < low else high
        found.append(Check(name, value, limit, low <= value <= high))
    return found
