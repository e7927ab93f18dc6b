"""Files of vectors and of their ids, as options of commands name them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dedup.errors import VectorsError, first_line
from dedup.sources.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Command = TypeVar("Command", bound="Callable[..., Any]")

_HEADS = ("id", "path")


def vectors_options(command: Command) -> Command:
    """Add --vectors and --ids."""
    vectors = click.option(
        "--vectors",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Instead of images: your own vectors from any model, an array (N, D) in a .npy file, "
        "which is memory-mapped.",
    )
    ids = click.option(
        "--ids",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="With --vectors: their ids in the same order, as a table (.csv, .tsv, .parquet) with "
        "a column id or path, or a file with one id per line. Ids that name files are read "
        "for proofs. Default: row numbers.",
    )
    return vectors(ids(command))


def check_own(
    vectors: Path | None, ids: Path | None, root: Path | None, others: Mapping[str, object]
) -> None:
    """Refuse options that have no meaning with vectors, or without.

    Parameters
    ----------
    others : what was given that goes with images only, by option
    """
    if vectors is None and ids is not None:
        raise click.UsageError("--ids needs --vectors")
    if vectors is None and root is not None:
        raise click.UsageError("--root needs --vectors")
    wrong = [option for option, value in others.items() if value]
    if vectors is not None and wrong:
        raise click.UsageError(f"{wrong[0]} cannot be combined with --vectors")


def read_vectors(path: Path) -> Any:
    """Map an array of a .npy file; one vector alone is a row.

    Raises
    ------
    VectorsError : it cannot be read, or is none.
    """
    import numpy as np

    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise VectorsError(f"{path}: cannot be read: {reason}") from error
    except (ValueError, EOFError) as error:
        raise VectorsError(
            f"{path}: not an array of numbers in a .npy file: {first_line(error)}. Save it with "
            "numpy.save"
        ) from error
    if not isinstance(rows, np.ndarray):
        rows.close()
        raise VectorsError(
            f"{path}: a .npz file of several arrays; save one of them with numpy.save"
        )
    if rows.dtype.kind not in "fiu":
        raise VectorsError(f"{path}: vectors are real numbers, not {rows.dtype}")
    return rows[None] if rows.ndim == 1 else rows


def read_ids(path: Path) -> list[str]:
    """Read ids; bytes that are not UTF-8 become surrogate escapes.

    Raises
    ------
    SourceError : the file cannot be read, or is no table.
    VectorsError : it has several columns and none that is ids, or holds none.
    """
    table = Table(path)
    if not table.columns:
        raise VectorsError(f"{path}: holds no ids")
    column = next((name for name in _HEADS if name in table.columns), table.columns[0])
    if column not in _HEADS and len(table.columns) > 1:
        listed = ", ".join(table.columns)
        raise VectorsError(
            f"{path}: a column {' or '.join(_HEADS)} was expected; its columns: {listed}"
        )
    first = [] if column in _HEADS or table.has_types else [column]
    return first + [str(name) for _, (name,) in table.rows(column)]
