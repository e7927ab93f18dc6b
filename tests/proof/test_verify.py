"""The proof confirms edits, refuses other shots, and answers alike in any order and thread."""

from __future__ import annotations

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from dedup.edits.catalogue import EDITS, drawn, edit, visible
from dedup.proof import WORKING_SIDE, Features, describe, verify
from dedup.proof.geometry import homography

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

PHOTOS = Path(__file__).parents[3] / "shared" / "data" / "photos"
GROUPS = PHOTOS.parent / "groups.json"


def bounded(pixels: Pixels) -> Pixels:
    factor = WORKING_SIDE / max(pixels.shape[:2])
    if factor >= 1:
        return pixels
    size = (max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


@cache
def scene(seed: int) -> Pixels:
    """Less gaudy than `drawn`, so that stronger colours are not clipped all over."""
    gaudy = drawn(300, 400, np.random.default_rng(seed)).astype(np.float64)
    return np.asarray(0.5 * gaudy + 0.5 * gaudy.mean(axis=2, keepdims=True), np.uint8)


def described(pixels: Pixels) -> Features:
    return describe(bounded(pixels))


@cache
def described_scene(seed: int) -> Features:
    return described(scene(seed))


def pasted_thing(seed: int, place: tuple[int, int], side: int = 50) -> Pixels:
    """The scene with a patch of another scene in it."""
    image = scene(seed).copy()
    x, y = place
    image[y : y + side, x : x + side] = scene(seed + 1)[:side, :side]
    return image


# Of edits that the proof sees alike, one is tried quickly.
ALIKE = {
    "turn", "sharpen", "contrast", "gamma", "saturation", "hue", "sepia", "filter", "vignette",
    "watermark", "crop+jpeg", "resize+filter", "caption+contrast", "rotate+border",
    "grey+noise+resize",
}  # fmt: skip
EACH_EDIT = [pytest.param(kind, marks=pytest.mark.slow if kind in ALIKE else ()) for kind in EDITS]


@pytest.mark.parametrize("kind", EACH_EDIT)
def test_a_mildly_edited_copy_is_near(kind: str) -> None:
    strength = EDITS[kind].strengths[0]
    copy = edit(kind, strength, scene(1), np.random.default_rng(5))
    verdict = verify(described_scene(1), described(copy))
    assert verdict.near, (verdict.evidence, verdict.checks)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_every_turn_of_a_mirror_image_is_near(turn: int) -> None:
    rng = np.random.default_rng(0)
    copy = edit("turn", turn, edit("mirror", 1, scene(2), rng), rng)
    verdict = verify(described_scene(2), described(copy))
    assert verdict.near
    assert verdict.mirrored


def test_strangers_are_not_near() -> None:
    features = [described_scene(seed) for seed in range(10, 16)]
    assert not any(verify(a, b).near for a, b in itertools.combinations(features, 2))


def test_a_moved_thing_is_not_near() -> None:
    first, second = pasted_thing(3, (60, 100)), pasted_thing(3, (250, 120))
    verdict = verify(described(first), described(second))
    assert not verdict.near
    assert "differs" in verdict.evidence


def test_a_smaller_overlap_on_both_sides_is_not_near() -> None:
    wide = drawn(300, 600, np.random.default_rng(4))
    verdict = verify(described(wide[:, :380].copy()), described(wide[:, 220:].copy()))
    assert not verdict.near
    assert "overlaps" in verdict.evidence
    assert verdict.overlap == pytest.approx((160 / 380, 160 / 380), abs=0.02)


def page(changed_lines: int) -> Pixels:
    paper = np.full((400, 300, 3), 250, np.uint8)
    cv2.rectangle(paper, (15, 10), (110, 40), (30, 60, 140), -1)
    letters = np.random.default_rng(8)
    others = np.random.default_rng(9)
    for line in range(20):
        rng = others if line < changed_lines else letters
        words = "".join(chr(97 + code) for code in rng.integers(0, 26, 28))
        place = (15, 64 + 17 * line)
        cv2.putText(paper, words, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (20,) * 3, 1, cv2.LINE_AA)
    return paper


@pytest.mark.parametrize("lines", [1, 5, 20])
def test_other_text_on_the_same_template_is_not_near(lines: int) -> None:
    assert not verify(describe(page(0)), describe(page(lines))).near


def test_a_page_is_near_its_own_scan() -> None:
    scan = edit(
        "jpeg", 60, edit("noise", 8, page(0), np.random.default_rng(0)), np.random.default_rng(0)
    )
    assert verify(describe(page(0)), describe(scan)).near


def test_one_colour_proves_nothing() -> None:
    plain = describe(np.full((200, 300, 3), 90, np.uint8))
    verdict = verify(plain, plain)
    assert not verdict.near
    assert "one colour" in verdict.evidence
    assert not verify(plain, described_scene(1)).near


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 400), (400, 1), (8, 8), (15, 400)])
def test_tiny_images_prove_nothing(height: int, width: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    verdict = verify(describe(pixels), describe(pixels))
    assert not verdict.near
    assert "too small" in verdict.evidence


def test_images_without_local_features_are_compared_as_a_whole() -> None:
    y, x = np.mgrid[0:240, 0:320] / 40
    waves = 120 + 50 * np.sin(x + 0.4 * np.sin(y)) + 40 * np.cos(0.8 * y)
    smooth = np.repeat(waves[..., None], 3, axis=2).astype(np.uint8)
    features = describe(smooth)
    copy = describe(edit("mirror", 1, smooth, np.random.default_rng(0)))
    verdict = verify(features, copy)
    assert verdict.near or "texture" in verdict.evidence or "detail" in verdict.evidence


@pytest.mark.parametrize(
    ("kind", "strength"),
    [("crop", 0.5), ("mirror", 1), ("turn", 90), ("pasted", 0.5), ("sticker", 0.08)],
)
def test_the_verdict_does_not_depend_on_the_order(kind: str, strength: float) -> None:
    first = described_scene(6)
    second = described(edit(kind, strength, scene(6), np.random.default_rng(1)))
    there, back = verify(first, second), verify(second, first)
    assert there.near
    assert there.near == back.near
    assert (there.evidence, there.backwards) == (back.backwards, back.evidence)
    assert there.derived == (3 - back.derived if back.derived else 0)
    assert there.overlap == back.overlap[::-1]
    assert there.transform is not None
    assert back.transform is not None
    product = there.transform @ back.transform
    assert np.allclose(product / product[2, 2], np.eye(3), atol=1e-6)


def test_the_transform_maps_the_second_onto_the_first() -> None:
    crop = scene(7)[60:240, 100:340].copy()
    verdict = verify(describe(scene(7)), describe(crop))
    assert verdict.near
    assert verdict.transform is not None
    assert verdict.transform == pytest.approx(
        np.array([[1, 0, 100], [0, 1, 60], [0, 0, 1]]), abs=0.3
    )
    assert verdict.overlap == pytest.approx((180 * 240 / 120_000, 1), abs=0.02)
    assert verdict.scale == pytest.approx(1, abs=0.01)


def test_threads_and_repeats_agree() -> None:
    first = described_scene(5)
    second = described(edit("crop+text+jpeg", 1, scene(5), np.random.default_rng(3)))
    alone = verify(first, second)
    with ThreadPoolExecutor(4) as pool:
        for verdict in pool.map(lambda _: verify(first, second), range(4)):
            assert verdict.checks == alone.checks
            assert verdict.evidence == alone.evidence


def test_packed_features_give_the_same_verdict() -> None:
    first = described_scene(5)
    second = described(edit("crop", 0.5, scene(5), np.random.default_rng(3)))
    unpacked = Features.from_bytes(first.to_bytes())
    assert unpacked.digest == first.digest
    assert verify(unpacked, second).checks == verify(first, second).checks
    with pytest.raises(ValueError, match="damaged"):
        Features.from_bytes(first.to_bytes()[:-1])


@pytest.mark.parametrize("shape", [(10, 10), (10, 10, 4), (0, 5, 3), (100, WORKING_SIDE + 1, 3)])
def test_describe_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must be"):
        describe(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("kind", EDITS)
def test_edits_are_repeatable_and_leave_their_input_alone(kind: str) -> None:
    before = scene(9).copy()
    for strength in EDITS[kind].strengths:
        one, two = (edit(kind, strength, scene(9), np.random.default_rng(2)) for _ in range(2))
        assert np.array_equal(one, two)
        assert one.dtype == np.uint8
        assert 0 < visible(kind, strength) <= 1
    assert np.array_equal(before, scene(9))


def read(path: Path) -> Pixels:
    return np.ascontiguousarray(np.asarray(cv2.imread(str(path)), np.uint8)[..., ::-1])


def members(name: str, tier: str, most: int) -> list[list[Features]]:
    if not GROUPS.exists():
        pytest.skip("needs the shared photographs beside the repository")
    groups = json.loads(GROUPS.read_text())
    chosen = [g["members"] for g in groups if g["set"] == name and g["tier"] == tier]
    return [[described(read(PHOTOS / member)) for member in group[:most]] for group in chosen[:3]]


@pytest.mark.parametrize(
    "name",
    [
        "pdq_bridge_mods",
        "pdq_dihedral",
        "jenssegers",
        pytest.param("caltech_resized", marks=pytest.mark.slow),
    ],
)
def test_known_copies_are_near(name: str) -> None:
    for group in members(name, "near", 4):
        for first, second in itertools.combinations(group, 2):
            assert verify(first, second).near


@pytest.mark.parametrize(
    "name",
    [
        "pdq_exif",
        "jenssegers",
        "views",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("stitch", "video")),
    ],
)
def test_known_other_shots_are_not_near(name: str) -> None:
    for group in members(name, "similar", 3):
        for first, second in itertools.combinations(group, 2):
            assert not verify(first, second).near


def test_no_placing_lays_all_on_one_line() -> None:
    places = np.random.default_rng(1).uniform(0, 300, (40, 2))
    line = np.stack([places[:, 0], places[:, 0] / 2 + 10], axis=1)
    assert homography(line, places) is None
    turned = places[:, ::-1] * (1, -1) + (5, 300)
    matrix = homography(turned, places)
    assert matrix is not None
    np.testing.assert_allclose(matrix, [[0, 1, 5], [-1, 0, 300], [0, 0, 1]], atol=1e-2)
