"""What a catalog may be made of: it is input, and may come from anyone.

The tables, columns, constraints and indexes are compared with those of the format, word by word, so
that no view, trigger, virtual table, generated column or expression of another's runs here. Paths
lead into the folders that were indexed and nowhere else.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from dedup.errors import DamagedError
from dedup.records import is_url

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping
    from pathlib import Path

MAX_TEXT_BYTES: Final = 10_000_000
"""Of JSON that is stored: a calibration, a fingerprint, the counts of rows."""

MAX_VALUE_BYTES: Final = 1 << 27
"""Of any value that SQLite is to read or make; the largest of ours are lists of a million ids."""

MAX_SCHEMA_BYTES: Final = 100_000

_COMMENT: Final = re.compile(r"--[^\n]*")


def check_objects(store: Path, connection: sqlite3.Connection) -> None:
    """Refuse views, triggers and virtual tables, whatever the format.

    Raises
    ------
    DamagedError
    """
    (size,) = connection.execute(
        "SELECT coalesce(sum(length(sql) + length(name)), 0) FROM sqlite_master"
    ).fetchone()
    if size > MAX_SCHEMA_BYTES:
        raise foreign(store, "its schema is too long")
    rows = connection.execute("SELECT type, name, upper(coalesce(sql, '')) FROM sqlite_master")
    for kind, name, sql in rows:
        if kind not in {"table", "index"} or "VIRTUAL" in sql.split("(")[0]:
            raise foreign(store, f"it holds the {kind} {name!r}")


def check_schema(
    store: Path, connection: sqlite3.Connection, expected: Mapping[str, tuple[str, ...]]
) -> None:
    """Compare what a catalog consists of with its format.

    Parameters
    ----------
    expected : what `definitions` gives for the statements of the format

    Raises
    ------
    DamagedError
    """
    found = schema_of(connection)
    if found != expected:
        names = sorted({*found, *expected})
        wrong = next(name for name in names if found.get(name) != expected.get(name))
        state = "missing" if wrong not in found else "other than in this format"
        raise foreign(store, f"{wrong!r} is {state}" if wrong in expected else f"{wrong!r} is new")


def schema_of(connection: sqlite3.Connection) -> dict[str, tuple[str, ...]]:
    """Give the `definitions` of an open database, without the indexes that SQLite makes itself."""
    return definitions(
        sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master") if sql is not None
    )


def definitions(statements: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Take CREATE statements apart: by "TABLE name", the parts in its brackets and what follows.

    In alphabetical order, as a column that was added later comes last.
    """
    result: dict[str, tuple[str, ...]] = {}
    for statement in statements:
        plain = " ".join(without_comments(statement).split())
        head, _, body = plain.partition("(")
        body, _, tail = body.rpartition(")")
        name = head.strip().removeprefix("CREATE ")
        if name.startswith("INDEX"):
            result[name] = (body, tail)
        else:
            parts = sorted(part.strip() for part in _split(body))
            result[name] = (*parts, tail.strip(" ;"))
    return result


def without_comments(sql: str) -> str:
    """Drop comments to the ends of lines; no text of ours holds two hyphens."""
    return _COMMENT.sub("", sql)


def _split(body: str) -> list[str]:
    """Split at commas outside brackets and quotation marks."""
    parts, depth, quoted = [""], 0, False
    for character in body:
        quoted ^= character == "'"
        depth += {"(": 1, ")": -1}.get(character, 0) if not quoted else 0
        if character == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def checked_root(store: Path, path: object) -> bytes:
    """Give the path of a root, which is absolute, or a URL.

    Raises
    ------
    DamagedError
    """
    if (
        not isinstance(path, bytes)
        or not (path.startswith(b"/") or is_url(path))
        or b"\0" in path
        or b".." in path.split(b"/")
    ):
        raise foreign(store, f"{path!r} is no folder")
    return path


def checked_path(store: Path, path: object) -> bytes:
    """Give the path of a file below its root.

    Raises
    ------
    DamagedError
    """
    if not is_inside(path):
        raise foreign(store, f"{path!r} is no name of a file below a folder")
    assert isinstance(path, bytes)  # noqa: S101 - for mypy
    return path


def whole_path(roots: str, files: str) -> str:
    """Give the SQL for the absolute path of a file.

    Parameters
    ----------
    roots, files : aliases of the two tables
    """
    # The root of files that were named one by one is "/".
    return f"CAST(rtrim({roots}.path, X'2F') || X'2F' || {files}.path AS BLOB)"


def is_inside(path: object) -> bool:
    """Tell whether a relative path stays below the folder that it is relative to."""
    return (
        isinstance(path, bytes)
        and path != b""
        and not path.startswith(b"/")
        and b"\0" not in path
        and (b".." not in path or b".." not in path.split(b"/"))
    )


def foreign(store: Path, reason: str) -> DamagedError:
    """Make the error that says a catalog is not one of ours."""
    return DamagedError(
        store,
        f"damaged or foreign catalog: {reason}. If the collection is your own, run `dedup repair` "
        "or move the folder away and index again; the images themselves are not touched.",
    )
