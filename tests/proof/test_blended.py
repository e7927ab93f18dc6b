"""Soft spots that came into an image, as on radiographs, and what only looks so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from saved import side

from dedup.edits.catalogue import drawn
from dedup.proof import prove
from dedup.proof.blended import blended_in
from dedup.proof.closely import Laid

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]

SHAPE = (600, 520)


def film(seed: int) -> Floats:
    """Draw ribs and soft tissue."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]].astype(np.float32)
    levels = 150 - 90 * np.exp(
        -((((np.abs(x - 260) - 110) / 95) ** 2 + ((y - 290) / 210) ** 2) ** 2)
    )
    for rib in range(9):
        bent = y - 90 - rib * 45 - rng.normal(0, 4) - 0.0014 * (np.abs(x - 260) - 30) ** 2
        levels += 24 * np.exp(-((bent / 7) ** 2))
    rough = cv2.GaussianBlur(rng.normal(0, 1, SHAPE).astype(np.float32), (0, 0), 4)
    return np.asarray(levels + rough / rough.std() * 4, np.float32)


def spotted(levels: Floats, x: int, y: int, *, wide: float = 14, light: float = 34) -> Floats:
    """Lay a soft spot over a film."""
    down, across = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]].astype(np.float32)
    far = (across - x) ** 2 + (down - y) ** 2
    return np.asarray(levels + light * np.exp(-far / wide**2), np.float32)


def taken(levels: Floats, seed: int) -> Pixels:
    """Add the noise of an exposure."""
    noise = np.random.default_rng(seed).normal(0, 2, SHAPE)
    return np.repeat(np.clip(levels + noise, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def laid(one: Pixels, two: Pixels) -> Laid:
    return Laid(one, two, np.ones(one.shape[:2], np.bool_), 1, (100, 100))


@pytest.mark.parametrize("light", [34, -40])
@pytest.mark.parametrize("wide", [14, 22])
def test_a_radiograph_with_a_soft_spot_is_another(light: float, wide: float) -> None:
    plain = film(1)
    spot = spotted(plain, 150, 300, wide=wide, light=light)
    assert not prove(side(taken(plain, 1), quality=90), side(taken(spot, 2), quality=85)).near


def test_spots_at_two_places_make_two_radiographs() -> None:
    one, two = (spotted(film(2), x, y) for x, y in ((150, 250), (370, 330)))
    assert not prove(side(taken(one, 1), quality=90), side(taken(two, 1), quality=90)).near


def test_what_is_blurred_or_has_an_outline_is_no_soft_spot() -> None:
    image = drawn(480, 640, np.random.default_rng(4))
    assert not blended_in(laid(image, image))
    blurred = image.copy()
    blurred[150:300, 200:400] = cv2.GaussianBlur(image, (0, 0), 9)[150:300, 200:400]
    assert not blended_in(laid(image, blurred))
    stamped = image.copy()
    cv2.circle(stamped, (320, 240), 45, (230, 40, 50), -1, cv2.LINE_AA)
    assert not blended_in(laid(image, stamped))
    lighter = np.asarray(255 * (image / 255) ** 0.8, np.uint8)
    assert not blended_in(laid(image, lighter))
