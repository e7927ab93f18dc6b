"""Every file of the shared odd images ends as it should."""

from __future__ import annotations

import pytest
from drawn import SHARED

from dedup.errors import ImageError
from dedup.images.decode import decode_square, pixel_digest, read_file

ODD = SHARED / "odd"
ANIMATED, PAGES = "animated: first frame only", "multi-page: first page only"

INDEXED = {
    "01_rgb.jpg": (64, 48, None),
    "02_cmyk.jpg": (64, 48, None),
    "06_exif6.jpg": (48, 64, None),
    "07_exif6.png": (48, 64, None),
    "08_exif6.webp": (48, 64, None),
    "09_gray.jpg": (64, 48, None),
    "10_gray16.png": (64, 48, None),
    "11_palette.png": (64, 48, None),
    "12_palette_trns.png": (64, 48, None),
    "13_rgba.png": (64, 48, None),
    "14_la.png": (64, 48, None),
    "15_1bit.png": (64, 48, None),
    "16_rgb16.png": (64, 48, None),
    "22_ztxt_200MB.png": (64, 48, None),
    "24_1x1.png": (1, 1, None),
    "25_anim.gif": (64, 48, ANIMATED),
    "26_anim.webp": (64, 48, ANIMATED),
    "27_anim.png": (64, 48, ANIMATED),
    "28_still.avif": (64, 48, None),
    "32_png_named.jpg": (64, 48, None),
    "33_lzw.tif": (64, 48, None),
    "35_multipage.tif": (64, 48, PAGES),
    "36_bmp.bmp": (64, 48, None),
    "37_jpg_plus_trailing_zip.jpg": (64, 48, None),
    "39_progressive.jpg": (64, 48, None),
}
SKIPPED = {
    "03_trunc50.jpg": "truncated",
    "04_trunc1byte.jpg": "truncated",
    "05_trunc_hdr.jpg": "truncated",
    "17_bomb_20000x20000_1bit.png": "too large: 20000×20000 pixels",
    "18_bomb_30000x30000_rgba.png": "too large: 30000×30000 pixels",
    "19_hdr_65500x65500.png": "too large: 65500×65500 pixels",
    "20_hdr_2e9.png": "too large: 2147483647×2147483647 pixels",
    "21_hdr_65500.jpg": "too large: 65500×65500 pixels",
    "23_zero.jpg": "empty file",
    "30_svg_as.jpg": "not an image, or of a format that is not read",
    "31_html_as.png": "not an image, or of a format that is not read",
    "34_float32.tif": "not supported: floating-point samples, whose white is unknown",
    "38_badcrc.png": "damaged",
}
# One drawing of a red, a green and a blue ramp, stored in many ways without loss.
SAME_DRAWING = ("11_palette.png", "22_ztxt_200MB.png", "32_png_named.jpg", "33_lzw.tif")

pytestmark = pytest.mark.skipif(not ODD.is_dir(), reason="the shared odd images are not here")


def test_every_odd_file_has_an_expected_outcome() -> None:
    assert {path.name for path in ODD.iterdir()} == INDEXED.keys() | SKIPPED.keys()


@pytest.mark.parametrize("name", INDEXED)
def test_odd_but_sound_file_is_decoded(name: str) -> None:
    width, height, note = INDEXED[name]
    decoded = decode_square(read_file(str(ODD / name)), 32, 40, name)
    assert decoded.pixels.shape == (32, 40, 3)
    assert (decoded.header.width, decoded.header.height) == (width, height)
    assert decoded.note == note


@pytest.mark.parametrize("name", SKIPPED)
def test_unreadable_file_is_refused_with_its_reason(name: str) -> None:
    with pytest.raises(ImageError) as refused:
        decode_square(read_file(str(ODD / name)), 32, 40, name)
    assert refused.value.reason == SKIPPED[name]
    assert not refused.value.transient


def test_one_pixel_and_one_colour_are_trivial_and_drawings_are_not() -> None:
    trivial = {
        name: decode_square(read_file(str(ODD / name)), 224, 224).trivial for name in INDEXED
    }
    assert {name for name, is_trivial in trivial.items() if is_trivial} == {
        "24_1x1.png",
        "25_anim.gif",
        "26_anim.webp",
        "27_anim.png",
        "35_multipage.tif",
    }


def test_lossless_containers_of_one_drawing_have_one_digest() -> None:
    assert len({pixel_digest(read_file(str(ODD / name))) for name in SAME_DRAWING}) == 1


def test_turned_copies_in_png_and_webp_have_one_digest() -> None:
    turned = [pixel_digest(read_file(str(ODD / n))) for n in ("07_exif6.png", "08_exif6.webp")]
    assert turned[0] == turned[1]
    assert turned[0] != pixel_digest(read_file(str(ODD / "32_png_named.jpg")))
