"""Damage that libjpeg reads past: told from what is harmless, and never printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from drawn import encode, jpeg_claiming, textured

from dedup.errors import ImageError
from dedup.images.decode import DAMAGED, decode_square, pixel_digest
from dedup.images.header import read_header
from dedup.images.jpeg import decode_jpeg, layout, without_stray

if TYPE_CHECKING:
    import numpy.typing as npt

PICTURE = textured(301, 451)
BASELINE = encode(PICTURE, "JPEG", quality=90)
PROGRESSIVE = encode(PICTURE, "JPEG", progressive=True)
RESTARTING = encode(PICTURE, "JPEG", restart_marker_blocks=10)
HALF = len(BASELINE) // 2
REDUCTIONS = {1: 0, 2: 16, 4: 32, 8: 64}


def by_opencv(data: bytes, reduction: int) -> npt.NDArray[Any]:
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION | reduction
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), flags))


def overwritten(data: bytes, stretch: bytes, at: int) -> bytes:
    return data[:at] + stretch + data[at + len(stretch) :]


def cut(data: bytes, at: int, count: int) -> bytes:
    return data[:at] + data[at + count :]


DAMAGES = {
    "zeros": overwritten(BASELINE, bytes(200), HALF),
    "another value": overwritten(BASELINE, b"\x55" * 200, HALF),
    "an end in its middle": BASELINE[:HALF] + b"\xff\xd9" + BASELINE[HALF:],
    "a stretch that is missing": cut(BASELINE, HALF, 500),
    "a restart that is missing": cut(RESTARTING, RESTARTING.find(b"\xff\xd3"), 2),
    "another restart": RESTARTING.replace(b"\xff\xd3", b"\xff\xd6", 1),
    "a pass": overwritten(PROGRESSIVE, b"\x55" * 100, len(PROGRESSIVE) // 2),
}
TABLE = BASELINE.find(b"\xff\xc4")
SOUND = {
    "baseline": BASELINE,
    "progressive": PROGRESSIVE,
    "restarts": RESTARTING,
    "grey": encode(PICTURE, "JPEG", "L"),
    "an archive behind": BASELINE + b"PK\3\4" + bytes(100),
    "filled up": BASELINE[:-2] + bytes(40) + BASELINE[-2:],
    "words between segments": BASELINE[:TABLE] + b"zzzz" + BASELINE[TABLE:],
}


@pytest.mark.parametrize("what", DAMAGES)
def test_damaged_but_decodable_is_decoded_with_a_remark(
    what: str, capfd: pytest.CaptureFixture[str]
) -> None:
    decoded = decode_square(DAMAGES[what], 224, 224)
    assert decoded.damaged
    assert decoded.note == DAMAGED
    assert pixel_digest(DAMAGES[what]) is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("what", SOUND)
def test_sound_files_have_no_remark(what: str, capfd: pytest.CaptureFixture[str]) -> None:
    decoded = decode_square(SOUND[what], 224, 224)
    assert not decoded.damaged
    assert decoded.note is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("scale", REDUCTIONS)
@pytest.mark.parametrize("data", [*SOUND.values(), *DAMAGES.values()])
def test_pixels_are_those_of_opencv(
    data: bytes, scale: int, capfd: pytest.CaptureFixture[str]
) -> None:
    found = decode_jpeg(without_stray(data), PICTURE.shape[:2], scale)
    assert found is not None
    assert np.array_equal(found[0], by_opencv(data, REDUCTIONS[scale]))
    capfd.readouterr()


@pytest.mark.parametrize("size", [(1, 1), (7, 7), (8, 3), (9, 17), (64, 1)])
def test_small_images_have_the_scale_that_was_asked_for(size: tuple[int, int]) -> None:
    data = encode(textured(64, 64)[: size[0], : size[1]], "JPEG")
    for scale, reduction in REDUCTIONS.items():
        found = decode_jpeg(data, size, scale)
        assert found is None or np.array_equal(found[0], by_opencv(data, reduction))


@pytest.mark.parametrize("data", [BASELINE, PROGRESSIVE, RESTARTING])
@pytest.mark.parametrize("size", [0.5, 0.99])
def test_a_file_that_ends_too_early_is_refused(data: bytes, size: float) -> None:
    with pytest.raises(ImageError, match="truncated"):
        decode_square(data[: int(size * len(data))], 224, 224)


def test_damage_before_a_missing_end_is_refused_as_well() -> None:
    with pytest.raises(ImageError, match="truncated"):
        decode_square(DAMAGES["another restart"][:-2], 224, 224)


def test_layout_is_read_from_the_markers() -> None:
    assert layout(BASELINE)[::3] == (0xC0, False)
    assert layout(PROGRESSIVE)[::3] == (0xC2, True)
    assert layout(SOUND["words between segments"]).stray == 4
    assert layout(b"\xff\xd8" + bytes(100)).stray == 100
    assert layout(b"\xff\xd8\xff").frame is None


def test_a_baseline_file_in_several_passes_keeps_every_coefficient() -> None:
    at = BASELINE.find(b"\xff\xda")
    one = BASELINE[:at] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + BASELINE[at + 14 :]
    assert read_header(one).progressive
    assert not read_header(jpeg_claiming(300, 450, BASELINE)).progressive
