"""Subsets of a data set such as train, val and test, between which no image leaks.

Files that stay together go to one subset. Groups are placed one by one, the largest first, where
they bring the shares of all files and of each class nearest to what is wanted; then single groups
move and change places as long as that comes nearer. All of it is seeded, and does not depend on
the order of files.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import numpy as np

from dedup.answer import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from dedup.datasets.labels import Label
    from dedup.datasets.together import Together

    Numbers = npt.NDArray[np.int64]

NAMES: Final = {2: ("train", "test"), 3: ("train", "val", "test")}

_SUM: Final = 1e-6
_OVERALL: Final = 10.0  # how much more all files count than one class
_ROUNDS: Final = 20
_OFF: Final = 0.01


@dataclass(frozen=True, slots=True)
class Placed:
    """A file and the subset that it goes to.

    Parameters
    ----------
    label : that it was stratified by; "" for none
    group : number of the files that it stays together with, from 1; 0 for a file that may go alone
    """

    path: str
    subset: str
    label: str = ""
    group: int = 0


@dataclass(frozen=True, slots=True)
class Share:
    """How many files a subset has, in all or of one class.

    Parameters
    ----------
    label : of the class; None: of all files
    files : of that in the subset
    share : of that, in [0, 1]
    wanted : in [0, 1]
    """

    subset: str
    label: str | None
    files: int
    share: float
    wanted: float


@dataclass(frozen=True, slots=True)
class SplitAnswer(Answer[Placed]):
    """Files in subsets, by path.

    Parameters
    ----------
    shares : of each subset, of all files and then of each class
    """

    rows_in: ClassVar[str] = "placed"
    placed: tuple[Placed, ...]
    shares: tuple[Share, ...]
    notes: tuple[str, ...] = ()


class Wanted(NamedTuple):
    """The subsets that are wanted, and their shares, which add up to 1."""

    names: tuple[str, ...]
    ratios: tuple[float, ...]


def wanted_subsets(ratios: Sequence[float], names: Sequence[str]) -> Wanted:
    """Check ratios, and name the subsets.

    Parameters
    ----------
    names : none: train and test, or train, val and test, or subset-1 and so on

    Raises
    ------
    ValueError
    """
    given = " ".join(f"{one:g}" for one in ratios)
    if len(ratios) < 2:  # noqa: PLR2004 - a split has two subsets
        raise ValueError(f"ratios are two and more, such as .8 .1 .1, not {given or 'none'}")
    if not all(0 < one < 1 for one in ratios):
        raise ValueError(f"each of the ratios is above 0 and below 1, not {given}")
    if abs(sum(ratios) - 1) > _SUM:
        raise ValueError(f"the ratios add up to 1, not to {sum(ratios):g}: {given}")
    count = len(ratios)
    own = tuple(names) or NAMES.get(count) or tuple(f"subset-{one}" for one in range(1, count + 1))
    if len(own) != count or len(set(own)) != count:
        raise ValueError(f"names are {count}, one a ratio and none twice, not {', '.join(own)}")
    return Wanted(own, tuple(ratios))


def split(
    together: Together, labels: Mapping[int, Label] | None, wanted: Wanted, seed: int
) -> SplitAnswer:
    """Place every file.

    Parameters
    ----------
    labels : per file, to keep the shares of; None: of all files only
    """
    files = sorted(together.files, key=together.gallery.files.path.__getitem__)
    units: dict[int, list[int]] = defaultdict(list)
    for file in files:
        units[together.group.get(file, -file - 1)].append(file)
    classes, names = _classes(files, labels)
    counts = [_counted(members, classes) for members in units.values()]
    subset = assign(counts, len(names), np.array(wanted.ratios), seed)
    subset_of = {
        file: one
        for members, one in zip(units.values(), subset.tolist(), strict=True)
        for file in members
    }
    numbers: dict[int, int] = {}  # of groups, in the order of paths
    placed = [
        Placed(
            together.path(file),
            wanted.names[subset_of[file]],
            "+".join((labels or {}).get(file) or ()),
            numbers.setdefault(own, len(numbers) + 1) if (own := together.group.get(file)) else 0,
        )
        for file in files
    ]
    shares = _shares(subset_of, classes, names, wanted)
    return SplitAnswer(tuple(placed), shares, (*together.notes, *_notes(shares)))


def hindered(
    answer: SplitAnswer, together: Together, labels: Mapping[int, Label] | None
) -> list[int]:
    """List the files that could go alone for a share that is off, by a whole file and more.

    Parameters
    ----------
    labels : as in `split`
    """
    total: Counter[str | None] = Counter()
    for one in answer.shares:
        total[one.label] += one.files
    off = {
        one.label
        for one in answer.shares
        if abs(one.share - one.wanted) > max(_OFF, 1 / max(1, total[one.label]) - _SUM)
    }
    if None in off:
        return list(together.group)
    return [
        file for file in together.group if not off.isdisjoint((labels or {}).get(file) or ("",))
    ]


def _classes(
    files: Sequence[int], labels: Mapping[int, Label] | None
) -> tuple[dict[int, list[int]], list[str]]:
    """Give classes numbers; images of no known label are a class of their own."""
    if labels is None:
        return {file: [] for file in files}, []
    known = {file: labels.get(file) for file in files}
    names = sorted({one for label in known.values() for one in label or ("",)})
    number = {name: at for at, name in enumerate(names)}
    return {file: [number[one] for one in label or ("",)] for file, label in known.items()}, names


def _counted(files: Sequence[int], classes: Mapping[int, list[int]]) -> Unit:
    of, counts = np.unique([one for file in files for one in classes[file]], return_counts=True)
    return Unit(len(files), of.astype(np.int64), counts.astype(np.float64))


class Unit(NamedTuple):
    """Files that stay together: how many, and how many of which classes."""

    size: int
    classes: Numbers
    counts: npt.NDArray[np.float64]


def assign(
    units: Sequence[Unit], classes: int, ratios: npt.NDArray[np.float64], seed: int
) -> Numbers:
    """Place units in subsets, so that shares come near to the ratios.

    Parameters
    ----------
    classes : how many there are
    ratios : (P,) that add up to 1

    Returns
    -------
    (U,) the subset of each unit
    """
    balance = _Balance(units, classes, ratios)
    order = np.random.default_rng(seed).permutation(len(units))
    order = order[np.argsort([-units[one].size for one in order.tolist()], kind="stable")]
    subset = np.full(len(units), -1, np.int64)
    for one in order.tolist():
        subset[one] = int(np.argmin(balance.costs(units[one])))
        balance.put(units[one], int(subset[one]), 1)
    for _ in range(_ROUNDS):
        moved = 0
        for one in order[::-1].tolist():  # the small ones first, of which there are many
            unit, at = units[one], int(subset[one])
            balance.put(unit, at, -1)
            costs = balance.costs(unit)
            best = int(np.argmin(costs))
            if costs[best] < costs[at] - 1e-12:
                subset[one], at, moved = best, best, moved + 1
            balance.put(unit, at, 1)
        if not moved:
            break
    return subset


class _Balance:
    """How far subsets are from their shares: squares of what is over, of each class by its size."""

    def __init__(
        self, units: Sequence[Unit], classes: int, ratios: npt.NDArray[np.float64]
    ) -> None:
        total = np.zeros(classes)
        for unit in units:
            total[unit.classes] += unit.counts
        self._files = sum(unit.size for unit in units)
        self._total = np.maximum(total, 1)
        # What each subset has beyond its share; the last row is of all files.
        self._over = -np.outer([*total, self._files], ratios)
        self._weight = np.append(1 / self._total, _OVERALL / max(1, self._files))

    def costs(self, unit: Unit) -> npt.NDArray[np.float64]:
        """Give by how much the squares would grow, for each subset."""
        over, own = self._over[unit.classes], unit.counts[:, None]
        of_classes = (self._weight[unit.classes, None] * own * (2 * over + own)).sum(axis=0)
        of_all = self._weight[-1] * unit.size * (2 * self._over[-1] + unit.size)
        return np.asarray(of_classes + of_all)

    def put(self, unit: Unit, subset: int, sign: int) -> None:
        """Put a unit into a subset, or take it out."""
        self._over[unit.classes, subset] += sign * unit.counts
        self._over[-1, subset] += sign * unit.size


def _shares(
    subset_of: Mapping[int, int],
    classes: Mapping[int, list[int]],
    names: Sequence[str],
    wanted: Wanted,
) -> tuple[Share, ...]:
    counts = np.zeros((1 + len(names), len(wanted.names)), np.int64)
    for file, subset in subset_of.items():
        counts[0, subset] += 1
        for one in classes[file]:
            counts[1 + one, subset] += 1
    return tuple(
        Share(subset, label, int(row[at]), float(row[at] / row.sum()), wanted.ratios[at])
        for label, row in zip((None, *names), counts, strict=True)
        for at, subset in enumerate(wanted.names)
    )


def _notes(shares: Sequence[Share]) -> Iterator[str]:
    """Say which shares are more than a hundredth off, and why that may be."""
    off = [one for one in shares if abs(one.share - one.wanted) > _OFF]
    for one in off:
        if one.label is None:
            yield (
                f"{one.subset} has {one.share:.1%} of all files instead of {one.wanted:.1%}: there "
                "are too few, or too many belong together"
            )
    classes = {one.label for one in off if one.label is not None}
    if classes:
        few = "1 class is" if len(classes) == 1 else f"{len(classes):,} classes are"
        yield (
            f"{few} more than 1 % off the wanted shares: they have too few files, or too many of "
            "theirs belong together"
        )
