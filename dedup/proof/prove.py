"""The whole proof on a pair: first on what is described, then on the files themselves.

A pair is `resaved` when the two files, frame on frame, agree at full resolution (`whole`).
Otherwise local features have to place one in the other (`verify`), and what both show has to agree
at the files' own resolution but for what was drawn over one of them (`closely`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dedup.proof.alignment import scaling
from dedup.proof.closely import focused_apart, lay, softer
from dedup.proof.exposure import exposed_apart, recorded_apart
from dedup.proof.legible import TOO_SMALL, is_illegible
from dedup.proof.pages import compare_pages
from dedup.proof.paper import is_page
from dedup.proof.pasted import in_a_panel
from dedup.proof.shared_parts import judge
from dedup.proof.verdict import Check, Verdict
from dedup.proof.verify import OTHER_TEXTURES, reversed_verdict, verify, worded
from dedup.proof.whole import frames, may_be_whole, same_shape
from dedup.proof.wording import Drawn, shows_both

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.original import Original
    from dedup.proof.side import Side

    Floats = npt.NDArray[np.float32]

_TILTED_DEGREES = 1.0
_MARK_SHARE = 0.005  # of the image; a mark may be smaller than what the coarse look sees
_COVERED_SHARE = 0.03  # of the textures
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
    if not verdict.near:
        verdict = in_a_panel(one, two, verdict, _looked_at)
    if verdict.near and not verdict.resaved and recorded_apart(one.open(), two.open()):
        verdict = _refused(verdict, "two shots: the camera wrote another exposure")
    verdict = _legible(one, two, verdict)
    return reversed_verdict(verdict) if turned else verdict


def prove_copy(first: Side, second: Side) -> Verdict | None:
    """Give what `prove` would for two files, frame on frame; None where that takes features.

    Local features need not be described.
    """
    one, two, turned = _in_order(first, second)
    found, _ = _whole(one, two)
    if found is None or not (found := _legible(one, two, found)).near:
        return None
    return reversed_verdict(found) if turned else found


def _in_order(first: Side, second: Side) -> tuple[Side, Side, bool]:
    turned = _key(first) < _key(second)
    return (second, first, True) if turned else (first, second, False)


def _legible(one: Side, two: Side, verdict: Verdict) -> Verdict:
    """Refuse what agrees only because letters are too small in one of the two."""
    if not verdict.near or verdict.transform is None:
        return verdict
    first, second = one.open(), two.open()
    shapes = one.features.grey.shape, two.features.grey.shape
    matrix = scaling(shapes[0], first.size) @ verdict.transform @ scaling(second.size, shapes[1])
    illegible = is_illegible(first, second, matrix)
    return _refused(verdict, TOO_SMALL) if illegible else verdict


def _key(side: Side) -> tuple[int, bytes]:
    return side.features.grey.size, side.features.digest


def _proven(one: Side, two: Side) -> Verdict:
    whole, kept = _whole(one, two)
    if whole is not None:
        return whole
    verdict = verify(one.features, two.features)
    if not verdict.near:
        return verdict
    first, second = one.open(), two.open()
    if max(first.pages, second.pages) > 1:
        return compare_pages(first, second)
    return _looked_at(one, two, verdict, kept)


def _whole(one: Side, two: Side) -> tuple[Verdict | None, tuple[Check, ...]]:
    """Compare frame on frame, where that settles it; else the check that failed, if one did."""
    if not may_be_whole(one.features, two.features):
        return None, ()
    first, second = one.open(), two.open()
    if not same_shape(first.size, second.size):
        return None, ()
    if max(first.pages, second.pages) > 1:
        return compare_pages(first, second), ()
    found = tuple(frames(first, second).checks())
    if all(check.passed for check in found):
        return _saved_again(one, two, found), ()
    if first.has_profile != second.has_profile:
        stored = tuple(frames(first.as_stored(), second.as_stored()).checks())
        if all(check.passed for check in stored):
            return _without_profile(_saved_again(one, two, stored), first.has_profile), ()
    return None, tuple(check for check in found if not check.passed)[:1]


def _saved_again(one: Side, two: Side, checks: tuple[Check, ...]) -> Verdict:
    tall, wide = one.features.grey.shape
    height, width = two.features.grey.shape
    across, down = wide / width, tall / height
    placed = np.array([
        [across, 0, (across - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1.0]
    ])  # fmt: skip
    return Verdict(
        near=True,
        evidence="the same image",
        checks=checks,
        overlap=(1.0, 1.0),
        transform=placed,
        scale=float(np.sqrt(across * down)),
        resaved=True,
        backwards="the same image",
    )


def _without_profile(verdict: Verdict, second_lost_it: bool) -> Verdict:  # noqa: FBT001 - of two
    """Say that one was saved without its colour profile: the values are the same."""
    lost = "the same image, without its colour profile"
    has = "the same image, with the colour profile that the other has lost"
    if second_lost_it:
        return replace(verdict, evidence=lost, backwards=has, derived=2)
    return replace(verdict, evidence=has, backwards=lost, derived=1)


def _looked_at(one: Side, two: Side, verdict: Verdict, kept: tuple[Check, ...]) -> Verdict:
    features = one.features, two.features
    shapes = (one.features.grey.shape, two.features.grey.shape)
    laid = lay(one.open(), two.open(), verdict, shapes)
    if laid is None:
        return _refused(verdict, "too small to compare what both show")
    pages = [is_page(each) for each in laid.greys]
    # A posterised photograph is as flat as a page; one that was hardly touched is not posterised.
    page = all(pages) or (any(pages) and _untouched(*laid.greys))
    straight = abs((verdict.rotation + 45) % 90 - 45) < _TILTED_DEGREES  # a tilt loses corners
    if page and straight and min(verdict.overlap) < 1 and shows_both(*features, verdict):
        return _refused(verdict, "two parts of one page: either shows what the other does not")
    if focused_apart(laid):
        return _refused(verdict, "sharp in other places")
    if not page and exposed_apart(laid):
        return _refused(verdict, "two shots: one is exposed for longer, and nothing else sets them apart")
    found, level = judge(laid, page=page), laid
    while found.lossy and not level.least:
        level = level.halved()
        found = judge(level, page=page)
    verdict = replace(verdict, checks=(*verdict.checks, *found.checks))
    if found.refusal:
        return _refused(verdict, found.refusal)
    verdict = replace(verdict, checks=(*verdict.checks, *kept), softer=softer(laid))
    drawn = found.drawn if _seen(verdict, found.drawn) else Drawn()
    return worded(*features, verdict, drawn)


def _seen(verdict: Verdict, drawn: Drawn) -> bool:
    """Tell whether the coarse look saw what the closer one takes for drawn; else it is detail."""
    covered = next((c.value for c in verdict.checks if c.name == OTHER_TEXTURES), 0.0)
    return drawn.share < _MARK_SHARE or verdict.drawn > 0 or covered >= _COVERED_SHARE


def _untouched(one: Floats, two: Floats) -> bool:
    return float(np.median(np.abs(one - two))) <= _UNTOUCHED_LEVELS


def _refused(verdict: Verdict, reason: str) -> Verdict:
    return replace(verdict, near=False, resaved=False, evidence=reason, backwards=reason, derived=0)
