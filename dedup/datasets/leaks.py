"""What leaks between the subsets of a split that is there already."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from dedup.answer import Answer, column
from dedup.arguments import path_of
from dedup.datasets.labels import FOLDERS, matched, read_table, text_of
from dedup.errors import DedupError
from dedup.results import Tier  # noqa: TC001 - types of columns are read off it

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dedup.datasets.together import Link, Together

SUBSETS: Final = frozenset(
    ("train", "training", "val", "valid", "validation", "dev", "test", "testing")
)
"""Folders that are subsets by their names."""

COLUMNS: Final = ("subset", "split")
"""Of a table, the first that it has; the second is what data sets of Hugging Face call it."""


@dataclass(frozen=True, slots=True)
class Leak:
    """An image that is in two subsets.

    Parameters
    ----------
    path : a file of the smaller subset
    match : of the larger subset: of the surest tier, then the most similar
    evidence : what was found, in words
    """

    path: str
    subset: str
    match: str
    match_subset: str
    tier: Tier
    similarity: float = field(metadata=column(decimals=4))
    evidence: str


@dataclass(frozen=True, slots=True)
class LeaksAnswer(Answer[Leak]):
    """What leaks between subsets, the surest first.

    Parameters
    ----------
    files : in each subset
    """

    rows_in: ClassVar[str] = "leaks"
    leaks: tuple[Leak, ...]
    files: dict[str, int]
    notes: tuple[str, ...] = ()


def read_subsets(
    given: Any, paths: Sequence[str], roots: Sequence[str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Read which subset each file is in.

    Parameters
    ----------
    given : "folders": the outermost folder below an indexed one that is called train, val, test or
        the like; or a table (.csv, .tsv, .parquet), columns `path` and `subset` or `split`
    paths : absolute
    roots : indexed folders, to which names may be relative

    Returns
    -------
    By path, and notes on files that are in no subset.

    Raises
    ------
    DedupError : there is no such table or folder; or fewer than two subsets have files.
    """
    name = path_of(given, "given")
    notes: tuple[str, ...] = ()
    if name == FOLDERS:
        subsets = {path: subset for path in paths if (subset := _folder_of(path, roots))}
    else:
        file = Path(name)
        if file.suffix.lower() not in (".csv", ".parquet"):
            raise DedupError(f"{name}: a split is {FOLDERS!r}, or a table: .csv or .parquet")
        table = read_table(file, *COLUMNS)
        found, notes = matched(name, table, paths, [*roots, os.path.realpath(file.parent)])
        subsets = {path: text_of(subset) for path, subset in found.items() if subset}
    if len(set(subsets.values())) < 2:  # noqa: PLR2004 - a split has two subsets
        there = ", ".join(sorted(set(subsets.values()))) or "none"
        hint = f"; folders count that are called {', '.join(sorted(SUBSETS))}"
        raise DedupError(
            f"{name}: a split has two subsets and more; there is {there}"
            f"{hint if name == FOLDERS else ''}"
        )
    if left := len(paths) - len(subsets):
        files = "1 file is" if left == 1 else f"{left:,} files are"
        notes += (f"{files} in no subset, and not looked at",)
    return subsets, notes


def _folder_of(path: str, roots: Sequence[str]) -> str | None:
    """Give the outermost folder that is a subset by its name, an indexed one among them."""
    above = max((root for root in roots if path.startswith(root.rstrip(os.sep) + os.sep)),
                key=len, default="")  # fmt: skip
    below = os.path.relpath(path, os.path.dirname(above) or os.sep).split(os.sep)[:-1]
    return next((one for one in below if one.lower() in SUBSETS), None)


def find_leaks(together: Together, subsets: Mapping[str, str]) -> LeaksAnswer:
    """List each file of a subset with the surest match in each other subset.

    Parameters
    ----------
    subsets : by path
    """
    subset_of = {
        file: subsets[path] for file in together.files if (path := together.path(file)) in subsets
    }
    sizes = Counter(subset_of.values())
    files_of: dict[int, list[int]] = defaultdict(list)
    for file in subset_of:
        files_of[together.row(file)].append(file)
    leaks: dict[frozenset[int], Leak] = {}
    for file in subset_of:
        for link in _others(together, file, subset_of, files_of):
            pair = frozenset((file, link.file))
            if pair not in leaks:
                leaks[pair] = _leak(together, file, link, subset_of, sizes)
    rows = sorted(
        leaks.values(),
        key=lambda one: (
            one.tier.looseness, -one.similarity, os.fsencode(one.path), os.fsencode(one.match),
        ),
    )  # fmt: skip
    return LeaksAnswer(tuple(rows), dict(sorted(sizes.items())), together.notes)


def _others(
    together: Together, file: int, subset_of: Mapping[int, str], files_of: dict[int, list[int]]
) -> Iterator[Link]:
    """Give the surest link of a file to each other subset."""
    left = set(subset_of.values()) - {subset_of[file]}
    for link in together.links(file, files_of):
        if subset_of[link.file] in left:
            left.remove(subset_of[link.file])
            yield link
            if not left:
                return


def _leak(
    together: Together, file: int, link: Link, subset_of: Mapping[int, str], sizes: Counter[str]
) -> Leak:
    """Word a leak from the side of the smaller subset."""
    first, second = sorted(
        (file, link.file), key=lambda one: (sizes[subset_of[one]], subset_of[one])
    )
    return Leak(
        together.path(first),
        subset_of[first],
        together.path(second),
        subset_of[second],
        link.tier,
        link.similarity,
        together.evidence(second, first, link.tier),
    )
