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
from dedup.proof.closely import Laid
from dedup.proof.laid_over import LEFT_CHECK, Outlines, outlines
from dedup.proof.one_shot import MAX_LEFT, left_between

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


KINDS: dict[str, Draw] = {"faces": faces, "bars": bars, "bubble": bubble, "inset": inset}


@pytest.mark.parametrize("quality", [85, 92])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_laid_over_a_photograph_is_an_edit(kind: str, quality: int) -> None:
    copy = with_it(KINDS[kind], photograph())
    verdict = prove(side(taken(), quality=CAMERA), side(copy, quality=quality))
    assert verdict.near
    assert not verdict.resaved


def test_an_inset_photograph_is_proven_by_the_noise_around_it() -> None:
    copy = with_it(inset, photograph())
    verdict = prove(side(taken(), quality=CAMERA), side(copy, quality=85))
    check = next(check for check in verdict.checks if check.name == LEFT_CHECK)
    assert check.passed
    assert check.value <= MAX_LEFT
    assert verdict.derived == 2


def test_the_same_in_another_exposure_may_have_come_into_the_scene() -> None:
    other = with_it(inset, exposed(scene(5), 2))
    assert not prove(side(taken(), quality=CAMERA), side(other, quality=85)).near


def came(pixels: Pixels, seed: int, x: int, soft: float = 2.0) -> Pixels:
    """Let a thing come into a picture, as soft at its edge as lenses and blending leave it."""
    mask = np.zeros(pixels.shape[:2], np.float32)
    cv2.ellipse(mask, (x, 300), (70, 130), 0, 0, 360, 1.0, -1)
    share = np.asarray(cv2.GaussianBlur(mask, (0, 0), soft))[..., None]
    return (pixels * (1 - share) + exposed(scene(seed), 7) * share + 0.5).astype(np.uint8)


@pytest.mark.parametrize("x", [180, 400, 560])
def test_what_is_soft_at_its_edge_may_have_come_into_a_still_picture(x: int) -> None:
    after = came(photograph(), 11, x)
    assert left_of(after) <= MAX_LEFT
    found = outlines(laid(photograph(), after))
    assert found is not None
    assert not found.on_one


def test_two_things_on_one_photograph_are_on_both() -> None:
    one, two = with_it(inset, photograph()), with_it(bars, photograph())
    found = outlines(laid(one, two))
    assert found is not None
    assert min(found.one, found.two) > 0.2
    assert not found.on_one
    assert not prove(side(one, quality=92), side(two, quality=90)).near


def test_a_blurred_face_on_one_and_a_drawn_one_on_the_other_are_on_both() -> None:
    blurred = photograph().copy()
    part = blurred[330:520, 60:300]
    part[:] = cv2.GaussianBlur(part, (0, 0), 12)
    found = outlines(laid(with_it(bubble, photograph()), blurred))
    assert found is not None
    assert not found.on_one


def laid(one: Pixels, two: Pixels) -> Laid:
    return Laid(one, two, np.ones(one.shape[:2], np.bool_), 1, (100, 100))


def left_of(copy: Pixels, quality: int = 85) -> float:
    """Give what is left between the camera's file and another."""
    first, second = side(taken(), quality=CAMERA).open(), side(copy, quality=quality).open()
    (height, width), (tall, wide) = first.size, second.size
    x, y = width / wide, height / tall
    placed = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
    return left_between(first, second, placed)


def smaller(pixels: Pixels, factor: float) -> Pixels:
    height, width = pixels.shape[:2]
    size = round(width * factor), round(height * factor)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


@pytest.mark.parametrize("quality", [85, 90, 95])
def test_copies_share_their_noise_and_exposures_do_not(quality: int) -> None:
    assert left_of(with_it(bars, photograph()), quality) <= MAX_LEFT
    assert left_of(exposed(scene(5), 2), quality) > 3 * MAX_LEFT


def test_a_smaller_copy_shares_it_as_well() -> None:
    assert left_of(smaller(photograph(), 0.7)) <= MAX_LEFT
    assert left_of(smaller(exposed(scene(5), 2), 0.7)) > 1.5 * MAX_LEFT


def test_what_has_no_noise_says_nothing_of_exposures() -> None:
    plain = np.full((400, 600, 3), 200, np.uint8)
    cv2.rectangle(plain, (90, 80), (300, 260), (60, 90, 160), -1)
    file = side(plain, quality=90).open()
    assert left_between(file, side(plain, quality=80).open(), np.eye(3)) == float("inf")


def test_a_turned_copy_is_not_asked() -> None:
    turned = np.ascontiguousarray(np.rot90(photograph()))
    first, second = side(photograph()).open(), side(turned).open()
    placed = np.array([[0.0, -1, 759], [1, 0, 0], [0, 0, 1]])
    assert left_between(first, second, placed) == float("inf")


def test_all_that_differs_has_to_be_on_one_image() -> None:
    assert Outlines(one=0.0, two=0.97, sharp=0.9, left=0.0).on_one
    assert not Outlines(one=0.0, two=0.97, sharp=0.5, left=0.0).on_one
    assert not Outlines(one=0.12, two=0.88, sharp=0.9, left=0.0).on_one
    assert not Outlines(one=0.0, two=0.97, sharp=0.9, left=0.01).on_one
