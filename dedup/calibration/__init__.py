"""A threshold with a stated error, measured on the very collection that it is for.

`calibrate` measures a `Calibration` and stores it with the transform of the collection;
`dedup.space` reads and uses both.
"""

from __future__ import annotations

from dedup.calibration.calibrate import MIN_IMAGES, calibrate
from dedup.space.curve import Calibration, Expectation, FoundShare, Recall

__all__ = ["MIN_IMAGES", "Calibration", "Expectation", "FoundShare", "Recall", "calibrate"]
