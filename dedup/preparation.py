"""The two views of an image, and what is computed for each; with details come parts.

*Content* is what a network's hooked layer saw, *details* are local features aggregated to one
vector. They fail on different edits, so that a collection keeps both by default. A `Preparation`
turns a file into what both need; `embed` runs them on a batch. How the parts are compared is for
`dedup.space` to say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xxhash

from dedup.descriptors.vlad import DIGEST, PARTS_SIDE, SIDE, load_details
from dedup.errors import FingerprintError
from dedup.fingerprint import CONTENT, DETAILS
from dedup.images.decode import bounded_size, decode_bytes, decode_square

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    import numpy.typing as npt

    from dedup.fingerprint import Fingerprint
    from dedup.images.decode import Decoded
    from dedup.images.header import Header, Opened
    from dedup.runtimes.embedder import Embedder
    from dedup.store.catalog import Catalog

    Rows = npt.NDArray[np.float32]


class Inputs(NamedTuple):
    """What the views of an image are made of. Light: it travels between processes.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 RGB, the input to the model
    counted : (W,) float32, of what details are projected; None where they are not a view
    parts : the features by which parts are found, packed; None as `counted`
    """

    pixels: npt.NDArray[np.uint8]
    counted: Rows | None
    parts: bytes | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A decoded image with what is known of it without the model.

    Parameters
    ----------
    counted, parts : as in `Inputs`
    """

    decoded: Decoded
    counted: Rows | None
    parts: bytes | None = None

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB, the input to the model."""
        return self.decoded.pixels

    @property
    def input_digest(self) -> bytes:
        """XXH3 (128 bits) of all that the views were made of.

        It says which images are the same to the model, not which are the same: a tenth of the
        time that SHA-256 takes for as many pixels is enough.
        """
        state = xxhash.xxh3_128(self.decoded.pixels.data)
        if self.decoded.bounded is not None:
            state.update(repr(self.decoded.bounded.shape).encode())
            state.update(self.decoded.bounded.data)
        return state.digest()

    @property
    def inputs(self) -> Inputs:
        """Leave out the pixels that details were made of, and what is known of the file."""
        return Inputs(self.decoded.pixels, self.counted, self.parts)


@dataclass(frozen=True, slots=True)
class Preparation:
    """From a file's bytes to what the views of a collection need. Works in any thread or process.

    Parameters
    ----------
    height, width : input to the model, pixels
    details : whether they are a view; their vocabulary is loaded with the first image
    """

    height: int
    width: int
    details: bool = False

    def prepare(
        self,
        data: bytes,
        path: str = "",
        opened: Opened | None = None,
    ) -> Prepared:
        """Decode an image once and describe its details.

        Parameters
        ----------
        opened : as `decode_square` takes it

        Raises
        ------
        ImageError : as `decode_square`.
        """
        bound, larger = (SIDE, PARTS_SIDE) if self.details else (0, 0)
        decoded = decode_square(
            data, self.height, self.width, path, bound=bound, larger=larger, opened=opened
        )
        if decoded.bounded is None or decoded.larger is None:
            return Prepared(decoded, None)
        return Prepared(
            replace(decoded, larger=None),
            *load_details().describe(decoded.bounded, decoded.larger),
        )

    def decode_bytes(self, header: Header) -> int:
        """Estimate from above what decoding takes at its peak."""
        height, width = bounded_size(header, SIDE if self.details else 0)
        return decode_bytes(header, max(height, self.height), max(width, self.width))


def preparation(catalog: Catalog) -> Preparation:
    """Make what prepares images for a collection; as `preparation_of`."""
    return preparation_of(catalog.fingerprint, catalog.store)


def preparation_of(pinned: Fingerprint, collection: str | PathLike[str]) -> Preparation:
    """Make what prepares images as a fingerprint says.

    Parameters
    ----------
    collection : what it is called

    Raises
    ------
    FingerprintError : details were made with another vocabulary than this version's.
    """
    if DETAILS not in pinned.views:
        return Preparation(pinned.height, pinned.width)
    if pinned.details_digest != DIGEST:
        raise FingerprintError(
            collection,
            "this collection was made with another vocabulary of details (by another version of "
            "dedup). Install that version again, or start another collection with --store "
            "NEW_FOLDER.",
        )
    return Preparation(pinned.height, pinned.width, details=True)


def embed(
    fingerprint: Fingerprint,
    embedder: Callable[[], Embedder],
    images: Sequence[Inputs],
    fill: Callable[[npt.NDArray[np.uint8]], None] | None = None,
) -> dict[str, Rows]:
    """Embed a batch in all views of a collection.

    Parameters
    ----------
    embedder : called only where content is a view
    images : B, at least one
    fill : puts the pixels of all of them into (B, H, W, 3), where they are not in `images`

    Returns
    -------
    Per stored name (B, D) float32, as the extractors gave them.
    """
    found: dict[str, Rows] = {}
    if CONTENT in fingerprint.views:
        batch = np.empty((len(images), fingerprint.height, fingerprint.width, 3), np.uint8)
        if fill is None:
            np.stack([image.pixels for image in images], out=batch)
        else:
            fill(batch)
        found |= embedder().embed(batch)
    counted = [image.counted for image in images if image.counted is not None]
    if counted:
        found[DETAILS] = load_details().project(np.stack(counted))
    return found
