"""What is said to set two images apart that are one photograph."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from saved import as_file, side, side_of

from dedup.edits.catalogue import drawn
from dedup.proof import Features, Verdict, describe, prove
from dedup.proof.drawn import Drawn
from dedup.proof.wording import describe_edits

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


def found(
    one: npt.NDArray[np.uint8], two: npt.NDArray[np.uint8], quality: int | None = 92
) -> Verdict:
    return prove(side(one, quality=92), side_of(as_file(Image.fromarray(two), quality)))


def scene(seed: int) -> npt.NDArray[np.uint8]:
    return np.asarray(drawn(480, 640, np.random.default_rng(seed)), np.uint8)


def test_what_is_cut_out_is_named_and_neither_recoloured_nor_drawn_over() -> None:
    pixels = scene(21)
    thing = cv2.ellipse(np.zeros((480, 640), np.uint8), (320, 240), (315, 235), 0, 0, 360, 255, -1)
    clear = found(pixels, np.dstack([pixels, thing]), None)
    assert clear.evidence == "background cut away, 24% of it transparent"
    assert (clear.near, clear.derived) == (True, 2)
    white = found(pixels, np.where(thing[..., None] > 0, pixels, np.uint8(255)))
    assert white.evidence.startswith("background made plain over 2")
    assert white.derived == 2


@pytest.mark.parametrize("level", [0, 255])
def test_a_thin_caption_and_a_slight_crop_are_named(level: int) -> None:
    pixels = scene(23)
    bar = np.full((11, 640, 3), level, np.uint8)
    cv2.putText(bar, "at the lake", (9, 9), 0, 0.35, (255 - level,) * 3, 1, cv2.LINE_AA)
    verdict = found(pixels, np.vstack([pixels, bar]))
    assert verdict.evidence == "caption or frame added at the bottom"
    assert verdict.derived == 2
    assert found(pixels, pixels[:468]).evidence == "cropped to 98%"


def test_a_slight_blur_is_named() -> None:
    pixels = scene(24)
    verdict = found(pixels, np.asarray(cv2.GaussianBlur(pixels, (0, 0), 0.7), np.uint8))
    assert verdict.evidence == "slightly less sharp than the other"
