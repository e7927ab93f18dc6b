"""The embedding of an image's details: what it shares with copies, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from dedup.descriptors.keypoints import describe
from dedup.descriptors.mirror import asymmetry, fold_mirror
from dedup.descriptors.vlad import DIGEST, SIDE, WEIGHTS, Details
from dedup.edits.catalogue import drawn, edit
from dedup.errors import WeightsError
from dedup.images.decode import decode_bounded
from dedup.images.encode import as_jpeg
from dedup.images.resize import resize
from dedup.models.weights import read_header, weights_file_digest

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Pixels = npt.NDArray[np.uint8]

STRANGERS = 24


def image(seed: int, height: int = 192, width: int = SIDE) -> Pixels:
    return drawn(height, width, np.random.default_rng(seed))


def bounded(pixels: Pixels) -> Pixels:
    factor = min(1, SIDE / max(pixels.shape))
    height, width = (max(1, round(side * factor)) for side in pixels.shape[:2])
    return resize(pixels, height, width)


@pytest.fixture(scope="module")
def details() -> Details:
    return Details()


@pytest.fixture(scope="module")
def strangers(details: Details) -> Floats:
    return np.stack([details.embed(image(100 + seed)) for seed in range(STRANGERS)])


def test_an_embedding_is_a_unit_vector_of_1024_float32(details: Details) -> None:
    assert details.dimension == 1024
    for seed in range(5):
        embedding = details.embed(image(seed))
        assert embedding.shape == (1024,)
        assert embedding.dtype == np.float32
        assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((192, 256, 3), 128, np.uint8),
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((1, 256, 3), np.uint8),
        image(0)[:3],
        image(0)[:, :2],
        np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None], (192, 256, 3)).copy(),
    ],
    ids=["flat", "one pixel", "one row", "three rows", "two columns", "stripes"],
)
def test_without_texture_there_are_zeros(details: Details, pixels: Pixels) -> None:
    assert not details.embed(pixels).any()


# Measured on 40 drawn images: the least similar copy of each kind, less a margin.
@pytest.mark.parametrize(
    ("kind", "strength", "least"),
    [
        ("mirror", 1, 0.6),
        ("mirror", 0, 0.6),
        ("turn", 90, 0.6),
        ("turn", 180, 0.6),
        ("jpeg", 30, 0.4),
        ("resize", 1 / 2, 0.4),
        ("grey", 1, 0.6),
        ("border", 0.03, 0.3),
    ],
)
def test_a_copy_is_nearer_than_every_stranger(
    details: Details, strangers: Floats, kind: str, strength: float, least: float
) -> None:
    for seed in range(5):
        original = image(seed)
        copy = edit(kind, strength, original, np.random.default_rng(seed))
        saved = decode_bounded(as_jpeg(copy, 85), SIDE)
        embedding = details.embed(saved)
        similarity = embedding @ details.embed(original)
        assert similarity > least
        assert similarity > (strangers @ embedding).max()


def test_every_thread_gets_the_same(details: Details) -> None:
    images = [image(seed, 150 + seed) for seed in range(8)]
    alone = [details.embed(pixels) for pixels in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(details.embed, images * 4))
    for number, embedding in enumerate(together):
        np.testing.assert_allclose(embedding, alone[number % 8], atol=1e-6)


def test_a_row_is_projected_to_the_same_bits_in_any_company(details: Details) -> None:
    counted = np.stack([details.describe(image(seed), image(seed))[0] for seed in range(19)])
    counted[7] = 0
    together = details.project(counted)
    assert not together[7].any()
    for begin, end in ((0, 1), (7, 8), (18, 19), (3, 5), (2, 19), (5, 13)):
        np.testing.assert_array_equal(details.project(counted[begin:end]), together[begin:end])
    # Described beside finer features: BLAS may round the products of more columns in another way.
    np.testing.assert_allclose(details.embed(image(4)), together[4], atol=1e-6)


def test_the_image_is_left_as_it_was(details: Details) -> None:
    pixels = image(3)
    pixels.setflags(write=False)
    details.embed(pixels)
    np.testing.assert_array_equal(pixels, image(3))


def test_a_small_image_is_described_at_full_size(details: Details) -> None:
    original = image(4)
    small = bounded(edit("resize", 1 / 3, original, np.random.default_rng(0)))
    large = cv2.resize(small, (SIDE, 192), interpolation=cv2.INTER_CUBIC)
    similarity = details.embed(small) @ details.embed(np.asarray(large, np.uint8))
    assert similarity > 0.75


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((8, SIDE + 1, 3), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
    ],
)
def test_other_arrays_are_refused(details: Details, pixels: Pixels) -> None:
    with pytest.raises(ValueError, match=r"must be"):
        details.embed(pixels)


def test_folding_makes_a_descriptor_equal_to_its_mirror_image() -> None:
    grey = cv2.cvtColor(image(5), cv2.COLOR_RGB2GRAY)
    descriptors = describe(np.asarray(grey, np.uint8))
    assert len(descriptors) > 50
    np.testing.assert_allclose(np.linalg.norm(descriptors, axis=1), 1, atol=1e-5)
    cells = descriptors.reshape(-1, 4, 4, 8)
    mirrored = cells[:, ::-1][..., -np.arange(8)].reshape(-1, 128)
    axis = asymmetry(descriptors)
    folded, turned = fold_mirror(descriptors, axis)
    folded_mirrored, turned_mirrored = fold_mirror(mirrored, axis)
    np.testing.assert_allclose(folded, folded_mirrored, atol=1e-5)
    np.testing.assert_array_equal(turned, ~turned_mirrored)
    np.testing.assert_allclose(np.linalg.norm(folded, axis=1), 1, atol=1e-5)


def test_the_shipped_file_is_the_pinned_one() -> None:
    assert weights_file_digest(WEIGHTS) == DIGEST
    assert Details().digest == DIGEST
    assert DIGEST in WEIGHTS.with_suffix(".md").read_text("utf-8")
    header = read_header(WEIGHTS)
    assert header["__metadata__"]["architecture"] == "details"
    assert header["__metadata__"]["side"] == str(SIDE)
    assert WEIGHTS.stat().st_size <= 6_000_000


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    data = bytearray(WEIGHTS.read_bytes())
    data[-1] ^= 1
    path = tmp_path / "details.safetensors"
    path.write_bytes(data)
    message = rf"details\.safetensors is damaged or .* not {DIGEST}; install dedup again\."
    with pytest.raises(WeightsError, match=message):
        Details(path)


def test_a_file_of_another_digest_is_refused() -> None:
    with pytest.raises(WeightsError, match=rf"its SHA-256 is {DIGEST}, not {'0' * 64};"):
        Details(digest="0" * 64)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone cannot be read \(No such file.*install dedup"):
        Details(tmp_path / "gone")


def test_torch_is_not_imported() -> None:
    code = (
        "import sys, numpy; from dedup.descriptors.vlad import Details; "
        "Details().embed(numpy.zeros((9, 9, 3), numpy.uint8)); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_fewer_dimensions_are_the_first_of_more() -> None:
    few, many = Details(dimension=64), Details(dimension=512)
    pixels = image(6)
    first = many.embed(pixels)[:64]
    np.testing.assert_allclose(few.embed(pixels), first / np.linalg.norm(first), atol=1e-5)


@pytest.mark.parametrize("dimension", [0, -1, 1025])
def test_other_dimensions_are_refused(dimension: int) -> None:
    with pytest.raises(ValueError, match=rf"1 to 1024, not {dimension}"):
        Details(dimension=dimension)
