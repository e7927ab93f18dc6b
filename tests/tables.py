"""Tables of images and of pairs for tests of what is made of them: no files, no catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dedup.duplicates.candidates import Proposals
from dedup.duplicates.pairs import PairTable
from dedup.results import Tier
from dedup.search.join import Pairs
from dedup.store.gallery import GalleryFiles, GalleryImages
from dedup.store.pairs import StoredVerdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def images(
    count: int,
    *,
    inputs: Sequence[bytes] | None = None,
    pixels: Mapping[int, bytes] | None = None,
    trivial: Iterable[int] = (),
    sizes: Sequence[tuple[int, int]] | None = None,
    frames: Sequence[int] | None = None,
    damaged: Iterable[int] = (),
) -> GalleryImages:
    """Make stills of 40 x 30 pixels, different in all that is not given."""
    width, height = zip(*(sizes or [(40, 30)] * count), strict=True) if count else ((), ())
    blank = np.zeros(count, np.bool_)
    blank[list(trivial)] = True
    broken = np.zeros(count, np.bool_)
    broken[list(damaged)] = True
    return GalleryImages(
        ids=np.arange(count) + 1,
        digest=[row.to_bytes(32, "big") for row in range(count)],
        format=["PNG"] * count,
        width=np.array(width, np.int32),
        height=np.array(height, np.int32),
        frames=np.array(frames or [1] * count, np.int32),
        trivial=blank,
        input_digest=list(inputs or [row.to_bytes(16, "big") for row in range(count)]),
        pixel_digest=[(pixels or {}).get(row) for row in range(count)],
        damaged=broken,
    )


def files(*members: tuple[int, bytes, int, int]) -> GalleryFiles:
    """Make files of (row, path, bytes, age), age being its time."""
    row, path, size, age = zip(*members, strict=True)
    count = len(row)
    return GalleryFiles(
        np.array(row),
        list(path),
        np.array(size),
        np.array(age),
        root=[1] * count,
        inode=list(range(count)),
        ctime_ns=[None] * count,
    )


def table(
    known: GalleryImages,
    near: Mapping[tuple[int, int], float] | None = None,
    refuted: Iterable[tuple[int, int]] = (),
    ignored: Iterable[tuple[int, int]] = (),
    resaved: Mapping[tuple[int, int], float] | None = None,
) -> PairTable:
    """Make a table in which some pairs are proven with a similarity, and some refuted."""
    verdicts = dict.fromkeys(near or {}, StoredVerdict(Tier.NEAR, "cropped to 80%", "shows more"))
    same = "the same image"
    verdicts |= dict.fromkeys(resaved or {}, StoredVerdict(Tier.RESAVED, same, same))
    verdicts |= dict.fromkeys(
        refuted, StoredVerdict(None, "the textures differ", "the textures differ")
    )
    return PairTable(
        known, known.pixel_digest, frozenset(ignored), verdicts, {**(near or {}), **(resaved or {})}
    )


def proposals(members: list[list[int]], similarities: Mapping[tuple[int, int], float]) -> Proposals:
    """Pair classes with a similarity."""
    ordered = sorted(similarities)
    pairs = Pairs(
        np.array([first for first, _ in ordered], np.int32),
        np.array([second for _, second in ordered], np.int32),
        np.array([similarities[pair] for pair in ordered], np.float32),
    )
    return Proposals(members, pairs)
