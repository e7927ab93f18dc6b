"""Pairs of images of which one shows a part of the other, as candidates for the proof.

Their embeddings may be far apart: a tenth of an image, a photograph on a page, one of four in a
collage. Their local features vote instead (`dedup.search.votes`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xxhash

from dedup.descriptors.parts import FEATURE_BYTES, MOST_IMAGES, PARTS_VERSION, columns
from dedup.duplicates.pairs import row_pair
from dedup.fingerprint import DETAILS
from dedup.parallel.memory import give_back
from dedup.search.votes import LocalFeatures, sharing_parts
from dedup.store.parts import read_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dedup.duplicates.pairs import Report, RowPair
    from dedup.store.catalog import Catalog
    from dedup.store.gallery import GalleryImages

MOST: Final = 10
"""Further candidates that an image may bring in."""


def too_many_note() -> str:
    """Say that there are too many images for parts to be looked for."""
    return (
        "Parts were not looked for (crops to a tenth, images pasted on pages): they are in "
        f"collections of up to {MOST_IMAGES:,} images"
    )


def share_parts(
    catalog: Catalog,
    images: GalleryImages,
    members: Sequence[Sequence[int]],
    report: Report,
    fresh: Sequence[tuple[int, bytes | None]] = (),
) -> tuple[set[RowPair], list[str]]:
    """Find pairs of images of which one seems to show a part of the other.

    Parameters
    ----------
    members : classes of rows with identical decoded input; the first of each stands for it
    fresh : rows that are compared with those, and not with each other, each with its parts where
        the catalog does not hold them; none: all are compared with each other

    Returns
    -------
    Pairs of rows, and what a person should know.
    """
    if DETAILS not in catalog.fingerprint.views:
        return set(), []
    rows = [rows[0] for rows in members]
    if len(rows) > MOST_IMAGES:
        return set(), [too_many_note()]
    new = [row for row, _ in fresh]
    ids = images.ids[rows + new]
    stored = dict(read_parts(catalog, PARTS_VERSION, ids[ids >= 0].tolist()))
    given = [None] * len(rows) + [parts for _, parts in fresh]
    packed = [
        parts if parts is not None else stored.get(image)
        for image, parts in zip(ids.tolist(), given, strict=True)
    ]
    lacking = sum(parts is None for parts in packed)
    key = "" if fresh else _key(packed)
    pairs = _kept(catalog, key, len(packed)) if key else None
    if pairs is None:
        features = features_of(packed)
        packed.clear()
        stored.clear()
        pairs = sharing_parts(
            features,
            MOST,
            first_new=len(rows) if fresh else None,
            progress=lambda done, total: report("Looking for parts", done, total),
        )
        del features
        give_back()
        if key:
            catalog.parts_shared = json.dumps([key, pairs], separators=(",", ":"))
    every = rows + new
    found = {row_pair(every[one], every[two]) for one, two in pairs if every[one] != every[two]}
    note = (
        f"{lacking:,} images have no parts yet, by which crops and pasted images are found: "
        "`dedup index` describes them"
    )
    return found, [note] if lacking else []


def _key(packed: Sequence[bytes | None]) -> str:
    """Name what is compared, so that a split, a list and a map of the same images do it once."""
    digest = xxhash.xxh3_128(f"{PARTS_VERSION} {MOST}".encode())
    for parts in packed:
        data = parts or b""
        digest.update(len(data).to_bytes(8))
        digest.update(data)
    return digest.hexdigest()


def _kept(catalog: Catalog, key: str, count: int) -> list[tuple[int, int]] | None:
    """Give the pairs that were found of the same parts before; None where there are none such.

    Parameters
    ----------
    count : of images
    """
    try:
        known, found = json.loads(catalog.parts_shared or "null")
        pairs = [(int(one), int(two)) for one, two in found]
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None
    if known != key or not all(0 <= one < two < count for one, two in pairs):
        return None
    return pairs


def features_of(packed: Sequence[bytes | None]) -> LocalFeatures:
    """Give the features of images by their parts; None gives none."""
    counts = [len(parts or b"") // FEATURE_BYTES for parts in packed]
    owner = np.repeat(np.arange(len(packed), dtype=np.int32), counts)
    unpacked: Any = columns(packed)  # which are asked as arrays are, by rows
    return LocalFeatures(owner, *unpacked)
