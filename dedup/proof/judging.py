"""What differs of a pair, judged at falling resolution, and again beside what is known to be added.

Corners that were rounded, parts filled with one colour, and light in a part follow no rule for the
whole. Where one image has them, what is beside them is judged by itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dedup.proof.blended import BLENDED, BLENDED_CHECK, blended_in
from dedup.proof.closely import MAX_PHOTO_PIXELS, lay
from dedup.proof.drawn import Drawn, ground_in
from dedup.proof.filled import MAX_FILLED_SHARE, filled
from dedup.proof.leaks import relit
from dedup.proof.rounded import rounded
from dedup.proof.shared_parts import BOTH_CHECK, BY_ONE_RULE, Judgement, judge
from dedup.proof.verdict import Check
from dedup.proof.verify import ODDS_CHECK

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from dedup.proof.closely import Laid
    from dedup.proof.side import Side
    from dedup.proof.verdict import Verdict

    Mask = npt.NDArray[np.bool_]

_MAX_REST_SHARE = 0.05  # of what differs, that is not filled


def reconsidered(one: Side, two: Side, verdict: Verdict) -> Verdict:
    """Take up again what was refused only because it may have come into the picture."""
    last = verdict.checks[-1] if verdict.checks else None
    if last is None or last.passed or last.name != ODDS_CHECK:
        return verdict
    described = (one.features.grey.shape, two.features.grey.shape)
    laid = lay(one.open(), two.open(), verdict, described, MAX_PHOTO_PIXELS)
    part = None if laid is None else filled(laid)
    if part is None or part.rest > _MAX_REST_SHARE:
        return verdict
    share = float(part.mask.mean())
    check = Check("share that is filled with one colour", share, MAX_FILLED_SHARE, passed=True)
    return replace(verdict, near=True, evidence="", checks=(*verdict.checks[:-1], check))


def judged(laid: Laid, *, page: bool) -> Judgement:
    """Judge what differs at falling resolution, down to the first at which that is no mere loss.

    Parameters
    ----------
    page : what both show is held to the rule for pages
    """
    found = _down_to(laid, page=page)
    if not found.refusal and not page and blended_in(laid):
        return Judgement([*found.checks, Check(BLENDED_CHECK, 1, 0, passed=False)], BLENDED)
    if not found.refusal or found.checks[-1].name == BOTH_CHECK:
        return found
    corners = rounded(laid, page=page)
    better = corners and _beside(laid, corners.mask, corners.on, "corners", page=page)
    if not better and not page:
        part = filled(laid)
        better = part and _beside(laid, part.mask, part.on, ground_in(part.mask))
        if not better and found.refusal in BY_ONE_RULE:
            better = _in_one_light(laid)
    return better or found


def _beside(
    laid: Laid, part: Mask, on: int, what: str = "", *, page: bool = False
) -> Judgement | None:
    """Judge what is beside a part of one image, 1 or 2 on the raster; None: that differs too."""
    rest = _down_to(replace(laid, inside=laid.inside & ~part), page=page)
    side = laid.owner if on == 1 else 3 - laid.owner
    if rest.refusal or rest.drawn.on not in {0, side}:
        return None
    return rest._replace(drawn=Drawn(float(part.mean()), side, what))


def _in_one_light(laid: Laid) -> Judgement | None:
    """Judge two of which one has other light in a part; None where neither has, or more differs."""
    lit = relit(laid)
    if lit is None:
        return None
    found = _down_to(lit[0], page=False)
    if found.refusal:
        return None
    return found if found.drawn.on else found._replace(drawn=lit[1])


def _down_to(laid: Laid, *, page: bool) -> Judgement:
    found = judge(laid, page=page)
    while found.lossy and not laid.least:
        laid = laid.halved()
        found = judge(laid, page=page)
    return found
