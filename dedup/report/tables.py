"""Rows of answers as tables of pyarrow and pandas, and as Parquet."""

from __future__ import annotations

import io
import types
import typing
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from dedup.answer import KEY
from dedup.arrow import with_pyarrow
from dedup.errors import ExtraMissingError
from dedup.report.forms import text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def arrow_of(columns: Mapping[str, list[Any]], kind: type | None) -> Any:
    """Make an Arrow table.

    Parameters
    ----------
    kind : dataclass whose fields say the types; None: text
    """
    arrow = with_pyarrow("an Arrow table")
    schema = {key: arrow.string() for key in columns}
    if kind is not None:
        schema |= _types(kind, arrow)
    return arrow.table(
        {
            key: arrow.array([_fitted(value, schema[key], arrow) for value in values], schema[key])
            for key, values in columns.items()
        }
    )


def _types(kind: type, arrow: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    named = {one.name: one.metadata.get(KEY, "") for one in fields(kind)}
    return {
        key or name: _type(hints[name], arrow) for name, key in named.items() if key is not None
    }


def _type(hint: Any, arrow: Any) -> Any:
    """Translate the type of a field."""
    origin, within = typing.get_origin(hint), typing.get_args(hint)
    if origin in {types.UnionType, typing.Union}:  # with None, which every column may hold
        return _type(next(one for one in within if one is not type(None)), arrow)
    if origin is tuple or hasattr(hint, "_fields"):  # a named tuple is of whole numbers
        return arrow.list_(_type(within[0] if within else int, arrow))
    if origin is dict:
        return arrow.map_(_type(within[0], arrow), _type(within[1], arrow))
    if is_dataclass(hint) and isinstance(hint, type):
        return arrow.struct(list(_types(hint, arrow).items()))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return arrow.string()
    plain = {bool: arrow.bool_(), int: arrow.int64(), float: arrow.float64(), str: arrow.string()}
    return plain[hint]


def _fitted(value: Any, kind: Any, arrow: Any) -> Any:
    """Make text UTF-8, and a mapping a list of pairs, as Arrow takes it."""
    if value is None:
        return None
    if arrow.types.is_string(kind):
        return text_of(str(value))
    if arrow.types.is_list(kind):
        return [_fitted(one, kind.value_type, arrow) for one in value]
    if arrow.types.is_map(kind):
        return [(key, _fitted(one, kind.item_type, arrow)) for key, one in value.items()]
    if arrow.types.is_struct(kind):
        return {one.name: _fitted(value[one.name], one.type, arrow) for one in kind}
    return value


def frame_of(columns: Mapping[str, list[Any]]) -> Any:
    """Make a data frame.

    Raises
    ------
    ExtraMissingError
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ExtraMissingError("a data frame", "pandas") from error
    return pd.DataFrame(dict(columns))


def parquet_of(rows: Iterable[Mapping[str, Any]], keys: Iterable[str], kind: type) -> bytes:
    """Make Parquet of rows."""
    with_pyarrow()
    import pyarrow.parquet

    listed = list(rows)
    content = io.BytesIO()
    columns = {key: [row[key] for row in listed] for key in keys}
    pyarrow.parquet.write_table(arrow_of(columns, kind), content)
    return content.getvalue()
