"""Which files of one folder are in another, each directly proven against a file there.

A file counts as being in another folder only where that holds something at least as good, as far as
information is known of the two (`ranking`): not smaller, more compressed, without the camera's data
or damaged. Nothing follows chains. `held` looks at two
folders; `Overlaps` at all of them, where work is bounded for each file (`MOST_FOLDERS`), so that an
icon that is in every folder does not make every folder a pair with every other.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from dedup.results import Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

    from dedup.duplicates.relations import Relation, Relations
    from dedup.store.gallery import GalleryImages

MOST_FOLDERS: Final = 20
"""Folders with copies of one image that `Overlaps` looks at, those with the best files."""

_SAME_PIXELS = 4
"""Images of the same pixels in one folder that are looked at: a person may have said of one that it
is no duplicate, and not of the next."""


class Held(NamedTuple):
    """A file, and the best one in the other folder that it is proven against."""

    file: int
    keeper: int
    tier: Tier
    similarity: float


class Overlap(NamedTuple):
    """A folder of which at least half is in another one.

    Parameters
    ----------
    folder, inside : absolute
    exact, proven : files of which the other has the same bytes; that are proven to be in it
    missing : files that are in neither, by index
    unreadable : files that could not be read, which nothing is known of
    """

    folder: bytes
    inside: bytes
    exact: list[int]
    proven: list[int]
    missing: list[int]
    unreadable: list[bytes]


class Copies:
    """The direct relations among the files that may be shown.

    Parameters
    ----------
    files : their indices, the one most worth keeping first
    row_of, path : of all files, by index
    position : of an image in its family by information, 0 for the best
    tiers : that count; `SIMILAR` proves nothing
    """

    def __init__(
        self,
        images: GalleryImages,
        files: Sequence[int],
        row_of: Sequence[int],
        path: Sequence[bytes],
        relations: Relations,
        position: Callable[[int], int],
        tiers: frozenset[Tier],
    ) -> None:
        self.files, self.row_of, self.path = files, row_of, path
        self._relations, self.tiers = relations, tiers - {Tier.SIMILAR}
        self._position = position
        self._damaged = images.damaged.tolist()
        self._near: dict[int, list[int]] = defaultdict(list)
        for first, second in relations.table.proven:
            self._near[first].append(second)
            self._near[second].append(first)
        self.of_row: dict[int, list[int]] = defaultdict(list)
        for file in files:
            self.of_row[row_of[file]].append(file)

    def digest(self, row: int) -> bytes | None:
        """Give what images of the same pixels share; nothing where there is none."""
        return self._relations.table.pixel_digest[row] or None

    def proven_with(self, row: int) -> Sequence[int]:
        """List the images that a proof joins to one."""
        return self._near.get(row, ())

    def relation(self, row: int, other: int) -> Relation | None:
        """Say how another image is related to one, if it is."""
        return self._relations.between(row, other, self.tiers)

    def is_edited(self, file: int, others: Container[int]) -> bool:
        """Say whether one of other images is known to be an edited version of a file."""
        row, near = self.row_of[file], frozenset({Tier.NEAR})
        return any(
            self._relations.between(row, other, near) is not None
            for other in self.proven_with(row)
            if other in others
        )

    def is_worse(self, relation: Relation, row: int) -> bool:
        """Say whether the image related to one has less than that."""
        if relation.tier is Tier.PIXELS:
            return False
        damaged = self._damaged[relation.row] and not self._damaged[row]
        return bool(damaged or self._position(relation.row) > self._position(row))


def held(
    copies: Copies, files: Iterable[int], others: Iterable[int]
) -> tuple[list[Held], list[int]]:
    """Find which files are in another folder.

    Parameters
    ----------
    files, others : of the one folder and of the other, none in both; the others by rank

    Returns
    -------
    The files that are, each with its surest counterpart, of these the best; and the files of which
    the other folder has only something worse.
    """
    best: dict[int, int] = {}
    equal: dict[bytes, list[int]] = defaultdict(list)
    for file in others:
        row = copies.row_of[file]
        digest = copies.digest(row)
        if best.setdefault(row, file) == file and digest:
            equal[digest].append(row)
    rank = {row: place for place, row in enumerate(best)}
    found, worse = [], []
    for file in files:
        row = copies.row_of[file]
        if row in best and Tier.EXACT in copies.tiers:
            found.append(Held(file, best[row], Tier.EXACT, 1.0))
            continue
        options = [one for one in _related(copies, row, equal, best) if one.row != row]
        good = [one for one in options if not copies.is_worse(one, row)]
        if good:
            one = min(good, key=lambda one: (one.tier.looseness, rank[one.row]))
            found.append(Held(file, best[one.row], one.tier, min(one.similarity, 1.0)))
        elif options:
            worse.append(file)
    return found, worse


def _related(
    copies: Copies, row: int, equal: Mapping[bytes, list[int]], best: Mapping[int, int]
) -> Iterator[Relation]:
    """Give the first image of the same pixels, and all that a proof joins to one."""
    digest = copies.digest(row)
    same = (copies.relation(row, other) for other in equal.get(digest or b"", ()) if other != row)
    first = next(filter(None, same), None)
    if first is not None:
        yield first
    for other in copies.proven_with(row):
        relation = copies.relation(row, other) if other in best else None
        if relation is not None:
            yield relation


class Overlaps:
    """Finds folders that are to a good part in another one.

    Parameters
    ----------
    roots : the indexed folders
    skipped : files that could not be read
    """

    def __init__(self, copies: Copies, roots: Iterable[bytes], skipped: Iterable[bytes]) -> None:
        self._copies = copies
        self._roots = set(roots)
        self._folders: list[bytes] = []
        self._numbers: dict[bytes, int] = {}
        self._lines: dict[int, tuple[int, ...]] = {}
        self._places: dict[int, tuple[frozenset[int], frozenset[int]]] = {}
        self._of_row: dict[int, dict[int, int]] = {}
        self.crowded = 0
        """Images that are in more than `MOST_FOLDERS` folders."""
        self._folder_of = {
            file: self._number(os.path.dirname(copies.path[file])) for file in copies.files
        }
        self._files: dict[int, list[int]] = defaultdict(list)
        for file in sorted(copies.files, key=copies.path.__getitem__):
            for folder in self._line(self._folder_of[file]):
                self._files[folder].append(file)
        self._skipped: dict[int, list[bytes]] = defaultdict(list)
        for path in skipped:
            for folder in self._line(self._number(os.path.dirname(path))):
                self._skipped[folder].append(path)

    def _number(self, folder: bytes) -> int:
        number = self._numbers.setdefault(folder, len(self._folders))
        if number == len(self._folders):
            self._folders.append(folder)
        return number

    def _line(self, number: int) -> tuple[int, ...]:
        """Give a folder and those above it, up to the outermost indexed one."""
        line = self._lines.get(number)
        if line is None:
            above, tops = [self._folders[number]], 0
            while True:
                if above[-1] in self._roots:
                    tops = len(above)
                parent = os.path.dirname(above[-1])
                if parent == above[-1]:
                    break
                above.append(parent)
            line = self._lines[number] = tuple(map(self._number, above[: max(tops, 1)]))
        return line

    def _nested(self, one: int, two: int) -> bool:
        return one in self._line(two) or two in self._line(one)

    @cached_property
    def _of_digest(self) -> dict[bytes, dict[int, list[int]]]:
        """Per pixels the folders that have them, the best first, each with some images there."""
        found: dict[bytes, dict[int, list[int]]] = defaultdict(dict)
        for file in self._copies.files:
            row = self._copies.row_of[file]
            digest = self._copies.digest(row)
            if digest and len(places := found[digest]) < MOST_FOLDERS:
                rows = places.setdefault(self._folder_of[file], [])
                if row not in rows and len(rows) < _SAME_PIXELS:
                    rows.append(row)
        return found

    def _with(self, row: int) -> dict[int, int]:
        """Give the folders that have files of an image, the best first."""
        folders = self._of_row.get(row)
        if folders is None:
            every = dict.fromkeys(self._folder_of[file] for file in self._copies.of_row[row])
            self.crowded += len(every) > MOST_FOLDERS
            folders = self._of_row[row] = dict.fromkeys(list(every)[:MOST_FOLDERS], row)
        return folders

    def _holding(self, row: int) -> tuple[frozenset[int], frozenset[int]]:
        """Give all folders, up to the roots, that have an image by its bytes, and by proof."""
        places = self._places.get(row)
        if places is not None:
            return places
        copies = self._copies
        exact = frozenset[int]()
        if Tier.EXACT in copies.tiers:
            exact = frozenset(one for folder in self._with(row) for one in self._line(folder))
        good = set[int]()
        digest = copies.digest(row)
        for folder, others in self._of_digest[digest].items() if digest else ():
            if any(other != row and copies.relation(row, other) for other in others):
                good.add(folder)
        for other in copies.proven_with(row):
            if len(good) >= MOST_FOLDERS:
                break
            relation = copies.relation(row, other)
            if relation is not None and not copies.is_worse(relation, row):
                good.update(self._with(other))
        above = frozenset(one for folder in good for one in self._line(folder))
        places = self._places[row] = exact, above - exact
        return places

    def __iter__(self) -> Iterator[Overlap]:
        """Give the folders of which at least half is in another, outer ones before inner ones.

        Each goes with the one folder that has most of it, of equal ones with the innermost. Left
        out are folders that have nothing but one inner folder, and those in a folder that is in
        another as a whole.
        """
        whole: set[int] = set()
        total = {
            folder: len(self._files.get(folder, ())) + len(self._skipped.get(folder, ()))
            for folder in self._files.keys() | self._skipped.keys()
        }
        same = {
            line[1]
            for folder in total
            if len(line := self._line(folder)) > 1 and total[line[1]] == total[folder]
        }
        for folder in sorted(total, key=lambda one: (len(self._line(one)), self._folders[one])):
            line = self._line(folder)
            if len(line) > 1 and line[1] in whole:
                whole.add(folder)
            elif folder not in same and (overlap := self._best(folder, total[folder])):
                if not (overlap.missing or overlap.unreadable):
                    whole.add(folder)
                yield overlap

    def _best(self, folder: int, total: int) -> Overlap | None:
        row_of = self._copies.row_of
        counts: Counter[int] = Counter()
        for file in self._files[folder]:
            exact, proven = self._holding(row_of[file])
            counts.update(exact)
            counts.update(proven)
        options = [
            other
            for other, count in counts.items()
            if 2 * count >= total and not self._nested(folder, other)
        ]
        if not options:
            return None
        best = min(
            options,
            key=lambda one: (-counts[one], -len(self._line(one)), self._folders[one]),
        )
        sides: tuple[list[int], list[int], list[int]] = [], [], []
        for file in self._files[folder]:
            exact, proven = self._holding(row_of[file])
            sides[0 if best in exact else 1 if best in proven else 2].append(file)
        unreadable = self._skipped.get(folder, [])
        return Overlap(self._folders[folder], self._folders[best], *sides, unreadable)
