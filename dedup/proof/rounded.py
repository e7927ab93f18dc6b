"""Corners of one of two images that were rounded: what is beyond an arc there has one colour.

That tells nothing of what the images show, and nothing else ends at one arc in every corner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from dedup.proof.channels import gap_levels, off_levels

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.closely import Laid

    Floats = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

_GAP_LEVELS, _FLAT_LEVELS = 10, 16
_NEAR_PIXELS = 8  # of a corner; a rim of four is not looked at
_REACH_SHARE = 0.25  # of the shorter side, that an arc may have as its radius
_FEWEST_PIXELS = 12  # that differ in a corner which tells of its arc
_WITHIN, _BEYOND, _AROUND = 0.85, 1.2, 1.6
"""Of the radius: what has to be filled, what has to agree, and as far as that tells whose it is."""

_MIN_FILLED, _MIN_APART, _MAX_ASTRAY, _MIN_ENDS = 0.95, 0.5, 0.05, 0.3
_SAME_RADIUS = 1.2
_SEAM_PIXELS = 20  # on the radius, in which a JPEG has traces of an arc
_CORNERS = [np.s_[::down, ::across] for down in (1, -1) for across in (1, -1)]  # at (0, 0) each
_FEWEST_CORNERS = 2  # that differ; of a page all have to


class Rounded(NamedTuple):
    """Corners that were rounded.

    Parameters
    ----------
    mask : (H, W), what is beyond the arcs, with a seam
    on : 1 or 2, the one of the two on the raster
    """

    mask: Mask
    on: int


def rounded(laid: Laid, *, page: bool) -> Rounded | None:
    """Find corners that were rounded in one of two images; None where there are none."""
    height, width = laid.inside.shape
    reach = int(_REACH_SHARE * min(height, width))
    across = np.arange(reach, dtype=np.float32)
    u, v = across[:, None], across[None]
    radius = u + v + np.sqrt(2 * u * v)  # of the arc that this pixel lies on
    apart = (gap_levels(laid.one, laid.two) > _GAP_LEVELS) & laid.inside
    gaps = [_at_corner(apart[part][:reach, :reach]) for part in _CORNERS]
    seen = [laid.inside[part][:reach, :reach] for part in _CORNERS]
    arc = _arc(gaps, seen, radius, page=page)
    if arc is None:
        return None
    within = [(radius < _WITHIN * arc) & inside for inside in seen]
    around = (radius > _BEYOND * arc) & (radius < _AROUND * arc)
    ends = []
    for image in (laid.one, laid.two):
        parts = [image[part][:reach, :reach] for part in _CORNERS]
        fill = np.concatenate([part[some] for part, some in zip(parts, within, strict=True)])
        colour = np.median(fill, axis=0)
        flat = np.mean(off_levels(fill[None], colour) <= _FLAT_LEVELS) >= _MIN_FILLED
        beside = np.concatenate([part[around] for part in parts])
        ends.append(flat * float(np.mean(off_levels(beside[None], colour) > _GAP_LEVELS)))
    if max(ends) < _MIN_ENDS:
        return None
    mask = np.zeros((height, width), np.bool_)
    for part in _CORNERS:
        mask[part][:reach, :reach] |= radius < _BEYOND * arc + _SEAM_PIXELS
    return Rounded(mask, 1 + int(np.argmax(ends)))


def _arc(gaps: list[Mask], seen: list[Mask], radius: Floats, *, page: bool) -> float | None:
    """Give the radius of the one arc beyond which corners differ; None where there is none."""
    told = [
        (gap, inside)
        for gap, inside in zip(gaps, seen, strict=True)
        if np.count_nonzero(gap) >= _FEWEST_PIXELS
    ]
    if len(told) < (len(_CORNERS) if page else _FEWEST_CORNERS):
        return None
    radii = [float(np.percentile(radius[gap], 95)) for gap, _ in told]
    arc = float(np.median(radii))
    alike = max(radii) <= _SAME_RADIUS * arc and min(radii) * _SAME_RADIUS >= arc
    if not alike or arc * _AROUND > len(radius):
        return None
    within, beyond = radius < _WITHIN * arc, radius > _BEYOND * arc
    agreed = all(
        float(gap[within & inside].mean()) >= _MIN_APART
        and np.count_nonzero(gap & beyond) <= _MAX_ASTRAY * np.count_nonzero(gap)
        for gap, inside in told
        if (within & inside).any()
    )
    return arc if agreed else None


def _at_corner(gap: Mask) -> Mask:
    """Keep of what differs what is in the corner itself."""
    _, labels = cv2.connectedComponents(gap.astype(np.uint8))
    near = np.unique(labels[:_NEAR_PIXELS, :_NEAR_PIXELS])
    return np.asarray(np.isin(labels, near[near > 0]))
