"""Whether what two files of one exposure differ by was laid over one of them by hand.

What people lay over a photograph ends within a pixel or two, all around, and the other image goes
on across that outline as if nothing were. What came into a picture is as soft along its outline as
the lens left it, or as it was blended in; and where either image has something of its own, now the
one and now the other steps along outlines.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from dedup.proof.across import FEWEST_PLACES, RUN_PIXELS, across, places_on
from dedup.proof.alignment import at_sizes
from dedup.proof.blended import BLENDED, BLENDED_CHECK, blended_in
from dedup.proof.closely import MAX_PHOTO_PIXELS, lay
from dedup.proof.filled import MAX_FILLED_SHARE, filled
from dedup.proof.leaks import relit
from dedup.proof.one_shot import MAX_LEFT, left_between
from dedup.proof.residual import contrast
from dedup.proof.rounded import rounded
from dedup.proof.shared_parts import BOTH_CHECK, BY_ONE_RULE, Judgement, judge
from dedup.proof.verdict import Check
from dedup.proof.verify import ODDS_CHECK
from dedup.proof.wording import Drawn

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.closely import Laid
    from dedup.proof.original import Original
    from dedup.proof.side import Side
    from dedup.proof.verdict import Verdict

    Shapes = tuple[tuple[int, int], tuple[int, int]]

    Floats = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]
    Numbers = npt.NDArray[np.intp]

LEFT_CHECK = "what sets two shots apart, in squared levels"

_MOST_PIXELS = 1 << 22  # of the raster; on a coarser one all edges are sharp
_GAP_LEVELS, _JOINED_PIXELS = 18.0, 9
_LEAST_PIXELS, _LEAST_SHARE = 60, 0.0002  # of a place
_WITHIN, _BEYOND = slice(8, 11), slice(2, 5)  # of these 13, those that tell either side
_STEP_LEVELS = 25.0  # by which the two have to differ within
_SHARPLY = 0.45  # of the difference, that it rises by from one pixel to the next
_LIGHT = np.array([[0.299], [0.587], [0.114]], np.float32)
_LARGE_PIXELS, _LARGE_SHARE = 40, 0.05  # of an outline, and of all outlines
_STEP = 3 * 20.0**2  # squared levels of all channels, on average over a run
_ON_ONE, _ON_OTHER = 0.6, 0.4  # of a step, that one image makes

_MIN_SHARP_SHARE = 0.7
"""Of the outline of any large piece, with the two unlike and only one image stepping there. Of what
was blended in within two or three pixels .62 and less, of blurred faces .42; of four in five emoji,
bars, bubbles, codes and insets more."""
_MIN_ALONE, _MAX_OTHER = 0.85, 0.08
"""Shares of runs of outlines along which one image steps alone, and the other alone. Of things on
both, or of one that moved, .1 and more are the other's; of four of five things on one, less."""
_LEFT_LEVELS, _MAX_LEFT_SHARE = 8.0, 0.003
"""What else differs, over 9 x 9 pixels, and how much of that there is against what is laid over: of
copies saved at 75 and more next to none, where the other image had a face blurred .004 and more."""
_MAX_REST_SHARE = 0.05  # of what differs, that is not filled
_LEFT_OF_CONTRAST = 0.35
_LEFT_PIXELS, _BESIDE_PIXELS = 9, 19


class Outlines(NamedTuple):
    """What two images do across the outlines of all that they differ by.

    Parameters
    ----------
    one, two : shares of them along which this image steps and the other does not
    sharp : share that is sharp and on the image that has most, of the large piece with the least
    left : what differs besides, against what is within the outlines
    """

    one: float
    two: float
    sharp: float
    left: float

    @property
    def on_one(self) -> bool:
        """Whether all of it is laid over one of them."""
        sides = self.one, self.two
        if self.sharp < _MIN_SHARP_SHARE or self.left > _MAX_LEFT_SHARE:
            return False
        return max(sides) >= _MIN_ALONE and min(sides) <= _MAX_OTHER


def reconsidered(one: Side, two: Side, verdict: Verdict) -> Verdict:
    """Take up again what was refused only because it may have come into the picture."""
    last = verdict.checks[-1] if verdict.checks else None
    if last is None or last.passed or last.name != ODDS_CHECK:
        return verdict
    described = (one.features.grey.shape, two.features.grey.shape)
    both = one.open(), two.open()
    check = laid_over(*both, verdict, described) or _filled(*both, verdict, described)
    if check is None:
        return verdict
    return replace(verdict, near=True, evidence="", checks=(*verdict.checks[:-1], check))


def _filled(one: Original, two: Original, verdict: Verdict, described: Shapes) -> Check | None:
    """Give the check that a part of one is filled, and that this is all; None where it is not."""
    laid = lay(one, two, verdict, described, MAX_PHOTO_PIXELS)
    part = None if laid is None else filled(laid)
    if part is None or part.rest > _MAX_REST_SHARE:
        return None
    share = float(part.mask.mean())
    return Check("share that is filled with one colour", share, MAX_FILLED_SHARE, passed=True)


def judged(
    one: Original, two: Original, verdict: Verdict, described: Shapes, laid: Laid, *, page: bool
) -> Judgement:
    """Judge what differs at falling resolution, down to the first at which that is no mere loss.

    What is laid over an image has light and colours that follow no rule for the whole; where it is
    proven that it is no more than that, none is asked for.

    Parameters
    ----------
    verdict, described : as for `laid_over`
    laid, page : as for `judge`
    """
    found = _down_to(laid, page=page, ruled=True)
    if not found.refusal and not page and blended_in(laid):
        return Judgement([*found.checks, Check(BLENDED_CHECK, 1, 0, passed=False)], BLENDED)
    if not found.refusal or found.checks[-1].name == BOTH_CHECK:
        return found
    corners = rounded(laid, page=page)
    better = corners and _beside(laid, corners.mask, corners.on, "corners", page=page)
    if not better and not page:
        part = filled(laid)
        better = part and _beside(laid, part.mask, part.on)
        if not better and found.refusal in BY_ONE_RULE:
            better = _in_one_light(laid)
    if better or page or found.refusal not in BY_ONE_RULE:
        return better or found
    known = (check for check in verdict.checks if check.name == LEFT_CHECK)
    check = next(known, None) or laid_over(one, two, verdict, described)
    if check is None:
        return found
    again = _down_to(laid, page=page, ruled=False)
    return again._replace(checks=[check, *again.checks])


def _beside(
    laid: Laid, part: Mask, on: int, what: str = "", *, page: bool = False
) -> Judgement | None:
    """Judge what is beside a part of one image, 1 or 2 on the raster; None: that differs too."""
    rest = _down_to(replace(laid, inside=laid.inside & ~part), page=page, ruled=True)
    side = laid.owner if on == 1 else 3 - laid.owner
    if rest.refusal or rest.drawn.on not in {0, side}:
        return None
    return rest._replace(drawn=Drawn(float(part.mean()), side, what))


def _in_one_light(laid: Laid) -> Judgement | None:
    """Judge two of which one has other light in a part; None where neither has, or more differs."""
    lit = relit(laid)
    if lit is None:
        return None
    found = _down_to(lit[0], page=False, ruled=True)
    if found.refusal:
        return None
    return found if found.drawn.on else found._replace(drawn=lit[1])


def _down_to(laid: Laid, *, page: bool, ruled: bool) -> Judgement:
    found = judge(laid, page=page, ruled=ruled)
    while found.lossy and not laid.least:
        laid = laid.halved()
        found = judge(laid, page=page, ruled=ruled)
    return found


def laid_over(one: Original, two: Original, verdict: Verdict, described: Shapes) -> Check | None:
    """Prove that two files are one exposure, and that something lies over one of them.

    Parameters
    ----------
    verdict : with its placing
    described : (H, W) of both as they were described

    Returns
    -------
    The check that says so; None where neither is proven.
    """
    if verdict.transform is None:
        return None
    placed = at_sizes(verdict.transform, described, (one.size, two.size))
    left = left_between(one, two, placed / placed[2, 2])
    if left > MAX_LEFT:
        return None
    laid = lay(one, two, verdict, described, _MOST_PIXELS)
    found = None if laid is None or laid.reduced else outlines(laid)
    if found is None or not found.on_one:
        return None
    return Check(LEFT_CHECK, left, MAX_LEFT, passed=True)


def outlines(laid: Laid) -> Outlines | None:
    """Ask what either image does across outlines; None where nothing plain differs."""
    images = laid.one.astype(np.float32), laid.two.astype(np.float32)
    gap = images[0] - images[1]
    solid = _solid(gap, laid.inside)
    found = places_on(solid)
    if found is None:
        return None
    first, second = (across(image, found.at, found.normal) for image in images)
    most, rise = _steepest(first - second)
    plain = most > _STEP_LEVELS
    if np.count_nonzero(plain) < FEWEST_PLACES:
        return None
    # Files keep half of the colour's pixels, so that light tells better where it steps as well.
    light, rises = _steepest(np.asarray((first - second) @ _LIGHT, np.float32))
    sharp = np.where(light > _STEP_LEVELS, rises > _SHARPLY * light, rise > _SHARPLY * most)
    mine, theirs = (
        each[:, _WITHIN].mean(axis=1) - each[:, _BEYOND].mean(axis=1) for each in (first, second)
    )
    shares = _shares(mine[plain], theirs[plain], found.run[plain])
    least = _least(mine, theirs, np.asarray(plain & sharp), found.piece)
    return Outlines(*shares, least, _left(laid, gap, solid))


def _left(laid: Laid, gap: Floats, solid: Bytes) -> float:
    """Give how much else differs, against what is marked."""
    beside = cv2.dilate(solid, np.ones((_BESIDE_PIXELS,) * 2, np.uint8))
    squares = cv2.blur((gap * gap).sum(axis=2) / 3, (_LEFT_PIXELS,) * 2)
    # Beside steep edges a small part of a pixel makes as much.
    rich = np.maximum(*(contrast(each, _LEFT_PIXELS) for each in laid.greys))
    left = squares > np.maximum(_LEFT_LEVELS, _LEFT_OF_CONTRAST * rich) ** 2
    left &= (beside == 0) & laid.inside
    return float(np.count_nonzero(left) / np.count_nonzero(solid))


def _steepest(gap: Floats) -> tuple[Floats, Floats]:
    """Give by how much what two differ by, (P, 13, C), rises inwards, and in one pixel."""
    channels = gap.shape[2] ** 0.5
    apart = np.linalg.norm(gap - gap[:, :3].mean(axis=1, keepdims=True), axis=2) / channels
    rise = np.linalg.norm(np.diff(gap, axis=1), axis=2) / channels
    return apart[:, 4:11].max(axis=1), rise[:, 2:10].max(axis=1)


def _part(mine: Floats, theirs: Floats) -> tuple[Floats, Floats]:
    """Give (P,) what one image makes of the square of a difference of steps, and the square."""
    gap = mine - theirs
    return np.asarray((mine * gap).sum(axis=1)), np.asarray((gap * gap).sum(axis=1))


def _least(mine: Floats, theirs: Floats, sharp: Mask, piece: Numbers) -> float:
    """Give the share of the outline of a large piece that is sharp and on one image, at least."""
    part, square = _part(mine, theirs)
    on_one = part > square / 2
    if np.count_nonzero(sharp & on_one) < np.count_nonzero(sharp & ~on_one):
        on_one = ~on_one
    count = np.bincount(piece)
    good = np.bincount(piece, sharp & on_one, len(count))
    large = count >= max(_LARGE_PIXELS, _LARGE_SHARE * len(piece))
    return float((good[large] / count[large]).min()) if large.any() else 0.0


def _shares(mine: Floats, theirs: Floats, run: Numbers) -> tuple[float, float]:
    """Give the shares of runs along which the one image steps alone, and the other."""
    _, numbers = np.unique(run, return_inverse=True)
    count = np.bincount(numbers)
    made, square = (np.bincount(numbers, each) for each in _part(mine, theirs))
    part = made / (square + 1e-6)
    told = (square > _STEP * count) & (count >= RUN_PIXELS // 2)
    total = max(1, int(count[told].sum()))
    one, two = (float(count[told & on].sum() / total) for on in (part > _ON_ONE, part < _ON_OTHER))
    return one, two


def _solid(gap: Floats, inside: Mask) -> Bytes:
    """Mark what differs plainly, without what is small; 1 there, else 0."""
    apart = np.sqrt((gap * gap).sum(axis=2) / 3)
    apart[~inside] = 0
    mask = (cv2.blur(apart, (3, 3)) > _GAP_LEVELS).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((_JOINED_PIXELS,) * 2, np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    large = stats[:, cv2.CC_STAT_AREA] >= max(_LEAST_PIXELS, _LEAST_SHARE * mask.size)
    large[0] = False
    return np.asarray(large[labels], np.uint8)
