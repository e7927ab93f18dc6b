"""The work on a pair of files in pieces that any engine may run.

Functions of bytes that know no catalog, no path and no file: `outline_bytes`, `with_features` and
`prove_chunk` are the steps of a proof. `prove_placed_chunk` is the short way for pairs whose parts
tell where one lies in the other, `prove_copies_chunk` that for what is likely one image.
"""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from dedup.errors import ImageError
from dedup.images.decode import bounded_size, decode_square
from dedup.images.header import open_image
from dedup.proof import (
    Features,
    Original,
    Side,
    featured,
    outlined,
    prove,
    prove_copy,
    prove_placed,
    working_side,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from dedup.descriptors.agreement import Agreement
    from dedup.store.pairs import ContentPair, StoredVerdict

MAX_UNPACKED = 16
"""Descriptions that a chunk keeps, the last used; about 1 MB each with what is derived."""

MAX_OPEN = 4
"""Files that a worker keeps, the last used, each decoded in one size or some small ones."""


def outline_bytes(data: bytes, name: str = "") -> bytes:
    """Describe the image in a file's bytes but for its local features; packed.

    Parameters
    ----------
    data : a whole file
    name : of the file, for errors; raw images are known by it

    Raises
    ------
    ImageError : it cannot be decoded.
    """
    opened = open_image(data, name)
    size = bounded_size(opened.header, working_side(*opened.header.size))
    return outlined(decode_square(data, *size, name, opened=opened, srgb=True).pixels).to_bytes()


def with_features(packed: bytes) -> bytes:
    """Add local features to what `outline_bytes` gave, as `prove_chunk` wants it."""
    return featured(Features.from_bytes(packed)).to_bytes()


def prove_chunk(
    pairs: Iterable[ContentPair],
    fetch: Callable[[bytes], bytes | None],
    read: Callable[[bytes], tuple[bytes, str] | None],
) -> dict[ContentPair, StoredVerdict]:
    """Check pairs of described images.

    Parameters
    ----------
    pairs : quickest when sorted, so that each first image is unpacked once
    fetch : gives what `with_features` gave for a content (SHA-256); None: there is none
    read : gives a file of that content and its name, for pairs that cannot be told apart by
        descriptions; None: there is none any more

    Returns
    -------
    Per pair its verdict; pairs with an image that has no description, or no file where one is
    needed, are left out.
    """
    found = {}
    for pair, sides in _sides(pairs, fetch, read):
        with suppress(ImageError):
            found[pair] = prove(*sides).stored
    return found


def prove_placed_chunk(
    pairs: Mapping[ContentPair, Agreement],
    fetch: Callable[[bytes], bytes | None],
    read: Callable[[bytes], tuple[bytes, str] | None],
) -> dict[ContentPair, StoredVerdict]:
    """Check pairs by where their parts agree, as far as that goes.

    Parameters
    ----------
    fetch : gives what `outline_bytes` gave for a content
    the others : as in `prove_chunk`

    Returns
    -------
    The verdicts that need no local features.
    """
    found = {}
    for pair, sides in _sides(pairs, fetch, read):
        with suppress(ImageError):
            verdict = prove_placed(*sides, pairs[pair])
            if verdict is not None:
                found[pair] = verdict.stored
    return found


def _sides(
    pairs: Iterable[ContentPair],
    fetch: Callable[[bytes], bytes | None],
    read: Callable[[bytes], tuple[bytes, str] | None],
) -> Iterator[tuple[ContentPair, tuple[Side, Side]]]:
    """Give the pairs of which both are described, with their sides."""

    @lru_cache(MAX_UNPACKED)
    def unpacked(content: bytes) -> Features | None:
        packed = fetch(content)
        return None if packed is None else Features.from_bytes(packed)

    @lru_cache(MAX_OPEN)
    def opened(content: bytes) -> Original:
        file = read(content)
        if file is None:
            raise ImageError("", "gone or changed", transient=True)
        return Original(*file)

    for first, second in pairs:
        one, two = unpacked(first), unpacked(second)
        if one is not None and two is not None:
            sides = Side(one, partial(opened, first)), Side(two, partial(opened, second))
            yield (first, second), sides


def prove_copies_chunk(
    pairs: Iterable[ContentPair], read: Callable[[bytes], tuple[bytes, str] | None]
) -> dict[ContentPair, StoredVerdict]:
    """Check pairs that are likely to be one image saved twice, without descriptions.

    Parameters
    ----------
    read : as in `prove_chunk`

    Returns
    -------
    The verdicts of those that are; the same that `prove_chunk` gives.
    """

    @lru_cache(MAX_OPEN)
    def seen(content: bytes) -> Side:
        file = read(content)
        if file is None:
            raise ImageError("", "gone or changed", transient=True)
        original = Original(*file)
        header = original.opened.header
        pixels = original.pixels(*bounded_size(header, working_side(*header.size)))
        return Side(outlined(pixels), lambda: original)

    found = {}
    for pair in pairs:
        with suppress(ImageError):
            verdict = prove_copy(*map(seen, pair))
            if verdict is not None:
                found[pair] = verdict.stored
    return found
