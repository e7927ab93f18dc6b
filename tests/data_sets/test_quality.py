"""What is measured on pixels, and the limits that follow the collection."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from drawings import scene
from drawn import encode

from dedup.datasets.issues import (
    BLANK,
    BLURRY,
    BRIGHT,
    CONFLICT,
    DARK,
    ISSUES,
    LIMITS,
    MISLABELLED,
    ODD_SIZE,
    OUTLIER,
    PLAIN,
    aspect_scores,
    size_scores,
    threshold_of,
)
from dedup.datasets.measures import read_quality
from dedup.errors import ImageError
from dedup.images.quality import measure_quality, quality_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCENES = [np.asarray(scene(seed, (400, 300))) for seed in range(8)]


def blurred(pixels: Any) -> Any:
    return cv2.GaussianBlur(pixels, (0, 0), 5)


def moved(pixels: Any) -> Any:
    return cv2.blur(pixels, (25, 1))


def darkened(pixels: Any) -> Any:
    return (pixels * 0.15).astype(np.uint8)


def bleached(pixels: Any) -> Any:
    return (pixels * 0.08 + 235).astype(np.uint8)


def nearly_blank(pixels: Any) -> Any:
    noise = np.random.default_rng(0).normal(120, 2, pixels.shape)
    return noise.clip(0, 255).astype(np.uint8)


def plain(pixels: Any) -> Any:
    return np.repeat(np.repeat(pixels[:3, :3] // 128 * 100 + 20, 100, axis=0), 100, axis=1)


@pytest.mark.parametrize(
    ("issue", "name", "spoil"),
    [
        (BLURRY, "sharpness", blurred),
        (BLURRY, "sharpness", moved),
        (DARK, "light", darkened),
        (BRIGHT, "dark", bleached),
        (BLANK, "variety", nearly_blank),
        (PLAIN, "information", plain),
    ],
)
def test_spoiled_images_are_below_the_limit_and_others_above(
    issue: str, name: str, spoil: Callable[[Any], Any]
) -> None:
    for pixels in SCENES:
        data = [encode(one, "JPEG", quality=90) for one in (pixels, spoil(pixels))]
        sound, spoiled = (getattr(measure_quality(one), name) for one in data)
        assert 0 <= spoiled < LIMITS[issue].score < sound <= 1


def test_measures_are_what_they_say() -> None:
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[:, 60:] = 200
    found = quality_of(pixels)
    assert found.light == pytest.approx(200 / 255)
    assert found.dark == 1
    shares = np.array([0.6, 0.4])
    assert found.information == pytest.approx(-(shares * np.log2(shares)).sum() / 8)
    assert found.variety == pytest.approx(0.4, abs=1e-6)
    assert quality_of(np.full((1, 1, 3), 9, np.uint8)) == (0, 9 / 255, 1 - 9 / 255, 0, 0)
    with pytest.raises(ImageError):
        measure_quality(b"no image")


def test_a_limit_holds_unless_it_is_usual() -> None:
    day = np.array([0.9, 0.8, 0.95, 0.1, np.nan])
    assert threshold_of(DARK, day) == LIMITS[DARK].score
    night = np.linspace(0.1, 0.5, 101)
    assert threshold_of(DARK, night) == pytest.approx(0.12)  # its lowest twentieth
    assert threshold_of(DARK, np.full(5, np.nan)) == 0.0
    assert (threshold_of(CONFLICT, day), threshold_of(MISLABELLED, day)) == (1.0, 0.35)


def test_outliers_are_a_hundredth_of_a_hundred_and_more() -> None:
    scores = np.random.default_rng(0).normal(size=300)
    assert (scores < threshold_of(OUTLIER, scores)).sum() == 3
    assert (scores[:99] < threshold_of(OUTLIER, scores[:99].clip(-1, 1))).sum() <= 99
    assert threshold_of(OUTLIER, np.linspace(-0.5, 0.5, 99)) == -1.0


def test_sizes_and_aspects() -> None:
    width = np.array([100, 100, 25, 100, 1000], np.int32)
    height = np.array([100, 100, 25, 100, 40], np.int32)
    np.testing.assert_allclose(size_scores(width, height), [1, 1, 0.25, 1, 0.5])
    np.testing.assert_allclose(aspect_scores(width, height), [1, 1, 1, 1, 0.04])
    assert threshold_of(ODD_SIZE, size_scores(width, height)) == LIMITS[ODD_SIZE].score


def test_every_issue_has_a_threshold() -> None:
    for issue in ISSUES:
        assert isinstance(threshold_of(issue, np.linspace(0, 1, 200)), float)


def test_each_image_is_measured_once_and_others_have_a_reason(tmp_path: Path) -> None:
    contents: dict[bytes, list[bytes]] = {}
    for number, pixels in enumerate(SCENES[:3]):
        data = encode(pixels, "PNG")
        (tmp_path / f"{number}.png").write_bytes(data)
        contents[hashlib.sha256(data).digest()] = [os.fsencode(tmp_path / f"{number}.png")]
    broken = encode(SCENES[3], "JPEG")[:2000]
    (tmp_path / "broken.jpg").write_bytes(broken)
    contents[hashlib.sha256(broken).digest()] = [os.fsencode(tmp_path / "broken.jpg")]
    contents[bytes(32)] = [os.fsencode(tmp_path / "0.png")]
    told: list[tuple[str, int, int]] = []
    *sound, damaged, changed = read_quality(contents, lambda *one: told.append(one)).values()
    assert sound == [measure_quality(encode(pixels, "PNG")) for pixels in SCENES[:3]]
    assert damaged == "truncated"
    assert changed == "gone, or changed since it was indexed"
    assert told[-1] == ("Looking at images", 5, 5)
