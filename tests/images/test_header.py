from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from drawn import encode, exif, heif, jpeg_claiming, png, png_chunk, stored_for, textured
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dedup.errors import ImageError
from dedup.images.containers import exif_orientation, has_deep_samples, without_png_text
from dedup.images.formats import SIGNATURE_BYTES, readable_formats, sniff
from dedup.images.header import read_epoch, read_header
from dedup.images.limits import LIMITS

PICTURE = textured(60, 90)
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")
TURNING = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")


def reason(data: bytes) -> str:
    with pytest.raises(ImageError) as refused:
        read_header(data, "x")
    assert not refused.value.transient
    return refused.value.reason


@pytest.mark.parametrize("name", FORMATS)
def test_format_and_size_come_from_the_content(name: str) -> None:
    header = read_header(encode(PICTURE, name))
    assert (header.format, header.width, header.height) == (name, 90, 60)
    assert (header.orientation, header.frames, header.bits, header.alpha) == (1, 1, 8, False)


@pytest.mark.parametrize("name", TURNING)
def test_size_is_upright(name: str) -> None:
    for orientation in range(1, 9):
        data = encode(stored_for(PICTURE, orientation), name, exif=exif(orientation))
        header = read_header(data)
        assert (header.width, header.height, header.orientation) == (90, 60, orientation)


def test_heif_is_read_with_its_extra() -> None:
    header = read_header(heif(PICTURE))
    assert (header.format, header.width, header.height, header.frames) == ("HEIF", 90, 60, 1)
    assert readable_formats()["HEIF"]


def test_heif_without_its_extra_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data = heif(PICTURE)
    monkeypatch.setitem(sys.modules, "pillow_heif.as_plugin", None)
    assert reason(data) == "HEIC needs an optional package: pip install 'dedup-vision[heic]'"


def test_epoch_changes_with_an_optional_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    before = read_epoch()
    monkeypatch.setattr("dedup.images.header.extra_version", lambda _: None)
    assert read_epoch() != before


def test_depths_are_told() -> None:
    deep = PICTURE.astype(np.uint16) * 257
    assert read_header(encode(PICTURE, "PNG", "1")).bits == 1
    assert read_header(encode(PICTURE, "TIFF", "1")).bits == 1
    assert read_header(encode(PICTURE, "PNG", "P")).bits == 8
    assert read_header(encode(deep[:, :, 0], "PNG")).bits == 16
    assert read_header(encode(deep[:, :, 0], "TIFF")).bits == 16
    assert read_header(png(deep, 2)).bits == 16
    assert read_header(encode(PICTURE[:, :, 0].astype(np.float32), "TIFF")).bits == 32
    assert read_header(encode(PICTURE[:, :, 0].astype(np.int32), "TIFF")).bits == 32


def test_transparency_is_told() -> None:
    for mode in ("RGBA", "LA"):
        assert read_header(encode(PICTURE, "PNG", mode)).alpha
    assert read_header(png(PICTURE, 2, png_chunk(b"tRNS", bytes(6)))).alpha
    assert not read_header(encode(PICTURE, "PNG", "P")).alpha


@pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_several_frames_are_told(name: str) -> None:
    more = [Image.fromarray(textured(60, 90, seed)) for seed in (1, 2)]
    data = encode(PICTURE, name, save_all=True, append_images=more)
    assert read_header(data).frames > 1


def test_preview_in_a_phone_jpeg_is_no_second_page() -> None:
    preview = Image.fromarray(PICTURE[::2, ::2])
    data = encode(PICTURE, "MPO", save_all=True, append_images=[preview])
    header = read_header(data)
    assert (header.format, header.width, header.frames) == ("JPEG", 90, 1)


@pytest.mark.parametrize(
    "data",
    [
        b"plain words",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7\n",
        b"BM is how this sentence begins, and it is long enough",
        b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(40),
        b"P7\nWIDTH 1\n",
        bytes(100),
    ],
)
def test_what_is_no_image_is_no_image(data: bytes) -> None:
    assert reason(data) == "not an image, or of a format that is not read"


def test_empty_file_is_told() -> None:
    assert reason(b"") == "empty file"


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "PPM"])
def test_a_header_cut_anywhere_is_refused_with_a_reason(name: str) -> None:
    data = encode(PICTURE, name)
    for size in (4, 13, 24, 40):
        assert reason(data[:size]) in {
            "truncated",
            "damaged",
            "not an image, or of a format that is not read",
        }


def test_bounds_are_judged_from_the_header() -> None:
    blank = np.zeros((1, 1), np.uint8)
    size = png_chunk(b"IHDR", (70_000).to_bytes(4, "big") + bytes((0, 0, 0, 1, 8, 0, 0, 0, 0)))
    long = png(blank, 0)
    assert reason(long[:8] + size + long[33:]) == "too large: 70000×1 pixels"
    # large enough a file for the claim, and beyond the bound by one row
    claim = jpeg_claiming(16385, 16384, encode(PICTURE, "JPEG")) + bytes(LIMITS.pixels // 400)
    assert reason(claim) == "too large: 16384×16385 pixels"


def test_phone_photograph_and_panorama_are_within_bounds() -> None:
    for width, height in ((16_320, 12_240), (30_000, 5_000)):
        claim = jpeg_claiming(height, width, encode(PICTURE, "JPEG"))
        header = read_header(claim + bytes(width * height // 500))
        assert (header.width, header.height) == (width, height)


def test_a_few_bytes_cannot_claim_many_pixels() -> None:
    for progressive in (False, True):
        data = encode(PICTURE[:8, :8], "JPEG", progressive=progressive)
        assert len(data) < 1000
        assert reason(jpeg_claiming(16_000, 16_000, data)) == "truncated"
    small = png(np.zeros((8, 8), np.uint8), 0)
    size = (16_000).to_bytes(4, "big") * 2 + bytes((8, 0, 0, 0, 0))
    assert reason(small[:8] + png_chunk(b"IHDR", size) + small[33:]) == "truncated"


def test_the_emptiest_whole_files_are_not_taken_for_truncated() -> None:
    blank = np.full((4000, 4000), 255, np.uint8)
    for data in (
        encode(blank, "JPEG", optimize=True),
        encode(blank, "JPEG", progressive=True, optimize=True),
        encode(blank, "PNG", "1", optimize=True),
        encode(blank, "PNG", "P", optimize=True, bits=1),
        encode(blank, "PNG", optimize=True, compress_level=9),
    ):
        assert read_header(data).width == 4000


def test_endless_passes_are_refused() -> None:
    data = encode(PICTURE, "JPEG", progressive=True)
    at = data.rfind(b"\xff\xda")
    scan = data[at:-2]
    assert read_header(data[:at] + scan * 9 + b"\xff\xd9").progressive
    assert reason(data[:at] + scan * LIMITS.scans + b"\xff\xd9") == "damaged: more than 256 passes"


def test_text_of_a_png_is_never_inflated() -> None:
    data = encode(PICTURE, "PNG")
    import zlib

    bomb = png_chunk(b"zTXt", b"Comment\x00\x00" + zlib.compress(bytes(50 << 20), 9))
    loaded = data[:33] + bomb + data[33:-12] + bomb + data[-12:]
    with pytest.raises(ValueError, match="too large"):
        Image.open(io.BytesIO(loaded)).load()
    assert read_header(loaded).width == 90
    assert without_png_text(loaded) == data
    assert without_png_text(data) is data


def test_largest_pillow_limit_is_raised_not_removed() -> None:
    assert LIMITS.pixels == Image.MAX_IMAGE_PIXELS


@given(st.binary(max_size=80), st.sampled_from([b"", b"Exif\0\0", b"II*\0", b"MM\0*\0\0\0\x08"]))
def test_any_exif_block_has_an_orientation(rest: bytes, start: bytes) -> None:
    assert exif_orientation(start + rest) in range(1, 9)


@given(st.binary(max_size=120), st.sampled_from(["PNG", "AVIF", "JPEG2000", "GIF"]))
def test_any_bytes_have_some_depth(data: bytes, name: str) -> None:
    assert has_deep_samples(data, name) in (True, False)


@given(st.binary(max_size=SIGNATURE_BYTES))
def test_any_bytes_can_be_sniffed(head: bytes) -> None:
    assert sniff(head) in {None, *readable_formats()}
