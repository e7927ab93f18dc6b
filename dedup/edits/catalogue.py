"""The ways in which people change a photograph, drawn by code and repeatable by seed.

`dedup calibrate` and the benchmarks edit images with these and ask whether the copy is found
again. A kind has graded strengths, mildest first; `visible` says how much of the photograph is
left to be seen in the copy, so that a recall can be stated for the edits that leave enough.
Nothing is read from disk and nothing here decides what a duplicate is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dedup.edits import frame, tone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Drawing = Callable[[Pixels, float, np.random.Generator], Pixels]


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to edit an image.

    Parameters
    ----------
    strengths : what `draw` understands, mildest first
    draw : (pixels, strength, rng) to new pixels; never changes its input
    visible : strength to the share in [0, 1] of the original's area that the copy still shows
    """

    strengths: tuple[float, ...]
    draw: Drawing
    visible: Callable[[float], float] = lambda _: 1.0


def _both(first: str, second: str, *more: str) -> Drawing:
    def draw(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
        for name in (first, second, *more):
            kind = EDITS[name]
            middle = kind.strengths[min(int(strength), len(kind.strengths) - 1)]
            pixels = kind.draw(pixels, middle, rng)
        return pixels

    return draw


def _seen(*names: str) -> Callable[[float], float]:
    def visible(strength: float) -> float:
        share = 1.0
        for name in names:
            kind = EDITS[name]
            share *= kind.visible(kind.strengths[min(int(strength), len(kind.strengths) - 1)])
        return share

    return visible


# Strengths grade from "hardly visible" to "nobody would keep it worse than this".
EDITS: Mapping[str, Kind] = {
    "resize": Kind((1 / 2, 1 / 3, 1 / 4, 1 / 5), frame.resize),
    "jpeg": Kind((90, 60, 30, 15, 8), tone.jpeg),
    "crop": Kind((0.9, 0.75, 0.5, 0.35, 0.25), frame.crop, lambda area: area),
    "aspect": Kind((0.85, 1.2, 0.7, 1.4), frame.aspect),
    "rotate": Kind((2, 5, 10, 20, 45), frame.rotate, lambda degrees: 1 - degrees / 150),
    "turn": Kind((90, 180, 270), frame.turn),
    "mirror": Kind((1, 0), frame.mirror),
    "perspective": Kind((0.03, 0.06, 0.1), frame.perspective, lambda pull: 1 - pull),
    "blur": Kind((0.003, 0.006, 0.01), tone.blur),
    "sharpen": Kind((0.7, 1.5, 3), tone.sharpen),
    "noise": Kind((8, 16, 30, 45), tone.noise),
    "brightness": Kind((25, -25, 60, -60), tone.brightness),
    "contrast": Kind((0.75, 1.4, 0.5, 2), tone.contrast),
    "gamma": Kind((0.75, 1.4, 0.5, 2.2), tone.gamma),
    "saturation": Kind((1.4, 0.5, 2.5), tone.saturation),
    "hue": Kind((12, 30, 75), tone.hue),
    "white_balance": Kind((0.15, -0.15, 0.35, -0.35), tone.white_balance),
    "grey": Kind((1,), tone.grey),
    "sepia": Kind((1,), tone.sepia),
    "posterise": Kind((8, 5, 3), tone.posterise),
    "filter": Kind((0.4, 0.7, 1), tone.phone_filter),
    "vignette": Kind((0.4, 0.7, 1), tone.vignette),
    "text": Kind((0.05, 0.1, 0.2), frame.text, lambda area: 1 - area),
    "sticker": Kind((0.03, 0.08, 0.15), frame.sticker, lambda area: 1 - area),
    "watermark": Kind((0.25, 0.4, 0.55), frame.watermark),
    "border": Kind((0.03, 0.08, 0.15), frame.border),
    "caption": Kind((0.1, 0.2, 0.35), frame.caption),
    "screenshot": Kind((0.9, 0.7, 0.5), frame.screenshot),
    "pasted": Kind((0.6, 0.5, 0.38), frame.pasted),
    "crop+jpeg": Kind((1, 2, 3), _both("crop", "jpeg"), _seen("crop")),
    "resize+filter": Kind((0, 1, 2), _both("resize", "filter")),
    "caption+contrast": Kind((0, 1, 2), _both("caption", "contrast")),
    "mirror+crop": Kind((0, 1, 2), _both("mirror", "crop"), _seen("crop")),
    "rotate+border": Kind((0, 1, 2), _both("rotate", "border"), _seen("rotate")),
    "crop+text+jpeg": Kind((0, 1, 2), _both("crop", "text", "jpeg"), _seen("crop", "text")),
    "grey+noise+resize": Kind((0, 1, 2), _both("grey", "noise", "resize")),
}


def edit(kind: str, strength: float, pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Draw one edited copy.

    Parameters
    ----------
    kind : a key of `EDITS`
    strength : usually one of the kind's `strengths`
    pixels : (H, W, 3) uint8 RGB, both sides at least 16
    rng : decides where a crop lies, what a text says; equal seeds draw equal copies

    Returns
    -------
    (H', W', 3) uint8 RGB, a new array
    """
    edited: Any = EDITS[kind].draw(pixels, strength, rng)
    return np.ascontiguousarray(edited)


def visible(kind: str, strength: float) -> float:
    """Share in [0, 1] of the original's area that such a copy still shows."""
    return EDITS[kind].visible(strength)


def drawn(height: int, width: int, rng: np.random.Generator) -> Pixels:
    """Draw a textured image of nothing, for tests and for backgrounds.

    Returns
    -------
    (height, width, 3) uint8 RGB: clouds of several sizes with shapes on top
    """
    return frame.scene(height, width, rng)


__all__ = ["EDITS", "Kind", "drawn", "edit", "visible"]
