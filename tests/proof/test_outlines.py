"""Things that were put on one ground, by one hand or by two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from drawings import scene

from dedup.proof.outlines import outline

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

ROOM = (slice(70, 250), slice(120, 330))


def ground() -> Pixels:
    return np.asarray(scene(2, (440, 320))).copy()


def with_thing(seed: int) -> Pixels:
    """Paste another picture, of which a soft edge is left."""
    image, thing = ground(), np.asarray(scene(seed, (440, 320)))
    mask = np.zeros(image.shape[:2], np.float32)
    mask[ROOM] = 1
    soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), 1.5))[..., None]
    return np.asarray(image * (1 - soft) + thing * soft, np.uint8)


def differing(one: Pixels, two: Pixels) -> npt.NDArray[np.bool_]:
    return np.asarray(cv2.absdiff(one, two).max(axis=2) > 15)


def test_two_things_on_one_ground_are_on_both() -> None:
    one, two = with_thing(7), with_thing(8)
    found = outline(one, two, differing(one, two))
    assert found is not None
    assert min(found.one, found.two) > 2
    assert found.stepped > 0.5
    assert found.on_both


def test_one_thing_on_a_ground_is_on_one() -> None:
    one, two = ground(), with_thing(8)
    found = outline(one, two, differing(one, two))
    assert found is not None
    assert found.two > 2
    assert found.part < 0.25
    assert not found.on_both


def test_one_thing_in_two_lights_is_one_thing() -> None:
    one = with_thing(8)
    two = one.copy()
    two[ROOM] = (two[ROOM] * 0.6).astype(np.uint8)
    found = outline(one, two, differing(one, two))
    assert found is not None
    assert found.alike > 0.9
    assert not found.on_both


def test_what_is_small_is_not_asked() -> None:
    one, two = ground(), ground()
    two[100:110, 100:120] = 255
    assert outline(one, two, differing(one, two)) is None
