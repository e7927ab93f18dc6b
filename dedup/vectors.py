"""Vectors of the user's own with their ids: checked as a whole before anything is done with them.

Rows are never copied as a whole: a memory map stays one, and what is read of it is read in blocks.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dedup.errors import VectorsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

BLOCK_ROWS: Final = 8192
"""Rows that are read, checked and stored at a time."""

MAX_WIDTH: Final = 1 << 18
"""Values of a vector; the widest layer of any model has 1 % of it."""


@dataclass(frozen=True, slots=True)
class OwnVectors:
    """N vectors that can be taken: finite, none of them zero, each with an id of its own.

    Parameters
    ----------
    ids : (N,) text; bytes that are not UTF-8 as surrogate escapes
    rows : (N, D) of any real type
    """

    ids: list[str]
    rows: npt.NDArray[Any]

    @property
    def width(self) -> int:
        """D."""
        return int(self.rows.shape[1])

    def __len__(self) -> int:
        return len(self.ids)

    def blocks(self) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
        """Give the rows as float32, some at a time, with the number of the first of them."""
        for start in range(0, len(self.ids), BLOCK_ROWS):
            with np.errstate(over="ignore"):  # which makes infinities, that are refused
                block = np.asarray(self.rows[start : start + BLOCK_ROWS], np.float32)
            yield start, block


def own_vectors(
    ids: Any,
    rows: Any,
    width: int | None = None,
    report: Callable[[int, int], None] | None = None,
) -> OwnVectors:
    """Check vectors and their ids.

    Parameters
    ----------
    ids : (N,) text, paths or whole numbers; None: the numbers of the rows
    rows : (N, D) real numbers; a memory map is read in blocks
    width : what D has to be; None: anything
    report : called with rows checked, and how many there are

    Raises
    ------
    VectorsError : of the first id or row that cannot be taken, with its number.
    TypeError : `ids` or `rows` are nothing of the kind.
    """
    table = _table(rows, width)
    names = [str(row) for row in range(len(table))] if ids is None else _names(ids)
    if len(names) != len(table):
        raise VectorsError(
            f"{len(names):,} ids for {len(table):,} vectors: each vector needs its id, in the same "
            "order"
        )
    _refuse_twice(names)
    found = OwnVectors(names, table)
    for start, block in found.blocks():
        _check_block(names, start, block)
        if report is not None:
            report(start + len(block), len(names))
    return found


def _table(rows: Any, width: int | None) -> npt.NDArray[Any]:
    table = rows if isinstance(rows, np.ndarray) else np.asarray(rows)
    if table.dtype.kind not in "fiu":
        raise TypeError(f"vectors are rows of real numbers, not {table.dtype}")
    if table.ndim != 2 or not len(table) or not 1 <= table.shape[1] <= MAX_WIDTH:  # noqa: PLR2004 - (N, D)
        raise VectorsError(
            f"vectors are a table with a row for each id, (N, D); these have the shape "
            f"{table.shape}"
        )
    if width is not None and table.shape[1] != width:
        raise VectorsError(
            f"the vectors have {table.shape[1]:,} values each, and those of the collection "
            f"{width:,}: they cannot be compared. Start another collection with --store NEW_FOLDER"
        )
    return table


def _names(ids: Any) -> list[str]:
    if isinstance(ids, str | bytes | os.PathLike) or not isinstance(ids, Iterable):
        raise TypeError(f"ids are several names, not {type(ids).__name__}")
    return [_name(row, value) for row, value in enumerate(ids)]


def _name(row: int, value: Any) -> str:
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return str(int(value))
    if not isinstance(value, str | os.PathLike):
        raise VectorsError(
            f"id of row {row:,}: an id is text, a path or a whole number, not "
            f"{type(value).__name__} ({value!r})"
        )
    name = os.fsdecode(value)
    if not name or "\0" in name:
        raise VectorsError(f"id of row {row:,}: {'it is empty' if not name else 'NUL is in it'}")
    return name


def _refuse_twice(names: list[str]) -> None:
    if len(set(names)) == len(names):
        return
    first: dict[str, int] = {}
    for row, name in enumerate(names):
        if first.setdefault(name, row) != row:
            raise VectorsError(f"the id {name!r} is given twice: rows {first[name]:,} and {row:,}")


def _check_block(names: list[str], start: int, block: npt.NDArray[np.float32]) -> None:
    squares = np.einsum("nd,nd->n", block, block, dtype=np.float64)
    wrong = np.flatnonzero(~(np.isfinite(squares) & (squares > 0)))
    if not len(wrong):
        return
    row = int(wrong[0])
    if np.isnan(block[row]).any():
        what = "holds NaN"
    elif not np.isfinite(block[row]).all():
        what = "holds infinity, or values too large for 32 bits"
    else:
        what = "is zeros, which are similar to nothing"
    raise VectorsError(
        f"row {start + row:,} (id {names[start + row]!r}) {what}. Leave such rows out; nothing was "
        "taken"
    )
