"""Drawings that lie on each other turned or mirrored, and nearly so as they are.

A dial, a wheel or a board is the same from several sides but for a hand or a piece on it. Turning
one of two until the hands agree shows that both are such drawings, and not that they are one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof.residual import contrast
from dedup.proof.whole import same_shape

if TYPE_CHECKING:
    from dedup.proof.description import Features
    from dedup.proof.verdict import Verdict

SYMMETRIC = "a symmetric drawing, and something on it is elsewhere"
_WHOLE_SHARE, _TURNED_DEGREES = 0.98, 45
_SIDE = 256
_WRITTEN_LEVELS, _OFF_LEVELS = 20.0, 40.0
_MIN_UPRIGHT_SHARE = 0.9  # of what is drawn; mirrored pages of text have .8, dials .92 and more


def upright_as_well(one: Features, two: Features, verdict: Verdict) -> bool:
    """Tell two drawings, placed turned or mirrored, of which most agrees without that as well."""
    turned = verdict.mirrored or abs(verdict.rotation) > _TURNED_DEGREES
    if not turned or min(verdict.overlap) < _WHOLE_SHARE:
        return False
    if not same_shape(one.grey.shape, two.grey.shape):
        return False
    height, width = one.grey.shape
    factor = _SIDE / max(height, width)
    size = max(16, round(width * factor)), max(16, round(height * factor))
    first, second = (
        cv2.resize(each.grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        for each in (one, two)
    )
    written = (contrast(first) > _WRITTEN_LEVELS) | (contrast(second) > _WRITTEN_LEVELS)
    same = cv2.blur(np.abs(first - second), (3, 3)) < _OFF_LEVELS
    return bool(written.any()) and float(same[written].mean()) >= _MIN_UPRIGHT_SHARE
