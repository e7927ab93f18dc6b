"""Which of two files of one image was saved from the other."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from dedup.edits.catalogue import drawn
from dedup.images.decode import decode_bounded
from dedup.proof import WORKING_SIDE, Original, Side, describe, prove
from dedup.proof.generations import (
    is_repeated,
    resampled_from,
    resampled_part,
    resized_from,
    saved_from,
)


def jpeg(image: Image.Image, quality: int, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=quality, subsampling=0, exif=exif)
    return sink.getvalue()


def webp(image: Image.Image) -> bytes:
    sink = io.BytesIO()
    image.save(sink, "WEBP", quality=90, method=0)
    return sink.getvalue()


def sided(original: Original) -> Side:
    return Side(describe(decode_bounded(original.data, WORKING_SIDE)), lambda: original)


def photograph(seed: int) -> Image.Image:
    """Draw something with grain, at sides that are no whole blocks."""
    rng = np.random.default_rng(seed)
    pixels = drawn(333, 429, rng) + rng.normal(0, 5, (333, 429, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


TURNED = {
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize(("first", "second"), [(92, 88), (90, 92), (90, 90)])
def test_a_jpeg_stored_turned_came_of_the_other(orientation: int, first: int, second: int) -> None:
    for seed in range(2):
        original = jpeg(photograph(seed), first)
        turned = Image.open(io.BytesIO(original)).transpose(TURNED[orientation])
        copy = jpeg(turned, second, orientation)
        assert saved_from(Original(original), Original(copy)) == 2
        assert saved_from(Original(copy), Original(original)) == 1


def test_a_jpeg_compressed_more_came_of_the_other() -> None:
    original = jpeg(photograph(1), 94)
    copy = jpeg(Image.open(io.BytesIO(original)), 84)
    assert saved_from(Original(original), Original(copy)) == 2
    assert saved_from(Original(copy), Original(original)) == 1


def test_where_it_cannot_be_told_nothing_is() -> None:
    image = photograph(2)
    original = jpeg(image, 92)
    small = jpeg(image.resize((214, 166)), 92)
    for other in (original, small, jpeg(image, 60)):
        assert saved_from(Original(original), Original(other)) == 0


def encoded(image: Image.Image, kind: str, **how: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


@pytest.mark.parametrize("quality", [60, 80, 92, 99])
def test_a_jpeg_came_of_what_was_never_one(quality: int) -> None:
    image = photograph(2)
    kept, made = Original(encoded(image, "PNG")), Original(jpeg(image, quality))
    assert saved_from(kept, made) == 2
    assert saved_from(made, kept) == 1


@pytest.mark.parametrize("quality", [98, 99])
def test_a_jpeg_saved_finer_came_of_the_coarser_one(quality: int) -> None:
    original = jpeg(photograph(3), 95)
    finer = Original(jpeg(Image.open(io.BytesIO(original)), quality))
    assert saved_from(Original(original), finer) == 2
    assert saved_from(finer, Original(original)) == 1


@pytest.mark.parametrize(("kind", "quality"), [("WEBP", 70), ("AVIF", 40)])
def test_what_does_not_explain_a_jpeg_need_not_be_made_of_it(kind: str, quality: int) -> None:
    """Sites save both from one original."""
    original = jpeg(photograph(4), 85)
    converted = encoded(Image.open(io.BytesIO(original)), kind, quality=quality)
    assert saved_from(Original(original), Original(converted)) == 0
    back = jpeg(Image.open(io.BytesIO(converted)), 85)
    assert saved_from(Original(converted), Original(back)) == 2


FILTERS = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)


def resized(image: Image.Image, factor: float, how: Image.Resampling) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)), how)


def soft(seed: int) -> Image.Image:
    """Draw something as soft as what was enlarged a little, which traits take it for."""
    return photograph(seed).filter(ImageFilter.GaussianBlur(0.8))


@pytest.mark.parametrize("how", FILTERS)
@pytest.mark.parametrize("factor", [0.75, 0.6, 0.4])
def test_a_soft_photograph_was_not_enlarged_from_its_reduction(
    factor: float, how: Image.Resampling
) -> None:
    for seed in range(2):
        original = soft(seed)
        small = resized(original, factor, how)
        one, two = Original(jpeg(original, 90)), Original(jpeg(small, 95))
        there, back = prove(sided(one), sided(two)), prove(sided(two), sided(one))
        assert (there.resaved, there.derived) == (True, 2)
        assert (back.resaved, back.derived) == (True, 1)


@pytest.mark.parametrize("how", FILTERS[1:])
@pytest.mark.parametrize("factor", [1.5, 2.5])
def test_what_was_enlarged_came_of_the_smaller(factor: float, how: Image.Resampling) -> None:
    for seed in range(2):
        original = jpeg(photograph(seed), 85)
        with Image.open(io.BytesIO(original)) as image:
            large = jpeg(resized(image, factor, how), 95)
        assert prove(sided(Original(original)), sided(Original(large))).derived == 2
        assert prove(sided(Original(large)), sided(Original(original))).derived == 1


SHARPENED = ImageFilter.UnsharpMask(1.5, 100, 3), ImageFilter.UnsharpMask(3, 80, 0)


@pytest.mark.parametrize("sharpen", SHARPENED)
@pytest.mark.parametrize("factor", [1.7, 1.3, 0.6])
def test_sharpening_does_not_hide_which_was_resized(
    factor: float, sharpen: ImageFilter.UnsharpMask
) -> None:
    original = jpeg(photograph(1).filter(ImageFilter.GaussianBlur(0.6)), 85)
    with Image.open(io.BytesIO(original)) as image:
        copy = jpeg(resized(image, factor, FILTERS[2]).filter(sharpen), 92)
    one, two = sided(Original(original)), sided(Original(copy))
    assert prove(one, two).derived == 2
    assert prove(two, one).derived == 1


@pytest.mark.parametrize("quality", [None, 75, 95])
@pytest.mark.parametrize(("factor", "kind"), [(3, "PNG"), (2, "PNG"), (2, "JPEG")])
def test_what_was_enlarged_and_sharpened_holds_no_more_than_the_smaller(
    factor: int, kind: str, quality: int | None
) -> None:
    """Its reduction is the smaller one, which thus looks like one that was made of it."""
    small = photograph(4).crop((0, 0, 240, 200))
    original = encoded(small, kind) if kind == "PNG" else jpeg(small, 95)
    shown = Image.open(io.BytesIO(original)).convert("RGB")
    large = resized(shown, factor, Image.Resampling.LANCZOS)
    large = large.filter(ImageFilter.UnsharpMask(2, 120, 0))
    made = encoded(large, "PNG") if quality is None else jpeg(large, quality)
    assert resampled_from(Original(original), Original(made)) == 2
    assert resampled_from(Original(made), Original(original)) == 1


@pytest.mark.parametrize("orientation", [1, *TURNED])
@pytest.mark.parametrize(("first", "second"), [(85, 75), (75, 60), (95, 80)])
def test_an_enlargement_that_is_compressed_more_came_of_the_smaller(
    orientation: int, first: int, second: int
) -> None:
    original = jpeg(photograph(1), first)
    with Image.open(io.BytesIO(original)) as image:
        large = resized(image, 1.4, FILTERS[1])
    if orientation != 1:
        large = large.transpose(TURNED[orientation])
    one, two = Original(original), Original(jpeg(large, second, orientation))
    unknown = np.zeros((1, 1), np.float32)
    assert resized_from(one, two, unknown, 1.0) == 2
    assert resized_from(two, one, unknown, 1.0) == 1


def test_a_strongly_compressed_original_was_not_enlarged_from_a_finer_reduction() -> None:
    unknown = np.zeros((1, 1), np.float32)
    for seed, quality in enumerate((50, 60, 75)):
        original = jpeg(photograph(seed).filter(ImageFilter.GaussianBlur(1.5)), quality)
        with Image.open(io.BytesIO(original)) as image:
            small = jpeg(resized(image, 0.8, FILTERS[2]), 95)
        assert resized_from(Original(original), Original(small), unknown, 1.2) == 2


def test_where_steps_tell_nothing_sharpness_does() -> None:
    image, unknown = photograph(0), np.zeros((1, 1), np.float32)
    large = Original(webp(image))
    small = Original(webp(resized(image, 0.5, FILTERS[2])))
    assert resized_from(large, small, unknown, 1.03) == 2
    assert resized_from(small, large, unknown, 1.03) == 1
    assert resized_from(large, small, unknown, 1.05) == 0
    assert resized_from(large, small, unknown, 0.79) == 0
    assert resized_from(large, small, unknown, 1.46) == 2
    assert resized_from(small, small, unknown, 1.0) == 0


def on_white(seed: int) -> Image.Image:
    """Show something round on white ground."""
    image, mask = photograph(seed), Image.new("L", (429, 333), 0)
    ImageDraw.Draw(mask).ellipse((90, 50, 340, 280), 255)
    return Image.composite(image, Image.new("RGB", image.size, "white"), mask)


@pytest.mark.parametrize("factor", [1.5, 1.0, 0.8])
def test_what_was_cut_off_plain_ground_is_a_crop(factor: float) -> None:
    original = jpeg(on_white(6), 85)
    with Image.open(io.BytesIO(original)) as image:
        copy = jpeg(resized(image.crop((31, 20, 400, 310)), factor, FILTERS[2]), 90)
    verdict = prove(sided(Original(original)), sided(Original(copy)))
    assert (verdict.near, verdict.derived) == (True, 2)
    assert verdict.evidence.startswith("cropped to")


def test_plain_ground_that_was_added_is_said_to_be() -> None:
    original = jpeg(on_white(7).crop((60, 30, 370, 300)), 85)
    with Image.open(io.BytesIO(original)) as image:
        copy = jpeg(ImageOps.expand(resized(image, 1.3, FILTERS[2]), 60, "white"), 90)
    verdict = prove(sided(Original(original)), sided(Original(copy)))
    assert (verdict.near, verdict.derived) == (True, 2)
    assert verdict.evidence.startswith("plain ground added around it")


@pytest.mark.parametrize("how", [Image.Transpose.ROTATE_90, Image.Transpose.TRANSVERSE])
@pytest.mark.parametrize(("factor", "quality"), [(1.0, 84), (1.4, 92)])
def test_what_was_turned_and_saved_again_is_told(
    how: Image.Transpose, factor: float, quality: int
) -> None:
    original = jpeg(photograph(8), 86)
    with Image.open(io.BytesIO(original)) as image:
        copy = jpeg(resized(image.transpose(how), factor, FILTERS[2]), quality)
    one, two = sided(Original(original)), sided(Original(copy))
    assert prove(one, two).derived == 2
    assert prove(two, one).derived == 1


def test_what_was_blurred_and_saved_better_came_of_the_sharper() -> None:
    original = jpeg(photograph(9), 80)
    with Image.open(io.BytesIO(original)) as image:
        copy = jpeg(image.filter(ImageFilter.GaussianBlur(2)), 98)
    one, two = sided(Original(original)), sided(Original(copy))
    assert resampled_from(one.open(), two.open()) == 2
    assert resampled_from(two.open(), one.open()) == 1
    assert prove(one, two).derived == 2


@pytest.mark.parametrize("seed", range(2))
def test_what_is_as_it_was_in_the_middle_alone_tells_nothing_of_the_rest(seed: int) -> None:
    """The middle of the original is that of the other one, sharpened."""
    sharp = photograph(seed)
    middle = Image.new("L", sharp.size, 0)
    ImageDraw.Draw(middle).rectangle((120, 70, 310, 260), 255)
    around = sharp.filter(ImageFilter.GaussianBlur(3))
    soft = sharp.filter(ImageFilter.GaussianBlur(0.6))
    made = jpeg(Image.composite(soft, around, middle), 98)
    sharpened = Image.open(io.BytesIO(made)).convert("RGB")
    sharpened = sharpened.filter(ImageFilter.UnsharpMask(1, 80, 0))
    original = jpeg(Image.composite(sharpened, sharp, middle), 92)
    assert resampled_part(Original(original), Original(made), np.eye(3)) == 0
    assert resampled_part(Original(made), Original(original), np.eye(3)) == 0


@pytest.mark.parametrize("factor", [1.2, 1.5, 2])
def test_an_image_whose_pixels_are_repeated_came_of_the_smaller(factor: float) -> None:
    """Taking some pixels of it gives the smaller one to the level, as a reduction would."""
    image = photograph(6)
    sides = round(429 * factor), round(333 * factor)
    small = Original(jpeg(image, 92))
    large = Original(jpeg(image.resize(sides, Image.Resampling.NEAREST), 95))
    assert is_repeated(large, small)
    assert prove(sided(small), sided(large)).derived == 2
    assert prove(sided(large), sided(small)).derived == 1


@pytest.mark.parametrize("factor", [0.5, 0.67, 0.8])
def test_an_image_of_which_some_pixels_were_taken_repeats_none(factor: float) -> None:
    image = photograph(7)
    sides = round(429 * factor), round(333 * factor)
    small = Original(jpeg(image.resize(sides, Image.Resampling.NEAREST), 92))
    large = Original(jpeg(image, 92))
    assert not is_repeated(large, small)
    assert prove(sided(large), sided(small)).derived in {0, 2}


@pytest.mark.parametrize("sides", [(429, 400), (515, 333)])
def test_a_stretched_image_whose_light_changes_along_one_side_repeats_none(
    sides: tuple[int, int],
) -> None:
    rng = np.random.default_rng(8)
    rows = np.repeat(rng.normal(120, 40, (333, 1, 3)), 429, axis=1)
    pixels = rows + rng.normal(0, 4, rows.shape)
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    stretched = image.resize(sides, Image.Resampling.LANCZOS)
    assert not is_repeated(Original(jpeg(stretched, 92)), Original(jpeg(image, 92)))
