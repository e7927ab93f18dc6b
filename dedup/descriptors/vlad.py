"""The details of an image as one short vector: local features, counted by a vocabulary.

A network captures what an image shows; this captures what makes it this very image. Every blob's
descriptor is shared among the nearest words of a shipped vocabulary, what is left over is summed
by word (VLAD), and a learned projection keeps the directions in which copies agree and
unrelated images do not. Needs neither torch nor a network. Features come from
`dedup.descriptors.keypoints`; `scripts/train details` trains the bundled file, see `vocabulary.md`.
"""

from __future__ import annotations

import hashlib
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from dedup.descriptors.blobs import FINE
from dedup.descriptors.keypoints import find, find_with_fine
from dedup.descriptors.mirror import fold_mirror
from dedup.descriptors.panels import is_sheet
from dedup.descriptors.parts import COARSE, pack
from dedup.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Doubles = npt.NDArray[np.float64]
    Floats = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]

SIDE: Final = 256
"""Longest side, in pixels, at which images are described."""

FEWEST: Final = 8
"""Features below which an image has too little texture to be distinctive."""

DIMENSION: Final = 1024
"""Default D: 512 bytes an image as stored. Fewer find less, see `vocabulary.md`."""

WEIGHTS: Final = Path(__file__).with_name("vocabulary.safetensors")
DIGEST: Final = "637db89c8630aaea70ca08f59d1dce0995daf61f686dc0a0fb1da33bc8f9bac5"
"""SHA-256 of the shipped file."""

PARTS_SIDE: Final = 384
"""Longest side, in pixels, at which the fine features of parts are found."""

SHEET_SIDE: Final = 512
SHEET_FINE: Final = (250, 0, 0)
"""The same of what a sheet of many images gets besides, each of which has but its share of it.

Of 30 originals on sheets of 12 and 15, 7 have four features that agree without these, and 26 with
them. Without the others a photograph that passes for a sheet would not agree with its copies.
"""

_NEAREST: Final = 6  # words among which a descriptor is divided
_SOFTNESS: Final = 0.03  # squared distance (0 to 4) over which a weight falls by the root of e
_TINY: Final = 1e-9
_STEPS: Final = float(1 << 24)
_NAMES: Final = ("mirror_axis", "mean", "axes", "words", "centre", "projection")


class Vocabulary:
    """What descriptors are counted by.

    Parameters
    ----------
    tensors : ``mirror_axis`` (64,), ``mean`` (128,), ``axes`` (128, d), ``words`` (K, d); others
        are ignored
    """

    def __init__(self, tensors: Mapping[str, npt.NDArray[np.floating]]) -> None:
        self._mirror_axis, self._mean, self._axes, self._words = (
            np.asarray(tensors[name], np.float32) for name in _NAMES[:4]
        )
        self._halves = (self._words**2).sum(axis=1) / 2
        self.width: Final = self._words.size

    def reduce(self, descriptors: Floats) -> Floats:
        """Fold mirrors and keep the main axes: (F, 128) to (F, d)."""
        return self.folded(descriptors)[0]

    def folded(self, descriptors: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """As `reduce`, and which of them were turned to the one side of the mirror: (F,)."""
        folded, turned = fold_mirror(descriptors, self._mirror_axis)
        folded -= self._mean
        return np.asarray(folded @ self._axes, np.float32), turned

    def count(self, descriptors: Floats) -> Floats:
        """Sum what the nearest words leave over (VLAD, Jégou et al. 2010, softly assigned).

        Parameters
        ----------
        descriptors : (F, 128) from `describe`, F at least 1

        Returns
        -------
        (K * d,) of unit L2 norm, every word's part of equal norm, so that a texture that repeats
        (letters, bricks) is no louder than the rest (Arandjelović and Zisserman 2013)
        """
        return self.sum(self.reduce(descriptors))

    def sum(self, reduced: Floats) -> Floats:
        """As `count`, of descriptors that are reduced already."""
        weights = self._weights(reduced)
        sums = weights.T @ reduced - weights.sum(axis=0)[:, None] * self._words
        sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), _TINY)
        return np.asarray(sums.ravel() / max(np.linalg.norm(sums), _TINY), np.float32)

    def _weights(self, reduced: Floats) -> Floats:
        """Divide every descriptor among its nearest words: (F, K), rows that add up to 1."""
        # Half the squared distance to each word, less what is the same for all words.
        nearness = reduced @ self._words.T - self._halves
        nearness -= nearness.max(axis=1, keepdims=True)
        last = min(_NEAREST, len(self._words))
        least = -np.partition(-nearness, last - 1, axis=1)[:, last - 1 : last]
        weights = np.where(nearness >= least, np.exp(nearness / _SOFTNESS), np.float32(0))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


class Details:
    """Embeds images by their details; one object serves any number of threads.

    Parameters
    ----------
    weights : default: the bundled file
    digest : SHA-256 that the file must have, in hexadecimal digits
    dimension : D of the embeddings; axes come by falling use, so that fewer are the first of more

    Attributes
    ----------
    dimension : D of the embeddings
    digest : SHA-256 of the file

    Raises
    ------
    WeightsError : the file cannot be read, or is not the one that the digest names.
    ValueError : the file has fewer axes than that, or none are asked for.
    """

    def __init__(
        self, weights: Path = WEIGHTS, digest: str = DIGEST, dimension: int = DIMENSION
    ) -> None:
        tensors = _read(weights, digest)
        axes = tensors["projection"].shape[1]
        if not 1 <= dimension <= axes:
            raise ValueError(f"dimension must be 1 to {axes}, not {dimension}")
        self.digest: Final = digest
        self._vocabulary = Vocabulary(tensors)
        self._centre = np.asarray(tensors["centre"], np.float32)
        self._stored_projection = tensors["projection"][:, :dimension]
        self.dimension: Final = dimension

    def embed(self, pixels: Bytes) -> Floats:
        """Embed one image.

        Parameters
        ----------
        pixels : (H, W, 3) uint8 RGB in its own aspect, longest side at most `SIDE`; enlarged to
            `SIDE` where it is smaller

        Returns
        -------
        (D,) of unit L2 norm, the same for the mirrored image up to where its pixels fall; all
        zeros, whose cosine with anything is 0, where there are fewer than `FEWEST` features
        """
        found = find(grey(pixels))
        counted = self._counted(self._vocabulary.reduce(found.descriptors))
        return np.asarray(self.project(counted[None])[0])

    def describe(self, pixels: Bytes, larger: Bytes) -> tuple[Floats, bytes]:
        """Count the words of one image, and describe its parts by the same features and finer ones.

        Parameters
        ----------
        pixels : as `embed` takes them
        larger : the same image in (H, W, 3) uint8 RGB of any size

        Returns
        -------
        What `project` takes, (W,), and parts as `dedup.descriptors.parts` packs them.
        """
        seen = grey(pixels)
        counted, parts = self._described(seen, larger, PARTS_SIDE, FINE, COARSE)
        if is_sheet(seen):
            parts += self._described(seen, larger, SHEET_SIDE, SHEET_FINE, 0)[1]
        return counted, parts

    def _described(
        self, seen: Bytes, larger: Bytes, side: int, most: tuple[int, ...], coarse: int
    ) -> tuple[Floats, bytes]:
        # Fine features are blurred by two pixels: to interpolate is enough, and takes a quarter.
        quick = max(larger.shape) < 2 * side
        large = _resized(larger, side, cv2.INTER_LINEAR if quick else None)
        found, count = find_with_fine(seen, large, most)
        reduced, turned = self._vocabulary.folded(found.descriptors)
        return self._counted(reduced[:count]), pack(found, count, reduced, turned, coarse)

    def project(self, counted: Floats) -> Floats:
        """Embed images of which the words are counted: (B, W) to (B, D), as `embed` does.

        Many at a time: the projection is larger than a processor's caches, and reading it for one
        image takes as long as for ten. A row comes out the same whatever others are with it.
        """
        values = _whole(counted - self._centre) @ self._projection
        values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), _TINY)
        values[~counted.any(axis=1)] = 0
        return np.asarray(values, np.float32)

    def _counted(self, reduced: Floats) -> Floats:
        if len(reduced) < FEWEST:
            return np.zeros(self._vocabulary.width, np.float32)
        return self._vocabulary.sum(reduced)

    @cached_property
    def _projection(self) -> Doubles:
        """Made when it is needed: not in a process that only counts."""
        return _whole(np.ascontiguousarray(self._stored_projection))


def _whole(values: Floats) -> Doubles:
    """Give values as whole numbers of steps, so that sums of products of two of them are exact.

    BLAS adds up in an order that differs by processor, by threads, and by how many rows there are.
    Rows of norm 1 and columns of norm 8 stay below 2^51, and doubles are exact to 2^53.
    """
    return np.rint(np.asarray(values, np.float64) * _STEPS)


@cache
def load_details() -> Details:
    """Load the shipped vocabulary, once in a process."""
    return Details()


def grey(pixels: Bytes) -> Bytes:
    """Bring an image to what is described: grey, longest side `SIDE`.

    Raises
    ------
    ValueError : not (H, W, 3) uint8, or a side is 0 or longer than `SIDE`.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:  # noqa: PLR2004 -- RGB
        raise ValueError("pixels must be (H, W, 3) uint8")
    height, width = pixels.shape[:2]
    if min(height, width) < 1 or max(height, width) > SIDE:
        raise ValueError(f"sides must be 1 to {SIDE}, not {height} x {width}")
    return _resized(pixels, SIDE)


def _resized(pixels: Bytes, side: int, how: int | None = None) -> Bytes:
    """Bring an image to grey, and its longest side to this.

    Parameters
    ----------
    how : OpenCV's way of interpolating; None: the best for either direction
    """
    values = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    height, width = values.shape
    longest = max(height, width)
    if longest != side:
        size = (max(1, round(width * side / longest)), max(1, round(height * side / longest)))
        if how is None:
            how = cv2.INTER_AREA if longest > side else cv2.INTER_CUBIC
        values = np.asarray(cv2.resize(values, size, interpolation=how), np.uint8)
    return values


def _read(path: Path, digest: str) -> dict[str, npt.NDArray[np.floating]]:
    from safetensors.numpy import load

    try:
        data = path.read_bytes()
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror or error}); install dedup again."
        raise WeightsError(message) from error
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise WeightsError(
            f"{path} is damaged or belongs to another version: its SHA-256 is {found}, "
            f"not {digest}; install dedup again."
        )
    # Past this check the content is known, and with it that it loads and fits.
    tensors: dict[str, npt.NDArray[np.floating]] = load(data)
    return tensors


__all__ = [
    "DIGEST",
    "DIMENSION",
    "FEWEST",
    "PARTS_SIDE",
    "SIDE",
    "WEIGHTS",
    "Details",
    "Vocabulary",
    "grey",
    "load_details",
]
