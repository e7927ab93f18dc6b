"""Decisions about pairs, as the public API gives them: what was remembered, or taken back."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from dedup.arguments import path_of
from dedup.errors import DedupError
from dedup.images.decode import read_file
from dedup.report.export import Written
from dedup.results import DecidedPair, DecisionsAnswer
from dedup.store.decisions import read_lines, write_lines
from dedup.store.pairs import (
    Decision,
    content_pair,
    forget_decision,
    now,
    read_decisions,
    write_decisions,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from dedup.session import Session
    from dedup.store.catalog import Catalog
    from dedup.store.pairs import ContentPair

    AnyPath = str | os.PathLike[str]

_COLUMNS = ("first", "second", "duplicate", "decided")


class DecisionVerbs:
    """The verbs of a collection that are about what a person decided of pairs."""

    _session: Session

    def ignore(self, *images: AnyPath) -> DecisionsAnswer:
        """Remember that images are not duplicates of each other, by content: two, or every pair.

        Raises
        ------
        ImageError : one of them cannot be read.
        DedupError : two of them have the same bytes.
        """
        catalog = self._session.catalog
        decisions = [Decision(pair, duplicate=False, decided=now()) for pair in _pairs(images)]
        return _changed(catalog, lambda: write_decisions(catalog, decisions))

    def unignore(self, *images: AnyPath) -> DecisionsAnswer:
        """Take back what was decided about images; the answer holds what was taken back."""
        catalog, pairs = self._session.catalog, _pairs(images)

        def forget() -> None:
            for pair in pairs:
                forget_decision(catalog, pair)

        return _changed(catalog, forget)

    def decisions(self) -> DecisionsAnswer:
        """List all decisions, by content."""
        catalog = self._session.catalog
        decisions = read_decisions(catalog)
        return replace(_answer(decisions.values()), notes=catalog.damage)

    def export_decisions(self, output: AnyPath) -> Written:
        """Write all decisions as JSON lines, sorted, so that version control can merge them.

        Raises
        ------
        DedupError : the file cannot be written.
        """
        path, catalog = path_of(output, "output"), self._session.catalog
        decisions = read_decisions(catalog)
        write_lines(decisions.values(), Path(path))
        return Written(path, len(decisions), _COLUMNS, catalog.damage)

    def import_decisions(self, path: AnyPath) -> DecisionsAnswer:
        """Add decisions from JSON lines; of two about one pair the later counts.

        Returns
        -------
        Those that are new here.

        Raises
        ------
        DedupError : the file holds something else, or contradicts itself; the text names the line.
        """
        catalog = self._session.catalog
        decisions = read_lines(Path(path_of(path, "path")))
        return _changed(catalog, lambda: write_decisions(catalog, decisions))


def is_ignored(catalog: Catalog, first: str, second: str) -> bool:
    """Tell whether two images were said to be no duplicates.

    Raises
    ------
    ImageError : one of them cannot be read.
    """
    decision = read_decisions(catalog).get(content_pair(content_of(first), content_of(second)))
    return decision is not None and not decision.duplicate


def _pairs(images: tuple[AnyPath, ...]) -> list[ContentPair]:
    names = [path_of(image, "each of images") for image in images]
    if len(names) < 2:  # noqa: PLR2004 - a pair
        raise ValueError(f"images are two or more, not {len(names)}")
    pairs = []
    for (first, one), (second, two) in combinations(
        [(name, content_of(name)) for name in names], 2
    ):
        if one == two:
            raise DedupError(f"{first} and {second} have the same bytes: nothing to decide")
        pairs.append(content_pair(one, two))
    return pairs


def content_of(path: str) -> bytes:
    """Give the SHA-256 of a file.

    Raises
    ------
    ImageError : it cannot be read.
    """
    return hashlib.sha256(read_file(path)).digest()


def _changed(catalog: Catalog, change: Callable[[], object]) -> DecisionsAnswer:
    before = read_decisions(catalog)
    change()
    after = read_decisions(catalog)
    pairs = sorted(
        pair for pair in before.keys() | after.keys() if before.get(pair) != after.get(pair)
    )
    return _answer(after.get(pair) or before[pair] for pair in pairs)


def _answer(decisions: Iterable[Decision]) -> DecisionsAnswer:
    return DecisionsAnswer(
        tuple(
            DecidedPair(one.pair[0].hex(), one.pair[1].hex(), one.duplicate, one.decided)
            for one in decisions
        )
    )
