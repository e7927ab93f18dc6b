"""True pairs made to order: sampled images of a collection, edited as people edit theirs.

The copies go through the collection's own decoding and model, so that what is measured is what a
copy in a file would get.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from dedup.errors import ImageError
from dedup.images.decode import decode_bounded
from dedup.images.sources import read_unchanged
from dedup.parallel.workers import WORTH_PROCESSES, Workers
from dedup.preparation import embed, preparation
from dedup.search.similarity import pair_similarities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from dedup.preparation import Inputs, Preparation
    from dedup.runtimes.embedder import Embedder
    from dedup.space.space import Space
    from dedup.store.catalog import Catalog

    Pixels = npt.NDArray[np.uint8]

_MAX_SIDE_PIXELS = 1024  # edits are drawn on images of at most this size: copies are seldom larger
_MIN_SIDE_PIXELS = 32  # below, there is nothing to crop
_MAX_PENDING_IMAGES = 16
_COPIES_PER_BATCH = 32
_COPIES_PER_IMAGE = 4
_JPEG_QUALITIES = (75, 92)  # drawn evenly, from the first up to but not including the last

Strengths = tuple[float, ...]

EDIT_MIX: dict[str, dict[str, Strengths]] = {
    "re-encoded": {"jpeg": (90, 60, 30)},
    "resized": {"resize": (1 / 2, 1 / 3, 1 / 4)},
    "lightly cropped": {"crop": (0.9, 0.75)},
    "half crops": {"crop": (0.5,)},
    "recoloured": {
        "brightness": (25, -25, 60),
        "contrast": (0.75, 1.4),
        "gamma": (0.75, 1.4),
        "saturation": (1.4, 0.5),
        "hue": (12, 30),
        "white_balance": (0.15, -0.15),
        "filter": (0.4, 0.7, 1),
        "grey": (1,),
        "sepia": (1,),
    },
    "rotated a little": {"rotate": (2, 5, 10)},
    "turned or mirrored": {"turn": (90, 180, 270), "mirror": (1,)},
    "captioned or framed": {
        "text": (0.05, 0.1),
        "caption": (0.1, 0.2),
        "border": (0.03, 0.08),
        "sticker": (0.03, 0.08),
        "watermark": (0.25, 0.4),
        "screenshot": (0.9, 0.7),
    },
    "edited twice": {
        "crop+jpeg": (1, 2),
        "resize+filter": (0, 1),
        "caption+contrast": (0, 1),
        "crop+text+jpeg": (0, 1),
    },
}
"""How people change images: per way, its edits and their strengths (`edits.EDITS`). Every way is
drawn equally often, and one of its edits and strengths evenly."""


@dataclass(frozen=True, slots=True)
class Copies:
    """Similarities of edited copies to their originals.

    Parameters
    ----------
    way : (C,) index into `EDIT_MIX`
    similarity : (C,) in [-1, 1]
    edited : how many images were edited
    unreadable : how many could not be read, and were left out
    """

    way: npt.NDArray[np.int64]
    similarity: npt.NDArray[np.float32]
    edited: int
    unreadable: int


NO_COPIES = Copies(np.empty(0, np.int64), np.empty(0, np.float32), 0, 0)


@dataclass(frozen=True, slots=True)
class Source:
    """An image to edit.

    Parameters
    ----------
    row : index into the rows of the gallery
    content : SHA-256 that its file must have
    """

    row: int
    content: bytes
    paths: Sequence[bytes]


def measure_copies(
    catalog: Catalog,
    space: Space,
    sources: Sequence[Source],
    rows: npt.NDArray[np.float32],
    embedder: Callable[[], Embedder],
    report: Callable[[str, int, int], None],
    *,
    seed: int,
    samples: int,
) -> Copies:
    """Edit images and embed the copies.

    Parameters
    ----------
    sources : in the order in which they are tried
    rows : (N, D) the gallery, as it is compared in `space`
    samples : how many images to edit; fewer when fewer can be read
    """
    wanted = preparation(catalog)
    originals: list[int] = []
    ways: list[int] = []
    vectors: list[npt.NDArray[np.float32]] = []
    batch: list[Inputs] = []
    done = unreadable = 0

    def embed_batch() -> None:
        parts = embed(catalog.fingerprint, embedder, batch)
        vectors.append(space.vectors(space.fuse_fresh(parts)))
        batch.clear()

    workers: Workers[tuple[int, Source], list[tuple[int, Inputs]] | None] = Workers(
        partial(_drawing, seed, wanted),
        processes=wanted.details
        and min(samples, len(sources)) * _COPIES_PER_IMAGE >= WORTH_PROCESSES,
        lost=lambda _item, _cause: None,
    )
    with workers:
        drawn = workers.run(enumerate(sources), _MAX_PENDING_IMAGES)
        for source, copies in zip(sources, drawn, strict=True):
            if copies is None:
                unreadable += 1
                continue
            done += 1
            for way, copy in copies:
                ways.append(way)
                originals.append(source.row)
                batch.append(copy)
                if len(batch) == _COPIES_PER_BATCH:
                    embed_batch()
            report("Editing and embedding", done, min(samples, len(sources)))
            if done >= samples:
                break
    if batch:
        embed_batch()
    if not vectors:
        return Copies(np.empty(0, np.int64), np.empty(0, np.float32), 0, unreadable)
    made = np.concatenate(vectors)
    similarity = pair_similarities(made, rows, np.arange(len(made)), np.array(originals))
    return Copies(np.array(ways), similarity, done, unreadable)


@contextmanager
def _drawing(
    seed: int, wanted: Preparation
) -> Iterator[Callable[[tuple[int, Source]], list[tuple[int, Inputs]] | None]]:
    """Provide a function that draws the copies of an image, for `Workers`.

    It returns (way, prepared copy) for each; None for an image that cannot be read.
    """

    def draw(numbered: tuple[int, Source]) -> list[tuple[int, Inputs]] | None:
        number, source = numbered
        pixels = _read(source)
        if pixels is None or min(pixels.shape[:2]) < _MIN_SIDE_PIXELS:
            return None
        offset = number * _COPIES_PER_IMAGE
        return [
            (way, copied(pixels, way, (seed, *source.content[:8]), wanted))
            for way in ((offset + step) % len(EDIT_MIX) for step in range(_COPIES_PER_IMAGE))
        ]

    yield draw


def _read(source: Source) -> Pixels | None:
    found = read_unchanged(source.paths, source.content)
    if found is None:
        return None
    try:
        return decode_bounded(found[0], _MAX_SIDE_PIXELS, found[1])
    except ImageError:
        return None


def copied(pixels: Pixels, way: int, seed: tuple[int, ...], wanted: Preparation) -> Inputs:
    """Draw one copy and prepare it as a file of it would be.

    Parameters
    ----------
    way : index into `EDIT_MIX`
    seed : with `way`, decides everything that is drawn
    """
    from dedup.edits.catalogue import edit
    from dedup.images.encode import as_jpeg

    rng = np.random.default_rng((*seed, way))
    edits = list(list(EDIT_MIX.values())[way].items())
    kind, strengths = edits[int(rng.integers(len(edits)))]
    strength = strengths[int(rng.integers(len(strengths)))]
    data = as_jpeg(edit(kind, strength, pixels, rng), int(rng.integers(*_JPEG_QUALITIES)))
    return wanted.prepare(data).inputs
