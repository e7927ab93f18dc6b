"""Very large images that are shrunk while they become RGB."""

from __future__ import annotations

import io

import numpy as np
import pytest
from drawings import scene

from dedup.images import decode
from dedup.images.decode import decode_square
from dedup.images.rgb import to_rgb

MODES = ("RGB", "RGBA", "L", "P", "CMYK")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1201, 803), (333, 2001)])
def test_shrunk_is_what_is_resized_later(
    mode: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.BytesIO()
    scene(3, size).convert(mode).save(file, "TIFF")
    at_once = decode_square(file.getvalue(), 96, 64, bound=100)
    assert at_once.bounded is not None
    monkeypatch.setattr(decode, "_SHRUNK_FROM_PIXELS", 1)
    shrunk = decode_square(file.getvalue(), 96, 64, bound=100)
    assert shrunk.bounded is not None
    for one, two in ((shrunk.pixels, at_once.pixels), (shrunk.bounded, at_once.bounded)):
        assert one.shape == two.shape
        assert np.abs(one.astype(int) - two).mean() < 1.5


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_sides_are_rounded_up_and_bands_meet(scale: int, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = to_rgb(scene(4, (203, 301)), scale=scale)
    assert odd.shape == (-(-301 // scale), -(-203 // scale), 3)
    image = scene(4, (208, 304))
    whole = to_rgb(image, scale=scale)
    monkeypatch.setattr("dedup.images.rgb.BAND_PIXELS", 208 * scale)
    assert np.array_equal(to_rgb(image, scale=scale), whole)
