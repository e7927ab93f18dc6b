"""Cutting cells into tasks that compare about as much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from dedup.distributed.pieces import Piece, pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dedup.distributed.commits import Done

BLOCK_ROWS: Final = 16_000
"""Rows of a block; a group with more is compared block by block, one with itself or with half of
another in a task. Blocks have fewer where many pairs are near, each of which takes longer."""

_NEAR_TAKES: Final = 2  # times as long as others, besides: measured where all pairs are near


class Block(NamedTuple):
    """What one task compares: the rows of a block with each other, or those of two blocks.

    Parameters
    ----------
    name : of the task among those of its division
    first, second : pieces of `assign`; no second: the first with itself
    """

    name: str
    first: tuple[Piece, ...]
    second: tuple[Piece, ...] = ()


def groups(assigned: Iterable[Done]) -> tuple[dict[int, list[Piece]], dict[int, float]]:
    """Give the pieces of `assign` by group, and of those that are crowded the share of near pairs.

    Parameters
    ----------
    assigned : commits of `assign`
    """
    wanted, near = dict[int, list[Piece]](), dict[int, float]()
    for done in assigned:
        shares = {int(group): share for group, share in done.extra.get("near", {}).items()}
        for number, some in pieces([done]).items():
            group = number // 2
            wanted.setdefault(group, []).extend(some)
            if group in shares:
                rows = sum(piece.rows for piece in some)
                near[group] = near.get(group, 0.0) + rows * shares[group]
    for group in near:
        near[group] /= sum(piece.rows for piece in wanted[group])
    return wanted, near


def blocks(
    wanted: dict[int, list[Piece]], near: dict[int, float], new: frozenset[str], label: str
) -> Iterator[Block]:
    """Cut the groups of cells into tasks that take about as long; what was compared is left out.

    Parameters
    ----------
    wanted, near : as `groups` gives them
    new : keys of the objects that no earlier join compared
    label : begins the names of tasks
    """
    for group, every in sorted(wanted.items()):
        most = round(BLOCK_ROWS / (1 + _NEAR_TAKES * near.get(group, 0.0)) ** 0.5)
        before, fresh = (
            _parts([one for one in every if (one.key in new) is is_new], most)
            for is_new in (False, True)
        )
        parts = before + fresh
        for one in range(len(parts) if fresh else 0):
            for two in range(max(one, len(before)), len(parts)):
                name = f"{label}-{group:06d}-{one:03d}-{two:03d}"
                if one == two:
                    yield Block(name, parts[one])
                    continue
                # Twice as many pairs as within a part: so that no task takes longer than others.
                for number, some in enumerate(_parts(parts[two], most // 2)):
                    yield Block(f"{name}-{number}", parts[one], some)


def _parts(pieces: Sequence[Piece], most: int) -> list[tuple[Piece, ...]]:
    """Cut pieces, in their order, into the fewest parts of about `most` rows or less, alike."""
    rows = sum(piece.rows for piece in pieces)
    count = -(-rows // most)
    parts: list[list[Piece]] = [[] for _ in range(count)]
    begin = 0
    for piece in pieces:
        parts[(2 * begin + piece.rows) * count // (2 * rows)].append(piece)
        begin += piece.rows
    return [tuple(part) for part in parts if part]
