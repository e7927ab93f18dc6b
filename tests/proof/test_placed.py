"""The proof by parts: what it says is what the proof by local features says, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from dedup.descriptors.agreement import FEWEST, Agreement, agreement
from dedup.descriptors.parts import unpack
from dedup.descriptors.vlad import PARTS_SIDE, SIDE, load_details
from dedup.edits.catalogue import drawn, edit
from dedup.images.decode import decode_square
from dedup.images.encode import as_jpeg
from dedup.proof import Original, Side, describe, outlined, prove, prove_placed
from dedup.proof.pasted import may_be_in_a_panel

if TYPE_CHECKING:
    from dedup.descriptors.parts import Parts


def scene(seed: int) -> np.ndarray:
    return drawn(300, 400, np.random.default_rng(seed))


def parts(data: bytes) -> Parts:
    found = decode_square(data, 1, 1, bound=SIDE, larger=PARTS_SIDE)
    assert found.bounded is not None
    assert found.larger is not None
    return unpack(load_details().describe(found.bounded, found.larger)[1])


def side(data: bytes, *, features: bool) -> Side:
    original = Original(data)
    pixels = original.pixels(*original.size)
    return Side(describe(pixels) if features else outlined(pixels), lambda: original)


@pytest.mark.parametrize("kind", ["crop", "mirror", "rotate"])
@pytest.mark.parametrize("turned", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_placing_by_parts_proves_what_features_prove(kind: str, turned: bool) -> None:  # noqa: FBT001
    image = scene(1)
    strength = {"crop": 0.6, "mirror": 1, "rotate": 10}[kind]
    files = [as_jpeg(image, 95), as_jpeg(edit(kind, strength, image, np.random.default_rng(0)), 85)]
    files = files[::-1] if turned else files
    agreed = agreement(*map(parts, files))
    assert agreed.spots > 20
    one, two = (side(data, features=False) for data in files)
    found = prove_placed(one, two, agreed)
    expected = prove(*(side(data, features=True) for data in files))
    assert found is not None
    assert found.near
    assert expected.near
    assert found.mirrored == expected.mirrored == (kind == "mirror")
    assert found.overlap == pytest.approx(expected.overlap, abs=0.01)
    assert found.rotation == pytest.approx(expected.rotation, abs=0.5)
    assert found.scale == pytest.approx(expected.scale, rel=0.01)
    assert found.derived == expected.derived


def test_without_a_placing_only_the_whole_image_is_proven() -> None:
    image = scene(2)
    one, again, crop = (
        side(data, features=False)
        for data in (
            as_jpeg(image, 95),
            as_jpeg(image, 80),
            as_jpeg(edit("crop", 0.6, image, np.random.default_rng(0)), 85),
        )
    )
    found = prove_placed(one, again, Agreement(0))
    assert found is not None
    assert found.resaved
    assert prove_placed(one, crop, Agreement(0)) is None


def test_a_wrong_placing_proves_nothing() -> None:
    one, two = (side(as_jpeg(scene(seed), 90), features=False) for seed in (3, 4))
    found = prove_placed(one, two, Agreement(60, np.eye(3)))
    assert found is None or not found.near


def test_where_many_parts_agree_nothing_more_is_asked() -> None:
    image, other = scene(5), scene(6)
    y, x = np.ogrid[:300, :400]
    outside = (y - 150) ** 2 + (x - 200) ** 2 > 80**2  # no straight seam, as panels have
    again = image + np.random.default_rng(1).normal(0, 4, image.shape)  # another exposure
    other[outside] = np.clip(again, 0, 255).astype(np.uint8)[outside]
    files = [as_jpeg(pixels, 92) for pixels in (image, other)]
    agreed = agreement(*map(parts, files))
    assert agreed.spots >= 40
    one, two = (side(data, features=False) for data in files)
    found = prove_placed(one, two, agreed)
    assert found is not None
    assert not found.near
    assert not prove(*(side(data, features=True) for data in files)).near
    few = agreed._replace(spots=11)
    assert prove_placed(one, two, few) is not None
    small, another = (
        side(as_jpeg(np.asarray(cv2.resize(each, (160, 120)), np.uint8), 92), features=False)
        for each in (image, other)
    )
    assert prove_placed(small, another, few) is None


def test_a_panel_that_shows_too_little_is_not_looked_at() -> None:
    photo = scene(7)
    page = np.full((400, 300, 3), 255, np.uint8)
    page[50:200, 50:250] = photo[::2, ::2]
    holder, other = (side(as_jpeg(pixels, 92), features=False) for pixels in (page, photo))
    there = np.array([[0.5, 0, 50], [0, 0.5, 50], [0, 0, 1]])
    beyond = np.array([[1.0, 0, 50], [0, 1.0, 50], [0, 0, 1]])  # a quarter of it in the panel
    assert may_be_in_a_panel(holder, other)
    assert may_be_in_a_panel(holder, other, there)
    assert may_be_in_a_panel(other, holder, np.linalg.inv(there))
    assert not may_be_in_a_panel(holder, other, beyond)
    assert not may_be_in_a_panel(other, other, there)


def test_few_parts_prove_a_small_part_alone() -> None:
    image = scene(1)
    few = Agreement(FEWEST - 1, np.eye(3))
    brighter = np.clip(image * 0.9 + 25, 0, 255).astype(np.uint8)
    one, again, edited = (
        side(as_jpeg(each, 95), features=False) for each in (image, image, brighter)
    )
    assert prove_placed(one, edited, few) is None  # features may tell
    found = prove_placed(one, again, few)  # frame on frame: no placing is needed
    assert found is not None
    assert found.resaved
