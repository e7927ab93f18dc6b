"""Blobs, their directions and descriptors against plain loops over every pixel and sample."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from dedup.descriptors import blobs, patches
from dedup.descriptors.keypoints import Keypoints, find, find_with_fine
from dedup.descriptors.scratch import MOST, Scratch
from dedup.edits.catalogue import drawn

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]


def grey(seed: int, height: int, width: int) -> Bytes:
    pixels = drawn(height, width, np.random.default_rng(seed))
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)


def test_coarser_fine_blurs_are_every_third_pixel_of_the_image_blurred() -> None:
    image = grey(8, 288, 382)
    pyramid = blobs._fine_pyramid(image)  # noqa: SLF001
    sizes = [(step * sigma) for step, sigma in zip(pyramid.steps, pyramid.sigmas, strict=True)]
    assert np.round(sizes, 1).tolist() == pytest.approx([2.0, 5.4, 6.8])
    for blur, size, step in zip(pyramid.blurs, sizes, (1, 3, 3), strict=True):
        wanted = cv2.GaussianBlur(
            np.asarray(image, np.float32), (0, 0), float(size**2 - 0.25) ** 0.5
        )
        assert np.abs(blur - wanted[::step, ::step])[8:-8, 8:-8].max() < 1
    assert len(blobs._fine_pyramid(image[:27]).blurs) == 1  # noqa: SLF001
    assert not blobs._fine_pyramid(image[:9]).blurs  # noqa: SLF001


def test_fine_blobs_are_the_strongest_of_every_cell_in_turn() -> None:
    image, most = grey(9, 288, 384), (90, 70, 25)
    every = blobs._placed(blobs._fine_pyramid(image))  # noqa: SLF001
    expected = []
    for level, blur in enumerate(every.blurs):
        ranked, taken = [], np.zeros((8, 8), int)
        here = np.flatnonzero(every.level == level)
        for blob in here[np.argsort(-every.contrast[here], kind="stable")].tolist():
            row, column = (
                min(7, int(place[blob] * 8 / side))
                for place, side in zip((every.y, every.x), blur.shape, strict=True)
            )
            ranked.append((taken[row, column], -every.contrast[blob], blob))
            taken[row, column] += 1
        expected += [blob for _, _, blob in sorted(ranked)[: most[level]]]
    found = blobs.fine_blobs(image, most)
    assert np.bincount(found.level).tolist() == [90, 70, 25]
    for name in ("level", "x", "y", "contrast"):
        np.testing.assert_array_equal(getattr(found, name), getattr(every, name)[sorted(expected)])


def tops_of(around: Floats) -> list[int]:
    """Look at every pixel of the middle one of three bands: (3, H, W)."""
    _, height, width = around.shape
    found = []
    for y in range(2, height - 2):
        for x in range(2, width - 2):
            value = around[1, y, x]
            if value > 0.8 and value == around[:, y - 1 : y + 2, x - 1 : x + 2].max():
                found.append(y * width + x)
    return found


@pytest.mark.parametrize(("height", "width"), [(64, 90), (33, 40), (12, 25), (9, 30)])
def test_tops_are_what_looking_at_every_pixel_finds(height: int, width: int) -> None:
    pyramid = blobs._pyramid(np.asarray(grey(3, height, width), np.float32))  # noqa: SLF001
    expected = []
    for begin, blur in zip(pyramid.begins, pyramid.blurs, strict=True):
        around = pyramid.bands[begin - blur.size :][: 3 * blur.size].reshape(3, *blur.shape)
        expected += [begin + place for place in tops_of(around)]
    assert pyramid.tops.tolist() == expected
    assert min(height, width) < 30 or expected


def test_bands_are_differences_of_blurs() -> None:
    image = np.asarray(grey(4, 60, 47), np.float32)
    pyramid = blobs._pyramid(image)  # noqa: SLF001
    sigmas = [1.6 * 2 ** (step / 3) for step in range(6)]
    blurs = [cv2.GaussianBlur(image, (0, 0), (sigma**2 - 0.25) ** 0.5) for sigma in sigmas]
    for level in range(3):
        band = pyramid.bands[pyramid.begins[level] :][: image.size].reshape(image.shape)
        wanted = np.abs(blurs[level + 2] - blurs[level + 1])
        assert np.abs(band - wanted)[8:-8, 8:-8].max() < 0.6
        assert np.abs(pyramid.blurs[level] - blurs[level + 1])[8:-8, 8:-8].max() < 0.6


@pytest.mark.parametrize("degrees", [0, 7, 45, 90, 133, 180, 270, 359])
def test_a_slope_points_where_it_rises(degrees: int) -> None:
    angle = np.radians(degrees)
    line = np.arange(11, dtype=np.float32)
    slope = np.cos(angle) * line[None, :] + np.sin(angle) * line[:, None]
    found = patches._main_directions(np.asarray(slope, np.float32)[:, :, None])  # noqa: SLF001
    # A bin is ten degrees wide, and all samples are in one or two.
    assert abs(np.angle(np.exp(1j * (float(found[0]) - angle)))) <= np.radians(5.1)


def histogram(patch: Floats) -> npt.NDArray[np.float64]:
    """Describe one patch gradient by gradient: (11, 11) to (128,)."""
    cells = np.zeros((4, 4, 8))
    for y in range(10):
        for x in range(10):
            four = patch[y : y + 2, x : x + 2].astype(np.float64)
            across, down = (np.diff(four.mean(axis)).item() for axis in (0, 1))
            weight = np.hypot(across, down) * np.exp(-((x - 4.5) ** 2 + (y - 4.5) ** 2) / 50)
            turn = np.arctan2(down, across) % (2 * np.pi) * 8 / (2 * np.pi)
            for row in range(4):
                for column in range(4):
                    by_row = 1 - abs((y + 0.5) / 2.5 - 0.5 - row)
                    by_column = 1 - abs((x + 0.5) / 2.5 - 0.5 - column)
                    share = weight * max(0, by_row) * max(0, by_column)
                    cells[row, column, int(turn) % 8] += share * (1 - turn % 1)
                    cells[row, column, (int(turn) + 1) % 8] += share * (turn % 1)
    values = cells.ravel() / np.linalg.norm(cells)
    values = np.minimum(values, 0.2)
    return np.asarray(np.sqrt(values / values.sum()), np.float64)


def test_descriptors_are_what_counting_every_sample_gives() -> None:
    random = np.random.default_rng(0)
    rough = random.integers(0, 256, (5, 11, 11)).astype(np.float32)
    rough[1] = cv2.GaussianBlur(rough[1], (0, 0), 2)
    rough[2] = np.arange(11, dtype=np.float32)  # every direction is that of the first bin
    rough[3] = -rough[2]
    wanted = np.stack([histogram(patch) for patch in rough])
    found = patches._histograms(np.moveaxis(rough, 0, 2).copy()).T  # noqa: SLF001
    assert found.dtype == np.float32
    # The root of a bin in which rounding left a ten-millionth.
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    np.testing.assert_allclose(found**2, wanted**2, atol=1e-5)


def taken(found: Keypoints, which: slice) -> Keypoints:
    return Keypoints(*(getattr(found, name)[which] for name in Keypoints.__slots__))


def same(one: Keypoints, two: Keypoints) -> bool:
    names = ("x", "y", "scale", "angle", "contrast", "descriptors")
    return all(np.array_equal(getattr(one, name), getattr(two, name)) for name in names)


def test_features_do_not_depend_on_what_the_thread_described_before() -> None:
    images = [grey(seed, *size) for seed, size in enumerate([(192, 256), (60, 80), (256, 200)])]

    def described(image: Bytes) -> Keypoints:
        return find_with_fine(image, image[::2], (50, 20, 10))[0]

    first = [described(image) for image in images]
    for number in (1, 0, 2, 1):
        assert same(described(images[number]), first[number])
    with ThreadPoolExecutor(3) as pool:
        for number, found in enumerate(pool.map(described, images * 8)):
            assert same(found, first[number % 3])


def test_described_together_they_are_what_each_is_alone() -> None:
    one, two = grey(11, 192, 256), grey(12, 288, 384)
    blank = np.zeros((9, 9), np.uint8)
    found, count = find_with_fine(one, two, (40, 30, 20))
    alone = [find(one), find_with_fine(blank, two, (40, 30, 20))[0]]
    assert count == len(alone[0]) > 10
    assert len(alone[1]) == 90
    assert same(taken(found, slice(count)), alone[0])
    assert same(taken(found, slice(count, None)), alone[1])


def test_a_grid_of_equal_dots_is_described_and_leaves_no_large_array_behind() -> None:
    dot = np.full((8, 8), 90, np.uint8)
    dot[3:5, 3:5] = 200
    found = find(np.tile(dot, (32, 32)))
    assert 1820 < len(found) <= 4 * 32**2  # more than OpenCV samples as rows of one patch
    np.testing.assert_allclose(np.linalg.norm(found.descriptors, axis=1), 1, atol=1e-5)
    inner = (np.abs(found.x - 0.5) < 0.3) & (np.abs(found.y - 0.5) < 0.3)
    fine = found.scale == found.scale.min()
    assert np.ptp(found.contrast[inner & fine]) < 2
    assert max(held.size for held in patches._scratch._held.values()) <= MOST  # noqa: SLF001


def test_a_thread_keeps_an_array_and_shares_it_with_no_other() -> None:
    scratch = Scratch()
    large = scratch.take("a", 4, 5)
    small = scratch.take("a", 3, dtype=np.float32)
    assert np.shares_memory(large, small)
    assert not np.shares_memory(large, scratch.take("b", 20))
    with ThreadPoolExecutor(1) as pool:
        assert not np.shares_memory(large, pool.submit(scratch.take, "a", 20).result())
    beyond = scratch.take("a", MOST + 1)
    assert not np.shares_memory(beyond, scratch.take("a", MOST + 1))
    assert np.shares_memory(large, scratch.take("a", 20))
