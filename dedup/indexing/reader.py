"""From the bytes of one named image to what the extractors need. Knows no paths and no catalog.

`read_bytes` is all that a source of images has to call: a file on a disk (`indexing.files`), a
member of an archive, an object in a store. What cannot be read becomes a value with a reason, never
an exception that ends a run. Memory is bounded: one image at a time that needs more than
`EXCLUSIVE_BYTES` is decoded.
"""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final, NamedTuple

from dedup.errors import ImageError
from dedup.images.decode import decode_seconds
from dedup.images.header import open_image
from dedup.parallel.limits import NeedsProcessError, can_be_ended, limited
from dedup.parallel.workers import exclusive
from dedup.records import ImageFacts

if TYPE_CHECKING:
    from collections.abc import Callable

    from dedup.parallel.limits import ItemLimits
    from dedup.preparation import Inputs, Preparation, Prepared

EXCLUSIVE_BYTES: Final = 64 << 20
"""What a file or its decoding may take before it has to wait for other large ones."""


class Known(NamedTuple):
    """An image whose content has been seen before.

    Parameters
    ----------
    digest : SHA-256 of the file
    """

    digest: bytes


class Embeddable(NamedTuple):
    """An image that needs an embedding.

    Parameters
    ----------
    facts : what is kept of it, its remark included
    """

    facts: ImageFacts
    inputs: Inputs

    @property
    def digest(self) -> bytes:
        """SHA-256 of the file."""
        return self.facts.digest


class Skipped(NamedTuple):
    """A file that gave no image.

    Parameters
    ----------
    reason : for a person, without the path
    transient : worth another try although the file has not changed
    vanished : it is not there any more
    """

    reason: str
    transient: bool
    vanished: bool = False


Outcome = Embeddable | Known | Skipped


def read_bytes(
    data: bytes,
    name: str,
    preparation: Preparation,
    is_known: Callable[[bytes], bool],
    limits: ItemLimits | None = None,
) -> Outcome:
    """Digest, decode and describe one image.

    Parameters
    ----------
    name : of the image, for errors of decoders
    preparation : what is made of its pixels
    is_known : says whether a SHA-256 has an embedding already; such an image is not decoded
    limits : what it may cost in a thread; None: that does not matter

    Raises
    ------
    NeedsProcessError : it may cost more than that, and this is no process that can be ended
    """
    digest = hashlib.sha256(data).digest()
    if is_known(digest):
        return Known(digest)
    try:
        with limited():
            opened = open_image(data, name)
        memory = preparation.decode_bytes(opened.header)
        if limits is not None and not can_be_ended():
            seconds = decode_seconds(opened.header, len(data))
            if memory > limits.thread_memory or seconds > limits.thread_seconds:
                raise NeedsProcessError
        with exclusive() if memory > EXCLUSIVE_BYTES else nullcontext(), limited(2 * memory):
            image = preparation.prepare(data, name, opened)
    except ImageError as error:
        return Skipped(error.reason, error.transient)
    except MemoryError:
        return Skipped("too large for the memory there is", transient=False)
    return _embeddable(digest, image)


def _embeddable(digest: bytes, image: Prepared) -> Embeddable:
    header = image.decoded.header
    facts = ImageFacts(
        digest=digest,
        format=header.format,
        width=header.width,
        height=header.height,
        frames=header.frames,
        trivial=image.decoded.trivial,
        input_digest=image.input_digest,
        damaged=image.decoded.damaged,
        remark=image.decoded.note,
    )
    return Embeddable(facts, image.inputs)
