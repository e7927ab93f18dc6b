"""Default thresholds for the tier `similar`, per model, until a collection is calibrated.

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

_UNTRAINED = 0.9995
"""Random features are crowded near 1 (benchmarks/RESULTS.md)."""


def default_threshold(fingerprint: Fingerprint) -> float:
    """Give the lowest similarity that `list` shows unless told otherwise, inclusive."""
    if fingerprint.weights == "untrained":
        return _UNTRAINED
    name, _, _ = fingerprint.model.partition(".")
    return _MEASURED.get(name, _PRETRAINED)
