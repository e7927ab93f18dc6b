"""Which of two edited versions of one photograph was made from the other."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from PIL import Image

from dedup import Collection
from dedup.edits.catalogue import drawn, edit
from dedup.images.decode import decode_bounded
from dedup.proof import WORKING_SIDE, Original, Side, describe, prove
from dedup.proof.generations import saved_from
from dedup.proof.lineage import made_from_coarser
from dedup.proof.toned import saved_toned

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from dedup.proof import Verdict

    Pixels = npt.NDArray[np.uint8]

AS_IT_IS = np.eye(3)


def saved(pixels: Pixels, quality: int | None) -> Original:
    """Save as a JPEG, or as PNG."""
    sink = io.BytesIO()
    if quality is None:
        Image.fromarray(pixels).save(sink, "PNG")
    else:
        Image.fromarray(pixels).save(sink, "JPEG", quality=quality)
    return Original(sink.getvalue())


def photograph(seed: int) -> Pixels:
    """Draw something with grain, at sides that are no whole blocks."""
    rng = np.random.default_rng(seed)
    pixels = drawn(333, 429, rng) + rng.normal(0, 5, (333, 429, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def whole(original: Original) -> Pixels:
    return original.pixels(*original.size)


def of_one_size(one: Original, two: Original) -> int:
    return (
        made_from_coarser(one, two, AS_IT_IS)
        or saved_from(one, two)
        or saved_toned(one, two, AS_IT_IS)
    )


def proven(one: Original, two: Original) -> Verdict:
    def side(file: Original) -> Side:
        return Side(describe(decode_bounded(file.data, WORKING_SIDE)), lambda: file)

    return prove(side(one), side(two))


def edited(kind: str, strength: float) -> Callable[[Pixels], Pixels]:
    return lambda pixels: edit(kind, strength, pixels, np.random.default_rng(0))


EDITS = {
    "as it is": lambda pixels: pixels,
    "contrast": edited("contrast", 1.4),
    "gamma": edited("gamma", 0.75),
    "white balance": edited("white_balance", 0.15),
    "vignette": edited("vignette", 0.7),
    "sharpen": edited("sharpen", 1.5),
}


@pytest.mark.parametrize("how", EDITS)
@pytest.mark.parametrize("quality", [92, None])
def test_what_keeps_to_the_steps_of_a_coarser_jpeg_was_made_from_it(
    how: str, quality: int | None
) -> None:
    coarse = saved(photograph(1), 65)
    made = saved(EDITS[how](whole(coarse)), quality)
    assert of_one_size(coarse, made) == 2
    assert of_one_size(made, coarse) == 1


@pytest.mark.parametrize("how", EDITS)
def test_what_a_coarser_jpeg_was_made_from_is_not_named(how: str) -> None:
    fine = saved(photograph(2), 92)
    coarse = saved(EDITS[how](whole(fine)), 65)
    assert made_from_coarser(fine, coarse, AS_IT_IS) == 0
    assert made_from_coarser(coarse, fine, AS_IT_IS) == 0


@pytest.mark.parametrize("how", ["as it is", "gamma", "white balance", "sharpen"])
def test_what_was_a_jpeg_before_it_was_saved_without_loss_is_the_original(how: str) -> None:
    original = saved(whole(saved(photograph(31), 78)), None)
    made = saved(EDITS[how](whole(original)), 92)
    assert of_one_size(original, made) == 2
    assert of_one_size(made, original) == 1


@pytest.mark.parametrize("how", EDITS)
def test_it_does_not_come_of_a_jpeg_whose_steps_are_near_those_of_its_own(how: str) -> None:
    original = saved(whole(saved(photograph(31), 78)), None)
    made = saved(EDITS[how](whole(original)), 80)
    assert of_one_size(original, made) != 1
    assert of_one_size(made, original) != 2


def test_what_was_saved_twice_does_not_come_of_what_it_keeps_to_the_steps_of() -> None:
    original = saved(whole(saved(photograph(32), 76)), 95)
    made = saved(EDITS["gamma"](whole(original)), 78)
    assert of_one_size(original, made) != 1
    assert of_one_size(made, original) != 2


def test_two_versions_of_one_original_are_not_made_from_each_other() -> None:
    original = whole(saved(photograph(3), 95))
    one = saved(EDITS["contrast"](original), 70)
    two = saved(EDITS["white balance"](original), 88)
    assert made_from_coarser(one, two, AS_IT_IS) == 0


@pytest.mark.parametrize(("first", "second"), [(92, 97), (88, 95)])
def test_fine_details_tell_what_was_made_of_a_fine_jpeg(first: int, second: int) -> None:
    """Its low steps are of one or two levels, and those of fine details are not."""
    pixels, change = photograph(5), edited("gamma", 1.3)
    original = saved(pixels, first)
    made = saved(change(whole(original)), second)
    assert made_from_coarser(original, made, AS_IT_IS) == 2
    assert made_from_coarser(made, original, AS_IT_IS) == 1
    beside = saved(change(pixels), second)
    assert made_from_coarser(original, beside, AS_IT_IS) == 0
    assert made_from_coarser(beside, original, AS_IT_IS) == 0


@pytest.mark.parametrize("gain", [1.0, 1.25, 1.5])
def test_of_few_levels_each_keeps_to_those_of_the_other(gain: float) -> None:
    """Contrast that makes up for coarser steps puts one's only level onto the other's."""
    original = saved(photograph(6), 90)
    light = whole(original).astype(np.float32)
    made = saved(np.clip((light - 128) * gain + 128, 0, 255).astype(np.uint8), 85)
    assert made_from_coarser(original, made, AS_IT_IS) != 1
    assert made_from_coarser(made, original, AS_IT_IS) != 2


def test_images_whose_steps_are_alike_tell_nothing() -> None:
    coarse = saved(photograph(4), 75)
    assert made_from_coarser(coarse, saved(whole(coarse), 75), AS_IT_IS) == 0


@pytest.mark.parametrize(
    "turn",
    [
        lambda pixels: pixels[:, ::-1],
        lambda pixels: pixels[::-1],
        np.rot90,
        lambda pixels: np.rot90(pixels, 2),
        lambda pixels: np.rot90(pixels, 3),
        lambda pixels: pixels.transpose(1, 0, 2),
    ],
)
def test_turned_and_mirrored_copies_are_told(turn: Callable[[Pixels], Pixels]) -> None:
    coarse = saved(photograph(5), 70)
    made = saved(np.ascontiguousarray(turn(whole(coarse))), 93)
    assert proven(coarse, made).derived == 2
    assert proven(made, coarse).derived == 1


def test_a_photograph_that_is_part_of_a_larger_picture_is_no_crop_of_it() -> None:
    """What is around it is a photograph as well, so that its shape does not tell."""
    coarse = saved(photograph(6), 70)
    ground = drawn(500, 640, np.random.default_rng(7))
    ground[41:374, 103:532] = whole(coarse)
    verdict = proven(coarse, saved(ground, 92))
    assert verdict.near
    assert verdict.derived == 2
    assert verdict.evidence.startswith("shows the other among other things, on 45% of it")


def test_a_crop_is_told_from_what_it_was_cut_from() -> None:
    fine = saved(drawn(500, 640, np.random.default_rng(8)), 92)
    verdict = proven(fine, saved(whole(fine)[41:374, 103:532], 75))
    assert verdict.derived == 2
    assert verdict.evidence.startswith("cropped to 4")


def test_a_reduced_photograph_among_others_is_no_crop() -> None:
    rng = np.random.default_rng(9)
    large = np.clip(drawn(600, 800, rng) + rng.normal(0, 12, (600, 800, 3)), 0, 255)
    original = saved(large.astype(np.uint8), 95)
    ground = drawn(700, 700, np.random.default_rng(10))
    small = cv2.resize(whole(original), (400, 300), interpolation=cv2.INTER_AREA)
    ground[200:500, 150:550] = small
    verdict = proven(original, saved(ground, 95))
    assert verdict.derived == 2
    assert verdict.evidence.startswith("shows the other among other things")


def test_light_that_is_lost_tells_what_was_made() -> None:
    """At one quality, where steps tell nothing."""
    rng = np.random.default_rng(11)
    rough = cv2.resize(rng.normal(0, 14, (84, 108, 3)).astype(np.float32), (429, 333))
    original = saved((drawn(333, 429, rng) + rough + 20).clip(0, 255).astype(np.uint8), 95)
    brighter = saved((whole(original) * 1.3).clip(0, 255).astype(np.uint8), 95)
    assert proven(original, brighter).derived == 2
    assert proven(brighter, original).derived == 1


def test_a_tone_is_put_on_and_colour_taken_away() -> None:
    colourful = saved(photograph(12), 95)
    sepia = saved(edited("sepia", 1)(whole(colourful)), 95)
    verdict = proven(colourful, sepia)
    assert verdict.derived == 2
    assert "toned in one colour" in verdict.evidence
    grey = saved(edited("grey", 1)(whole(colourful)), 95)
    toned = saved(edited("sepia", 1)(whole(grey)), 95)
    assert proven(grey, toned).derived == 2


def test_a_coloured_badge_on_a_grey_image_takes_no_colour_away() -> None:
    grey = saved(edited("grey", 1)(photograph(14)), 95)
    badged = whole(grey).copy()
    badged[20:110, 30:160] = (220, 30, 40)
    verdict = proven(grey, saved(badged, 95))
    assert verdict.near
    assert "colour" not in verdict.evidence
    assert verdict.derived != 1


def test_a_list_keeps_what_comes_from_the_web_and_not_what_was_made_of_it(tmp_path: Path) -> None:
    """Neither its lossless conversion, nor a better JPEG of it, nor an edited one."""
    folder = tmp_path / "images"
    folder.mkdir()
    original = saved(photograph(13), 70)
    (folder / "z.jpg").write_bytes(original.data)
    (folder / "a.png").write_bytes(saved(whole(original), None).data)
    (folder / "b.jpg").write_bytes(saved(whole(original), 95).data)
    (folder / "c.jpg").write_bytes(saved(EDITS["vignette"](whole(original)), 95).data)
    with Collection.create(tmp_path / "store") as collection:
        collection.index(folder)
        (group,) = collection.duplicates()
    assert group.keeper.endswith("z.jpg")
    assert len(group.duplicates) == 3
    assert group.kept_because.startswith("the others were made from it (saved ")
