"""Checks on what callers of the public API pass: one clear error for each wrong value.

A wrong type is a `TypeError` and a wrong value a `ValueError`; both name the parameter and say what
is accepted. A plain string where several paths, layers or tiers are meant is one of them, never a
sequence of letters.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable
from numbers import Real
from typing import Any, Final, TypeVar

from dedup.results import Tier

DEFAULT_TIERS: Final = (Tier.EXACT, Tier.PIXELS, Tier.RESAVED, Tier.NEAR)
"""Those that are proven."""

COPY_TIERS: Final = (Tier.EXACT, Tier.PIXELS, Tier.RESAVED)

Value = TypeVar("Value")


def path_of(value: Any, name: str) -> str:
    """Check one path; gives it as text, names that are not UTF-8 with surrogate escapes."""
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} is a path (str or os.PathLike), not {type(value).__name__}")
    path = os.fsdecode(value)
    if not path:
        raise ValueError(f"{name} is an empty path")
    if "\0" in path:
        raise ValueError(f"{name} is a path with a NUL character in it: {path!r}")
    return path


def paths_of(value: Any, name: str) -> list[str]:
    """Check one path or several; gives a list."""
    if isinstance(value, str | os.PathLike):
        return [path_of(value, name)]
    if isinstance(value, bytes | bytearray) or not isinstance(value, Iterable):
        raise TypeError(
            f"{name} is a path (str or os.PathLike) or several of them, not {type(value).__name__}"
        )
    return [path_of(one, f"each of {name}") for one in value]


def strings_of(value: Any, name: str) -> tuple[str, ...]:
    """Check one name or several; gives a tuple."""
    if isinstance(value, str):
        value = (value,)
    if isinstance(value, bytes | bytearray) or not isinstance(value, Iterable):
        raise TypeError(f"{name} is a name or several of them, not {type(value).__name__}")
    names = tuple(value)
    for one in names:
        if not isinstance(one, str):
            raise TypeError(f"each of {name} is a name (str), not {type(one).__name__}")
        if not one:
            raise ValueError(f"one of {name} is an empty name")
    return names


def one_of(value: Any, accepted: Iterable[str], name: str) -> str:
    """Check that a name is one of those accepted."""
    names = [str(one) for one in accepted]
    if not isinstance(value, str):
        raise TypeError(f"{name} is one of {', '.join(names)}, not {type(value).__name__}")
    if value not in names:
        raise ValueError(f"{name} is one of {', '.join(names)}, not {value!r}")
    return str(value)


def tiers_of(value: Any) -> frozenset[Tier]:
    """Check tiers: a name, several, or several in one string with commas."""
    names = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if isinstance(names, bytes | bytearray) or not isinstance(names, Iterable):
        raise TypeError(f"tier is a name or several of them, not {type(value).__name__}")
    tiers = frozenset(Tier(one_of(one, Tier, "tier")) for one in names)
    if not tiers:
        raise ValueError(f"tier is one or more of {', '.join(Tier)}, not none")
    return tiers


def count_of(value: Any, name: str, least: int) -> int:
    """Check a whole number that is not below `least`."""
    try:
        count = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        count = None
    if count is None:
        raise TypeError(f"{name} is a whole number, not {type(value).__name__}")
    if count < least:
        raise ValueError(f"{name} is at least {least}, not {count}")
    return count


def threshold_of(value: Any) -> float | None:
    """Check a similarity from -1 to 1, or None."""
    number = _number(value, "threshold")
    if number is not None and not -1 <= number <= 1:
        raise ValueError(f"threshold is a similarity from -1 to 1, not {number:g}")
    return number


def precision_of(value: Any) -> float | None:
    """Check a precision above 0 and up to 1, or None."""
    number = _number(value, "precision")
    if number is not None and not 0 < number <= 1:
        raise ValueError(f"precision is above 0 and at most 1, not {number:g}")
    return number


def ratios_of(value: Any) -> list[float]:
    """Check several numbers; what they have to be is for whoever takes them."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise TypeError(f"ratios are several numbers, not {type(value).__name__}")
    numbers = [_number(one, "each of ratios") for one in value]
    return [float("nan") if one is None else one for one in numbers]


def _number(value: Any, name: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} is a number or None, not {type(value).__name__}")
    return float(value)


def callback_of(value: Any, name: str = "progress") -> Any:
    """Check a callback; None becomes one that does nothing."""
    if value is None:
        return _ignore
    if not callable(value):
        raise TypeError(f"{name} is callable or None, not {type(value).__name__}")
    return value


def _ignore(stage: str, done: int, total: int) -> None:
    """Take no notice of progress."""


def instance(value: object, kind: type[Value], name: str) -> Value:
    """Check that an optional argument is of its type; None gives the type's default.

    Raises
    ------
    TypeError
    """
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise TypeError(
            f"{name} is a {kind.__name__} or None, not {type(value).__name__}: {value!r}"
        )
    return value
