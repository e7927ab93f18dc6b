"""Exposure brackets, told by what the camera wrote and by their light."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from PIL import Image

import dedup
from dedup.edits.catalogue import drawn, edit
from dedup.proof import Original
from dedup.proof.one_shot import noise_apart
from dedup.results import Tier

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]


def _saved(path: Path, pixels: Pixels, seconds: float | None) -> str:
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    if seconds is not None:
        exif.get_ifd(0x8769).update({0x829A: seconds, 0x829D: 4.0, 0x8827: 200})
    image.save(path, quality=92, exif=exif.tobytes())
    return str(path)


def test_another_exposure_is_another_shot(tmp_path: Path) -> None:
    pixels = drawn(480, 640, np.random.default_rng(3))
    bright = edit("brightness", 25, pixels, np.random.default_rng(0))
    one = _saved(tmp_path / "one.jpg", pixels, 0.01)
    assert dedup.why(one, _saved(tmp_path / "two.jpg", bright, 0.02)).tier is not Tier.NEAR
    assert dedup.why(one, _saved(tmp_path / "same.jpg", bright, 0.01)).tier is Tier.NEAR
    assert dedup.why(one, _saved(tmp_path / "none.jpg", bright, None)).tier is Tier.NEAR


def _taken(path: Path, pixels: Pixels, at: str, fraction: str = "", quality: int = 92) -> str:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Maker", "Model 3"
    exif.get_ifd(0x8769).update({0x9003: at, 0x9291: fraction})
    Image.fromarray(pixels).save(path, quality=quality, exif=exif.tobytes())
    return str(path)


def test_two_shots_of_a_still_scene_are_no_copies(tmp_path: Path) -> None:
    pixels = drawn(480, 640, np.random.default_rng(3))
    one = _taken(tmp_path / "one.jpg", pixels, "2026:05:01 12:00:00", "20")
    for number, (at, fraction) in enumerate(
        [("2026:05:01 12:00:00", "35"), ("2026:05:01 12:00:05", "20"), ("2026:05:01 12:01:00", "")]
    ):
        two = _taken(tmp_path / f"{number}.jpg", pixels, at, fraction, quality=80)
        verdict = dedup.why(one, two)
        assert verdict.tier not in {Tier.RESAVED, Tier.NEAR}
        assert verdict.evidence == "two shots: the camera wrote another time"


def test_a_clock_set_right_and_metadata_lost_leave_a_copy(tmp_path: Path) -> None:
    pixels = drawn(480, 640, np.random.default_rng(3))
    one = _taken(tmp_path / "one.jpg", pixels, "2026:05:01 12:00:00", "20")
    zone = _taken(tmp_path / "zone.jpg", pixels, "2026:05:01 14:00:00", "20", quality=80)
    whole = _taken(tmp_path / "whole.jpg", pixels, "2026:05:01 12:00:00", quality=80)
    bare = _saved(tmp_path / "bare.jpg", pixels, None)
    tiers = [dedup.why(one, two).tier for two in (zone, whole, bare)]
    assert tiers == [Tier.RESAVED, Tier.RESAVED, Tier.PIXELS]


def _exposed(pixels: Pixels, stops: float, moment: int) -> Pixels:
    """Expose for longer, with the noise of that exposure."""
    light = (pixels / 255.0) ** 2.2 * 2**stops
    noise = np.random.default_rng(moment).normal(0, 2.5, pixels.shape)
    return np.clip(np.clip(light, 0, 1) ** (1 / 2.2) * 255 + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("stops", [0.4, 0.8])
def test_more_of_the_same_light_is_another_shot(tmp_path: Path, stops: float) -> None:
    pixels = drawn(480, 640, np.random.default_rng(5))
    one = _saved(tmp_path / "one.jpg", _exposed(pixels, -1, 1), None)
    verdict = dedup.why(one, _saved(tmp_path / "two.jpg", _exposed(pixels, stops, 2), None))
    assert verdict.tier is not Tier.NEAR
    assert verdict.evidence.startswith("two shots: one is exposed for longer")


def test_what_a_hand_has_turned_is_another_exposure(tmp_path: Path) -> None:
    """A slider moves nothing, so that noise need not be asked."""
    scene = drawn(480, 640, np.random.default_rng(3)) // 2
    names = [
        _saved(tmp_path / "one.jpg", scene, None),
        _saved(tmp_path / "two.jpg", scene + scene // 2, None),
    ]
    one, two = (Original(Path(name).read_bytes()) for name in names)
    turned = np.vstack([cv2.getRotationMatrix2D((320, 240), 2, 1), (0, 0, 1)])
    assert not noise_apart(one, two, np.eye(3), 1.5)
    assert noise_apart(one, two, turned, 1.5)


@pytest.mark.parametrize("times", [0.6, 1.6])
def test_one_shot_made_lighter_or_darker_is_an_edit_of_it(tmp_path: Path, times: float) -> None:
    """A slider multiplies light as a longer exposure does, and its noise with it."""
    pixels = _exposed(drawn(480, 640, np.random.default_rng(5)), -0.5, 1)
    one = _saved(tmp_path / "one.jpg", pixels, None)
    made = np.clip(pixels * times, 0, 255).astype(np.uint8)
    for name, scale in (("two.jpg", 1.0), ("small.jpg", 0.7)):
        small = cv2.resize(made, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        two = _saved(tmp_path / name, np.asarray(small, np.uint8), None)
        assert dedup.why(one, two).tier is Tier.NEAR


@pytest.mark.parametrize(
    ("kind", "strength"),
    [
        ("brightness", 60),
        pytest.param("contrast", 1.4, marks=pytest.mark.slow),
        ("gamma", 2.2),
        pytest.param("gamma", 0.5, marks=pytest.mark.slow),
    ],
)
def test_edits_of_light_are_no_exposures(tmp_path: Path, kind: str, strength: float) -> None:
    pixels = drawn(480, 640, np.random.default_rng(6))
    one = _saved(tmp_path / "one.jpg", pixels, None)
    made = edit(kind, strength, pixels, np.random.default_rng(0))
    assert dedup.why(one, _saved(tmp_path / "two.jpg", made, None)).tier is Tier.NEAR
