"""pyarrow, for whatever reads or writes tables with it."""

from __future__ import annotations

from typing import Any

from dedup.errors import ExtraMissingError


def with_pyarrow(what: str = "writing Parquet") -> Any:
    """Give pyarrow.

    Parameters
    ----------
    what : it is needed for

    Raises
    ------
    ExtraMissingError
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ExtraMissingError(what, "parquet") from error
    return pa
