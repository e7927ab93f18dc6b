"""Files and folders inside others, against brute force over all pairs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tables import images, table

from dedup.duplicates.candidates import Proposals
from dedup.duplicates.inside import MOST_FOLDERS, Copies, Overlap, Overlaps, held
from dedup.duplicates.relations import Relations
from dedup.results import Tier
from dedup.search.join import Pairs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ALL = frozenset(Tier)
FOLDERS = [b"/r", b"/r/a", b"/r/a/deep", b"/r/b", b"/r/b/deep", b"/s", b"/s/c"]
ROOTS = [b"/r", b"/s"]


class Known(Copies):
    """Copies of which the test knows the widths; what is narrower is worse here."""

    widths: list[int]


def copies_of(
    files: Sequence[tuple[int, bytes]],
    near: Mapping[tuple[int, int], float] | None = None,
    pixels: Mapping[int, bytes] | None = None,
    sizes: Sequence[tuple[int, int]] | None = None,
    ignored: Sequence[tuple[int, int]] = (),
    tiers: frozenset[Tier] = ALL,
) -> Known:
    """Make files of (row, folder), best first, each with a name of its own."""
    count = max((row for row, _ in files), default=0) + 1
    known = images(count, pixels=pixels, sizes=sizes)
    relations = Relations(table(known, near, ignored=ignored), Proposals([], Pairs.empty()), 1.0)
    path = [folder + b"/%d" % number for number, (_, folder) in enumerate(files)]
    row_of = [row for row, _ in files]

    def position(row: int) -> int:
        return -int(known.width[row])

    made = Known(known, range(len(files)), row_of, path, relations, position, tiers)
    made.widths = known.width.tolist()
    return made


def is_held(copies: Known, file: int, other: int) -> Tier | None:
    """Say how one file holds another, by the definition."""
    row, there = copies.row_of[file], copies.row_of[other]
    if row == there:
        return Tier.EXACT
    relation = copies.relation(row, there)
    if relation is None:
        return None
    smaller = copies.widths[there] < copies.widths[row]
    return None if smaller and relation.tier is not Tier.PIXELS else relation.tier


def below(copies: Known, folder: bytes) -> list[int]:
    return [file for file in copies.files if copies.path[file].startswith(folder + b"/")]


galleries = st.tuples(
    st.lists(st.tuples(st.integers(0, 7), st.sampled_from(FOLDERS)), min_size=1, max_size=24),
    st.sets(
        st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda pair: pair[0] < pair[1]),
        max_size=6,
    ),
    st.dictionaries(st.integers(0, 7), st.sampled_from([b"p" * 16, b"q" * 16]), max_size=4),
    st.lists(st.sampled_from([(40, 30), (20, 15)]), min_size=8, max_size=8),
    st.sets(
        st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda pair: pair[0] < pair[1]),
        max_size=2,
    ),
)
Drawn = tuple[
    list[tuple[int, bytes]],
    set[tuple[int, int]],
    dict[int, bytes],
    list[tuple[int, int]],
    set[tuple[int, int]],
]


def drawn_copies(drawn: Drawn) -> Known:
    files, edges, pixels, sizes, ignored = drawn
    known = [*files, (7, b"/t")]  # so that each row of an edge exists
    # Images of the same pixels have the same size.
    chosen = [sizes[0] if row in pixels else size for row, size in enumerate(sizes)]
    near = dict.fromkeys(sorted(edges), 0.9)
    return copies_of(known, near, pixels, chosen, sorted(ignored))


@settings(max_examples=40, deadline=None)
@given(galleries)
def test_files_are_held_as_brute_force_says(drawn: Drawn) -> None:
    copies = drawn_copies(drawn)
    here, there = below(copies, b"/r"), below(copies, b"/s")
    found, worse = held(copies, here, there)
    by_file = {one.file: one for one in found}
    for file in here:
        tiers = {
            other: tier for other in there if (tier := is_held(copies, file, other)) is not None
        }
        assert (file in by_file) == bool(tiers)
        if tiers:
            one = by_file[file]
            assert one.tier == min(tiers.values(), key=lambda tier: tier.looseness)
            assert tiers[one.keeper] == one.tier
            # Of equally sure ones the best file, and files come best first.
            assert one.keeper == min(other for other in tiers if tiers[other] == one.tier)
        related = [
            other for other in there if copies.relation(copies.row_of[file], copies.row_of[other])
        ]
        assert (file in worse) == bool(not tiers and related)


ONE_OF_THREE_IGNORED: Drawn = (
    [(0, b"/r/b"), (1, b"/r/a"), (6, b"/r/a")],
    set(),
    dict.fromkeys((0, 1, 6), b"q" * 16),
    [(40, 30)] * 8,
    {(0, 1)},
)


@settings(max_examples=40, deadline=None)
@given(galleries, st.sets(st.sampled_from(FOLDERS), max_size=2))
@example(ONE_OF_THREE_IGNORED, set())
def test_overlaps_are_those_of_brute_force(drawn: Drawn, unread: set[bytes]) -> None:
    copies = drawn_copies(drawn)
    skipped = [folder + b"/cut.jpg" for folder in sorted(unread)]
    found = {one.folder: one for one in Overlaps(copies, [*ROOTS, b"/t"], skipped)}
    whole: set[bytes] = set()
    for folder in sorted([*FOLDERS, b"/t"], key=lambda one: (one.count(b"/"), one)):
        parent = os.path.dirname(folder)
        best = brute_force(copies, folder, skipped)
        if parent in whole:
            whole.add(folder)
            assert folder not in found
        elif best is None or has_one_inner(copies, folder, skipped):
            assert folder not in found
        else:
            one = found[folder]
            assert len(one.exact) + len(one.proven) == len(best)
            assert set(one.exact) | set(one.proven) == holding(copies, folder, one.inside)
            assert one.exact == [
                file
                for file in one.exact
                if any(
                    copies.row_of[file] == copies.row_of[other]
                    for other in below(copies, one.inside)
                )
            ]
            assert_complete(copies, one, skipped)
            if not one.missing and not one.unreadable:
                whole.add(folder)


def assert_complete(copies: Known, one: Overlap, skipped: list[bytes]) -> None:
    everything = sorted([*one.exact, *one.proven, *one.missing])
    assert everything == below(copies, one.folder)
    assert one.unreadable == [path for path in skipped if path.startswith(one.folder + b"/")]
    total = len(everything) + len(one.unreadable)
    assert 2 * (len(one.exact) + len(one.proven)) >= total


def holding(copies: Known, folder: bytes, other: bytes) -> set[int]:
    there = below(copies, other)
    return {
        file
        for file in below(copies, folder)
        if any(is_held(copies, file, one) is not None for one in there)
    }


def brute_force(copies: Known, folder: bytes, skipped: list[bytes]) -> set[int] | None:
    """Give the files in the folder that has most of them, where that is half of all."""
    total = len(below(copies, folder))
    total += sum(path.startswith(folder + b"/") for path in skipped)
    apart = [
        other
        for other in [*FOLDERS, b"/t"]
        if not (other + b"/").startswith(folder + b"/")
        and not (folder + b"/").startswith(other + b"/")
    ]
    best = max((holding(copies, folder, other) for other in apart), key=len)
    return best if best and 2 * len(best) >= total else None


def has_one_inner(copies: Known, folder: bytes, skipped: list[bytes]) -> bool:
    def everything(place: bytes) -> list[bytes]:
        names = [copies.path[file] for file in copies.files] + skipped
        return [name for name in names if name.startswith(place + b"/")]

    inner = [one for one in FOLDERS if os.path.dirname(one) == folder]
    return any(len(everything(one)) == len(everything(folder)) for one in inner)


def test_the_surest_counterpart_is_taken_before_the_best() -> None:
    files = [(1, b"/s"), (2, b"/s"), (0, b"/r")]
    copies = copies_of(files, near={(0, 1): 0.95}, pixels={0: b"p" * 16, 2: b"p" * 16})
    (found,), worse = held(copies, [2], [0, 1])
    assert (found.keeper, found.tier, worse) == (1, Tier.PIXELS, [])


def test_an_image_in_every_folder_pairs_no_folder_with_all_others() -> None:
    count = 30 * MOST_FOLDERS
    files = [(0, b"/r/%04d" % number) for number in range(count)]
    files += [(1 + number, b"/r/%04d" % number) for number in range(count)]
    asked = []

    class Counted(Overlaps):
        def _nested(self, one: int, two: int) -> bool:
            asked.append((one, two))
            return super()._nested(one, two)

    overlaps = Counted(copies_of(files), [b"/r"], [])
    found = list(overlaps)
    assert len(found) == count  # each folder holds the icon and one image of its own
    assert {one.inside for one in found} == {b"/r/0000", b"/r/0001"}
    assert overlaps.crowded == 1
    assert len(asked) <= 2 * count * (MOST_FOLDERS + 1)
