"""Images whose label the others contradict, and images that are like no other.

Two judges who never see the image's own label, nor those of its copies: its nearest neighbours,
and a linear classifier that was fitted without it. Where embeddings part the classes linearly the
classifier is the better judge, elsewhere the neighbours; their mean beats either (`scripts/bench
questions`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dedup.search.similarity import pair_similarities, unit_rows
from dedup.search.structures import FlatSearch, build, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Rows = npt.NDArray[np.float32]
    Numbers = npt.NDArray[np.int64]

NEIGHBOURS: Final = 10
LEAST_MEMBERS: Final = 3
"""Images of a class below which nobody can say what belongs to it."""

DISAGREES: Final = 0.35
"""Agreement below which a label is a candidate: half of one minus the lead of the best other."""

_MORE: Final = 20  # neighbours looked at, so that enough are left without copies
_SHARPNESS: Final = 10.0  # of the neighbours' weights: e to the 10 for each 1 of similarity
_RIDGE: Final = 2.0  # times the mean variance of an axis
_MOST_TOGETHER: Final = 64  # copies that are left out together
_BLOCK: Final = 2048


class Near(NamedTuple):
    """The nearest others of N images, copies left out.

    Parameters
    ----------
    rows : (N, K) the nearest first; -1 where there are no more
    similarity : (N, K) of embeddings once these are centred; 0 where there are none
    """

    rows: Numbers
    similarity: Rows


class Judged(NamedTuple):
    """What others say of the labels of N images.

    Parameters
    ----------
    agreement : (N,) in [0, 1], below 1/2 where another label is likelier; NaN where nobody judges
    other : (N,) the likeliest other label, by number
    """

    agreement: npt.NDArray[np.float64]
    other: Numbers


def centred(vectors: Rows) -> Rows:
    """Take off what all embeddings have in common; gives unit rows.

    Parameters
    ----------
    vectors : (N, D) of any length
    """
    rows = unit_rows(vectors)
    return unit_rows(rows - rows.mean(axis=0)) if len(rows) else rows


def nearest_others(rows: Rows, together: Numbers) -> Near:
    """Find the `NEIGHBOURS` nearest of each image that are no copies of it.

    Parameters
    ----------
    rows : (N, D) unit rows
    together : (N,) equal for images that are copies of each other
    """
    count = len(rows)
    found = np.full((count, NEIGHBOURS), -1, np.int64)
    similarity = np.zeros((count, NEIGHBOURS), np.float32)
    if count > 1:
        index = build(rows, fp32=True).index
        near = nearest(index, rows, min(count, 1 + NEIGHBOURS + _MORE), FlatSearch())[1]
        others = (near >= 0) & (together[near] != together[:, None])
        # The first ones that count keep their order before the rest.
        order = np.argsort(~others, axis=1, kind="stable")[:, :NEIGHBOURS]
        width = order.shape[1]
        kept = np.take_along_axis(others, order, 1)
        found[:, :width] = np.where(kept, np.take_along_axis(near, order, 1), -1)
        one, at = np.nonzero(found >= 0)
        similarity[one, at] = pair_similarities(rows, rows, one, found[one, at])
    return Near(found, similarity)


def remoteness(near: Near) -> npt.NDArray[np.float64]:
    """Give the mean similarity of each image to its nearest others; NaN where it has none."""
    there = near.rows >= 0
    count = there.sum(axis=1)
    total = np.where(there, near.similarity, 0).sum(axis=1, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def judge(rows: Rows, near: Near, labels: Numbers, together: Numbers) -> Judged:
    """Ask neighbours and classifier what each image is.

    Parameters
    ----------
    rows : (N, D) unit rows, centred
    near : of these rows
    labels : (N,) numbers of classes; -1 for images that have no one label: they are not judged,
        and judge nobody
    together : as in `nearest_others`
    """
    judges = np.flatnonzero(labels >= 0)
    agreement = np.full(len(rows), np.nan)
    other = np.full(len(rows), -1, np.int64)
    classes = int(labels.max(initial=-1)) + 1
    if classes < 2:  # noqa: PLR2004 - nothing to disagree about
        return Judged(agreement, other)
    fitted = _LeftOut(rows[judges], labels[judges], classes, together[judges])
    many = np.bincount(labels[judges], minlength=classes)
    for start in range(0, len(judges), _BLOCK):
        some = judges[start : start + _BLOCK]
        line = np.arange(len(some))
        share = (_votes(near, some, labels, classes) + fitted.predicted(start + line)) / 2
        own = share[line, labels[some]].copy()
        share[line, labels[some]] = -np.inf
        best = share.argmax(axis=1)
        agreement[some] = np.clip((1 + own - share[line, best]) / 2, 0, 1)
        other[some] = best
    agreement[judges[many[labels[judges]] < LEAST_MEMBERS]] = np.nan
    return Judged(agreement, other)


def _votes(near: Near, some: Numbers, labels: Numbers, classes: int) -> npt.NDArray[np.float64]:
    """Give the share of its neighbours that each class has, the nearer the heavier."""
    rows, similarity = near.rows[some], near.similarity[some].astype(np.float64)
    counts = (rows >= 0) & (labels[rows] >= 0)
    weight = np.where(counts, np.exp(_SHARPNESS * similarity), 0)
    share = np.zeros((len(some), classes))
    line = np.repeat(np.arange(len(some)), rows.shape[1]).reshape(rows.shape)
    np.add.at(share, (line[counts], labels[rows[counts]]), weight[counts])
    return np.asarray(share / np.maximum(share.sum(axis=1, keepdims=True), 1e-300))


class _LeftOut:
    """Predicts each image by a ridge regression on the classes that was fitted without it.

    Leaving rows out of a ridge regression takes no second fit: what is left of their prediction is
    (I - H)^-1 times their residual, with H the rows' own block of the hat matrix. Nothing is held
    that has as many values as there are images and classes.
    """

    def __init__(self, rows: Rows, labels: Numbers, classes: int, together: Numbers) -> None:
        dimension = rows.shape[1]
        self._rows, self._labels = rows, labels
        self._prior = np.bincount(labels, minlength=classes) / len(labels)
        scatter = (rows.T @ rows).astype(np.float64)
        ridge = _RIDGE * np.trace(scatter) / dimension or 1.0
        inverse = np.linalg.inv(scatter + ridge * np.eye(dimension)).astype(np.float32)
        sums = np.zeros((classes, dimension))
        np.add.at(sums, labels, rows)
        sums -= self._prior[:, None] * rows.sum(axis=0, dtype=np.float64)
        self._weights = inverse @ sums.T.astype(np.float32)
        hat = rows @ inverse
        self._own = np.einsum("nd,nd->n", hat, rows, dtype=np.float64)
        self._copies: dict[int, npt.NDArray[np.float64]] = {}
        for members in _groups(together):
            block = np.eye(len(members)) - hat[members] @ rows[members].T
            left = np.linalg.solve(block, self._residual(members))
            self._copies |= dict(zip(members.tolist(), left, strict=True))

    def _truth(self, some: Numbers) -> npt.NDArray[np.float64]:
        truth = np.tile(-self._prior, (len(some), 1))
        truth[np.arange(len(some)), self._labels[some]] += 1
        return truth

    def _residual(self, some: Numbers) -> npt.NDArray[np.float64]:
        return np.asarray(self._truth(some) - self._rows[some] @ self._weights)

    def predicted(self, some: Numbers) -> npt.NDArray[np.float64]:
        """Give (S, classes), about 1 for the class that an image is and 0 for others."""
        left = self._residual(some) / np.maximum(1 - self._own[some], 1e-6)[:, None]
        for at, row in enumerate(some.tolist()):
            if row in self._copies:
                left[at] = self._copies[row]
        return np.asarray(self._truth(some) - left + self._prior)


def _groups(together: Numbers) -> Sequence[Numbers]:
    """List sets of two and more copies; of very many only the first ones."""
    order = np.argsort(together, kind="stable")
    ends = np.flatnonzero(np.diff(together[order])) + 1
    return [part[:_MOST_TOGETHER] for part in np.split(order, ends) if len(part) > 1]
