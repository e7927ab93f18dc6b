"""A group under another keeper: what is proven directly against that one, and what is not.

A group's own keeper was compared with every member, another member was not. What is known of the
pair counts; what is not known is proven now, on the two files.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from dedup.duplicates.explain import explain
from dedup.duplicates.tiers import ImageFile, PairFacts, decide, evidence, reclaimable
from dedup.errors import DedupError, ImageError
from dedup.proof import VERIFIER
from dedup.results import Duplicate, Tier
from dedup.search.similarity import pair_similarities
from dedup.store.acted import contents_by_path
from dedup.store.pairs import content_pair, read_decisions, read_verdict, write_verdicts

if TYPE_CHECKING:
    from dedup.answer import Progress
    from dedup.results import Group
    from dedup.space.space import Space
    from dedup.store.acted import Content
    from dedup.store.catalog import Catalog
    from dedup.store.pairs import StoredVerdict

CHOSEN: Final = "chosen"
"""Why the keeper of such a group stays, in words."""

_MADE_FROM: Final = 1  # of `StoredVerdict.derived`: the first was made from the second


def kept_instead(
    catalog: Catalog, space: Space, group: Group, keeper: str, report: Progress
) -> Group:
    """Give a group with another of its files as keeper.

    Returns
    -------
    With the members that are proven against that keeper; the others are left out.

    Raises
    ------
    DedupError : the file is none of the group, is not indexed any more, or nothing is proven
        against it.
    """
    known = contents_by_path(catalog, {os.fsencode(path) for path in group.paths})
    kept = known.get(os.fsencode(keeper))
    if keeper not in group.paths or kept is None:
        raise DedupError(f"{keeper}: is not in the group any more; list the groups again")
    pairs = _Pairs(catalog, keeper, kept)
    found = []
    for done, path in enumerate(group.paths, 1):
        other = known.get(os.fsencode(path))
        if path != keeper and other is not None:
            found += [one] if (one := pairs.duplicate(path, other)) else []
        report("Comparing with the keeper", done, len(group.paths))
    if not found:
        raise DedupError(f"{keeper}: no other file of the group is proven against it")
    rows = [kept.image, *(known[os.fsencode(one.path)].image for one in found)]
    duplicates = tuple(
        replace(one, similarity=1.0 if one.tier in (Tier.EXACT, Tier.PIXELS) else similarity)
        for one, similarity in zip(found, _similarities(catalog, space, rows), strict=True)
    )
    return replace(
        group,
        keeper=keeper,
        duplicates=duplicates,
        tier=max((one.tier for one in duplicates), key=lambda tier: tier.looseness),
        reclaimable_bytes=reclaimable(duplicates),
        kept_because=CHOSEN,
    )


class _Pairs:
    """What is known, or found out now, of a keeper and other files."""

    def __init__(self, catalog: Catalog, keeper: str, kept: Content) -> None:
        self._catalog = catalog
        self._keeper, self._kept = keeper, kept
        self._decisions = read_decisions(catalog)
        self._trivial = catalog.image_facts(kept.image).trivial

    def duplicate(self, path: str, other: Content) -> Duplicate | None:
        """Give the other file as a duplicate of the keeper; None where that is not proven."""
        pair = content_pair(self._kept.digest, other.digest)
        decision = self._decisions.get(pair)
        if decision is not None and not decision.duplicate:
            return None
        verdict = read_verdict(self._catalog, VERIFIER, pair)
        if self._kept.digest == other.digest:
            facts = PairFacts(same_bytes=True)
        elif verdict is not None:
            if pair[0] != self._kept.digest:
                verdict = verdict.turned()
            trivial = self._trivial or self._catalog.image_facts(other.image).trivial
            facts = PairFacts(verdict=verdict, trivial=trivial)
        else:
            return self._proven(path, other)
        tier = decide(facts)
        if tier is None:
            return None
        words = evidence(tier, facts, _image_file(self._kept), _image_file(other))
        return _duplicate(path, other, tier, words, facts.verdict)

    def _proven(self, path: str, other: Content) -> Duplicate | None:
        """Prove a pair that was not compared before."""
        stored: list[StoredVerdict] = []

        def keep(first: bytes, second: bytes, verdict: StoredVerdict) -> None:
            if (first, second) == (self._kept.digest, other.digest):  # as they were indexed
                stored.append(verdict)
                pair = content_pair(first, second)
                turned = verdict if pair[0] == first else verdict.turned()
                write_verdicts(self._catalog, VERIFIER, {pair: turned})

        try:
            found = explain(self._keeper, path, None, None, keep=keep)
        except ImageError:
            return None
        if found.tier is None or (found.tier not in (Tier.EXACT, Tier.PIXELS) and not stored):
            return None
        return _duplicate(path, other, found.tier, found.evidence, stored[0] if stored else None)


def _duplicate(
    path: str, other: Content, tier: Tier, words: str, verdict: StoredVerdict | None
) -> Duplicate:
    original = verdict is not None and verdict.derived == _MADE_FROM
    return Duplicate(path, tier, 0.0, other.size, words, is_original=original)


def _image_file(content: Content) -> ImageFile:
    return ImageFile(content.format, content.width, content.height, content.size)


def _similarities(catalog: Catalog, space: Space, images: list[int]) -> list[float]:
    """Compare the first of some images with each of the others."""
    ids = np.array(sorted(set(images)), np.int64)
    vectors = space.vectors(space.rows_of(catalog, ids))
    rows = np.searchsorted(ids, images)
    first = np.full(len(rows) - 1, rows[0])
    return [float(one) for one in pair_similarities(vectors, vectors, first, rows[1:])]
