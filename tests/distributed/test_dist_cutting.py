"""Families stay in their chunks while nothing about them changes, whatever comes beside them."""

from __future__ import annotations

import itertools

import numpy as np

from dedup.distributed.cutting import CHUNK_FAMILIES, Families, Former, digests, names_of, place

NOWHERE = Former(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.int64), [])


def families(names: dict[int, int], files: int = 3, pairs: int = 5) -> Families:
    """Give families of so many files and pairs, by their lowest file."""
    heads = np.array(sorted(names), np.int64)
    digest = np.array([names[one] for one in heads.tolist()], np.int64)
    return Families(heads, np.full(len(heads), files), np.full(len(heads), pairs), digest)


def joined(found: Families, former: Former, label: str) -> Former:
    """Place families as a join does, and give what the next one reads."""
    chunk, names = place(found, former)
    names += names_of(label, chunk, found.names, len(names))
    assert np.unique(chunk).tolist() == list(range(len(names)))
    return Former(found.heads, chunk, found.names, names)


def members(of: Former) -> dict[str, set[int]]:
    """Give the families of each chunk."""
    found: dict[str, set[int]] = {name: set() for name in of.chunks}
    for chunk, name in zip(of.chunk.tolist(), of.family.tolist(), strict=True):
        found[of.chunks[chunk]].add(name)
    return found


def test_changed_families_alone_are_in_new_chunks() -> None:
    names = {10 * one: one + 1 for one in range(100)}
    first = joined(families(names), NOWHERE, "a")
    assert [len(some) for some in members(first).values()] == [32, 32, 32, 4]
    changed = {**names, 0: -1, 500: -2, 5: -3}  # one more, and two that are others now
    del changed[330]
    second = joined(families(changed), first, "b")
    (new,) = set(second.chunks) - set(first.chunks)
    assert members(second)[new] == {-1, -2, -3}
    for name, some in members(first).items():
        assert members(second)[name] == some - {names[0], names[500], names[330]}
    assert joined(families(changed), second, "c").chunks == second.chunks
    assert not set(joined(families(changed), NOWHERE, "d").chunks) & set(second.chunks)


def test_of_many_small_changes_there_are_few_chunks() -> None:
    names = {one: one for one in range(CHUNK_FAMILIES)}
    last, moved = joined(families(names), NOWHERE, ""), 0
    for number in range(100, 300):
        names[number] = number
        found = joined(families(names), last, str(number))
        moved += sum(len(some) for name, some in members(found).items() if name not in last.chunks)
        last = found
        small = [len(some) for some in members(last).values() if len(some) <= CHUNK_FAMILIES // 2]
        assert len(small) <= 5
    assert moved <= 200 * 6
    assert set().union(*members(last).values()) == set(names.values())


def test_chunks_end_where_they_are_full() -> None:
    large = families(dict.fromkeys([1, 2, 3], 7), files=900)
    assert place(large, NOWHERE)[0].tolist() == [0, 1, 2]
    many = large._replace(files=np.array([5, 5, 5]), pairs=np.array([1, 3000, 1]))
    assert place(many, NOWHERE)[0].tolist() == [0, 1, 2]
    many = many._replace(pairs=np.array([1000, 1000, 1000]))
    assert place(many, NOWHERE)[0].tolist() == [0, 0, 1]
    assert len(place(families({}), NOWHERE)[0]) == 0


def test_digests_tell_families_apart_by_files_and_pairs() -> None:
    def one(files: tuple[int, ...], pairs: tuple[tuple[int, int], ...] = ()) -> int:
        table = np.array(pairs, np.int64).reshape(-1, 2)
        of = [
            (np.zeros(len(files), int), [np.array(files)]),
            (np.zeros(len(table), int), [*table.T]),
        ]
        (found,) = digests(1, of).tolist()
        return int(found)

    sets = [some for size in range(5) for some in itertools.combinations(range(20), size)]
    assert len({one(some) for some in sets}) == len(sets)
    pairs = list(itertools.permutations(range(12), 2))
    found = {one((), some) for some in itertools.combinations(pairs, 2)}
    assert len(found) == len(pairs) * (len(pairs) - 1) // 2
    assert one((3, 1, 2), ((1, 2), (2, 3))) == one((1, 2, 3), ((2, 3), (1, 2)))
    assert one((1, 2), ((1, 2),)) != one((1, 2))
