"""Exposure brackets, told by what the camera wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

import dedup
from dedup.edits.catalogue import drawn, edit
from dedup.results import Tier

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt


def _saved(path: Path, pixels: npt.NDArray[np.uint8], seconds: float | None) -> str:
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    if seconds is not None:
        exif.get_ifd(0x8769).update({0x829A: seconds, 0x829D: 4.0, 0x8827: 200})
    image.save(path, quality=92, exif=exif.tobytes())
    return str(path)


def test_another_exposure_is_another_shot(tmp_path: Path) -> None:
    pixels = drawn(480, 640, np.random.default_rng(3))
    bright = edit("brightness", 25, pixels, np.random.default_rng(0))
    one = _saved(tmp_path / "one.jpg", pixels, 0.01)
    assert dedup.why(one, _saved(tmp_path / "two.jpg", bright, 0.02)).tier is not Tier.NEAR
    assert dedup.why(one, _saved(tmp_path / "same.jpg", bright, 0.01)).tier is Tier.NEAR
    assert dedup.why(one, _saved(tmp_path / "none.jpg", bright, None)).tier is Tier.NEAR
