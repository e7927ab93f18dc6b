"""How a plan is written: one JSON object with one file a line, for people to read and to edit."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dedup.errors import PlanError
from dedup.files import output_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_BYTES: Final = 1 << 30
"""Of a plan's file: about a million entries."""


def write_lines(
    path: str | os.PathLike[str], header: Mapping[str, str], entries: Iterable[str]
) -> None:
    """Write a plan: a JSON object with one file a line.

    Parameters
    ----------
    header, entries : JSON, the header by key

    Raises
    ------
    DedupError : the file cannot be written.
    """
    top = [f"{json.dumps(key)}: {value},\n" for key, value in header.items()]
    with output_file(Path(path)) as file:
        for text in ("{\n", *top, '"files": [\n', ",\n".join(entries), "\n]\n}\n"):
            file.write(text.encode())


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read what is in the file of a plan, whatever that is.

    Raises
    ------
    PlanError : it cannot be read, or is no JSON.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PlanError(f"{os.fspath(path)}: cannot be read: {error.strerror}") from error
    if len(text) > MAX_BYTES:
        raise PlanError(f"{os.fspath(path)}: is larger than any plan")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PlanError(
            f"{os.fspath(path)}: is not a plan, or was cut short: not JSON ({error})"
        ) from error
