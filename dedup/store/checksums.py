"""A checksum over every row that is a fact, written with the row and checked when it is read.

It covers the name of the table and all columns but itself; of an embedding also the content that it
belongs to, so that a vector that comes to another image is found as well. Rows from before format 3
have none (NULL), or one of the vector alone, and are read as they are.

SQL reaches it as the function `row_checksum`, which every connection has.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import xxhash

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

COVERED: Final = {
    "meta": ("key", "value"),
    "roots": ("id", "path", "exclude", "kind"),
    "images": (
        "id", "digest", "format", "width", "height", "frames", "trivial", "input_digest",
        "pixel_digest", "damaged", "remark",
    ),
    "files": (
        "root", "path", "size", "mtime_ns", "device", "inode", "state", "image", "reason",
        "tried_with", "ctime_ns",
    ),
    "verdicts": ("first", "second", "verifier", "tier", "derived", "evidence", "backwards"),
    "traits": ("image", "version", "value"),
    "parts": ("image", "version", "value"),
    "decisions": ("first", "second", "duplicate", "decided"),
    "calibration": ("id", "curve", "transform"),
}  # fmt: skip
"""The columns that the checksum of a row covers, in this order."""

_TEXTS: Final = {
    "key", "value", "exclude", "format", "remark", "state", "reason", "tried_with", "verifier",
    "evidence", "backwards", "tier", "version", "decided", "curve", "kind",
}  # fmt: skip

MAX_VECTOR_BYTES: Final = 1 << 20
"""Of a stored vector; the widest layer of any model takes 1 % of it."""

_SMALL: Final = 1 << 32  # below: checksums of the vector alone, XXH32, from before format 3

_LENGTHS: Final = struct.Struct("<dII")

Value = bytes | int | float | str | None


def row_checksum(*values: bytes | float | None) -> int:
    """Hash values; 63 bits of XXH3, which SQLite stores as an integer.

    The representations of tuples of bytes, integers and floats are unambiguous, and the same in
    every version of Python.
    """
    return xxhash.xxh3_64_intdigest(repr(values).encode()) >> 1


def checksum_of(table: str, values: Iterable[Value]) -> int:
    """Give the checksum of a row, of the values of its `COVERED` columns."""
    return row_checksum(table.encode(), *map(_plain, values))


def _plain(value: Value) -> bytes | float | None:
    if isinstance(value, str):
        return value.encode()
    return int(value) if isinstance(value, bool) else value


def write_meta(connection: sqlite3.Connection, key: str, value: str) -> None:
    """Keep a value in `meta` in place of what was there, with its checksum."""
    connection.execute(
        "INSERT OR REPLACE INTO meta (key, value, checksum) VALUES (?, ?, ?)",
        (key, value, checksum_of("meta", (key, value))),
    )


def seal(table: str, alias: str = "", **changed: str) -> str:
    """Give the SQL that computes the checksum of a row.

    Parameters
    ----------
    alias : of the table in the statement
    changed : SQL of what columns are set to in the same UPDATE
    """
    prefix = f"{alias}." if alias else ""
    # As bytes: damaged text need not be UTF-8.
    terms = [
        f"CAST({term} AS BLOB)" if column in _TEXTS else term
        for column in COVERED[table]
        for term in [changed.get(column, f"{prefix}{column}")]
    ]
    return f"row_checksum(CAST('{table}' AS BLOB), {', '.join(terms)})"


def sound(table: str, alias: str = "") -> str:
    """Give the SQL condition that a row is as it was written, as far as that can be known."""
    column = f"{alias}.checksum" if alias else "checksum"
    return f"({column} IS NULL OR {column} = {seal(table, alias)})"


def embedding_checksum(digest: bytes, layer: str, norm: float, vector: bytes) -> int:
    """Give the checksum of an embedding, at least 2^32: smaller ones are of the vector alone.

    Parameters
    ----------
    digest : SHA-256 of the file
    """
    name = layer.encode()
    head = digest + _LENGTHS.pack(norm, len(digest), len(name)) + name
    value = xxhash.xxh3_64_intdigest(head + vector) >> 1
    return value if value >= _SMALL else value + _SMALL


def is_sound_embedding(
    digest: bytes, layer: str, norm: float, vector: bytes, checksum: int
) -> bool:
    """Tell whether an embedding is as it was written; parameters as `embedding_checksum`."""
    if len(vector) > MAX_VECTOR_BYTES:
        return False
    if 0 <= checksum < _SMALL:
        return xxhash.xxh32_intdigest(vector) == checksum
    return embedding_checksum(digest, layer, norm, vector) == checksum


def register(connection: sqlite3.Connection) -> None:
    """Give a connection what statements of this module need."""
    connection.create_function("row_checksum", -1, row_checksum, deterministic=True)
    # What is damaged is read all the same, to be told from its checksum.
    connection.text_factory = _lenient


def _lenient(data: bytes) -> str:
    return data.decode("utf-8", "replace")
