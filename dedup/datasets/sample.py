"""Some images of a collection that stand for all of it.

By k-center greedy (Gonzalez 1985): after a first image, drawn by the seed, always the one furthest
from those taken, so that no image is further from the sample than twice what is possible with so
many. Of images that belong together one at most is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from dedup.answer import Answer, column
from dedup.errors import DedupError

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.answer import Progress
    from dedup.datasets.together import Together

    Rows = npt.NDArray[np.float32]

_LEFT: Final = 2.0  # above any similarity


@dataclass(frozen=True, slots=True)
class Taken:
    """An image of a sample.

    Parameters
    ----------
    rank : from 1, in the order in which they were taken; the first n are the sample of size n
    similarity : of its embedding to the most similar one taken before; None of the first
    """

    rank: int
    path: str
    similarity: float | None = field(metadata=column(decimals=4))


@dataclass(frozen=True, slots=True)
class SampleAnswer(Answer[Taken]):
    """A sample, in the order in which it was taken.

    Parameters
    ----------
    among : images that it was taken from, those that belong together counted once
    similarity : of the image least like any of the sample, to the most similar one in it
    """

    rows_in: ClassVar[str] = "taken"
    taken: tuple[Taken, ...]
    among: int
    similarity: float = field(metadata=column(decimals=4))
    notes: tuple[str, ...] = ()


def sample(together: Together, rows: Rows, count: int, seed: int, report: Progress) -> SampleAnswer:
    """Take so many images.

    Parameters
    ----------
    rows : (N, D) unit rows, of the gallery's images

    Raises
    ------
    DedupError : there are not so many different images.
    """
    seen: set[int] = set()
    files = []
    for file in together.files:  # in keep order, so that a keeper stands for its copies
        own = together.group.get(file, -file - 1)
        if own not in seen:
            seen.add(own)
            files.append(file)
    if count > len(files):
        copies = len(together.files) - len(files)
        raise DedupError(
            f"{count:,} images are more than there are: {len(files):,} different ones"
            f"{f', without {copies:,} copies' if copies else ''}"
        )
    files.sort(key=together.gallery.files.path.__getitem__)
    chosen = rows[[together.row(file) for file in files]]
    order, similarity, left = k_center(chosen, count, seed, report)
    taken = tuple(
        Taken(rank, together.path(files[at]), None if rank == 1 else float(alike))
        for rank, (at, alike) in enumerate(zip(order.tolist(), similarity, strict=True), 1)
    )
    return SampleAnswer(taken, len(files), left, together.notes)


def k_center(
    rows: Rows, count: int, seed: int, report: Progress
) -> tuple[npt.NDArray[np.int64], Rows, float]:
    """Take rows, each time the one least similar to those taken; ties by row.

    Parameters
    ----------
    rows : (N, D) unit rows
    count : at most N

    Returns
    -------
    (count,) rows in the order in which they were taken; (count,) their similarities to the nearest
    taken before, 0 of the first; and that of the row least like those taken, 1 where all are.
    """
    order = np.empty(count, np.int64)
    similarity = np.zeros(count, np.float32)
    nearest = np.full(len(rows), -_LEFT, np.float32)
    at = int(np.random.default_rng(seed).integers(len(rows)))
    for number in range(count):
        if number:
            at = int(np.argmin(nearest))
            similarity[number] = nearest[at]
        order[number] = at
        np.maximum(nearest, rows @ rows[at], out=nearest)
        nearest[at] = _LEFT  # not twice
        report("Taking images", number + 1, count)
    rest = nearest[nearest < _LEFT]
    return order, similarity, min(1.0, float(rest.min())) if len(rest) else 1.0
