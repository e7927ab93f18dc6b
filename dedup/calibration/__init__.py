"""A threshold with a stated error, measured on the very collection that it is for.

`calibrate` measures and stores a `Calibration`; `Calibration.threshold_for` gives the threshold of
a wanted precision; `load_transform` gives what every embedding goes through from then on.
"""

from __future__ import annotations

from dedup.calibration.calibrate import (
    NEEDED,
    calibrate,
    load_calibration,
    load_transform,
)
from dedup.space.curve import Calibration, Expectation, Found, Recall

__all__ = [
    "NEEDED",
    "Calibration",
    "Expectation",
    "Found",
    "Recall",
    "calibrate",
    "load_calibration",
    "load_transform",
]
