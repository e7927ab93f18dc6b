"""Local features of an image, packed in 20 bytes each."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dedup.descriptors.agreement import FEWEST as LEAST
from dedup.descriptors.agreement import agreement
from dedup.descriptors.blobs import FINE
from dedup.descriptors.keypoints import find, find_with_fine
from dedup.descriptors.panels import is_sheet
from dedup.descriptors.parts import (
    COARSE,
    FEATURE_BYTES,
    PARTS_VERSION,
    STEP,
    Parts,
    columns,
    unpack,
)
from dedup.descriptors.vlad import DIGEST, FEWEST, SHEET_FINE, SIDE, Details, Vocabulary, grey
from dedup.edits.catalogue import drawn as scene


def drawn(seed: int, height: int, width: int) -> np.ndarray:
    return scene(height, width, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def details() -> Details:
    return Details()


def test_parts_take_at_most_eight_kilobytes(details: Details) -> None:
    pixels = drawn(1, 192, 256)
    _, packed = details.describe(pixels, pixels)
    assert len(packed) % FEATURE_BYTES == 0
    assert FEWEST < len(unpack(packed)) <= COARSE + sum(FINE)
    assert (COARSE + sum(FINE)) * FEATURE_BYTES <= 8000


def test_details_are_the_same_with_parts_and_without(details: Details) -> None:
    pixels = drawn(2, 200, SIDE)
    counted, _ = details.describe(pixels, pixels)
    embedded = details.project(counted[None])[0]
    np.testing.assert_allclose(embedded, details.embed(pixels), atol=1e-6)


def test_what_is_unpacked_is_what_was_found(details: Details) -> None:
    pixels = drawn(3, 180, SIDE)
    found = find(grey(pixels))
    order = np.argsort(-found.contrast, kind="stable")[:COARSE]
    parts = unpack(details.describe(pixels, pixels)[1])
    count = len(order)
    np.testing.assert_allclose(parts.x[:count], found.x[order], atol=0.6 / 255)
    np.testing.assert_allclose(parts.y[:count], found.y[order], atol=0.6 / 255)
    np.testing.assert_allclose(np.exp2(parts.scale[:count]), found.scale[order], rtol=0.01)
    turned = np.angle(np.exp(1j * (parts.angle[:count] - found.angle[order])))
    assert np.abs(turned).max() < 0.03
    vocabulary: Vocabulary = details._vocabulary  # noqa: SLF001
    reduced = vocabulary.reduce(found.descriptors[order])
    inside = np.abs(reduced) < 7 * STEP
    codes = (parts.codes[:count].astype(np.float32) - 8) * STEP
    assert np.abs(codes - reduced)[inside].max() <= STEP / 2 + 1e-5


def test_fine_features_are_spread_over_the_image() -> None:
    loud, quiet = drawn(4, 384, 192), drawn(5, 384, 192) // 4 + 96
    both = np.concatenate((loud, quiet), axis=1)
    grey = np.asarray(cv2.cvtColor(both, cv2.COLOR_RGB2GRAY), np.uint8)
    found, count = find_with_fine(grey, grey, (100, 0, 0))
    assert 50 < len(found) - count <= 100
    assert (found.x[count:] > 0.5).mean() > 0.3


def test_without_texture_there_are_no_parts(details: Details) -> None:
    flat = np.full((100, 200, 3), 90, np.uint8)
    assert details.describe(flat, flat)[1] == b""
    assert len(unpack(b"")) == 0


def test_a_tenth_of_an_image_agrees_with_it(details: Details) -> None:
    agreed = []
    for seed in range(6):
        whole = drawn(10 + seed, 600, 800)
        tenth = whole[100:290, 200:453]
        both = []
        for pixels in (whole, tenth):
            height, width = pixels.shape[:2]
            size = SIDE, round(SIDE * height / width)
            small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
            both.append(unpack(details.describe(small, pixels)[1]))
        agreed.append(agreement(*both).spots)
    assert sum(spots >= LEAST for spots in agreed) >= 5, agreed


def sheet_of(images: list[np.ndarray]) -> np.ndarray:
    """Lay twelve images side by side, with white between them."""
    made = np.full((3 * 230 + 20, 4 * 270 + 20, 3), 255, np.uint8)
    for at, image in enumerate(images):
        top, left = 20 + 230 * (at // 4), 20 + 270 * (at % 4)
        small = cv2.resize(image, (250, 188), interpolation=cv2.INTER_AREA)
        made[top : top + 188, left : left + 250] = small
    return made


def described(details: Details, pixels: np.ndarray) -> bytes:
    height, width = pixels.shape[:2]
    size = (SIDE, round(SIDE * height / width))
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    return details.describe(small, pixels)[1]


def test_an_image_agrees_with_the_sheet_that_shows_it(details: Details) -> None:
    images = [drawn(30 + seed, 600, 800) for seed in range(12)]
    packed = described(details, sheet_of(images))
    assert COARSE + sum(FINE) < len(unpack(packed)) <= COARSE + sum(FINE) + sum(SHEET_FINE)
    agreed = [
        agreement(unpack(described(details, image)), unpack(packed)).spots for image in images
    ]
    assert sum(spots >= 4 for spots in agreed) >= 10, agreed
    assert agreement(unpack(described(details, drawn(99, 600, 800))), unpack(packed)).spots < 4


def test_a_sheet_is_told_by_its_panels() -> None:
    def seen(pixels: np.ndarray) -> np.ndarray:
        small = cv2.resize(pixels, (SIDE, 164), interpolation=cv2.INTER_AREA)
        return grey(np.asarray(small, np.uint8))

    assert is_sheet(seen(sheet_of([drawn(seed, 600, 800) for seed in range(12)])))
    assert not is_sheet(seen(drawn(3, 600, 800)))


def test_columns_of_many_images_are_those_of_each() -> None:
    rng = np.random.default_rng(3)
    packed = [rng.bytes(count * FEATURE_BYTES) for count in (3, 0, 5)]
    found = columns([packed[0], None, packed[1], packed[2] + b"cut"])
    rows = np.array([7, 2, 2])
    for column, name in zip(found, Parts.__slots__, strict=True):
        expected = np.concatenate([getattr(unpack(one), name) for one in packed])
        assert len(column) == 8
        assert np.array_equal(column[:], expected)
        assert np.array_equal(column[rows], expected[rows])
        assert column[1:4].dtype == expected.dtype


def test_the_version_of_parts_names_the_shipped_vocabulary() -> None:
    assert PARTS_VERSION.partition(" ")[2] == DIGEST[:16]
