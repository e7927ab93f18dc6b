"""Decisions about pairs, as the public API gives them: what was remembered, or taken back."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

from dedup.arguments import path_of
from dedup.report.decisions import Decisions
from dedup.report.export import Written
from dedup.results import DecidedPair, DecisionsAnswer
from dedup.store.pairs import read_decisions

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from dedup.store.catalog import Catalog
    from dedup.store.pairs import Decision

    Images = tuple[str | os.PathLike[str], ...]

_COLUMNS = ("first", "second", "duplicate", "decided")


def ignore(catalog: Catalog, images: Images) -> DecisionsAnswer:
    """Remember that no two of some images are duplicates."""
    return _changed(catalog, lambda decisions: _each(decisions.refuse, _pairs(images)))


def unignore(catalog: Catalog, images: Images) -> DecisionsAnswer:
    """Take back what was decided about any two of some images."""
    return _changed(catalog, lambda decisions: _each(decisions.forget, _pairs(images)))


def list_decisions(catalog: Catalog) -> DecisionsAnswer:
    """List all decisions, by content."""
    return _answer(read_decisions(catalog).values())


def export_to(catalog: Catalog, output: Any) -> Written:
    """Write all decisions as JSON lines."""
    path = path_of(output, "output")
    return Written(path, Decisions(catalog).export_to(path), _COLUMNS)


def import_from(catalog: Catalog, path: Any) -> DecisionsAnswer:
    """Add decisions from JSON lines; gives those that changed something."""
    name = path_of(path, "path")
    return _changed(catalog, lambda decisions: decisions.import_from(name))


def _pairs(images: Images) -> list[tuple[str, str]]:
    names = [path_of(image, "each of images") for image in images]
    if len(names) < 2:  # noqa: PLR2004 - a pair
        raise ValueError(f"images are two or more, not {len(names)}")
    return list(combinations(names, 2))


def _each(decide: Callable[[str, str], object], pairs: list[tuple[str, str]]) -> None:
    for first, second in pairs:
        decide(first, second)


def _changed(catalog: Catalog, decide: Callable[[Decisions], object]) -> DecisionsAnswer:
    before = read_decisions(catalog)
    decide(Decisions(catalog))
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
