"""What a section of trials is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from numpy.random import Generator

    from faultlab.lab import Lab


class Trials(ABC):
    """One kind of fault, made many times.

    Attributes
    ----------
    name : unique; its first word is the section
    title : for the table
    asked, short : how many trials there are, in full and in the short form
    note : for the table, once the trials are done
    """

    name: ClassVar[str]
    title: ClassVar[str]
    asked: ClassVar[int]
    short: ClassVar[int] = 0

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.note = ""

    def absent(self) -> str:
        """Say why there can be no trials here; "" where there can."""
        return ""

    def prepare(self) -> None:  # noqa: B027 - not all need something
        """Make what every trial needs."""

    @abstractmethod
    def trial(self, number: int, rng: Generator) -> list[str]:
        """Make one fault; gives what went wrong, nothing where all held."""
