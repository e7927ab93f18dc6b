"""The proof on a pair: whether two images are one photograph, edited.

`verify` places one image in the other by local features, refines that on the pixels, and asks
five questions: does one image hold the whole of the other, is it the same shape everywhere, do
the textures agree, has nothing moved, and is whatever lies over it drawn? Only five times yes is
`near`. It works on `Features` alone, is symmetric in its verdict, and has no chance in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof.alignment import (
    MIN_RASTER_PIXELS,
    Raster,
    jacobian,
    overlap,
    register,
    warp_colour,
)
from dedup.proof.containment import held_share
from dedup.proof.description import comes_before
from dedup.proof.geometry import MIN_PLACING_INLIERS, Fit, placings, upright
from dedup.proof.overlay import averages_out, overlay_log_odds
from dedup.proof.photometry import Change, changes
from dedup.proof.ranks import median
from dedup.proof.swapped import other_panels
from dedup.proof.verdict import Check, Verdict
from dedup.proof.wording import describe_edits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy.typing as npt

    from dedup.proof.description import Features
    from dedup.proof.drawn import Drawn

    Doubles = npt.NDArray[np.float64]

# Limits, read off `benchmarks/proof.py`: what edited copies reach on the one side and other shots
# on the other.
# Rotated copies .98 and more; panoramas .25 to .7, hand-held bursts up to .95
MIN_HELD_SHARE = 0.965
# Copies .9 and more by any placing that finds them, before it is refined
_MIN_ROUGHLY_HELD_SHARE = 0.8
MIN_TEXTURED_PIXELS = 300  # pixels; below this no share of them means anything
MIN_MEDIAN_CORRELATION = 0.7  # noise of 45 levels .81, blur of 1 % .83; other views .1 to .5
MIN_AGREEING_SHARE = 0.75  # posterised to 3 levels .86, JPEG 8 .81; other views .2 to .55
# Stickers on 15 % .22; two images in one app .27 to .62, behind one badge .31 to .87
MAX_OTHER_SHARE = 0.25
# Different stop signs 7 to 14 with other textures of .14 and more, stickers 40 and more
MANY_INLIERS = 50
# Of a raster of 256; driving video .29 to .9, copies .01 to .15, worst losses .4
MAX_SHIFT_PIXELS = 0.3
MAX_CHANGED_SHARE = 0.0025  # vignettes .0025; walkers in a street .008 and more
MAX_COVERED_SHARE = 0.2  # stickers on 15 % .15
# Cross-checked in `benchmarks/overlays.py`: finds 90 % of overlays, 1 % of the rest. Frames of a
# video reach -1.6, things that were removed -1.2
MIN_DRAWN_LOG_ODDS = -1.15
MIN_DOUBTFUL_LOG_ODDS = -2.5  # faces made of a few blocks have -2 and more, other faces -8 or less
SMALL_SHARE = 0.01  # a stamp has too little to tell it by here; the closer look tells it
OTHER_TEXTURES = "share of other textures"
NO_COMMON_DETAIL = "no common detail found"
_MIN_CONTRAST_LEVELS = 8  # grey levels; compression makes that many of one colour
HELD_CHECK = "share of one image in the other"
ALIKE_CHECK = "median local correlation"
ODDS_CHECK = "log odds that the change is drawn on"
PANEL_CHECK = "panels that show other images"
AGREEING_CHECK = "share of textures that agree"
SHIFT_CHECK = "shift left over, in pixels"
ELSEWHERE = "seen from elsewhere, or something in it moved"


def verify(first: Features, second: Features, known: Fit | None = None) -> Verdict:
    """Prove, or fail to prove, that two images are one photograph.

    Parameters
    ----------
    known : the placing, where it need not be found

    Returns
    -------
    `near` is the same for (first, second) and (second, first); overlap, transform, rotation and
    scale are seen from the first. What sets near ones apart is for `worded` to say.
    """
    turned = comes_before(first, second)
    one, two = (second, first) if turned else (first, second)
    trivial = [_trivial(one), _trivial(two)]
    if any(trivial):
        reason = next(filter(None, trivial))
        return Verdict(near=False, evidence=reason, checks=())
    best: Verdict | None = None
    if known is not None:
        fits: Iterable[Fit] = [known.reversed() if turned else known]
    else:
        fits = _placings(one, two)
    for fit in fits:
        verdict = _Inquiry(one, two, fit).verdict()
        if verdict.near:
            best = verdict
            break
        if best is None or len(verdict.checks) > len(best.checks):
            best = verdict
    if best is None:
        check = Check("local features that agree", 0, MIN_PLACING_INLIERS, passed=False)
        return Verdict(near=False, evidence=NO_COMMON_DETAIL, checks=(check,))
    return reversed_verdict(best) if turned else best


def _trivial(features: Features) -> str:
    """Why an image can prove nothing; empty when it can."""
    if min(features.grey.shape) < 16:  # noqa: PLR2004 -- two cells
        return "too small to prove anything"
    return "one colour, nothing to compare" if features.contrast < _MIN_CONTRAST_LEVELS else ""


def _placings(one: Features, two: Features) -> Iterator[Fit]:
    found = False
    for fit in placings(one, two):
        found = True
        yield fit
    if not found:
        yield from upright(one, two)


@dataclass(frozen=True, slots=True)
class Aligned:
    """Two images on one raster, with what differs; the owner has the larger pixels."""

    owner: Features
    other: Features
    raster: Raster
    coarse: bool  # the owner is the second image


def align(one: Features, two: Features, fit: Fit) -> Aligned | None:
    """Lay both on the raster of the coarser one; None where they hardly overlap."""
    slope = jacobian(fit.matrix, (two.grey.shape[1] - 1) / 2, (two.grey.shape[0] - 1) / 2)
    coarse = abs(float(np.linalg.det(slope))) > 1
    owner, other = (two, one) if coarse else (one, two)
    matrix = np.linalg.inv(fit.matrix) if coarse else fit.matrix
    raster = register(owner, other, matrix / matrix[2, 2])
    return None if raster is None else Aligned(owner, other, raster, coarse)


class _Inquiry:
    """The questions put to one placing, with what was answered so far."""

    def __init__(self, one: Features, two: Features, fit: Fit) -> None:
        self.images = one, two
        self.fit = fit
        self.checks = [Check("local features that agree", fit.inliers, fit.fewest, passed=True)]
        self.change: Change | None = None
        self.drawn = 0.0

    def verdict(self) -> Verdict:
        """Ask until one answer is no."""
        one, two = self.images
        held = held_share(one, two, self.fit.matrix)
        if held < _MIN_ROUGHLY_HELD_SHARE:  # no closer placing makes one a part of the other
            shares = _shares(one, two, self.fit.matrix)
            refusal = self._whole(held, shares)
            return Verdict(False, refusal, tuple(self.checks), shares, inliers=self.fit.inliers)
        aligned = align(one, two, self.fit)
        if aligned is None:
            self.checks.append(Check(HELD_CHECK, 0.0, MIN_HELD_SHARE, passed=False))
            narrow = min(*one.grey.shape, *two.grey.shape) < MIN_RASTER_PIXELS
            reason = "too narrow to compare" if narrow else "next to no overlap"
            return Verdict(False, reason, tuple(self.checks), inliers=self.fit.inliers)
        placed = np.linalg.inv(aligned.raster.matrix) if aligned.coarse else aligned.raster.matrix
        placed = np.asarray(placed / placed[2, 2], np.float64)
        shares = _shares(one, two, placed)
        refusal = self._whole(held_share(one, two, placed), shares)
        refusal = refusal or self._alike(aligned) or self._still(aligned)
        rotation, scale = _pose(placed, two)
        return Verdict(
            near=not refusal,
            evidence=refusal,
            checks=tuple(self.checks),
            overlap=shares,
            transform=placed,
            mirrored=self.fit.mirrored,
            rotation=rotation,
            scale=scale,
            inliers=self.fit.inliers,
            residual=self.change.usual if self.change else 0.0,
            drawn=self.drawn,
        )

    def _least(self, name: str, value: float, limit: float) -> bool:
        self.checks.append(Check(name, value, limit, value >= limit))
        return value >= limit

    def _most(self, name: str, value: float, limit: float) -> bool:
        self.checks.append(Check(name, value, limit, value <= limit))
        return value <= limit

    def _whole(self, held: float, shares: tuple[float, float]) -> str:
        """Refuse where either shows what the other does not."""
        if self._least(HELD_CHECK, held, MIN_HELD_SHARE):
            return ""
        return f"only overlaps ({min(shares):.0%} and {max(shares):.0%} shared)"

    def _alike(self, aligned: Aligned) -> str:
        """Refuse where textures differ, or are too few to tell."""
        self.change = change = differing(aligned)
        sound = change.textured & ~_near(change.mask)
        if not self._least("pixels with texture to compare", int(sound.sum()), MIN_TEXTURED_PIXELS):
            return "too little texture to compare"
        some = change.alike[::2, ::2][sound[::2, ::2]]  # a quarter is plenty for shares
        middle = median(some) if some.size else 0.0
        agree = float((some > 0.5).mean()) if some.size else 0.0  # noqa: PLR2004 -- loosely alike
        same = self._least(ALIKE_CHECK, middle, MIN_MEDIAN_CORRELATION) and self._least(
            AGREEING_CHECK, agree, MIN_AGREEING_SHARE
        )
        if not same:
            return "the textures differ"
        # A frame that two images share is alike in itself, and what it frames is not.
        # So is a sign or a label; then few features agree, and less may be strange to them.
        limit = MAX_OTHER_SHARE * (0.25 + 0.75 * min(1.0, self.fit.inliers / MANY_INLIERS))
        if not self._most(OTHER_TEXTURES, change.other, limit):
            return "only part of it is the same"
        other = other_panels(aligned.raster, aligned.owner, aligned.other, change, middle)
        return "" if self._most(PANEL_CHECK, other, 0) else "one of its panels shows another image"

    def _still(self, aligned: Aligned) -> str:
        """Refuse where something moved, or came, that is not drawn on."""
        change = self.change
        if change is None or not self._most(
            SHIFT_CHECK, _shift(aligned.raster, change), _steady(change)
        ):
            return ELSEWHERE
        limit = _moved(change)
        if change.share <= limit:
            self._most("share of changed content", change.share, limit)
            return ""
        if not self._most("share of changed content", change.share, MAX_COVERED_SHARE):
            return "too much of it differs"
        self.drawn = change.share
        if change.share < SMALL_SHARE:
            return ""
        odds = overlay_log_odds(aligned.raster, change, aligned.owner.grey, aligned.other.grey)
        doubtful = MIN_DOUBTFUL_LOG_ODDS <= odds < MIN_DRAWN_LOG_ODDS
        blocks = doubtful and averages_out(aligned.raster, change)
        if not blocks and not self._least(ODDS_CHECK, odds, MIN_DRAWN_LOG_ODDS):
            return f"{change.share:.1%} of the content differs and is not drawn on"
        return ""


def worded(
    one: Features,
    two: Features,
    verdict: Verdict,
    drawn: Drawn,
    asked: Callable[[bool], int],
    faintly: Callable[[], tuple[int, str]],
) -> Verdict:
    """Say of a proven pair what sets the two apart.

    Parameters
    ----------
    asked, faintly : as in `describe_edits`
    """
    words = describe_edits(one, two, verdict, drawn, asked, faintly)
    return replace(verdict, evidence=words.said(2), backwards=words.said(1), derived=words.derived)


def differing(aligned: Aligned) -> Change:
    """Find what differs, by the plain tone curve, or by the richer model if that explains more."""
    raster, owner, other = aligned.raster, aligned.owner, aligned.other
    change = changes(raster.one, raster.two, raster.inside)
    if change.share <= _moved(change):
        return change
    # Half-size colour: its pixel (x, y) is centred on (2 x + .5, 2 y + .5) of the grey.
    double = np.array([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]])
    shape = raster.one.shape
    colours = (
        warp_colour(owner.colour, raster.to_grid @ double, shape),
        warp_colour(other.colour, raster.to_grid @ raster.matrix @ double, shape),
    )
    richer = changes(raster.one, raster.two, raster.inside, colours)
    return richer if richer.share < change.share else change


def _moved(change: Change) -> float:
    """Share of changed content that is no more than the edit's own loss: none in a clean pair."""
    return MAX_CHANGED_SHARE * min(1.0, max(0.1, change.usual**2))


def _steady(change: Change) -> float:
    """Shift that the pair's own loss of detail explains: two thirds of it in a clean pair."""
    return MAX_SHIFT_PIXELS * min(1.0, max(0.67, 0.67 + 0.5 * (change.usual - 0.7)))


def _near(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((11, 11), np.uint8)) > 0)


def _shift(raster: Raster, change: Change) -> float:
    """Median over firm cells without changes, in raster pixels."""
    rows, columns = raster.flow.shape
    touched = cv2.resize(
        _near(change.mask).astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA
    )
    used = raster.firm & (touched < 0.1)  # noqa: PLR2004 -- hardly touched
    return median(raster.flow[used]) if used.any() else 0.0


def _shares(one: Features, two: Features, placed: Doubles) -> tuple[float, float]:
    def share(owner: Features, other: Features, matrix: Doubles) -> float:
        outline = overlap(owner.whole, other.whole, matrix)
        if outline is None:
            return 0.0
        return min(1.0, float(cv2.contourArea(outline.astype(np.float32))) / owner.grey.size)

    back = np.asarray(np.linalg.inv(placed), np.float64)
    return share(one, two, placed), share(two, one, back)


def _pose(placed: Doubles, two: Features) -> tuple[float, float]:
    """Rotation in degrees and scale of a placing."""
    slope = jacobian(placed, (two.grey.shape[1] - 1) / 2, (two.grey.shape[0] - 1) / 2)
    determinant = float(np.linalg.det(slope))
    if determinant < 0:
        slope = slope @ np.diag((-1.0, 1.0))
    angle = np.degrees(np.arctan2(slope[1, 0] - slope[0, 1], slope[0, 0] + slope[1, 1]))
    return float(angle), float(np.sqrt(abs(determinant)))


def reversed_verdict(verdict: Verdict) -> Verdict:
    """Give what is said, seen from the other image."""
    swapped = replace(
        verdict,
        evidence=verdict.backwards or verdict.evidence,
        backwards=verdict.evidence,
        derived=3 - verdict.derived if verdict.derived else 0,
        softer=3 - verdict.softer if verdict.softer else 0,
    )
    if verdict.transform is None:
        return swapped
    back = np.linalg.inv(verdict.transform)
    # A mirror image turned by an angle is undone by the same turn, any other by the opposite one.
    rotation = verdict.rotation if verdict.mirrored else -verdict.rotation
    return replace(
        swapped,
        overlap=verdict.overlap[::-1],
        transform=back / back[2, 2],
        rotation=rotation,
        scale=1 / verdict.scale,
    )
