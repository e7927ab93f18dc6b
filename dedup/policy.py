"""Which file of several stays: what a person may ask for, as an ordered list of terms."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

TERMS: Final = {
    "under:FOLDER": "below a folder of that name or path",
    "information": "an original before what was made from it",
    "pixels": "the most pixels",
    "bytes": "the largest file",
    "oldest": "the oldest file",
    "newest": "the newest file",
    "shortest": "the shortest path",
}
"""What a policy may consist of, and what each prefers."""

_UNDER: Final = "under:"
INFORMATION: Final = "information"


class Term(NamedTuple):
    """One term of a policy.

    Parameters
    ----------
    name : a key of `TERMS`, "under" for the first
    folder : of "under", as it was given; "" otherwise
    """

    name: str
    folder: str = ""

    def holds(self, path: bytes) -> bool:
        """Tell whether an absolute path lies below the folder."""
        folder = os.fsencode(self.folder).rstrip(b"/")
        if b"/" not in folder and folder not in (b"", b".", b"..", b"~"):
            return folder in path.split(b"/")[:-1]
        whole = os.path.realpath(os.path.expanduser(self.folder or "/"))
        return path.startswith(os.fsencode(whole).rstrip(b"/") + b"/")


@dataclass(frozen=True, slots=True)
class KeepPolicy:
    """An ordered list of terms; the first that tells two files apart decides.

    Undamaged images come first whatever it says. What it leaves open is decided by information,
    so that no copy wins over its original by its name, and then by age, name and path, so that two
    runs agree.
    """

    terms: tuple[Term, ...] = (Term(INFORMATION),)

    @property
    def texts(self) -> tuple[str, ...]:
        """The terms as they are written."""
        return tuple(f"{_UNDER}{one.folder}" if one.folder else one.name for one in self.terms)

    @classmethod
    def of(cls, value: Any) -> Self:
        """Read a policy: names with commas between them, or several names.

        Where none of them is `INFORMATION`, it comes last.

        Raises
        ------
        TypeError, ValueError : the text says what the terms are.
        """
        if isinstance(value, str):
            value = value.split(",")
        if isinstance(value, bytes) or not isinstance(value, Iterable):
            raise TypeError(f"keep is a list of terms, not {type(value).__name__}: {known_terms()}")
        terms = tuple(_term(one) for one in value)
        if not terms:
            raise ValueError(f"keep names no term; {known_terms()}")
        open_to_it = INFORMATION not in {term.name for term in terms}
        return cls((*terms, *([Term(INFORMATION)] * open_to_it)))

    def unmet(self, paths: Sequence[bytes]) -> list[str]:
        """Say which folders of the policy hold none of these files, a sentence each."""
        return [
            f"keep: no image is under {term.folder!r}"
            for term in self.terms
            if term.name == "under" and not any(map(term.holds, paths))
        ]


def known_terms() -> str:
    """Name the terms in a sentence."""
    return f"terms are {', '.join(TERMS)}"


def _term(text: Any) -> Term:
    if not isinstance(text, str):
        raise TypeError(f"each term of keep is a str, not {type(text).__name__}")
    name = text.strip()
    if name.startswith(_UNDER) and name != _UNDER:
        return Term("under", name.removeprefix(_UNDER))
    if name not in TERMS or ":" in name:
        raise ValueError(f"{name!r} is not a term of keep; {known_terms()}")
    return Term(name)
