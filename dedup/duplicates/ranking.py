"""Which of several copies stays: the order in which files are worth keeping, and why.

`rank_files` orders all files by what the catalog alone knows, which is enough to propose pairs and
to name the best file of one image. `KeepOrder` orders them for good, by the policy that a person
chose and, where that asks for information, by `originals`.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dedup.duplicates.originals import (
    ENLARGED,
    REASONS,
    Candidate,
    Rank,
    above_derived,
    may_come_of,
    ranks,
    steps,
)
from dedup.images.traits import NEUTRAL
from dedup.policy import INFORMATION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy.typing as npt

    from dedup.images.traits import Traits
    from dedup.policy import KeepPolicy, Term
    from dedup.store.gallery import GalleryFiles, GalleryImages

_SCREENSHOT: Final = re.compile(
    r"(?i)screen[ _-]?shot|screencap|bildschirmfoto|capture d.écran|captura de pantalla|schermata"
)
_COPY: Final = re.compile(
    r"(?ix) (^|[\s_-]) (copy|kopie|copie|copia|c[oó]pia|kopia) (\s?\(?\d+\)?)? $"
    r"| ^ (copy\ of|kopie\ von|copie\ de|copia\ de) \b"
    r"| \(\d+\) $ | [_-](edit|edited|bearbeitet) (-\d+)? $ | ~\d $ | \d[_-]\d $"
)

_TERMS: Final[dict[str, str]] = {
    "pixels": "more pixels",
    "bytes": "a larger file",
    "oldest": "older",
    "newest": "newer",
    "shortest": "a shorter path",
}

_MADE_FROM_IT: Final = "the {} made from it ({})"
_EITHER_WAY: Final = (
    "mirrored", "rotated", "stretched", "in perspective", "recoloured", "light changed",
    "contrast changed", "other noise",
)  # fmt: skip
"""How words begin that are said of an original and of what was made from it alike."""

_HOW_MUCH: Final = re.compile(r" (?:around|at|by|over|than|to) .*")
_NO_EDIT: Final = frozenset({"", "the same image", "hardly changed"})
_MOST_EDITS: Final = 2
ONE_MADE_FROM_IT: Final = "another was made from it"


def rank_files(images: GalleryImages, files: GalleryFiles) -> npt.NDArray[np.int64]:
    """Order the files by what is known without reading them.

    Undamaged ones first, then most pixels, most bytes, oldest, and path bytes.

    Returns
    -------
    (M,) int64, indices into `files`
    """
    pixels = (images.width.astype(np.int64) * images.height)[files.row]
    by_path = np.empty(len(files), np.int64)
    by_path[sorted(range(len(files)), key=files.path.__getitem__)] = np.arange(len(files))
    damaged = images.damaged[files.row]
    return np.lexsort((by_path, files.mtime_ns, -files.size, -pixels, damaged))


class KeepOrder:
    """The order of all files from the one most worth keeping, and the reasons for it.

    Parameters
    ----------
    order : of all files, as `rank_files` gives it; families keep their places among each other
    families : the rows that relations join, each in one family
    traits : by row, of the rows in families; those that are missing are neutral
    derived : pairs of rows, of an original and of what was made from it
    copies_of : a row to the one that stands for all its copies
    said : gives the words of a proof on the second of two rows, as against the first
    """

    def __init__(
        self,
        images: GalleryImages,
        files: GalleryFiles,
        order: Sequence[int],
        policy: KeepPolicy,
        families: Iterable[Iterable[int]],
        traits: Mapping[int, Traits],
        derived: Iterable[tuple[int, int]],
        copies_of: Callable[[int], int] = lambda _: 0,
        said: Callable[[int, int], str] = lambda _, __: "",
    ) -> None:
        self._images, self._files, self._policy = images, files, policy
        self._traits, self._copies_of, self._said = traits, copies_of, said
        self._derived = frozenset(
            (one, two)
            for one, two in derived
            # What is damaged tells nothing of an undamaged copy.
            if (not images.damaged[one] or images.damaged[two])
            and may_come_of(traits.get(two, NEUTRAL), traits.get(one, NEUTRAL))
        )
        self._of_row: dict[int, list[int]] = defaultdict(list)
        for file, row in enumerate(files.row.tolist()):
            self._of_row[row].append(file)
        self._ranks: dict[int, Rank] = {}
        self._position: dict[int, int] = {}
        family_of: dict[int, int] = {}
        for number, rows in enumerate(families):
            members = list(rows)
            family_of |= dict.fromkeys(members, number)
            self._compare(members)
        row_of = files.row.tolist()
        by_family: dict[int, list[int]] = {}  # each at the place of its first file
        for file in order:
            row = row_of[file]
            by_family.setdefault(family_of.get(row, -1 - row), []).append(file)
        self.files: list[int] = []
        """(M,) indices of files"""
        self._age: dict[int, int] = {}
        for found in by_family.values():
            if len(found) > 1:  # most files are alone
                ages = {file: -float(files.mtime_ns[file]) for file in found}
                self._age |= steps(ages, lambda before, age: age < before - _SAME_AGE_NS)
                found.sort(key=self._key)
            self.files += found

    def _compare(self, rows: list[int]) -> None:
        readable = [row for row in rows if self._images.frames[row]]
        found = ranks({row: self._candidate(row) for row in readable}) if readable else {}
        number = {rank: place for place, rank in enumerate(sorted(set(found.values())))}
        positions = {row: number[found[row]] if row in found else len(number) for row in rows}
        within = set(rows)
        edges = [(one, two) for one, two in self._derived if one in within and two in within]
        self._ranks |= found
        self._position |= above_derived(positions, edges)

    def _candidate(self, row: int) -> Candidate:
        images, names = self._images, (self._files.path[file] for file in self._of_row[row])
        return Candidate(
            int(images.width[row]),
            int(images.height[row]),
            self._traits.get(row, NEUTRAL),
            any(_SCREENSHOT.search(_stem(path)) for path in names),
            self._copies_of(row),
            images.format[row],
        )

    def _key(self, file: int) -> tuple[Any, ...]:
        files, row = self._files, int(self._files.row[file])
        path = files.path[file]
        stem = _stem(path)
        return (
            bool(self._images.damaged[row]),
            *(self._value(term, file, row) for term in self._policy.terms),
            self._age.get(file, 0),
            -min(self._traits.get(row, NEUTRAL).quality, 1000),
            -int(files.size[file]),
            bool(_COPY.search(stem)),
            len(stem),
            path,
        )

    def _value(self, term: Term, file: int, row: int) -> int:
        return _VALUES[term.name](self, term, file, row)

    def position(self, row: int) -> int:
        """Give the place of an image in its family by information, 0 for the best."""
        return self._position.get(row, 0)

    def is_made_from(self, row: int, original: int) -> bool:
        """Tell whether a proof says that one image was made from another."""
        return (original, row) in self._derived

    def why(self, keeper: int, others: Sequence[int]) -> str:
        """Say why a file is kept, and not the best of the others in its group.

        Parameters
        ----------
        keeper, others : files, the others in keep order
        """
        mine, best = self._key(keeper), self._key(others[0])
        both = enumerate(zip(mine, best, strict=True))
        at = next(place for place, (one, two) in both if one != two)
        terms = self._policy.terms
        if at == 0:
            return "undamaged"
        if at > len(terms):
            return _TIES[at - len(terms) - 1]
        term = terms[at - 1]
        if term.name == "under":
            return f"under {term.folder}"
        if term.name != INFORMATION:
            return _TERMS[term.name]
        rows = self._files.row
        return self._informed(int(rows[keeper]), [int(rows[other]) for other in others])

    def _informed(self, keeper: int, others: list[int]) -> str:
        made = [row for row in others if row != keeper]
        if all((keeper, row) in self._derived for row in made):
            edits = list(dict.fromkeys(self._edit(keeper, row) for row in made))
            which = "others were" if len(made) > 1 else "other was"
            more = " and more" if len(edits) > _MOST_EDITS else ""
            return _MADE_FROM_IT.format(which, ", ".join(edits[:_MOST_EDITS]) + more)
        if made[0] not in self._ranks:
            return "a file, the others are names"
        mine, best = self._ranks[keeper], self._ranks[made[0]]
        for name, one, two in zip(Rank._fields, mine, best, strict=True):
            if one < two:
                larger = self._area(made[0]) > self._area(keeper)
                return ENLARGED if name == "pixels" and larger else REASONS[name]
            if one > two:
                break
        return ONE_MADE_FROM_IT

    def _edit(self, original: int, made: int) -> str:
        """Name one thing that was done to what was made from an original."""
        found = [words for words in self._said(original, made).split(", ") if words not in _NO_EDIT]
        if found:
            telling = (words for words in found if not words.startswith(_EITHER_WAY))
            return _HOW_MUCH.sub("", next(telling, found[0]))
        area, was = self._area(made), self._area(original)
        if area != was:
            return "smaller" if area < was else "enlarged"
        kind = self._images.format[made]
        return "saved again" if kind == self._images.format[original] else f"saved as {kind}"

    def _area(self, row: int) -> int:
        return int(self._images.width[row]) * int(self._images.height[row])


_VALUES: Final[dict[str, Callable[[KeepOrder, Term, int, int], int]]] = {
    "under": lambda order, term, file, _: not term.holds(order._files.path[file]),  # noqa: SLF001
    INFORMATION: lambda order, _, __, row: order.position(row),
    "pixels": lambda order, _, __, row: -order._area(row),  # noqa: SLF001
    "bytes": lambda order, _, file, __: -int(order._files.size[file]),  # noqa: SLF001
    "oldest": lambda order, _, file, __: int(order._files.mtime_ns[file]),  # noqa: SLF001
    "newest": lambda order, _, file, __: -int(order._files.mtime_ns[file]),  # noqa: SLF001
    "shortest": lambda order, _, file, __: len(order._files.path[file]),  # noqa: SLF001
}

_SAME_AGE_NS: Final = 60 * 10**9
"""Files that are copied one after the other, or unpacked, are no older or younger for it."""

_TIES: Final = (
    "older",
    "less compressed",
    "a larger file",
    "not named as a copy",
    "a shorter name",
    "first by path",
)


def _stem(path: bytes) -> str:
    return os.path.splitext(os.fsdecode(os.path.basename(path)))[0]
