"""Things laid over a photograph, and things that came into the scene, on files drawn by code."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from saved import side

from dedup.edits.catalogue import drawn
from dedup.proof import prove

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Draw = Callable[[Pixels], None]

CAMERA = 92
FINE = 16, 4  # of the coordinates that OpenCV draws at, and as its shift


@cache
def scene(seed: int) -> Pixels:
    """Draw a scene as a lens shows it, without noise."""
    pixels = drawn(560, 760, np.random.default_rng(seed))
    muted = 0.4 * pixels + 0.6 * pixels.mean(axis=2, keepdims=True)
    return np.asarray(cv2.GaussianBlur(muted, (0, 0), 1.0), np.uint8)


def exposed(pixels: Pixels, moment: int, noise: float = 2.0) -> Pixels:
    """Add the noise of one exposure."""
    grain = np.random.default_rng(moment).normal(0, noise, pixels.shape)
    return np.clip(pixels + grain + 0.5, 0, 255).astype(np.uint8)


@cache
def taken() -> Pixels:
    """Give what the camera saved, at `CAMERA`."""
    return exposed(scene(5), 1)


@cache
def photograph() -> Pixels:
    """Give the pixels of the camera's file, of which copies are made."""
    file = side(taken(), quality=CAMERA).open()
    pixels = file.pixels(*file.size)
    pixels.setflags(write=False)
    return pixels


def disc(pixels: Pixels, x: int, y: int, radius: int, colour: tuple[int, int, int]) -> None:
    times, shift = FINE
    cv2.circle(pixels, (x * times, y * times), radius * times, colour, -1, cv2.LINE_AA, shift)


def faces(pixels: Pixels) -> None:
    for x, y in ((180, 200), (420, 150), (560, 400)):
        disc(pixels, x, y, 60, (255, 210, 70))
        disc(pixels, x - 22, y - 15, 9, (70, 45, 20))
        disc(pixels, x + 22, y - 15, 9, (70, 45, 20))
        cv2.ellipse(pixels, (x, y + 12), (30, 22), 0, 0, 180, (150, 30, 30), -1, cv2.LINE_AA)


def bars(pixels: Pixels) -> None:
    cv2.rectangle(pixels, (150, 180), (330, 225), (0, 0, 0), -1)
    cv2.rectangle(pixels, (430, 330), (640, 380), (0, 0, 0), -1)


def bubble(pixels: Pixels) -> None:
    cv2.ellipse(pixels, (380, 200), (150, 80), 0, 0, 360, (255, 255, 255), -1, cv2.LINE_AA)
    cv2.ellipse(pixels, (380, 200), (150, 80), 0, 0, 360, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(pixels, "on that", (290, 215), 0, 1.4, (0, 0, 0), 3, cv2.LINE_AA)


def inset(pixels: Pixels) -> None:
    mask = np.zeros(pixels.shape[:2], np.uint8)
    disc(mask, 520, 220, 95, (255, 0, 0))
    share = mask[..., None] / np.float32(255)
    pixels[:] = (pixels * (1 - share) + exposed(scene(11), 7) * share + 0.5).astype(np.uint8)
    cv2.circle(pixels, (520, 220), 95, (255, 255, 255), 4, cv2.LINE_AA)


def with_it(draw: Draw, pixels: Pixels) -> Pixels:
    copy = pixels.copy()
    draw(copy)
    return copy


KINDS: dict[str, Draw] = {"faces": faces, "bars": bars, "bubble": bubble}


@pytest.mark.parametrize("quality", [85, 92])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_laid_over_a_photograph_is_an_edit(kind: str, quality: int) -> None:
    copy = with_it(KINDS[kind], photograph())
    verdict = prove(side(taken(), quality=CAMERA), side(copy, quality=quality))
    assert verdict.near
    assert not verdict.resaved


def test_the_same_in_another_exposure_may_have_come_into_the_scene() -> None:
    other = with_it(inset, exposed(scene(5), 2))
    assert not prove(side(taken(), quality=CAMERA), side(other, quality=85)).near


def test_two_things_on_one_photograph_are_on_both() -> None:
    one, two = with_it(inset, photograph()), with_it(bars, photograph())
    assert not prove(side(one, quality=92), side(two, quality=90)).near
