"""Corners that were rounded, and what stands in corners but is no such corner."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from saved import side

from dedup.edits.catalogue import drawn
from dedup.proof import prove
from dedup.proof.closely import Laid
from dedup.proof.rounded import rounded

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Colour = tuple[int, int, int]

WHITE, BLACK, BLUE = (255, 255, 255), (0, 0, 0), (30, 60, 160)
SHAPE = (600, 440)


def page(number: int = 1) -> Pixels:
    """Write lines on light blue paper."""
    made = np.full((*SHAPE, 3), (225, 235, 250), np.uint8)
    for line in range(15):
        text = f"{number * 7919 + line * 104729} of no. {line * 31 + number}"
        place = (60, 60 + 34 * line)
        cv2.putText(made, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.8, (20, 20, 20), 2, cv2.LINE_AA)
    return made


def cut(pixels: Pixels, colour: Colour, radius: int) -> Pixels:
    """Round the corners."""
    height, width = pixels.shape[:2]
    kept = np.zeros((height, width), np.uint8)
    kept[radius:-radius], kept[:, radius:-radius] = 255, 255
    for x in (radius, width - 1 - radius):
        for y in (radius, height - 1 - radius):
            cv2.circle(kept, (x, y), radius, 255, -1, cv2.LINE_AA)
    share = kept[..., None].astype(np.float32) / 255
    return np.asarray(np.rint(pixels * share + (1 - share) * np.array(colour)), np.uint8)


def squares(pixels: Pixels, colour: Colour, size: int) -> Pixels:
    """Fill a square in every corner."""
    made = pixels.copy()
    for down in (slice(None, size), slice(-size, None)):
        for across in (slice(None, size), slice(-size, None)):
            made[down, across] = colour
    return made


def laid(one: Pixels, two: Pixels) -> Laid:
    inside = np.zeros(SHAPE, np.bool_)
    inside[4:-4, 4:-4] = True
    return Laid(one, two, inside, 1, (100, 100))


@pytest.mark.parametrize("radius", [30, 70])
@pytest.mark.parametrize("colour", [WHITE, BLACK, BLUE])
def test_rounded_corners_are_found_on_their_image(radius: int, colour: Colour) -> None:
    one, two = page(), cut(page(), colour, radius)
    for pair, on in ((laid(one, two), 2), (laid(two, one), 1)):
        found = rounded(pair, page=True)
        assert found is not None
        assert found.on == on
        assert float(found.mask.mean()) < 0.1


def test_other_things_in_corners_are_not() -> None:
    one = page()
    ribbon = one.copy()
    cv2.fillPoly(ribbon, [np.array([(0, 0), (120, 0), (0, 120)])], BLUE)
    for other in (squares(one, BLACK, 50), ribbon, page(2)):
        assert rounded(laid(one, other), page=True) is None


def test_a_page_with_round_corners_is_that_page_and_no_other() -> None:
    verdict = prove(side(page(), quality=95), side(cut(page(), BLACK, 50), quality=90))
    assert verdict.near
    assert "corners rounded" in verdict.evidence
    assert not prove(side(page(), quality=95), side(cut(page(2), BLACK, 50), quality=90)).near
    one_figure = page()
    one_figure[250:280, 60:110] = page(2)[250:280, 60:110]
    assert not prove(side(one_figure, quality=95), side(cut(page(), BLACK, 50), quality=90)).near


def test_a_photograph_of_which_two_corners_have_the_colour_already() -> None:
    scene = np.array(drawn(*SHAPE, np.random.default_rng(7)))
    scene[:150] = scene[:150] // 8
    found = rounded(laid(scene, cut(scene, BLACK, 60)), page=False)
    assert found is not None
    assert found.on == 2
