from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from drawn import encode, exif, heif, png, png_chunk, stored_for, textured

from dedup.errors import ImageError
from dedup.images.decode import (
    DECODER,
    Decoded,
    decode_bounded,
    decode_bytes,
    decode_square,
)
from dedup.images.header import read_header
from dedup.images.resize import resize

if TYPE_CHECKING:
    from pathlib import Path

PICTURE = textured(150, 220)
SQUARE = resize(PICTURE, 64, 64)
LOSSLESS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "BMP": {},
    "TIFF": {"compression": "tiff_lzw"},
    "WEBP": {"lossless": True},
    "PPM": {},
    "JPEG2000": {"irreversible": False},
}
LOSSY = ("JPEG", "WEBP", "AVIF")


def square(data: bytes, height: int = 64, width: int = 64) -> Any:
    return decode_square(data, height, width, "x").pixels


def whole(data: bytes) -> Any:
    return decode_bounded(data, 10_000, "x")


def reason(data: bytes) -> str:
    with pytest.raises(ImageError) as refused:
        decode_square(data, 64, 64, "x")
    return refused.value.reason


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_of_equal_pixels_decode_equally(name: str) -> None:
    data = encode(PICTURE, name, **LOSSLESS[name])
    assert np.array_equal(square(data), SQUARE)
    assert np.array_equal(whole(data), PICTURE)


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_formats_decode_to_nearly_the_image(name: str) -> None:
    data = encode(PICTURE, name, quality=95)
    assert np.abs(whole(data).astype(int) - PICTURE).mean() < 4


def test_heif_decodes_upright() -> None:
    for orientation in (1, 6, 8):
        data = heif(stored_for(PICTURE, orientation), quality=95, exif=exif(orientation))
        assert np.abs(whole(data).astype(int) - PICTURE).mean() < 4


def test_equal_bytes_decode_equally_from_many_threads() -> None:
    files = [encode(textured(200, 300, seed), name) for seed in range(6) for name in LOSSY]
    alone = [square(data) for data in files]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for pixels, expected in zip(pool.map(square, files), alone, strict=True):
                assert np.array_equal(pixels, expected)


@pytest.mark.parametrize("name", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied(name: str, orientation: int) -> None:
    stored = stored_for(PICTURE, orientation)
    data = encode(stored, name, exif=exif(orientation), **LOSSLESS[name])
    assert np.array_equal(whole(data), PICTURE)
    assert np.array_equal(square(data), SQUARE)


@pytest.mark.parametrize("name", ["JPEG", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied_to_lossy_formats(name: str, orientation: int) -> None:
    stored = stored_for(PICTURE, orientation)
    data = encode(stored, name, exif=exif(orientation), quality=95)
    assert np.abs(whole(data).astype(int) - PICTURE).mean() < 4


def test_orientation_is_applied_at_a_reduced_scale() -> None:
    upright = textured(1200, 1800)
    expected = resize(upright, 64, 96).astype(int)
    for orientation in range(1, 9):
        data = encode(stored_for(upright, orientation), "JPEG", exif=exif(orientation), quality=95)
        assert np.abs(square(data, 64, 96) - expected).mean() < 4


def test_transparency_is_laid_on_one_grey() -> None:
    rgba = np.dstack([PICTURE, np.full(PICTURE.shape[:2], 255, np.uint8)])
    rgba[:50, :, 3] = 0
    rgba[50:100, :, 3] = 51
    opacity = rgba[:, :, 3:].astype(float) / 255
    expected = PICTURE * opacity + 128 * (1 - opacity)
    for name in ("PNG", "WEBP", "TIFF"):
        options: dict[str, Any] = {"lossless": True, "exact": True} if name == "WEBP" else {}
        assert np.abs(whole(encode(rgba, name, **options)) - expected).max() <= 1


def test_colours_hidden_under_transparency_do_not_show() -> None:
    rgba = np.dstack([PICTURE, np.zeros(PICTURE.shape[:2], np.uint8)])
    assert np.array_equal(whole(encode(rgba, "PNG")), np.full_like(PICTURE, 128))
    key = png_chunk(b"tRNS", np.asarray([7, 8, 9], ">u2").tobytes())
    one = np.full((10, 10, 3), (7, 8, 9), np.uint8)
    assert np.array_equal(whole(png(one, 2, key)), np.full_like(one, 128))
    grey = np.full((10, 10, 1), 300, np.uint16)
    key = png_chunk(b"tRNS", np.asarray([300], ">u2").tobytes())
    assert np.array_equal(whole(png(grey, 0, key)), np.full_like(one, 128))
    deep = np.full((10, 10, 3), (700, 800, 900), np.uint16)
    key = png_chunk(b"tRNS", np.asarray([700, 800, 900], ">u2").tobytes())
    assert np.array_equal(whole(png(deep, 2, key)), np.full_like(one, 128))


@pytest.mark.parametrize("shade", [0, 255])
def test_a_drawing_on_nothing_does_not_vanish(shade: int) -> None:
    logo = np.zeros((80, 80, 2), np.uint8)
    cv2.circle(logo, (40, 40), 25, (shade, 255), 4)
    decoded = decode_square(png(logo, 4), 80, 80)
    assert not decoded.trivial
    assert set(np.unique(decoded.pixels)) == {128, shade}


def test_opaque_alpha_changes_nothing() -> None:
    assert np.array_equal(whole(encode(PICTURE, "PNG", "RGBA")), PICTURE)


def test_grey_palette_and_bilevel_become_rgb() -> None:
    grey = PICTURE[:, :, 1]
    expected = np.dstack([grey] * 3)
    assert np.array_equal(whole(encode(grey, "PNG")), expected)
    assert np.array_equal(whole(encode(grey, "PNG", "LA")), expected)
    assert np.array_equal(whole(encode(grey, "BMP")), expected)
    assert np.array_equal(whole(encode(grey // 16 * 16, "PNG", "P")), expected // 16 * 16)
    bilevel = np.where(grey > 127, 255, 0).astype(np.uint8)
    assert np.array_equal(whole(encode(bilevel, "PNG", "1")), np.dstack([bilevel] * 3))
    assert np.array_equal(whole(encode(bilevel, "TIFF", "1")), np.dstack([bilevel] * 3))


def test_deep_samples_are_scaled() -> None:
    deep = PICTURE.astype(np.uint16) * 257
    grey = np.dstack([PICTURE[:, :, 0]] * 3)
    assert np.array_equal(whole(png(deep, 2)), PICTURE)
    assert np.array_equal(whole(cv2.imencode(".tiff", deep[:, :, ::-1])[1].tobytes()), PICTURE)
    for name in ("PNG", "TIFF", "PPM"):
        assert np.array_equal(whole(encode(deep[:, :, 0], name)), grey)


def test_samples_without_a_white_are_refused() -> None:
    grey = PICTURE[:, :, 0]
    assert reason(encode(grey.astype(np.float32), "TIFF")) == (
        "not supported: floating-point samples, whose white is unknown"
    )
    assert reason(encode(grey.astype(np.int32), "TIFF")) == (
        "not supported: 32-bit samples, whose white is unknown"
    )
    colours = cv2.imencode(".tiff", PICTURE.astype(np.float32))[1].tobytes()
    assert reason(colours) == "not supported: samples of this kind"


def test_sound_kinds_that_are_not_read_are_not_called_damaged() -> None:
    bitmap = bytearray(encode(PICTURE, "BMP"))
    bitmap[30] = 4  # a JPEG inside
    assert reason(bytes(bitmap)) == "not supported: BMP compression (4)"


def test_cmyk_has_the_colours_of_rgb() -> None:
    for name in ("JPEG", "TIFF"):
        data = encode(PICTURE, name, "CMYK")
        assert np.abs(whole(data).astype(int) - PICTURE).mean() < 4
        assert decode_square(data, 64, 64).header.mode == "CMYK"


def test_large_jpeg_is_decoded_at_a_reduced_scale_and_looks_the_same() -> None:
    image = resize(textured(300, 450), 2400, 3600)
    for options in ({}, {"progressive": True}, {"subsampling": 0}):
        data = encode(image, "JPEG", quality=92, **options)
        for size in ((224, 224), (224, 100), (64, 300)):
            expected = resize(image, *size).astype(int)
            assert np.abs(square(data, *size) - expected).mean() < 2.5


def test_a_jpeg_is_never_reduced_below_1_15_times_the_size() -> None:
    # half of 516 is 258 and more than 1.15 times 224, half of 514 is 257 and less
    for side, reduced in ((516, True), (514, False)):
        data = encode(textured(side, side), "JPEG")
        flags = cv2.IMREAD_COLOR_RGB | (cv2.IMREAD_REDUCED_GRAYSCALE_2 if reduced else 0)
        pixels = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), flags))
        assert np.array_equal(square(data, 224, 224), resize(pixels, 224, 224))


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_truncation_is_seen_at_every_scale(options: dict[str, Any]) -> None:
    data = encode(textured(1600, 1600), "JPEG", **options)
    for size in (len(data) // 2, len(data) - 300, len(data) - 1):
        for target in (64, 224, 800):
            with pytest.raises(ImageError, match="truncated"):
                decode_square(data[:size], target, target, "x")


@pytest.mark.parametrize("name", ["PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM"])
def test_truncation_is_seen_in_every_format(name: str) -> None:
    data = encode(PICTURE, name)
    for size in (len(data) // 2, len(data) * 9 // 10):
        assert reason(data[:size]) in {"truncated", "damaged"}


def test_flipped_bytes_in_a_png_are_damage() -> None:
    data = bytearray(encode(PICTURE, "PNG"))
    data[len(data) // 2] ^= 0xFF
    assert reason(bytes(data)) == "damaged"


def test_what_follows_a_jpeg_is_ignored() -> None:
    data = encode(PICTURE, "JPEG")
    assert np.array_equal(square(data + b"PK\x03\x04" * 300), square(data))


def test_animations_and_pages_show_the_first() -> None:
    others = [textured(150, 220, seed) for seed in (5, 6)]
    from PIL import Image

    more = [Image.fromarray(other) for other in others]
    for name, note in (("PNG", "animated: first"), ("TIFF", "multi-page: first")):
        decoded = decode_square(encode(PICTURE, name, save_all=True, append_images=more), 64, 64)
        assert np.array_equal(decoded.pixels, SQUARE)
        assert (decoded.note or "").startswith(note)
    webp = encode(PICTURE, "WEBP", save_all=True, append_images=more, lossless=True)
    assert np.array_equal(square(webp), SQUARE)


def test_colour_profiles_are_ignored() -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert np.array_equal(whole(encode(PICTURE, "PNG", icc_profile=profile)), PICTURE)


def test_bounded_keeps_the_aspect_and_never_enlarges() -> None:
    data = encode(PICTURE, "PNG")
    assert np.array_equal(decode_bounded(data, 220), PICTURE)
    assert np.array_equal(decode_bounded(data, 5000), PICTURE)
    assert np.array_equal(decode_bounded(data, 110), resize(PICTURE, 75, 110))
    assert decode_bounded(encode(textured(2, 900), "PNG"), 100).shape == (1, 100, 3)
    assert decode_bounded(encode(textured(2400, 1600), "JPEG"), 320).shape == (320, 213, 3)
    turned = encode(stored_for(PICTURE, 6), "PNG", exif=exif(6))
    assert np.array_equal(decode_bounded(turned, 110), resize(PICTURE, 75, 110))


def test_a_long_panorama_is_decoded_whole() -> None:
    panorama = np.zeros((200, 30_000, 3), np.uint8)
    panorama[:, 15_000:] = 255
    for data in (encode(panorama, "JPEG"), encode(panorama, "PNG")):
        pixels = square(data, 224, 224)
        assert pixels[:, :111].max() <= 2
        assert pixels[:, 113:].min() >= 253


def trivial(pixels: Any, name: str = "PNG") -> bool:
    return decode_square(encode(np.asarray(pixels, np.uint8), name), 224, 224).trivial


def test_small_or_uniform_images_are_trivial() -> None:
    assert trivial(textured(7, 500))
    assert trivial(textured(500, 7))
    assert not trivial(textured(8, 500))
    assert trivial(np.full((300, 400, 3), (200, 30, 60)))
    rng = np.random.default_rng(0)
    paper = np.clip(rng.normal(244, 1.5, (600, 400, 1)), 0, 255).repeat(3, axis=2)
    assert trivial(paper, "JPEG")
    paper[100:104, 40:300] = 30
    assert not trivial(paper, "JPEG")
    thin = np.full((224, 224, 3), 255)
    thin[101] = 0
    assert not trivial(thin)


def test_result_is_as_promised() -> None:
    decoded = decode_square(encode(PICTURE, "JPEG"), 40, 30)
    assert isinstance(decoded, Decoded)
    assert decoded.pixels.dtype == np.uint8
    assert decoded.pixels.shape == (40, 30, 3)
    assert decoded.pixels.flags.c_contiguous
    assert decoded.header == read_header(encode(PICTURE, "JPEG"))
    assert "heif" not in DECODER


def test_costs_grow_with_what_is_decoded() -> None:
    small = read_header(encode(textured(300, 400), "PNG"))
    large = read_header(encode(textured(1200, 1600), "PNG"))
    photo = read_header(encode(textured(1200, 1600), "JPEG"))
    assert decode_bytes(small, 64, 64) < decode_bytes(large, 64, 64)
    assert decode_bytes(photo, 64, 64) < decode_bytes(large, 64, 64)
    assert decode_bytes(photo, 64, 64) < decode_bytes(photo, 1200, 1600)


def test_decoders_do_not_write_to_stderr(tmp_path: Path) -> None:
    lzw = bytearray(encode(PICTURE, "TIFF", compression="tiff_adobe_deflate"))
    lzw[len(lzw) // 2] ^= 0xFF
    deep = png(PICTURE.astype(np.uint16), 2, png_chunk(b"iCCP", b"x\x00\x00broken"))
    metadata = encode(PICTURE, "JPEG", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\x00broken")
    for index, data in enumerate((bytes(lzw), deep, metadata)):
        (tmp_path / f"{index}.bin").write_bytes(data)
    program = (
        "import sys\n"
        "from dedup.errors import ImageError\n"
        "from dedup.images.decode import decode_square, pixel_digest, read_file\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        decode_square(read_file(path), 64, 64)\n"
        "        pixel_digest(read_file(path))\n"
        "    except ImageError as error:\n"
        "        print(error.reason)\n"
    )
    files = sorted(tmp_path.iterdir())
    ended = subprocess.run(
        [sys.executable, "-c", program, *files], capture_output=True, text=True, check=True
    )
    assert (ended.stdout, ended.stderr) == ("damaged\n", "")
