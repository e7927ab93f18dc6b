"""What is said to set two images apart that are one photograph."""

from __future__ import annotations

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
