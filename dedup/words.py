"""Queries in words, alone or on top of images: one vector each, in the space of content.

Words are compared with what the network saw and with nothing else: local features know no words,
and a calibration's transform is fitted to images. So such a query looks at the stored layer itself,
every row of it. Arithmetic is that of unit vectors: the image, plus what is to be seen, minus what
is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dedup.errors import ModelError, SearchError
from dedup.fingerprint import CONTENT
from dedup.query import QueryVectors
from dedup.search.scan import Scan
from dedup.search.similarity import unit_rows
from dedup.space.space import Space
from dedup.store.gallery import read_ids, read_vectors_of

if TYPE_CHECKING:
    from dedup.models.loaded import TextTower
    from dedup.space.fusion import Rows
    from dedup.store.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Words:
    """What is to be seen, and what not; false where nothing is said."""

    wanted: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.wanted or self.unwanted)

    def __str__(self) -> str:
        plus = " + ".join(self.wanted)
        minus = "".join(f" - {text}" for text in self.unwanted)
        return f"{plus}{minus}"


def content_space(catalog: Catalog) -> Space:
    """Give the space of a collection's content alone, as it is stored."""
    return Space(replace(catalog.fingerprint, views=(CONTENT,), content_share=1.0))


def content_scan(catalog: Catalog) -> Scan:
    """Give what searches in the content of all live images."""
    layer = catalog.fingerprint.layers[0]
    return Scan(read_ids(catalog), lambda images: read_vectors_of(catalog, layer, images))


def content_width(catalog: Catalog) -> int:
    """Give D of the content that is stored; 0 where nothing is."""
    ids = read_ids(catalog)[:1]
    return read_vectors_of(catalog, catalog.fingerprint.layers[0], ids).shape[1] if len(ids) else 0


def ask(
    words: Words, tower: TextTower, images: QueryVectors | None, width: int = 0
) -> QueryVectors:
    """Make query vectors of words, and of images where there are some.

    Parameters
    ----------
    images : with raw rows in the space of content; None: one query of words alone
    width : D of the stored content; 0: not known

    Raises
    ------
    SearchError : only what is not to be seen is said, or nothing is left of a query.
    ModelError : the text tower's space is another than that of the collection.
    """
    if images is None and not words.wanted:
        raise SearchError("say what is to be seen, or give an image: --not-text only takes away")
    rows = unit_rows(tower([*words.wanted, *words.unwanted]))
    count = len(words.wanted)
    said = rows[:count].sum(axis=0) - rows[count:].sum(axis=0)
    if width and width != len(said):
        raise ModelError(
            f"the text tower gives {len(said)} values, and the collection holds {width}: its model "
            "is not the one that the words are for"
        )
    if images is None:
        return QueryVectors([str(words)], [], _left(said[None], str(words)), [], [None])
    separator = " + " if words.wanted else ""
    names = [f"{path}{separator}{words}" for path in images.paths]
    raw = _left(images.raw + said, str(words)) if len(images.raw) else images.raw
    return replace(images, paths=names, raw=raw)


def _left(rows: Rows, query: str) -> Rows:
    found = unit_rows(rows.astype(np.float32))
    if not found.any(axis=1).all():
        raise SearchError(f"{query}: what is wanted and what is not cancel each other out")
    return found
