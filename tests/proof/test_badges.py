"""Two badges at one place on one photograph, and what only looks so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from saved import side

from dedup.edits.catalogue import drawn
from dedup.proof import prove
from dedup.proof.badges import badges

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

CYAN, LIME, DARK = (0, 180, 220), (170, 255, 140), (50, 30, 45)


def scene(seed: int) -> Pixels:
    """Draw a scene in muted colours."""
    return np.asarray(0.6 * drawn(480, 640, np.random.default_rng(seed)) + 40, np.uint8)


def badged(
    pixels: Pixels, colour: tuple[int, int, int], words: str, *, square: bool = False
) -> Pixels:
    """Put a badge in the corner of an image."""
    made = pixels.copy()
    if square:
        cv2.rectangle(made, (540, 20), (620, 100), colour, -1)
    else:
        cv2.circle(made, (580, 60), 40, colour, -1, cv2.LINE_AA)
    cv2.putText(
        made, words, (553, 72), cv2.FONT_HERSHEY_DUPLEX, 1.2, (255, 255, 255), 3, cv2.LINE_AA
    )
    return made


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("colour", "square"), [(LIME, False), (DARK, True)])
def test_one_photograph_with_two_badges_is_not_one_image(
    seed: int,
    colour: tuple[int, int, int],
    square: bool,  # noqa: FBT001
) -> None:
    image = scene(seed)
    one, two = badged(image, CYAN, "K6"), badged(image, colour, "H6", square=square)
    assert not prove(side(one, quality=92), side(two, quality=85)).near


def test_a_badge_on_one_of_two_is_an_edit() -> None:
    image = scene(1)
    verdict = prove(side(image, quality=92), side(badged(image, CYAN, "K6"), quality=85))
    assert (verdict.near, verdict.resaved) == (True, False)


def test_two_badges_are_told_and_one_thing_in_two_lights_is_not() -> None:
    image, places = scene(3), np.ones((480, 640), np.bool_)
    assert badges(badged(image, CYAN, ""), badged(image, LIME, ""), places) == 1
    assert badges(badged(image, CYAN, ""), image, places) == 0
    pale, paler = badged(image, (214, 211, 214), ""), badged(image, (248, 244, 243), "")
    assert badges(pale, paler, places) == 0
