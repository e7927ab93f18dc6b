"""Default similarities per model and views, for collections that are not calibrated.

A cosine means nothing by itself: each network crowds images in its own way, and details hardly
crowd them at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dedup.fingerprint import CONTENT, DETAILS

if TYPE_CHECKING:
    from dedup.fingerprint import Fingerprint

CENTRE_FROM_IMAGES = 200
"""From so many on their mean says what all images have in common, rather than what these few have:
below, centring would push two copies apart."""

_CONTENT = {"mobilenetv2_100": 0.80}
_CONTENT_PRETRAINED, _CONTENT_UNTRAINED = 0.90, 0.996
"""By content alone: precision .99 of pairs among 991 photographs. Models that nobody measured get a
cautious value: ImageNet features of unrelated images seldom exceed .8; random features are crowded
near 1."""

_BOTH = {"mobilenetv2_100": 0.38, "copies-2": 0.35}
_BOTH_PRETRAINED, _BOTH_UNTRAINED = 0.40, 0.30
_DETAILS = 0.26
"""With details: precision .99 of pairs of copies and photographs (`scripts/bench quality`). Models
that nobody measured crowd unrelated images about as much as `mobilenetv2_100`."""


def default_threshold(fingerprint: Fingerprint) -> float:
    """Return the lowest similarity of the tier `similar` before calibration, inclusive."""
    if CONTENT not in fingerprint.views:
        return _DETAILS
    name, _, _ = fingerprint.model.partition(".")
    untrained = fingerprint.weights == "untrained"
    if DETAILS in fingerprint.views:
        return _BOTH_UNTRAINED if untrained else _BOTH.get(name, _BOTH_PRETRAINED)
    return _CONTENT_UNTRAINED if untrained else _CONTENT.get(name, _CONTENT_PRETRAINED)


_NEAR_FLOORS = 0.4, 0.3
_NEAR_FLOORS_UNTRAINED = 0.97, 0.95
_NEAR_FLOORS_DETAILS = 0.25, 0.15
"""From photographs and their edits: loose, since a proof follows. With details, unrelated images
are at about 0, with any network."""


def near_floors(fingerprint: Fingerprint) -> tuple[float, float]:
    """Return the similarities from which a pair is worth a proof: as it is, and after centring."""
    if DETAILS in fingerprint.views:
        return _NEAR_FLOORS_DETAILS
    if fingerprint.weights == "untrained":
        return _NEAR_FLOORS_UNTRAINED
    return _NEAR_FLOORS


_PIXELS_FLOOR, _PIXELS_FLOOR_DETAILS = 0.95, 0.5


def pixels_floor(fingerprint: Fingerprint) -> float:
    """Return the similarity from which images of equal size are compared pixel by pixel.

    One image, decoded at a reduced scale from JPEG and in full from PNG, keeps a content of .98 and
    more, and details of .85 and more; with details, unrelated images stay far below the floor.
    """
    return _PIXELS_FLOOR_DETAILS if DETAILS in fingerprint.views else _PIXELS_FLOOR
