from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from drawn import encode, exif, png, stored_for, textured

from dedup.errors import ImageError
from dedup.images.digest import FIRST_DIGEST_BYTES, pixel_digest

PICTURE = textured(60, 90)
GREY = PICTURE[:, :, 0]
DEEP = np.random.default_rng(1).integers(0, 65536, (20, 30, 3), dtype=np.uint16)
DIGEST = pixel_digest(encode(PICTURE, "PNG"))


def with_alpha(alpha: int) -> bytes:
    plane = np.full(PICTURE.shape[:2], 255, np.uint8)
    plane[10, 10] = alpha
    return encode(np.dstack([PICTURE, plane]), "PNG")


def tiff(samples: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".tiff", samples[:, :, ::-1])[1])


def test_a_digest_is_longer_than_those_that_knew_no_profiles() -> None:
    assert DIGEST is not None
    assert len(DIGEST) == FIRST_DIGEST_BYTES + 1


def test_container_and_metadata_do_not_matter() -> None:
    for data in (
        encode(PICTURE, "BMP"),
        encode(PICTURE, "TIFF", compression="tiff_lzw"),
        encode(PICTURE, "WEBP", lossless=True),
        encode(PICTURE, "PPM"),
        encode(PICTURE, "PNG", compress_level=1, dpi=(300, 300)),
        encode(PICTURE, "PNG", icc_profile=b"any profile"),
    ):
        assert pixel_digest(data) == DIGEST


def test_jpeg_metadata_does_not_matter_and_its_pixels_equal_a_png_of_them() -> None:
    jpeg = encode(PICTURE, "JPEG", quality=80)
    pixels = np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB))
    assert pixel_digest(encode(PICTURE, "JPEG", quality=80, comment=b"shop")) == pixel_digest(jpeg)
    assert pixel_digest(encode(pixels, "PNG")) == pixel_digest(jpeg)
    assert pixel_digest(encode(PICTURE, "JPEG", quality=81)) != pixel_digest(jpeg)


def test_upright_images_are_compared() -> None:
    for orientation in range(1, 9):
        stored = stored_for(PICTURE, orientation)
        for name in ("PNG", "TIFF"):
            assert pixel_digest(encode(stored, name, exif=exif(orientation))) == DIGEST
        assert (pixel_digest(encode(stored, "PNG")) == DIGEST) == (orientation == 1)


def test_one_changed_sample_changes_it() -> None:
    for change in range(3):
        other = PICTURE.copy()
        other[31, 47, change] ^= 1
        assert pixel_digest(encode(other, "PNG")) != DIGEST


def test_shape_is_part_of_it() -> None:
    blanks = [np.zeros(shape, np.uint8) for shape in ((10, 20, 3), (20, 10, 3), (5, 40, 3))]
    assert len({pixel_digest(encode(blank, "PNG")) for blank in blanks}) == 3


def test_grey_and_palette_equal_their_rgb() -> None:
    rgb = pixel_digest(encode(np.dstack([GREY] * 3), "PNG"))
    assert pixel_digest(encode(GREY, "PNG")) == rgb
    assert pixel_digest(encode(GREY, "TIFF")) == rgb
    palette = encode(PICTURE, "PNG", "P")
    from dedup.images.decode import decode_bounded

    assert pixel_digest(palette) == pixel_digest(encode(decode_bounded(palette, 999), "BMP"))


def test_opaque_alpha_equals_none() -> None:
    assert pixel_digest(with_alpha(255)) == DIGEST


def test_anything_transparent_counts() -> None:
    digests = {pixel_digest(with_alpha(alpha)) for alpha in (255, 254, 1, 0)}
    assert len(digests) == 4


def test_deep_samples_are_compared_at_16_bits() -> None:
    digest = pixel_digest(png(DEEP, 2))
    assert digest is not None
    assert pixel_digest(tiff(DEEP)) == digest
    assert pixel_digest(png(DEEP ^ np.uint16(1), 2)) != digest
    assert pixel_digest(tiff(DEEP ^ np.uint16(1))) != digest
    opaque = np.dstack([DEEP, np.full(DEEP.shape[:2], 65535, np.uint16)])
    assert pixel_digest(png(opaque, 6)) == digest
    opaque[3, 3, 3] = 65534
    assert pixel_digest(png(opaque, 6)) != digest


def test_deep_grey_equals_its_deep_rgb() -> None:
    grey = DEEP[:, :, :1]
    digest = pixel_digest(png(np.repeat(grey, 3, axis=2), 2))
    assert digest is not None
    for data in (png(grey, 0), encode(grey[:, :, 0], "TIFF"), encode(grey[:, :, 0], "PPM")):
        assert pixel_digest(data) == digest


def test_deep_images_never_equal_shallow_ones() -> None:
    assert pixel_digest(png(PICTURE.astype(np.uint16) * 257, 2)) != DIGEST


def test_deep_images_are_turned_upright() -> None:
    from drawn import png_chunk

    turn = png_chunk(b"eXIf", exif(6)[6:])
    assert pixel_digest(png(stored_for(DEEP, 6), 2, turn)) == pixel_digest(png(DEEP, 2))


def test_cmyk_is_compared_as_cmyk() -> None:
    cmyk = pixel_digest(encode(PICTURE, "TIFF", "CMYK"))
    assert cmyk is not None
    assert cmyk != DIGEST
    assert pixel_digest(encode(PICTURE, "TIFF", "CMYK", compression="tiff_lzw")) == cmyk


def test_of_several_pages_every_one_counts() -> None:
    from PIL import Image

    def saved(name: str, *more: np.ndarray, **options: Any) -> bytes | None:
        pages = [Image.fromarray(each) for each in more]
        return pixel_digest(encode(PICTURE, name, save_all=True, append_images=pages, **options))

    same = saved("TIFF", PICTURE[::-1])
    assert same == saved("TIFF", PICTURE[::-1], compression="tiff_lzw")
    assert same == saved("PNG", PICTURE[::-1])
    assert same == saved("WEBP", PICTURE[::-1], lossless=True)
    others = [
        saved("TIFF", PICTURE),
        saved("TIFF", PICTURE[::-1], PICTURE),
        saved("TIFF", PICTURE[::-1][:-1]),
        DIGEST,
    ]
    assert len({same, *others}) == 5
    assert None not in {same, *others}


def test_of_very_many_pages_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    from dedup.images import digest

    monkeypatch.setattr(digest, "MAX_PAGES", 2)
    more = [Image.fromarray(PICTURE[::-1]), Image.fromarray(PICTURE[:, ::-1])]
    assert pixel_digest(encode(PICTURE, "TIFF", save_all=True, append_images=more)) is None
    assert pixel_digest(encode(PICTURE, "TIFF", save_all=True, append_images=more[:1])) is not None


def test_damage_is_told() -> None:
    with pytest.raises(ImageError, match="truncated"):
        pixel_digest(encode(PICTURE, "JPEG")[:-200], "x")
