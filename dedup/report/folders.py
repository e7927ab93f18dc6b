"""Folders that are inside others: what `dedup contains` and `dedup list --folders` give."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from dedup.answer import Answer, column


@dataclass(frozen=True, slots=True)
class FolderOverlap(Answer[str]):
    """How much of a folder's images, those in folders below it too, is in another folder.

    Iterates over `only`.

    Parameters
    ----------
    files : images in the folder
    exact : those of which the other folder has the same bytes
    proven : the others that are proven against an image there that is no lesser version
    share : of both together, in [0, 1]
    bytes : of both together
    only : the rest, and files that could not be read, by path
    """

    rows_in: ClassVar[str] = "only"
    folder: str
    inside: str
    files: int
    exact: int
    proven: int
    share: float = field(metadata=column(decimals=4))
    bytes: int
    only: tuple[str, ...]
    notes: tuple[str, ...] = field(default=(), metadata=column(None))


@dataclass(frozen=True, slots=True)
class FoldersAnswer(Answer[FolderOverlap]):
    """Folders of which at least half is in another one, those with most files there first."""

    rows_in: ClassVar[str] = "folders"
    folders: tuple[FolderOverlap, ...]
    notes: tuple[str, ...] = ()
