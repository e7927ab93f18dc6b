"""What is said to set two images apart that are one photograph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dedup.edits.catalogue import drawn
from dedup.proof import Features, Verdict, describe
from dedup.proof.wording import Drawn, describe_edits

TONE = np.array((14.0, 2.0, -16.0))


def toned(share: float) -> Features:
    """Draw a scene in one tone, but for a share of its own colours."""
    colours = drawn(240, 320, np.random.default_rng(8)).astype(np.float64)
    light = colours.mean(axis=2, keepdims=True)
    pixels = 60 + light * 0.5 + TONE + share * (colours - light)
    return describe(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (0.02, 0.5, "in colour, which the other lost"),
        (0.5, 0.02, "toned in one colour"),
        (0.02, 0.04, "hardly changed"),
    ],
)
def test_one_tone_is_told_from_colours_alone(first: float, second: float, said: str) -> None:
    verdict = Verdict(
        near=True, evidence="", checks=(), overlap=(1.0, 1.0), transform=np.eye(3), scale=1.0
    )
    words = describe_edits(toned(first), toned(second), verdict, Drawn())
    assert said in words.said(2)


@pytest.mark.parametrize(("light", "made"), [(0, 1), (25, 0)])
def test_something_small_is_no_claim_where_light_was_changed(light: int, made: int) -> None:
    """Light that is lost looks like something small drawn over the other."""
    pixels = drawn(240, 320, np.random.default_rng(9)) * 0.7 + 20
    marked = pixels.copy()
    marked[100:124, 150:174] = 250
    marked[106:118, 156:168] = 5
    one, two = (
        describe(np.clip(each, 0, 255).astype(np.uint8)) for each in (marked, pixels + light)
    )
    verdict = Verdict(
        near=True, evidence="", checks=(), overlap=(1.0, 1.0), transform=np.eye(3), scale=1.0
    )
    words = describe_edits(one, two, verdict, Drawn(0.01, 1))
    assert "something added over 1% of it" in words.said(1)
    assert words.derived == made
    large = describe_edits(one, two, verdict, Drawn(0.05, 1))
    assert large.derived == 1


SEEN = Verdict(near=True, evidence="", checks=(), overlap=(1.0, 1.0), transform=np.eye(3))


def test_a_faint_tone_is_none_that_was_lost() -> None:
    """Compression leaves as much colour beside it as a tenth of the tone, or more."""
    rng = np.random.default_rng(12)
    light = drawn(240, 320, rng).astype(np.float64).mean(axis=2, keepdims=True)
    blotches = np.kron(rng.normal(0, 1.2, (30, 40, 3)), np.ones((8, 8, 1)))
    tinted = 40 + light * 0.7 + TONE * 0.3 + blotches
    one, two = (
        describe(np.clip(np.rint(each), 0, 255).astype(np.uint8))
        for each in (np.repeat(40 + light * 0.7, 3, axis=2), tinted)
    )
    words = describe_edits(one, two, SEEN, Drawn())
    assert "toned in one colour" in words.said(2)
    assert words.derived == 2


@pytest.mark.parametrize(
    ("told", "sharper", "softer"),
    [
        (0, "sharper than the other", "blurred"),
        (1, "sharper than the other", "less sharp than the other"),
        (2, "sharper than the other", "blurred"),
    ],
)
def test_nothing_is_said_of_an_image_from_which_the_other_was_made(
    told: int, sharper: str, softer: str
) -> None:
    pixels = drawn(240, 320, np.random.default_rng(13))
    marked = pixels.copy()
    marked[100:124, 150:174] = 250
    marked[106:118, 156:168] = 5
    one, two = describe(pixels), describe(marked)
    words = describe_edits(one, one, replace(SEEN, softer=2), Drawn(), lambda _: told)
    assert words.said(1) == sharper
    assert words.said(2) == softer
    words = describe_edits(one, two, SEEN, Drawn(0.01, 2), lambda _: told)
    assert ("added over 1% of one or both" in words.said(2)) == (told == 1)
