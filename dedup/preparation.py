"""The two views of an image, and what is computed for each.

*Content* is what a network's hooked layer saw, *details* are local features aggregated to one
vector. They fail on different edits, so that a collection keeps both by default. A `Preparation`
turns a file into what both need; `embed` runs them on a batch. How the parts are compared is for
`dedup.space` to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import xxhash

from dedup.descriptors.vlad import DIGEST, SIDE, load_details
from dedup.errors import FingerprintError
from dedup.fingerprint import CONTENT, DETAILS
from dedup.images.decode import bounded_size, decode_bytes, decode_square
from dedup.images.device import suits_device

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from dedup.fingerprint import Fingerprint
    from dedup.images.decode import Decoded
    from dedup.images.header import Header, Opened
    from dedup.runtimes.device_jpegs import Sides
    from dedup.store.catalog import Catalog

    Rows = npt.NDArray[np.float32]


class JpegDecoder(Protocol):
    """What decodes JPEGs on a device; from one thread at a time."""

    @property
    def name(self) -> str:
        """What does it, with its version."""
        ...

    def decode(
        self, files: Sequence[tuple[bytes, tuple[int, int]]], out: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.bool_]:
        """Fill (B, height, width, 3) with RGB; each file comes with its own height and width.

        Returns
        -------
        (B,) False where it makes nothing of a file. What it raises means that it cannot go on.
        """
        ...


class Embedder(Protocol):
    """What turns pictures into embeddings of their content."""

    def batch_sizes(self, pictures: int) -> tuple[int, ...]:
        """Give the pictures per call that are worth trying, rising, for so many in all.

        None: whatever is usual.
        """
        ...

    @property
    def at_once(self) -> int:
        """Calls from as many threads that do not wait for each other."""
        ...

    def room(self, pictures: int) -> npt.NDArray[np.uint8]:
        """Give (pictures, H, W, 3) uint8, the best place for a batch that `embed` gets next.

        It belongs to the calling thread until it asks again.
        """
        ...

    def get_ready(self, pictures: int) -> bool:
        """Get ready for batches of so many, beside; True once none has to wait for that."""
        ...

    def jpegs(self, sides: Sides) -> JpegDecoder | None:
        """Give what decodes JPEGs on the device where passes run; None where that is the host.

        Parameters
        ----------
        sides : by which it brings them to one size, as `images.device.sides`
        """
        ...

    def hasten(self) -> None:
        """Prepare faster passes beside, where there are any; worth it for a minute of passes."""
        ...

    def embed(self, batch: npt.NDArray[np.uint8]) -> Mapping[str, npt.NDArray[np.float32]]:
        """Map each layer to (B, D) float32 for (B, H, W, 3) uint8 RGB."""
        ...


class Inputs(NamedTuple):
    """What the views of a picture are made of. Light: it travels between processes.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 RGB, the input to the model
    details : (D,) float32, of unit norm or zeros; None where they are not a view
    """

    pixels: npt.NDArray[np.uint8]
    details: Rows | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A decoded picture with what could be told of it without the model.

    Parameters
    ----------
    details : (D,) float32, of unit norm or zeros; None where they are not a view
    """

    decoded: Decoded
    details: Rows | None

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB, the input to the model."""
        return self.decoded.pixels

    @property
    def input_digest(self) -> bytes:
        """XXH3 (128 bits) of all that the views were made of.

        It says which pictures are the same to the model, not which are the same: a tenth of the
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
        return Inputs(self.decoded.pixels, self.details)


@dataclass(frozen=True, slots=True)
class Preparation:
    """From a file's bytes to what the views of a collection need. Works in any thread or process.

    Parameters
    ----------
    height, width : input to the model, pixels
    details : whether they are a view; their vocabulary is loaded with the first picture
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
        """Decode a picture once and describe its details.

        Parameters
        ----------
        opened : as `decode_square` takes it

        Raises
        ------
        ImageError : as `decode_square`.
        """
        bound = SIDE if self.details else 0
        decoded = decode_square(data, self.height, self.width, path, bound=bound, opened=opened)
        if decoded.bounded is None:
            return Prepared(decoded, None)
        return Prepared(decoded, load_details().embed(decoded.bounded))

    def leaves(self, opened: Opened, data: bytes) -> bool:
        """Tell whether a file may be left to a device: it suits, and takes no more than its pixels.

        Never where details are a view, which the host describes.
        """
        if self.details or len(data) > 3 * self.height * self.width:
            return False
        return suits_device(opened, data, self.height, self.width)

    def decode_bytes(self, header: Header) -> int:
        """Estimate from above what decoding takes at its peak."""
        height, width = bounded_size(header, SIDE if self.details else 0)
        return decode_bytes(header, max(height, self.height), max(width, self.width))


def preparation(catalog: Catalog) -> Preparation:
    """Make what prepares pictures for a collection.

    Raises
    ------
    FingerprintError : details were made with another vocabulary than this version's.
    """
    pinned = catalog.fingerprint
    if DETAILS not in pinned.views:
        return Preparation(pinned.height, pinned.width)
    if pinned.details_digest != DIGEST:
        raise FingerprintError(
            catalog.store,
            "this collection was made with another vocabulary of details (by another version of "
            "dedup). Install that version again, or start another collection with --store "
            "NEW_FOLDER.",
        )
    return Preparation(pinned.height, pinned.width, details=True)


def embed(
    fingerprint: Fingerprint,
    embedder: Callable[[], Embedder],
    pictures: Sequence[Inputs],
    fill: Callable[[npt.NDArray[np.uint8]], None] | None = None,
) -> dict[str, Rows]:
    """Embed a batch in all views of a collection.

    Parameters
    ----------
    embedder : called only where content is a view
    pictures : B, at least one
    fill : puts the pixels of all of them into (B, H, W, 3), where they are not in `pictures`

    Returns
    -------
    Per stored name (B, D) float32, as the extractors gave them.
    """
    found: dict[str, Rows] = {}
    if CONTENT in fingerprint.views:
        model = embedder()
        room = model.room(len(pictures))
        if fill is None:
            np.stack([picture.pixels for picture in pictures], out=room)
        else:
            fill(room)
        found |= model.embed(room)
    described = [picture.details for picture in pictures if picture.details is not None]
    if described:
        found[DETAILS] = np.stack(described)
    return found
