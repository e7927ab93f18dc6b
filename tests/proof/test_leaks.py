"""Light laid over a part of an image, and a thing in another colour, which is no light."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from saved import side

from dedup.edits.catalogue import drawn
from dedup.proof import prove
from dedup.proof.closely import Laid
from dedup.proof.leaks import relit

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]

SHAPE = (400, 560)
ORANGE = (1.0, 0.5, 0.15)


def scene(seed: int) -> Pixels:
    """Draw a scene in muted colours."""
    return np.asarray(0.7 * drawn(*SHAPE, np.random.default_rng(seed)) + 30, np.uint8)


def slope(width: float) -> Floats:
    """Fall from 1 on the left to 0 at a share of the width."""
    x = np.linspace(0, 1, SHAPE[1], dtype=np.float32)
    return np.broadcast_to(np.clip(1 - x / width, 0, 1), SHAPE)[..., None]


def leaked(pixels: Pixels, width: float, strength: float = 0.6) -> Pixels:
    """Lay orange light over the left of an image."""
    light = strength * slope(width) * np.array(ORANGE, np.float32)
    return np.asarray(np.rint(255 - (255 - pixels) * (1 - light)), np.uint8)


def darkened(pixels: Pixels, width: float) -> Pixels:
    """Darken the left of an image."""
    return np.asarray(np.rint(pixels * (1 - 0.7 * slope(width))), np.uint8)


def dyed(pixels: Pixels, turn: int) -> Pixels:
    """Turn the hue of what is in an oval."""
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    inside = np.zeros(SHAPE, np.uint8)
    cv2.ellipse(inside, (200, 200), (130, 150), 20, 0, 360, 1, -1)
    hsv[..., 0] = np.where(inside == 1, (hsv[..., 0].astype(int) + turn) % 180, hsv[..., 0])
    hsv[..., 1] = np.where(inside == 1, np.maximum(hsv[..., 1], 120), hsv[..., 1])
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)


def laid(one: Pixels, two: Pixels) -> Laid:
    return Laid(one, two, np.ones(SHAPE, np.bool_), 1, (100, 100))


@pytest.mark.parametrize("width", [0.35, 0.6])
def test_light_is_laid_over_the_one_without_it(width: float) -> None:
    one = scene(1)
    two = leaked(one, width)
    for pair, on in ((laid(one, two), 2), (laid(two, one), 1)):
        found = relit(pair)
        assert found is not None
        lit, light = found
        assert light.on == on
        assert light.what == "light"
        assert light.share == pytest.approx(width, abs=0.08)
        left = np.abs(lit.one.astype(np.float32) - lit.two)
        assert float(left.mean()) < 1.5


def test_a_dark_gradient_is_light_that_was_taken() -> None:
    one = scene(2)
    found = relit(laid(one, darkened(one, 0.5)))
    assert found is not None
    assert found[1].on == 2


@pytest.mark.parametrize("turn", [25, 60, 100])
def test_a_thing_in_another_colour_is_no_light(turn: int) -> None:
    one = scene(3)
    assert relit(laid(one, dyed(one, turn))) is None


def test_light_over_all_of_it_is_none_of_a_part() -> None:
    one = scene(4)
    assert relit(laid(one, leaked(one, 2.0))) is None


def test_a_leak_is_named() -> None:
    one = scene(5)
    verdict = prove(side(one), side(leaked(one, 0.5, 0.8)))
    assert verdict.near
    assert "light laid over" in verdict.evidence
    assert "without the light" in verdict.backwards
    other = prove(side(one), side(dyed(one, 60)))
    assert not other.near
