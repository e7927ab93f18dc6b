"""What facts make of a pair, and in which words."""

from __future__ import annotations

import itertools

import pytest

from dedup.duplicates.tiers import ImageFile, PairFacts, decide, evidence, missing, reaches
from dedup.proof import Check, Verdict
from dedup.results import Tier
from dedup.store.pairs import StoredVerdict

RESAVED = StoredVerdict(Tier.RESAVED, "", "")
NEAR = StoredVerdict(Tier.NEAR, "cropped to 80%", "shows more")
REFUTED = StoredVerdict(None, "the textures differ", "the textures differ")
JPEG = ImageFile("JPEG", 400, 300, 1000)


@pytest.mark.parametrize(
    ("facts", "tier"),
    [
        (PairFacts(), None),
        (PairFacts(same_bytes=True), Tier.EXACT),
        (PairFacts(same_pixels=True), Tier.PIXELS),
        (PairFacts(verdict=RESAVED), Tier.RESAVED),
        (PairFacts(verdict=RESAVED, alike=True, trivial=True), None),
        (PairFacts(verdict=NEAR), Tier.NEAR),
        (PairFacts(verdict=REFUTED), None),
        (PairFacts(alike=True), Tier.SIMILAR),
        (PairFacts(verdict=REFUTED, alike=True), Tier.SIMILAR),
        (PairFacts(same_bytes=True, same_pixels=True, verdict=NEAR, alike=True), Tier.EXACT),
        (PairFacts(same_pixels=True, verdict=NEAR, alike=True), Tier.PIXELS),
        (PairFacts(verdict=NEAR, alike=True), Tier.NEAR),
        (PairFacts(verdict=NEAR, alike=True, trivial=True), None),
        (PairFacts(same_pixels=True, alike=True, trivial=True), Tier.PIXELS),
        (PairFacts(same_bytes=True, trivial=True), Tier.EXACT),
        (PairFacts(same_pixels=True, verdict=NEAR, alike=True, ignored=True), None),
    ],
)
def test_a_pair_has_the_surest_tier_that_its_facts_prove(
    facts: PairFacts, tier: Tier | None
) -> None:
    assert decide(facts) is tier


def test_a_pair_never_counts_in_a_looser_tier_than_its_own() -> None:
    facts = PairFacts(same_pixels=True, verdict=NEAR, alike=True)
    for count in range(len(Tier) + 1):
        for tiers in itertools.combinations(Tier, count):
            expected = Tier.PIXELS if Tier.PIXELS in tiers else None
            assert decide(facts, frozenset(tiers)) is expected


@pytest.mark.parametrize(("similarity", "threshold"), [(0.8, 0.8), (0.7999996, 0.8), (-1.0, -1.0)])
def test_a_threshold_is_inclusive(similarity: float, threshold: float) -> None:
    assert reaches(similarity, threshold)


def test_a_millionth_below_is_below() -> None:
    assert not reaches(0.799999, 0.8)


@pytest.mark.parametrize(
    ("tier", "verdict", "other", "words"),
    [
        (Tier.EXACT, None, JPEG, "same bytes"),
        (Tier.PIXELS, None, JPEG, "same pixels, other compression or metadata"),
        (Tier.PIXELS, None, JPEG._replace(format="PNG"), "same pixels, PNG instead of JPEG"),
        (
            Tier.NEAR,
            NEAR,
            JPEG._replace(bytes=250),
            "cropped to 80%, re-encoded, 25% of the file size",
        ),
        (Tier.NEAR, NEAR, JPEG._replace(bytes=None), "cropped to 80%"),
        (
            Tier.NEAR,
            NEAR,
            JPEG._replace(width=200, height=150),
            "cropped to 80%, 200×150 instead of 400×300",
        ),
        (
            Tier.NEAR,
            NEAR,
            ImageFile("WEBP", 200, 150, 100),
            "cropped to 80%, 200×150 instead of 400×300, WEBP instead of JPEG",
        ),
        (Tier.SIMILAR, None, JPEG, "looks alike, not proven, same size"),
        (
            Tier.SIMILAR,
            REFUTED,
            ImageFile("PNG", 40, 30, 9),
            "looks alike, but the textures differ, 40×30 instead of 400×300, PNG instead of JPEG",
        ),
        (None, REFUTED, JPEG, "the textures differ"),
    ],
)
def test_each_tier_has_its_words(
    tier: Tier | None, verdict: StoredVerdict | None, other: ImageFile, words: str
) -> None:
    assert evidence(tier, PairFacts(verdict=verdict), JPEG, other) == words


FEW = Check("local features that agree", 3, 7, passed=False)
MANY = Check("share of changed content", 0.31234, 0.2, passed=False)
FINE = Check("median local correlation", 0.9, 0.7, passed=True)


@pytest.mark.parametrize(
    ("tier", "checks", "words"),
    [
        (Tier.EXACT, (), ""),
        (Tier.PIXELS, (), "exact: the two files would have to have the same bytes"),
        (
            Tier.RESAVED,
            (FINE,),
            "pixels: the two images would have to have the same size and pixels",
        ),
        (
            Tier.SIMILAR,
            (FEW,),
            "near: local features that agree would have to be at least 7, and is 3",
        ),
        (
            None,
            (FINE, MANY),
            "near: share of changed content would have to be at most 0.2, and is 0.312",
        ),
        (None, (), "near: too small to prove anything"),
    ],
)
def test_what_is_missing_for_a_surer_tier_is_the_first_failed_check(
    tier: Tier | None, checks: tuple[Check, ...], words: str
) -> None:
    verdict = Verdict(near=False, evidence="too small to prove anything", checks=checks)
    assert missing(tier, verdict) == words
