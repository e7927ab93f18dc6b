"""Default similarities per model, until a collection is calibrated.

A cosine means nothing by itself: each network crowds pictures in its own way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dedup.fingerprint import Fingerprint

_MEASURED = {"mobilenetv2_100": 0.80}
"""Precision .99 of pairs among 991 photographs (the design's measurement); .75 gave .90."""

_PRETRAINED = 0.90
"""Models that nobody measured: cautious, since ImageNet features of strangers seldom pass .8."""

_UNTRAINED = 0.996
"""Random features are crowded near 1: of 4,560 pairs of strangers among photographs the closest had
.990 with efficientnet_b0; JPEG at 60 kept 98 % of copies above .9985, half size 90 % above .9937
(benchmarks/RESULTS.md)."""


def default_threshold(fingerprint: Fingerprint) -> float:
    """Give the lowest similarity that `list` shows unless told otherwise, inclusive."""
    if fingerprint.weights == "untrained":
        return _UNTRAINED
    name, _, _ = fingerprint.model.partition(".")
    return _MEASURED.get(name, _PRETRAINED)


_NEAR_FLOORS = 0.4, 0.3
_NEAR_FLOORS_UNTRAINED = 0.97, 0.95
"""From photographs and their edits (benchmarks/RESULTS.md): loose, since a proof follows."""


def near_floors(fingerprint: Fingerprint) -> tuple[float, float]:
    """Give the similarities from which a pair is worth a proof: as it is, and after centring."""
    if fingerprint.weights == "untrained":
        return _NEAR_FLOORS_UNTRAINED
    return _NEAR_FLOORS
