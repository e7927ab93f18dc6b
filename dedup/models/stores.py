"""Where rows of many batches are put: in memory, in a folder of memory maps, or in a Parquet file.

Rows come batch by batch, and no more than a batch (of Parquet: a group of rows) is held beside
them. What is written appears whole or not at all.
"""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import ExitStack, contextmanager
from functools import partial
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Protocol, Self

import numpy as np
import numpy.typing as npt

from dedup.arrow import with_pyarrow
from dedup.errors import DedupError
from dedup.files import atomic_write, check_folder, sync_folder
from dedup.models.features import Kept

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    Array = npt.NDArray[Any]

_PARQUET: Final = ".parquet"
_GROUP_BYTES: Final = 32 << 20  # of rows that are written to a Parquet file at a time
_MATRIX: Final = 2


class Store(Protocol):
    """Takes rows, and gives columns once all are there. Left by an exception, it leaves nothing."""

    def __enter__(self) -> Self:
        """Open what is written to."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put what was written into its place."""
        ...

    def add(self, rows: Mapping[str, Array], expected: int) -> None:
        """Take as many rows of each column; so many are expected in all, or 0: nobody knows."""
        ...

    def columns(self) -> Mapping[str, Array | Kept]:
        """Give the columns, when the store has been left."""
        ...


def store_for(path: str | os.PathLike[str] | None) -> Store:
    """Choose a store: a Parquet file by its ending, else a folder; None: memory.

    Raises
    ------
    DedupError : it cannot be written there.
    ExtraMissingError : pyarrow is missing.
    """
    if path is None:
        return _Memory()
    where = Path(os.path.realpath(path))
    check_folder(where)
    if where.suffix == _PARQUET:
        return _Parquet(where)
    if where.exists() and not (where.is_dir() and not any(where.iterdir())):
        raise DedupError(
            f"{where}: is there already; name a new or empty folder, or a file that ends in "
            f"{_PARQUET}"
        )
    return _Folder(where)


class _Memory:
    def __init__(self) -> None:
        self._columns: dict[str, Array] = {}
        self._filled: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def add(self, rows: Mapping[str, Array], expected: int = 0) -> None:
        for name, some in rows.items():
            start = self._filled.get(name, 0)
            end = self._filled[name] = start + len(some)
            held = self._columns.get(name)
            if held is None or end > len(held) or not np.can_cast(some.dtype, held.dtype):
                length = max(expected, end if held is None else 2 * start, end)
                dtype = some.dtype if held is None else np.promote_types(held.dtype, some.dtype)
                larger = np.empty((length, *some.shape[1:]), dtype)
                if held is not None:
                    larger[:start] = held[:start]
                held = self._columns[name] = larger
            held[start:end] = some

    def columns(self) -> dict[str, Array]:
        return {name: held[: self._filled[name]] for name, held in self._columns.items()}


class _Folder:
    """A folder of .npy files, which are written front to back and mapped when all is there.

    They are never mapped to be written: on a full disk that ends the process.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._made = path.with_name(f".dedup-{os.getpid()}-{threading.get_ident()}.tmp")
        self._files: dict[str, IO[bytes]] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._dtypes: dict[str, np.dtype[Any]] = {}
        self._texts = _Memory()  # whose width is known when the last is there
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with _written_to(self._path):
            self._made.mkdir()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                with _written_to(self._path):
                    self._finish()
        finally:
            self._open.close()
            shutil.rmtree(self._made, ignore_errors=True)

    def add(self, rows: Mapping[str, Array], expected: int = 0) -> None:  # noqa: ARG002
        with _written_to(self._path):
            for name, some in rows.items():
                if some.dtype.kind == "U":
                    self._texts.add({name: some})
                    continue
                if name not in self._files:
                    file = (self._made / _file_name(name)).open("wb")
                    self._files[name] = self._open.enter_context(file)
                    self._shapes[name], self._dtypes[name] = (0, *some.shape[1:]), some.dtype
                    self._head(name)
                count, *sides = self._shapes[name]
                self._shapes[name] = (count + len(some), *sides)
                held = np.ascontiguousarray(some, self._dtypes[name])
                self._files[name].write(held.ravel().data)  # by tofile, an error has no reason

    def columns(self) -> dict[str, Array]:
        names = [*self._shapes, *self._texts.columns()]
        return {
            name: np.load(self._path / _file_name(name), mmap_mode="r", allow_pickle=False)
            if prod(self._shapes.get(name, (1,)))
            else np.empty(self._shapes[name], self._dtypes[name])  # nothing cannot be mapped
            for name in names
        }

    def _head(self, name: str) -> None:
        # Of the same length whatever the number of rows, for which NumPy leaves room.
        described = {
            "descr": np.lib.format.dtype_to_descr(self._dtypes[name]),
            "fortran_order": False,
            "shape": self._shapes[name],
        }
        np.lib.format.write_array_header_1_0(self._files[name], described)

    def _finish(self) -> None:
        for name, texts in self._texts.columns().items():
            self._files[name] = self._open.enter_context((self._made / _file_name(name)).open("wb"))
            np.save(self._files[name], texts, allow_pickle=False)
        for name, file in self._files.items():
            if name in self._shapes:
                file.seek(0)
                self._head(name)
            file.flush()
            os.fsync(file.fileno())
        self._made.replace(self._path)
        sync_folder(self._path.parent)


class _Parquet:
    """A Parquet file: a column for each layer, of lists of one length, or of tensors."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._arrow = with_pyarrow()
        self._open = ExitStack()
        self._writer: Any = None
        self._file: IO[bytes] | None = None
        self._held: list[Mapping[str, Array]] = []
        self._bytes = 0
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._dtypes: dict[str, np.dtype[Any]] = {}

    def __enter__(self) -> Self:
        with _written_to(self._path):
            self._file = self._open.enter_context(atomic_write(self._path))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._open.__exit__(kind, error, trace)
            return
        with _written_to(self._path), self._open:
            self._write()
            if self._writer is not None:
                self._writer.close()

    def add(self, rows: Mapping[str, Array], expected: int = 0) -> None:  # noqa: ARG002
        self._held.append(rows)
        self._bytes += sum(some.nbytes for some in rows.values())
        if self._bytes >= _GROUP_BYTES:
            with _written_to(self._path):
                self._write()

    def columns(self) -> dict[str, Kept]:
        return {
            name: Kept(partial(_read_column, self._path, name, shape, self._dtypes[name].char))
            for name, shape in self._shapes.items()
        }

    def _write(self) -> None:
        if not self._held:
            return
        columns = {
            name: np.concatenate([rows[name] for rows in self._held]) for name in self._held[0]
        }
        self._held, self._bytes = [], 0
        for name, rows in columns.items():
            self._shapes.setdefault(name, rows.shape[1:])
            self._dtypes.setdefault(name, rows.dtype)
        table = self._arrow.table({name: self._array(rows) for name, rows in columns.items()})
        if self._writer is None:
            import pyarrow.parquet

            self._writer = pyarrow.parquet.ParquetWriter(self._file, table.schema)
        self._writer.write_table(table)

    def _array(self, rows: Array) -> Any:
        if rows.ndim == 1:
            return self._arrow.array(rows.tolist() if rows.dtype.kind == "U" else rows)
        if rows.ndim == _MATRIX:
            return self._arrow.FixedSizeListArray.from_arrays(rows.ravel(), rows.shape[1])
        return self._arrow.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(rows))


def _read_column(path: Path, name: str, shape: tuple[int, ...], dtype: str) -> Array:
    import pyarrow.parquet

    parts = []
    with pyarrow.parquet.ParquetFile(path) as file:
        for rows in file.iter_batches(columns=[name]):
            column = rows.column(rows.schema.get_field_index(name))
            if shape:
                column = getattr(column, "storage", column)  # of tensors: lists
                values = column.flatten().to_numpy(zero_copy_only=False)
                parts.append(values.reshape(-1, *shape))
            else:
                parts.append(np.array(column.to_pylist(), dtype))
    return np.concatenate(parts)


def _file_name(column: str) -> str:
    return f"{column}.npy"


@contextmanager
def _written_to(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DedupError(f"{path}: cannot be written: {error.strerror or error}") from error
