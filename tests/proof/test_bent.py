"""Another shot of the same things lies bent in the first; a copy does not."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from dedup.edits.catalogue import drawn, edit
from dedup.images.decode import decode_bounded
from dedup.images.encode import as_jpeg
from dedup.proof import WORKING_SIDE, Original, Side, Verdict, describe, prove
from dedup.proof.bent import MAX_BEND, bend_of, bent, right_angled
from dedup.proof.verdict import Check
from dedup.proof.verify import ELSEWHERE, SHIFT_CHECK

if TYPE_CHECKING:
    import numpy.typing as npt

    Image = npt.NDArray[np.uint8]

SHAPE = (144, 192)
RIGHT_ANGLED = {
    "turned": [[0.8, -0.6, 5], [0.6, 0.8, -9], [0, 0, 1]],
    "stretched": [[0.5, 0, 3], [0, 0.8, 1], [0, 0, 1]],
    "mirrored": [[-1, 0, 191], [0, 1, 0], [0, 0, 1]],
    "stretched, then turned": [[0.4, -0.48, 0], [0.3, 0.64, 0], [0, 0, 1]],
    "turned, then stretched": [[0.4, -0.3, 0], [0.48, 0.64, 0], [0, 0, 1]],
}


def proven(first: Image, second: Image) -> Verdict:
    def side(pixels: Image) -> Side:
        small = np.asarray(cv2.resize(pixels, SHAPE[::-1], interpolation=cv2.INTER_AREA), np.uint8)
        data = as_jpeg(small, 90)
        original = Original(data)
        return Side(describe(decode_bounded(data, WORKING_SIDE)), lambda: original)

    return prove(side(first), side(second))


def another_shot(pixels: Image, depth: float, rng: np.random.Generator) -> Image:
    """Move near things against far ones, by some `depth` pixels, and turn the camera a little."""
    height, width = pixels.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    across, down = (
        cv2.resize(
            rng.normal(0, depth, (4, 5)).astype(np.float32),
            (width, height),
            interpolation=cv2.INTER_CUBIC,
        )
        for _ in range(2)
    )
    moved = cv2.remap(pixels, x + across, y + down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return edit("perspective", 0.03, np.asarray(moved, np.uint8), rng)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("depth", [0.5, 1.0])
def test_a_small_image_of_another_shot_is_no_copy(seed: int, depth: float) -> None:
    scene = drawn(480, 640, np.random.default_rng(seed))
    shot = another_shot(scene, depth, np.random.default_rng(seed + 9))
    for verdict in (proven(scene, shot), proven(shot, scene)):
        assert not verdict.near
        assert verdict.evidence == ELSEWHERE
        assert verdict.checks[-1].name == "bend of the placing, in pixels"
        assert not verdict.checks[-1].passed
        assert verdict.checks[-1].value > MAX_BEND


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_copy_in_perspective_is_one(seed: int) -> None:
    scene = drawn(480, 640, np.random.default_rng(seed))
    assert proven(scene, another_shot(scene, 0, np.random.default_rng(seed + 9))).near


@pytest.mark.parametrize("name", RIGHT_ANGLED)
def test_what_keeps_right_angles_does_not_bend(name: str) -> None:
    assert bend_of(np.array(RIGHT_ANGLED[name], np.float64), SHAPE) < 1e-9


def test_a_bend_is_measured_in_pixels_of_the_first() -> None:
    sheared = np.array([[1, 0.1, 0], [0.1, 1, 0], [0, 0, 1]], np.float64)
    assert 4 < bend_of(sheared, SHAPE) < 12
    larger = (2 * SHAPE[0], 2 * SHAPE[1])
    assert bend_of(sheared, SHAPE) == pytest.approx(bend_of(sheared, larger) / 2, rel=0.01)
    tilted = np.array([[1, 0, 0], [0, 1, 0], [5e-4, 0, 1]], np.float64)
    assert bend_of(tilted, SHAPE) > 1


def test_the_nearest_right_angled_placing_does_not_bend() -> None:
    tilted = np.array([[0.9, 0.05, 4], [-0.02, 1.1, -3], [2e-4, 1e-4, 1]])
    upright = right_angled(tilted, SHAPE)
    assert bend_of(tilted, SHAPE) > 1
    assert bend_of(upright, SHAPE) < 1e-9
    exact = np.array(RIGHT_ANGLED["stretched"], np.float64)
    np.testing.assert_allclose(right_angled(exact, SHAPE), exact, atol=1e-9)


def test_a_bend_that_fits_no_better_is_noise() -> None:
    scene = cv2.resize(drawn(480, 640, np.random.default_rng(4)), SHAPE[::-1])
    placed = np.array([[1, 0, 0.2], [0, 1, -0.1], [1e-4, 4e-5, 1]])
    moved = cv2.warpPerspective(scene, np.linalg.inv(placed), SHAPE[::-1], flags=cv2.INTER_CUBIC)
    verdict = Verdict(near=True, evidence="", checks=(), transform=placed)
    blurred = cv2.GaussianBlur(scene, (0, 0), 6)
    one, two, soft = (describe(np.asarray(each, np.uint8)) for each in (scene, moved, blurred))
    assert bend_of(placed, SHAPE) > MAX_BEND
    loose = replace(verdict, checks=(Check(SHIFT_CHECK, 1, 1, passed=True),))
    refused = bent(one, two, loose)
    assert refused is not None
    assert refused.value == pytest.approx(bend_of(placed, SHAPE))
    assert bent(one, soft, loose) is None


def test_a_print_photographed_from_the_side_is_a_copy() -> None:
    """Soft, noisy and in another light, it agrees less well than what was made by a program."""
    rng = np.random.default_rng(8)
    scene = drawn(300, 400, rng)
    quad = np.array([(60, 45), (462, 70), (448, 352), (75, 338)], np.float32)
    corners = np.array([(0, 0), (400, 0), (400, 300), (0, 300)], np.float32)
    matrix = cv2.getPerspectiveTransform(corners, quad)
    table = np.full((400, 520, 3), 150.0, np.float32)
    cover = cv2.warpPerspective(np.ones((300, 400), np.float32), matrix, (520, 400))[..., None]
    inked = scene.astype(np.float32) * 0.86 + 18
    shot = cv2.warpPerspective(inked, matrix, (520, 400)) * cover + table * (1 - cover)
    light = np.linspace(0.85, 1.1, 520, dtype=np.float32)[None, :, None]
    taken = cv2.GaussianBlur(shot * light, (0, 0), 0.8) + rng.normal(0, 8, shot.shape)
    data = [as_jpeg(scene, 90), as_jpeg(np.clip(taken, 0, 255).astype(np.uint8), 80)]
    sides = [
        Side(describe(decode_bounded(each, WORKING_SIDE)), partial(Original, each)) for each in data
    ]
    assert prove(*sides).near
    assert prove(*sides[::-1]).near
