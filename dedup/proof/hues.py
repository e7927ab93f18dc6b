"""Whether colours are those of one hue, as a tone over grey has, and of paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

_LEAST_LEVELS: Final = 2.0
_COMPRESSED_LEVELS: Final = 0.3  # of colour, that rounding and compression leave beside any tone
_GREY_LEVELS: Final = 8  # between the channels
_CLIPPED_LEVELS: Final = (8, 247)


def beside_tone(colours: Floats) -> float:
    """Give the share of colours, (N, 3), that is not of one hue, as a tone of grey is; 1: grey."""
    light = colours.mean(axis=1)
    table = np.stack([np.ones_like(light), light, light * light], axis=1)
    off = colours - light[:, None]
    left = off - table @ np.linalg.lstsq(table, off, rcond=None)[0]
    shown = float(np.abs(off).mean())
    beside = max(0.0, float(np.abs(left).mean()) - _COMPRESSED_LEVELS)
    return beside / shown if shown > _LEAST_LEVELS else 1.0


def is_on_white(colours: Floats) -> bool:
    """Tell whether the lighter half of colours, (N, 3), is grey, as paper is under coloured ink."""
    light = colours.mean(axis=1)
    paper = np.median(colours[light >= np.median(light)], axis=0)
    return float(np.ptp(paper)) <= _GREY_LEVELS


def unclipped(colours: Floats) -> npt.NDArray[np.bool_]:
    """Choose colours, (N,), that did not run into black or white."""
    low, high = _CLIPPED_LEVELS
    return np.asarray((colours.min(axis=1) > low) & (colours.max(axis=1) < high))
