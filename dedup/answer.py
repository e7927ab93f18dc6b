"""What every answer has in common: rows to iterate over, and how they are printed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
