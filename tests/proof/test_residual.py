"""What is left over between two images, looked at where it matters alone."""

from __future__ import annotations

import cv2
import numpy as np

from dedup.edits.catalogue import drawn
from dedup.proof.residual import left_over, unlike, unlike_at


def test_a_look_at_some_places_sees_there_what_a_look_at_all_sees() -> None:
    rng = np.random.default_rng(3)
    one = cv2.cvtColor(drawn(430, 610, rng), cv2.COLOR_RGB2GRAY).astype(np.float32)
    two = np.roll(one, 1, axis=1)
    two[200:230, 380:420] = rng.uniform(0, 255, (30, 40))
    found = left_over(one - two)
    places = np.zeros(one.shape, np.bool_)
    for y, x in ((0, 0), (190, 190), (215, 400), (429, 609), (300, 80)):
        places[max(0, y - 9) : y + 9, max(0, x - 14) : x + 14] = True
    seen = unlike_at(places, found, one, two)
    whole = unlike(one, two)
    assert seen[350, 500] == found[350, 500]  # far from all of them
    assert np.abs(seen - whole)[places].max() < 0.05 * whole.max()
    assert seen[205:225, 385:415].min() > 20
    assert seen[300, 80] < 0.9 * found[300, 80]
