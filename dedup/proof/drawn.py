"""What lies over one of two images, or was cut from it, by the names that words are said by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dedup.proof.channels import in_commonest

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.original import Original

    Mask = npt.NDArray[np.bool_]
    Floats = npt.NDArray[np.float32]

WHAT = {
    "coarse": ("made coarse over {} of it", "finer than the other over {} of it"),
    "light": ("light laid over {} of it", "without the light that lies over {} of the other"),
    "corners": ("corners rounded", "without the rounded corners of the other"),
    "ground": ("background made plain over {} of it", "with the background that the other lost"),
    "holes": ("made transparent over {} of it", "without the transparency of the other"),
    "cut out": (
        "background cut away, {} of it transparent",
        "with the background that the other lost",
    ),
}
EVEN = frozenset({"ground", "holes", "cut out"})
"""What has one colour all over."""

_LEAST_HOLES, _BOX_SHARE = 0.003, 0.93
LESS = {
    "blur": ("less sharp than the other", "sharper than the other"),
    "faint": ("slightly less sharp than the other", "slightly sharper than the other"),
    "noise": ("less noise than the other", "more noise than the other"),
}
"""What is said of two that differ in nothing else."""

_BIN_LEVELS = 16
_APART_LEVELS, _NEARER = 20, 0.8


@dataclass(frozen=True, slots=True)
class Drawn:
    """What lies over one of two images.

    Parameters
    ----------
    share : of the overlap; 0 for nothing
    on : 1 for the first image, 2 for the second, 0 where that is not known
    what : a name in `WHAT`, where that is known
    """

    share: float = 0.0
    on: int = 0
    what: str = ""


def ground_in(mask: Mask) -> str:
    """Name what lies along most of an image's edges around a thing; "" for others, and frames."""
    if np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean() <= 0.5:  # noqa: PLR2004 - most
        return ""
    thing = np.argwhere(~mask)
    box = np.prod(np.ptp(thing, axis=0) + 1) if len(thing) else 0
    return "ground" if len(thing) < _BOX_SHARE * box else ""


def cut_out(one: Original, two: Original, drawn: Drawn) -> Drawn:
    """Name what is transparent in one of two images alone, rather than what the proof took it for.

    Parameters
    ----------
    drawn : what the proof found, which knows no transparency
    """
    shares = [float(each.holes.mean()) for each in (one, two)]
    if abs(shares[0] - shares[1]) < _LEAST_HOLES or drawn.what == "corners":
        return drawn
    on = 1 if shares[0] > shares[1] else 2
    return Drawn(max(shares), on, "cut out" if ground_in((one, two)[on - 1].holes) else "holes")


def beside_even(colours: tuple[Floats, Floats], on: int) -> tuple[Floats, Floats]:
    """Leave out the places where one of two images is filled with one colour.

    Parameters
    ----------
    colours : (N, 3) of the first and of the second image
    on : 1 or 2, the one that is filled
    """
    apart = np.abs(colours[0] - colours[1]).max(axis=1) > _APART_LEVELS
    if not apart.any():
        return colours
    filled = colours[on - 1][apart].astype(np.uint8)
    fill = np.median(filled[in_commonest(filled, _BIN_LEVELS)], axis=0)
    # At its edge colours are mixed.
    off, was = (np.abs(each - fill).max(axis=1) for each in (colours[on - 1], colours[2 - on]))
    kept = ~apart | (off > _NEARER * was)
    return colours[0][kept], colours[1][kept]
