"""What the proof keeps of an image: local features and a small copy.

`describe` is the costly half of the proof and happens once per image; two `Features` are then
compared as often as needed without the files. Nothing here knows what makes two images one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import cv2
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from dedup.descriptors.panels import panels

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.descriptors.panels import Box

    Floats = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]

WORKING_SIDE = 400
"""Longest side, in pixels, at which images are described. At 400, 600 features cost 40 ms."""

_NARROW_SIDE, _STRIP_SIDE = 64, 1600
# A strip of 1,500 x 60 would keep 16 pixels of its height at 400: too few for one feature.

_MAX_FEATURES = 600
_PARTS = ("points", "descriptors", "grey", "colour")
_MARGIN_LEVELS = 10  # grey levels that JPEG spreads within a margin
_DOUBLED_BELOW_PIXELS = 200
# Below this longest side SIFT's coarse octaves vanish and few features are left, so the image
# is doubled first.

# SIFT's 4 x 4 cells x 8 directions, mirrored: the rows across the main direction change places
# and the directions change sign. Exact, because direction bins are centred on multiples of 45°.
_MIRRORED = np.arange(128).reshape(4, 4, 8)[::-1][:, :, -np.arange(8)].ravel()


@dataclass(frozen=True, eq=False)
class Features:
    """A described image.

    Parameters
    ----------
    points : (F, 4) float32: x, y in described pixels (centre of the first pixel is 0, 0), size
        in pixels, direction in radians
    descriptors : (F, 128) uint8, SIFT
    grey : (H, W) uint8
    colour : (H / 2, W / 2, 3) uint8 RGB, rounded up
    """

    points: Floats
    descriptors: Bytes
    grey: Bytes
    colour: Bytes

    @cached_property
    def digest(self) -> bytes:
        """Of everything kept; equal for equal images."""
        state = hashlib.blake2b(digest_size=16)
        for part in (self.grey, self.colour):
            state.update(repr(part.shape).encode())
            state.update(np.ascontiguousarray(part).data)
        return state.digest()

    @cached_property
    def contrast(self) -> int:
        """Grey levels between the 0.2 % darkest and the 0.2 % brightest pixels."""
        counts = np.cumsum(cv2.calcHist([self.grey], [0], None, [256], [0, 256]), dtype=np.int64)
        low, high = np.searchsorted(counts, (0.002 * counts[-1], 0.998 * counts[-1]))
        return int(high - low)

    @property
    def whole(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of all of it, ends excluded."""
        return 0, 0, self.grey.shape[1], self.grey.shape[0]

    @cached_property
    def frame(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the image inside its plain margins, ends excluded.

        A margin is a strip of whole rows or columns in one colour, as borders, letterboxes and
        paper have; the whole image where hardly anything would be left.
        """
        height, width = self.grey.shape
        rows, columns = (_content(self.grey, axis) for axis in (1, 0))
        wide, tall = columns[1] - columns[0], rows[1] - rows[0]
        if min(wide, tall) < 32 or wide * tall < 0.1 * height * width:  # noqa: PLR2004 -- too little
            return self.whole
        return columns[0], rows[0], columns[1], rows[1]

    @cached_property
    def panels(self) -> list[Box]:
        """See `dedup.descriptors.panels`."""
        return panels(self.grey)

    @cached_property
    def described_panels(self) -> dict[Box, Features]:
        """What panels are as files of their own, as far as a proof has asked for them."""
        return {}

    @cached_property
    def unit(self) -> Floats:
        """(F, 128) RootSIFT rows of unit L2 norm (Arandjelović and Zisserman 2012)."""
        return _rooted(self.descriptors)

    @cached_property
    def mirrored(self) -> Floats:
        """`unit` as the mirrored image would have it, rows in the same order."""
        return np.ascontiguousarray(self.unit[:, _MIRRORED])

    def to_bytes(self) -> bytes:
        """Pack as safetensors; `from_bytes` gives an equal object."""
        return save({name: np.ascontiguousarray(getattr(self, name)) for name in _PARTS})

    @classmethod
    def from_bytes(cls, data: bytes) -> Features:
        """Unpack what `to_bytes` packed.

        Raises
        ------
        ValueError : the data are not whole.
        """
        try:
            parts = load(data)
            return cls(*(parts[name] for name in _PARTS))
        except (SafetensorError, KeyError) as error:
            raise ValueError("packed features are damaged") from error


def comes_before(one: Features, two: Features) -> bool:
    """Tell which of two is looked at as the second: the smaller, or that of the lower digest."""
    if one.grey.size != two.grey.size:
        return one.grey.size < two.grey.size
    return one.digest < two.digest


def working_side(height: int, width: int) -> int:
    """Give the longest side at which an image of this size is described."""
    short, long = sorted((height, width))
    return max(WORKING_SIDE, min(_STRIP_SIDE, _NARROW_SIDE * long // max(1, short)))


def describe(pixels: Bytes) -> Features:
    """Extract what the proof needs; parameters and errors as in `outlined`."""
    return featured(outlined(pixels))


def featured(outline: Features) -> Features:
    """Add local features to what `outlined` gave."""
    points, descriptors = _local(outline.grey)
    return replace(outline, points=points, descriptors=descriptors)


def outlined(pixels: Bytes) -> Features:
    """Describe an image without its local features, in a tenth of the time.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 RGB, upright, longest side at most `working_side`

    Raises
    ------
    ValueError : not such an array.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:  # noqa: PLR2004 -- RGB
        raise ValueError("pixels must be (H, W, 3) uint8")
    height, width = pixels.shape[:2]
    longest = working_side(height, width)
    if not 1 <= min(height, width) <= max(height, width) <= longest:
        raise ValueError(f"sides must be 1 to {longest}, not {height} x {width}")
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    half = ((width + 1) // 2, (height + 1) // 2)
    colour = np.asarray(cv2.resize(pixels, half, interpolation=cv2.INTER_AREA), np.uint8)
    return Features(np.zeros((0, 4), np.float32), np.zeros((0, 128), np.uint8), grey, colour)


def _local(grey: Bytes) -> tuple[Floats, Bytes]:
    doubled = max(grey.shape) < _DOUBLED_BELOW_PIXELS
    factor = 2 if doubled else 1
    if doubled:
        grey = np.asarray(cv2.resize(grey, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))
    even = cv2.createCLAHE(clipLimit=3, tileGridSize=(4, 4)).apply(grey)
    sift = cv2.SIFT.create(nfeatures=_MAX_FEATURES, contrastThreshold=0.02)
    keys, descriptors = sift.detectAndCompute(even, None)
    if descriptors is None or not len(keys):
        return np.zeros((0, 4), np.float32), np.zeros((0, 128), np.uint8)
    # Ties at the cut let cv2 return a few more than it was asked for.
    keys, descriptors = keys[:_MAX_FEATURES], descriptors[:_MAX_FEATURES]
    points = np.array([(*key.pt, key.size, np.deg2rad(key.angle)) for key in keys], np.float32)
    points[:, :2] = (points[:, :2] + 0.5) / factor - 0.5
    points[:, 2] /= factor
    return points, descriptors.astype(np.uint8)


def _content(grey: Bytes, axis: int) -> tuple[int, int]:
    """First and past-the-last row (axis 1) or column (axis 0) outside the plain margins."""
    busy = np.ptp(grey, axis=axis) > _MARGIN_LEVELS
    places = np.flatnonzero(busy)
    return (int(places[0]), int(places[-1]) + 1) if places.size else (0, 0)


def _rooted(descriptors: Bytes) -> Floats:
    values = descriptors.astype(np.float32)
    total = values.sum(axis=1, keepdims=True)
    return np.asarray(np.sqrt(values / np.maximum(total, 1)), np.float32)
