"""Keeping a collection fresh while its folders change."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from dedup.arguments import paths_of, tiers_of
from dedup.errors import LockedError
from dedup.indexing.watch import bursts
from dedup.results import IndexSummary, Match, WatchAnswer
from dedup.store.arrivals import arrived, live_files
from dedup.verbs.pairs import compare_new
from dedup.verbs.search import index

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dedup.results import Tier
    from dedup.session import Session

_FIRST = (
    "These are the first images of the collection; to see the duplicates among them: dedup list"
)


def watch(session: Session, paths: Any, tier: Any) -> Iterator[WatchAnswer]:
    """Look at folders, and again after each burst of events; check the arguments at once."""
    folders, tiers = paths_of(paths, "paths"), tiers_of(tier)
    session.computing()
    return _watch(session, folders, tiers)


def _watch(session: Session, paths: list[str], tiers: frozenset[Tier]) -> Iterator[WatchAnswer]:
    roots = [os.fsdecode(root.path) for root in session.catalog.roots()]
    watched = [os.path.realpath(path) for path in paths] or roots
    store = os.path.realpath(session.path)
    pending = True
    for due in bursts(watched, store):
        pending |= due
        if not pending:
            continue
        before = live_files(session.catalog)
        try:
            summary = index(session, paths, None)
        except LockedError:  # another run is indexing or acting: what it leaves is looked at then
            continue
        pending = False
        yield _answer(session, summary, tiers, arrived(session.catalog, before), first=not before)


def _answer(
    session: Session, summary: IndexSummary, tiers: frozenset[Tier], new: list[str], *, first: bool
) -> WatchAnswer:
    """Compare new files with all others.

    Parts are left to `dedup list`: they would have to be sorted anew after each burst.
    """
    if first or not new:
        return WatchAnswer((), summary, (_FIRST,) if first and new else ())
    found = compare_new(session, new, None, tiers, None, None, parts=False)
    return WatchAnswer(tuple(_once(found)), summary, found.notes)


def _once(matches: Iterable[Match]) -> Iterator[Match]:
    """Leave out the second of two new files that are each other's match."""
    said: set[tuple[str, str]] = set()
    for match in matches:
        if (match.match, match.path) not in said:
            said.add((match.path, match.match))
            yield match
