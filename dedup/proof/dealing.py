"""How pairs and images are dealt to workers: in which order, and how many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dedup.store.pairs import ContentPair

Item = TypeVar("Item")

MAX_CHUNK = 32
"""Pairs that a worker checks at once, and images that it outlines. Pairs in order share images,
which are then unpacked and decoded once. Towards the end they are fewer, down to one, so that no
worker waits for another's many."""


def in_chunks(items: Sequence[Item], size: int) -> list[tuple[Item, ...]]:
    """Cut items into chunks of one size, the last of what is left."""
    return [tuple(items[start : start + size]) for start in range(0, len(items), size)]


def linked(pairs: Iterable[ContentPair]) -> list[ContentPair]:
    """Order pairs so that those of images that chains of pairs link follow each other.

    A worker then still has most of the files that it needs for the next pair.
    """
    known: dict[bytes, bytes] = {}

    def lowest(content: bytes) -> bytes:
        while (lower := known.setdefault(content, content)) != content:
            known[content] = content = known[lower]
        return content

    every = list(pairs)
    for one, two in every:
        low, high = sorted((lowest(one), lowest(two)))
        known[high] = low
    return sorted(every, key=lambda pair: (lowest(pair[0]), pair))


def dealt(items: Sequence[Item], workers: int) -> list[tuple[Item, ...]]:
    """Deal pairs or images to workers, to each in turn a quarter of its share of what is left."""
    found, at = [], 0
    while at < len(items):
        share = (len(items) - at) // (4 * workers)
        size = min(MAX_CHUNK, max(1, share))
        found.append(tuple(items[at : at + size]))
        at += size
    return found
