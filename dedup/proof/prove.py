"""The whole proof on a pair: first on what is described, then on the files themselves.

A pair is `resaved` when the two files, frame on frame, agree at full resolution (`whole`).
Otherwise local features have to place one in the other (`verify`), and what both show has to agree
at the files' own resolution but for what was drawn over one of them (`closely`).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.descriptors.agreement import FEWEST
from dedup.proof.alignment import at_sizes
from dedup.proof.bent import bent
from dedup.proof.closely import MAX_PHOTO_PIXELS, Laid, lay
from dedup.proof.description import comes_before
from dedup.proof.drawn import EVEN, Drawn, cut_out
from dedup.proof.exposure import (
    EXPOSED_APART,
    RECORDED_APART,
    TAKEN_APART,
    exposed_apart,
    recorded_apart,
    taken_apart,
)
from dedup.proof.geometry import Fit
from dedup.proof.grain import OTHER_GRAIN, grain_apart
from dedup.proof.judging import judged, reconsidered
from dedup.proof.legible import TOO_SMALL, is_illegible
from dedup.proof.origin import origin
from dedup.proof.pages import compare_pages
from dedup.proof.paper import is_page
from dedup.proof.pasted import in_a_panel, may_be_in_a_panel
from dedup.proof.plain_colours import other_colours
from dedup.proof.posterised import is_posterised, is_retoned
from dedup.proof.ranks import median_level
from dedup.proof.resaved import Compared, resaved
from dedup.proof.shared_parts import (
    BOTH_CHECK,
    OTHER_COLOUR,
    OTHER_SIDE_CHECK,
    PAGE_CHECK,
    SMALL_SIDE,
    Judgement,
)
from dedup.proof.sharpness import as_soft, evenly_sharper
from dedup.proof.small_print import SAME_LEVELS
from dedup.proof.softness import faintly_softer, focused_apart, is_sharpened, softer
from dedup.proof.symmetry import SYMMETRIC, upright_as_well
from dedup.proof.verify import (
    AGREEING_CHECK,
    ALIKE_CHECK,
    ELSEWHERE,
    HELD_CHECK,
    ODDS_CHECK,
    OTHER_TEXTURES,
    reversed_verdict,
    verify,
    worded,
)
from dedup.proof.wording import captioned_both, shows_both

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.descriptors.agreement import Agreement
    from dedup.proof.description import Features
    from dedup.proof.side import Side
    from dedup.proof.verdict import Verdict

    Floats = npt.NDArray[np.float32]

_MAX_UNLIKE = {HELD_CHECK: 0.9, ALIKE_CHECK: 0.6, AGREEING_CHECK: 0.65}
"""Values below which a pair whose parts agree on its placing is no copy: of 800 copies, of which 25
had 8 to 23 parts that agree, none was below .965, .7 and .95."""

_WELL_PLACED_SPOTS = 12
"""Parts that agree from which on small copies placed by them tell that a pair is none: of 375
copies none was found by a better placing."""

_SHOWN_SHARE, _SHOWN_PIXELS = 0.5, 200
"""What either image shows of the other, and their longest sides, from which on more parts of copies
agree: of 2,600 strong edits, most of them two at once, of photographs of 90 to 300 pixels 40 had 8
to 11, and none of these was refused by its placing and found by features."""

_SURE_SPOTS = 40
"""Parts that agree on a placing from which on local features find the same one."""

_SETTLED = frozenset({OTHER_GRAIN, ELSEWHERE})
"""Refusals that no closer placing changes, of pairs that so many parts place."""

_SMALL_SHARE = 0.3  # of an image, of which few parts may agree
_CLEARLY_DRAWN_SHARE, _CLEAR_LOG_ODDS = 2.0, -3.0  # of what may be drawn on the other side
# Of 108 pairs that so many parts place and that were refused, none was near by local features; by
# less than these margins a text over an image was.

_NOT_COMPARED = Compared(None)
_CAPTIONED = "either has a caption or frame that the other has not"
_WHOLE_SHARE, _ALL_SHARE = 0.9, 0.98
_TILTED_DEGREES = 1.0
_MARK_SHARE, _COVERED_SHARE = 0.005, 0.03
# Of the image and of its textures; a mark may be smaller than what the coarse look sees.
_UNTOUCHED_LEVELS = 6.0  # median difference, before any tone is mapped


def prove(first: Side, second: Side) -> Verdict:
    """Prove, or fail to prove, that two files hold one image.

    Returns
    -------
    The same for (first, second) and (second, first), but for what is seen from the first.

    Raises
    ------
    ImageError : a file cannot be read or decoded.
    """
    one, two, turned = _in_order(first, second)
    verdict = _proven(one, two)
    if _may_show_more(verdict):
        verdict = in_a_panel(one, two, verdict, _looked_at)
    verdict = _checked(one, two, verdict)
    return reversed_verdict(verdict) if turned else verdict


def prove_placed(first: Side, second: Side, agreed: Agreement) -> Verdict | None:
    """Give what `prove` would, by what parts tell of the pair; None where that is too little.

    Local features need not be described.
    """
    one, two, turned = _in_order(first, second)
    few = agreed.matrix is not None and agreed.spots < FEWEST
    compared = resaved(one, two)
    verdict = compared.verdict
    if verdict is None:
        fit = _fit(one, two, agreed, turned=turned)
        if fit is None:
            return None
        verdict = reconsidered(one, two, verify(one.features, two.features, fit))
        many = agreed.spots >= _WELL_PLACED_SPOTS or _should_have_many(one, two, verdict)
        well = many and not verdict.near
        if verdict.near:
            verdict = _closely(one, two, verdict, compared)
        sure = agreed.spots >= _SURE_SPOTS and _clearly_refused(verdict)
        told = verdict.near or well or sure or _unlike(verdict)
        if not (few or told) or _may_be_a_panel(one, two, verdict, fit):
            return None  # features may place it better
        if few and verdict.near and not _small_part(one, two, verdict):
            return None  # so few tell too little of it
    verdict = _checked(one, two, verdict)
    return reversed_verdict(verdict) if turned else verdict


def _small_part(one: Side, two: Side, verdict: Verdict) -> bool:
    """Tell a small part of a photograph: of larger ones more agrees, and pages repeat much."""
    greys = (side.features.grey.astype(np.float32) for side in (one, two))
    return min(verdict.overlap) < _SMALL_SHARE and not any(map(is_page, greys))


def prove_copy(first: Side, second: Side) -> Verdict | None:
    """Give what `prove` would for two files, frame on frame; None where that takes features.

    Local features need not be described.
    """
    one, two, turned = _in_order(first, second)
    found = resaved(one, two).verdict
    if found is None or not (found := _checked(one, two, found)).near:
        return None
    return reversed_verdict(found) if turned else found


def _in_order(first: Side, second: Side) -> tuple[Side, Side, bool]:
    turned = comes_before(first.features, second.features)
    return (second, first, True) if turned else (first, second, False)


def _legible(one: Side, two: Side, verdict: Verdict) -> Verdict:
    """Refuse what agrees only because letters are too small in one of the two."""
    if not verdict.near or verdict.transform is None:
        return verdict
    first, second = one.open(), two.open()
    shapes = one.features.grey.shape, two.features.grey.shape
    matrix = at_sizes(verdict.transform, shapes, (first.size, second.size))
    return _refused(verdict, TOO_SMALL) if is_illegible(first, second, matrix) else verdict


def _proven(one: Side, two: Side) -> Verdict:
    compared = resaved(one, two)
    if compared.verdict is not None:
        return compared.verdict
    verdict = reconsidered(one, two, verify(one.features, two.features))
    return _closely(one, two, verdict, compared) if verdict.near else verdict


def _closely(one: Side, two: Side, verdict: Verdict, compared: Compared) -> Verdict:
    first, second = one.open(), two.open()
    if max(first.pages, second.pages) > 1:
        return compare_pages(first, second)
    return _looked_at(one, two, verdict, compared)


def _fit(one: Side, two: Side, agreed: Agreement, *, turned: bool) -> Fit | None:
    """Take the placing from parts, where they tell one."""
    if agreed.matrix is None:
        return None
    placed = np.asarray(np.linalg.inv(agreed.matrix) if turned else agreed.matrix, np.float64)
    first, second = (float(max(side.features.grey.shape)) for side in (one, two))
    matrix = np.diag([first, first, 1.0]) @ placed @ np.diag([1 / second, 1 / second, 1.0])
    return Fit(matrix / matrix[2, 2], agreed.spots, agreed.mirrored)


def _may_show_more(verdict: Verdict) -> bool:
    """Tell a refused pair of which one may still hold the other in a panel."""
    captioned = verdict.evidence == _CAPTIONED  # what is beside captions is no panel
    return not (verdict.near or captioned or _two_pages(verdict) or _frame_on_frame(verdict))


def _may_be_a_panel(one: Side, two: Side, verdict: Verdict, fit: Fit) -> bool:
    return _may_show_more(verdict) and may_be_in_a_panel(one, two, fit.matrix)


def _two_pages(verdict: Verdict) -> bool:
    """Tell two pages that lie on each other as a whole, and differ: no panel makes them one."""
    last = verdict.checks[-1] if verdict.checks else None
    refuted = last is not None and last.name == PAGE_CHECK
    return refuted and min(verdict.overlap) >= _WHOLE_SHARE


def _frame_on_frame(verdict: Verdict) -> bool:
    """Tell two that lie on each other to the edges: what differs in them is in no panel of one."""
    return min(verdict.overlap) >= _ALL_SHARE


def _unlike(verdict: Verdict) -> bool:
    """Tell a pair that is far from being a copy, wherever it is placed exactly."""
    last = verdict.checks[-1] if verdict.checks else None
    if last is None:
        return False
    return last.name == PAGE_CHECK or last.value < _MAX_UNLIKE.get(last.name, -np.inf)


def _should_have_many(one: Side, two: Side, verdict: Verdict) -> bool:
    """Tell a pair that shows so much of each other that few parts agree by chance alone."""
    sides = [max(side.features.grey.shape) for side in (one, two)]
    return min(verdict.overlap) >= _SHOWN_SHARE and min(sides) >= _SHOWN_PIXELS


def _clearly_refused(verdict: Verdict) -> bool:
    """Tell a pair whose refusal is no matter of a fraction of a pixel."""
    last = verdict.checks[-1] if verdict.checks else None
    if verdict.evidence in _SETTLED or last is None:
        return verdict.evidence in _SETTLED
    if last.name == BOTH_CHECK:
        return True
    if last.name == OTHER_SIDE_CHECK:
        return last.value >= _CLEARLY_DRAWN_SHARE * last.limit
    return last.name == ODDS_CHECK and last.value < _CLEAR_LOG_ODDS


def _checked(one: Side, two: Side, verdict: Verdict) -> Verdict:
    """Refuse what only the files tell apart."""
    if not verdict.near:
        return verdict
    first, second = one.open(), two.open()
    if verdict.resaved and taken_apart(first, second):
        verdict = _refused(verdict, TAKEN_APART)
    elif not verdict.resaved and recorded_apart(first, second):
        verdict = _refused(verdict, RECORDED_APART)
    return _legible(one, two, verdict)


def _looked_at(
    one: Side, two: Side, verdict: Verdict, compared: Compared = _NOT_COMPARED
) -> Verdict:
    features, files = (one.features, two.features), (one.open(), two.open())
    shapes = (one.features.grey.shape, two.features.grey.shape)
    laid = lay(*files, verdict, shapes, MAX_PHOTO_PIXELS)
    pages = [] if laid is None else [is_page(each) for each in laid.greys]
    if laid is not None and laid.reduced and any(pages):
        laid = lay(*files, verdict, shapes)
    if laid is None:
        return _refused(verdict, "too small to compare what both show")
    # A posterised photograph is as flat as a page; one that was hardly touched is not posterised.
    drawn_both = all(pages) or (compared.page and _frame_on_frame(verdict))
    page = drawn_both or (any(pages) and _is_shared_page(*laid.greys))
    if reason := _both_have_more(one, two, verdict, page=page):
        return _refused(verdict, reason)
    if reason := _shot_apart(one, two, verdict, laid, page=page, drawn=drawn_both):
        return _refused(verdict, reason)
    if other_colours(laid.one, laid.two, laid.inside):
        return _refused(verdict, OTHER_COLOUR)
    found = judged(laid, page=page)
    # No tone curve makes one figure of another.
    explicable = bool(found.refusal) and found.checks[-1].name != BOTH_CHECK and not drawn_both
    if explicable and _by_curves(laid, page=page, drawn=False):
        found = Judgement([])
    less = 0 if found.refusal else softer(laid)
    seen = bool(found.refusal) or _seen(verdict, found.drawn)
    if less or not seen:
        again = _as_soft(laid, page=page)
        found = again if again is not None and (again.refusal or not seen) else found
    verdict = replace(verdict, checks=(*verdict.checks, *found.checks))
    if found.refusal:
        return _refused(verdict, found.refusal)
    sharper: bool | None = bool(less) and is_sharpened(laid)
    if less and not sharper and evenly_sharper(laid):
        sharper = None
    checks = verdict.checks + compared.failed
    verdict = replace(verdict, checks=checks, softer=less, sharpened=sharper)
    drawn = cut_out(*files, found.drawn if _seen(verdict, found.drawn) else Drawn())
    ask = partial(origin, *files, verdict, shapes, laid), partial(faintly_softer, laid)
    return _unbent(*features, worded(*features, verdict, drawn, *ask))


def _as_soft(laid: Laid, *, page: bool) -> Judgement | None:
    """Judge both as soft as the softer is: a blur leaves so much that it hides what differs."""
    soft = None if page else as_soft(laid)
    return None if soft is None else judged(soft, page=page)


def _shot_apart(
    one: Side, two: Side, verdict: Verdict, laid: Laid, *, page: bool, drawn: bool
) -> str:
    """Say by what focus, light or grain two shots are told from copies of one; "": by none."""
    if focused_apart(laid) and not _by_curves(laid, page=page, drawn=drawn):
        return "sharp in other places"
    shapes = one.features.grey.shape, two.features.grey.shape
    if not page and exposed_apart(one.open(), two.open(), verdict, shapes, laid):
        return EXPOSED_APART
    return OTHER_GRAIN if grain_apart(*laid.greys, laid.inside) else ""


def _unbent(one: Features, two: Features, verdict: Verdict) -> Verdict:
    """Refuse another shot."""
    if (check := bent(one, two, verdict)) is None:
        return verdict
    return _refused(replace(verdict, checks=(*verdict.checks, check)), ELSEWHERE)


def _both_have_more(one: Side, two: Side, verdict: Verdict, *, page: bool) -> str:
    """Say why neither image is the whole of the other, around what both show; "": one may be."""
    features = one.features, two.features
    straight = verdict.tilt < _TILTED_DEGREES  # a tilt loses corners
    if page and straight and min(verdict.overlap) < 1 and shows_both(*features, verdict):
        return "two parts of one page: either shows what the other does not"
    if page and upright_as_well(*features, verdict):
        return SYMMETRIC
    return _CAPTIONED if captioned_both(*features, verdict) else ""


def _by_curves(laid: Laid, *, page: bool, drawn: bool) -> bool:
    """Tell whether tone curves explain all that differs.

    Parameters
    ----------
    page : what both show is held to the rule for pages
    drawn : both are pages
    """
    # A staircase that is fitted to a few hundred pixels makes one flag of another.
    small = max(laid.inside.shape) <= SMALL_SIDE
    if not small and is_posterised(laid.one, laid.two, laid.inside, page=drawn):
        return True
    return not page and not _untouched(*laid.greys) and is_retoned(laid.one, laid.two, laid.inside)


def _seen(verdict: Verdict, drawn: Drawn) -> bool:
    """Tell whether the coarse look saw what the closer one takes for drawn; else it is detail."""
    if drawn.what and drawn.what not in EVEN:
        return True  # by rules of their own, that take nothing for detail
    covered = next((c.value for c in verdict.checks if c.name == OTHER_TEXTURES), 0.0)
    return drawn.share < _MARK_SHARE or verdict.drawn > 0 or covered >= _COVERED_SHARE


def _is_shared_page(one: Floats, two: Floats) -> bool:
    """Tell whether what two images share, of which one is a page, is a page by itself.

    A sticker has flat ground and strokes as a page has, and makes one of a thing on plain ground. A
    scan is as much darker everywhere.
    """
    darker = np.float32(median_level(two.astype(np.uint8)) - median_level(one.astype(np.uint8)))
    if not _untouched(one + darker, two):
        return False
    same = np.abs(one + darker - two) <= SAME_LEVELS
    return any(is_page(each, same) for each in (one, two))


def _untouched(one: Floats, two: Floats) -> bool:
    # Whole levels, as greys are.
    return median_level(cv2.absdiff(one, two).astype(np.uint8)) <= _UNTOUCHED_LEVELS


def _refused(verdict: Verdict, reason: str) -> Verdict:
    return replace(verdict, near=False, resaved=False, evidence=reason, backwards=reason, derived=0)
