"""Brute force: plain lines that are obviously right, for fast code to be compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def similarities(
    left: npt.NDArray[np.float32], right: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """Every cosine, in double precision."""
    return np.round(left.astype(np.float64) @ right.astype(np.float64).T, 6)


def neighbours(
    gallery: npt.NDArray[np.float32], query: npt.NDArray[np.float32], k: int
) -> list[tuple[int, float]]:
    """The k most similar rows, ties by rising row."""
    values = similarities(query[None], gallery)[0]
    ranked = sorted(range(len(gallery)), key=lambda row: (-values[row], row))
    return [(row, float(values[row])) for row in ranked[:k]]


def within(
    gallery: npt.NDArray[np.float32], query: npt.NDArray[np.float32], threshold: float
) -> list[tuple[int, float]]:
    """Every row at least as similar as the threshold."""
    return [
        (row, value)
        for row, value in neighbours(gallery, query, len(gallery))
        if value >= round(threshold, 6)
    ]


def pairs(vectors: npt.NDArray[np.float32], threshold: float) -> list[tuple[int, int, float]]:
    """Every pair i < j at least as similar as the threshold."""
    values = similarities(vectors, vectors)
    return [
        (first, second, float(values[first, second]))
        for first in range(len(vectors))
        for second in range(first + 1, len(vectors))
        if values[first, second] >= round(threshold, 6)
    ]


def cover(count: int, edges: set[tuple[int, int]]) -> list[tuple[int, set[int]]]:
    """Groups of a graph on 0..count-1, kept in this order: keeper, and what it takes."""
    taken: set[int] = set()
    groups = []
    for keeper in range(count):
        if keeper in taken:
            continue
        members = {
            other
            for other in range(count)
            if other not in taken
            and other != keeper
            and ((keeper, other) in edges or (other, keeper) in edges)
        }
        if members:
            taken |= members | {keeper}
            groups.append((keeper, members))
    return groups


def components(count: int, edges: set[tuple[int, int]]) -> list[set[int]]:
    """Connected sets of more than one."""
    label = list(range(count))
    changed = True
    while changed:
        changed = False
        for first, second in edges:
            low = min(label[first], label[second])
            if label[first] != low or label[second] != low:
                label[first] = label[second] = low
                changed = True
    sets = [{node for node in range(count) if label[node] == low} for low in range(count)]
    return [members for members in sets if len(members) > 1]
