"""What every answer has in common: rows to iterate over, and how they look as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, fields, is_dataclass
from importlib import import_module
from typing import Any, ClassVar, Final, Generic, TypeVar, overload

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is in all."""

KEY: Final = "key"
DECIMALS: Final = "decimals"

Row = TypeVar("Row")


def column(key: str | None = "", decimals: int | None = None) -> Mapping[str, Any]:
    """Describe how a field is printed, as the ``metadata`` of the field.

    Parameters
    ----------
    key : in JSON lines and CSV; "": the field's name; None: not printed
    decimals : to which a float is rounded; None: as it is
    """
    return {KEY: key, DECIMALS: decimals}


def keys_of(kind: type) -> list[str]:
    """List the keys of a row, a dataclass."""
    return [key for one in fields(kind) if (key := _key(one)) is not None]


def row_of(value: Any) -> dict[str, Any]:
    """Turn a row into an object: fields become keys, as the metadata of the fields say."""
    return {
        key: _plain(getattr(value, one.name), one.metadata.get(DECIMALS))
        for one in fields(value)
        if (key := _key(one)) is not None
    }


def _key(one: Field[Any]) -> str | None:
    key = one.metadata.get(KEY, "")
    return None if key is None else str(key or one.name)


def _plain(value: Any, decimals: int | None) -> Any:
    if is_dataclass(value):
        return row_of(value)
    if isinstance(value, tuple):
        return [_plain(one, decimals) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one, decimals) for key, one in value.items()}
    if isinstance(value, float) and decimals is not None:
        return round(value, decimals)
    return value


class Shown:
    """Shown with thumbnails by notebooks."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        # By name, and only then: rows know nothing of images, and what draws them knows all rows.
        drawn: str = import_module("dedup.report.notebook").html_of(self)
        return drawn


class Answer(Generic[Row]):
    """What a verb returns. Iterates over the rows in the field that `rows_in` names."""

    __slots__ = ()
    rows_in: ClassVar[str]

    def _rows(self) -> tuple[Row, ...]:
        return tuple(getattr(self, self.rows_in))

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows())

    def __len__(self) -> int:
        return len(self._rows())

    @overload
    def __getitem__(self, position: int) -> Row: ...
    @overload
    def __getitem__(self, position: slice) -> tuple[Row, ...]: ...
    def __getitem__(self, position: int | slice) -> Row | tuple[Row, ...]:
        return self._rows()[position]

    @classmethod
    def row_kind(cls) -> type | None:
        """Give the dataclass of the rows; None where they are plain values, such as paths."""
        for base in getattr(cls, "__orig_bases__", ()):
            kind = next(iter(getattr(base, "__args__", ())), None)
            if isinstance(kind, type) and is_dataclass(kind):
                return kind
        return None

    def to_dict(self) -> dict[str, list[Any]]:
        """Give the rows as columns: per key of the JSON lines, a list with a value for each row."""
        kind = self.row_kind()
        if kind is None:
            return {self.rows_in: list(self._rows())}
        rows = [row_of(row) for row in self._rows()]
        return {key: [row[key] for row in rows] for key in keys_of(kind)}

    def to_arrow(self) -> Any:
        """Give the rows as a `pyarrow.Table` with the columns of `to_dict`; extra ``parquet``.

        Columns have their types in a table without rows, too. Bytes of names that are not UTF-8
        are escapes.

        Raises
        ------
        ExtraMissingError
        """
        # By name, and only then: answers know no other package, and what writes tables knows all.
        return import_module("dedup.report.tables").arrow_of(self.to_dict(), self.row_kind())

    def to_pandas(self) -> Any:
        """Give the rows as a `pandas.DataFrame` with the columns of `to_dict`; extra ``pandas``.

        Raises
        ------
        ExtraMissingError
        """
        return import_module("dedup.report.tables").frame_of(self.to_dict())
