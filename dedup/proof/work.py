"""What the workers of a `Prover` do, one item after the other.

Every item is a dataclass that can be pickled and says what is wanted; `proving` gives what does it.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from dedup.descriptors.agreement import Agreement, promising
from dedup.descriptors.parts import unpack
from dedup.errors import ImageError
from dedup.images.sources import read_unchanged
from dedup.images.traits import Traits, measured
from dedup.proof.chunks import (
    outline_bytes,
    prove_chunk,
    prove_copies_chunk,
    prove_placed_chunk,
    with_features,
)
from dedup.store.pairs import ContentPair, StoredVerdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Slot = tuple[int, int]  # where a description begins in the file, and its bytes


@dataclass(frozen=True, slots=True)
class Images:
    """Wants packed outlines, None for an image of which no file gives one.

    Each takes a millisecond, about as long as it takes to ask another process for it.
    """

    paths: Mapping[bytes, Sequence[bytes]]  # by content


@dataclass(frozen=True, slots=True)
class Outline:
    """Wants the description whose outline is in the file, with local features."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class Measured:
    """Wants the traits of an image, or None where no file gives them."""

    content: bytes
    paths: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Wants the verdicts on pairs whose descriptions are all in the file.

    Parameters
    ----------
    agreed : per pair what parts tell; then those verdicts that need no more
    """

    pairs: tuple[ContentPair, ...]
    slots: Mapping[bytes, Slot]
    paths: Mapping[bytes, Sequence[bytes]]
    agreed: Mapping[ContentPair, Agreement] | None = None


@dataclass(frozen=True, slots=True)
class Candidates:
    """Wants the pairs of which more parts agree than by chance, and how; parts are in the file."""

    pairs: tuple[ContentPair, ...]
    slots: Mapping[bytes, Slot]


@dataclass(frozen=True, slots=True)
class Copies:
    """Wants the verdicts on those pairs that are one image saved twice."""

    pairs: tuple[ContentPair, ...]
    paths: Mapping[bytes, Sequence[bytes]]


class Agreed(NamedTuple):
    """How the parts of pairs agree; those left out are refuted."""

    pairs: dict[ContentPair, Agreement]


class Outlined(NamedTuple):
    """The packed outlines of images by their contents."""

    packed: dict[bytes, bytes | None]


Work = Images | Outline | Chunk | Candidates | Copies | Measured
Done = bytes | dict[ContentPair, StoredVerdict] | Outlined | Agreed | Traits | None


@contextmanager
def proving(path: str) -> Iterator[Callable[[Work], Done]]:
    """Give what describes images and checks pairs of them; for `Workers`.

    Parameters
    ----------
    path : of the file that the descriptions are written to
    """
    file = os.open(path, os.O_RDONLY)

    def work(item: Work) -> Done:
        if isinstance(item, Images | Measured):
            return (
                measured(item.content, item.paths)
                if isinstance(item, Measured)
                else Outlined({each: _outlined(each, paths) for each, paths in item.paths.items()})
            )
        if isinstance(item, Candidates):
            return _sifted(item, partial(_fetch, file, item.slots))
        if isinstance(item, Copies):
            return prove_copies_chunk(item.pairs, partial(_read, item.paths))
        if isinstance(item, Outline):
            return with_features(_at(file, item.slot))
        fetch, read = partial(_fetch, file, item.slots), partial(_read, item.paths)
        if item.agreed is not None:
            return prove_placed_chunk(item.agreed, fetch, read)
        return prove_chunk(item.pairs, fetch, read)

    try:
        yield work
    finally:
        os.close(file)


def _outlined(content: bytes, paths: Sequence[bytes]) -> bytes | None:
    found = read_unchanged(paths, content)
    if found is None:
        return None
    try:
        return outline_bytes(*found)
    except ImageError:
        return None


def _sifted(item: Candidates, fetch: Callable[[bytes], bytes]) -> Agreed:
    parts = {content: unpack(fetch(content)) for content in item.slots}
    found = {(one, two): promising(parts[one], parts[two]) for one, two in item.pairs}
    return Agreed({pair: agreed for pair, agreed in found.items() if agreed is not None})


def _fetch(file: int, slots: Mapping[bytes, Slot], content: bytes) -> bytes:
    return _at(file, slots[content])


def _at(file: int, slot: Slot) -> bytes:
    begin, size = slot
    return os.pread(file, size, begin)


def _read(paths: Mapping[bytes, Sequence[bytes]], content: bytes) -> tuple[bytes, str] | None:
    return read_unchanged(paths[content], content)
