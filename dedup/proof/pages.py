"""Files of several pages or frames, compared page by page."""

from __future__ import annotations

import hashlib
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from dedup.images.pages import MAX_PAGES, pages
from dedup.proof.original import LOSSLESS
from dedup.proof.verdict import Check, Verdict
from dedup.proof.whole import Frames, same_shape

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.original import Original

    Floats = npt.NDArray[np.float32]
    Pixels = npt.NDArray[np.uint8]

_MAX_PAGE_PIXELS = 1 << 20
_OUTLINE, _LOOSE_LEVELS = (16, 16), 7.0
_PLAIN_LEVELS = 1.0
_MOST_PLACES = 32
"""Pages that are compared in full at other places, which bounds what is held at once."""

PAGES_AGREE = "pages that agree"


def compare_pages(one: Original, two: Original) -> Verdict:
    """Compare two files of which one at least has several pages.

    Raises
    ------
    ImageError : a page cannot be decoded.
    """
    counts = one.pages, two.pages
    total = max(counts)
    if total > MAX_PAGES:
        return _refused(0, total, f"more than {MAX_PAGES} pages are not compared")
    same: list[int] = []
    both = zip_longest(pages(one.data, _MAX_PAGE_PIXELS), pages(two.data, _MAX_PAGE_PIXELS))
    for number, (first, second) in enumerate(both, 1):
        if first is None or second is None:
            break
        if _agree(first, second, (one.quality, two.quality)):
            same.append(number)
    if len(same) == total:
        return Verdict(
            near=True,
            evidence=_whole(total),
            checks=(Check(PAGES_AGREE, total, total, passed=True),),
            overlap=(1.0, 1.0),
            resaved=True,
            backwards=_whole(total),
        )
    if not same:
        return _refused(0, total, "no page is the same at its place")
    which = f"page {same[0]}" if len(same) == 1 else f"{len(same)} pages"
    return _refused(
        len(same),
        total,
        f"only {which} of {total} is the same"
        if len(same) == 1
        else f"only {which} of {total} are the same",
    )


class _Page(NamedTuple):
    pixels: bytes
    size: tuple[int, int]
    outline: Floats

    @property
    def is_plain(self) -> bool:
        return float(self.outline.std()) < _PLAIN_LEVELS


def pages_elsewhere(one: Original, two: Original) -> Verdict | None:
    """Look for pages of two files, which are no duplicates, that are at other places in either.

    Returns
    -------
    None where `compare_pages` tells as much: neither has several, or too many, or all pages that
    agree are at one place.

    Raises
    ------
    ImageError : a page cannot be decoded.
    """
    total = max(one.pages, two.pages)
    if not 1 < total <= MAX_PAGES:
        return None
    first, second = (
        [_page(each) for each in pages(file.data, _MAX_PAGE_PIXELS)] for file in (one, two)
    )
    found = _confirmed(_proposed(first, second), first, second, one, two)
    if len(found) < total:  # blank pages are anywhere
        found = {mine: at for mine, at in found.items() if not first[mine].is_plain}
    if found and all(mine == at for mine, at in found.items()):
        return None
    in_place = sum(mine == at for mine, at in found.items())
    return _refused(in_place, total, _where(found, (one.pages, two.pages)))


def _where(found: dict[int, int], counts: tuple[int, int]) -> str:
    """Say which pages of the second file, by those of the first, are in the first."""
    if not found:
        return "no page is the same"
    if len(found) == counts[0] == counts[1]:
        return f"the same {len(found)} pages in another order"
    if len(found) > 1:
        return f"{len(found)} of its {counts[1]} pages are in the other, at other places"
    ((mine, at),) = found.items()
    its, of = (
        f"page {number + 1} of " if count > 1 else ""
        for number, count in ((at, counts[1]), (mine, counts[0]))
    )
    return f"{its}this one is {of}the other"


def _page(pixels: Pixels) -> _Page:
    small = cv2.resize(pixels, _OUTLINE, interpolation=cv2.INTER_AREA)
    outline = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32).ravel()
    return _Page(hashlib.sha256(pixels.data).digest(), pixels.shape[:2], outline)


def _proposed(first: list[_Page], second: list[_Page]) -> dict[int, int]:
    """Give pages of the first file one of the second each, the nearest before others."""
    outlines, near = np.stack([page.outline for page in second]), []
    for mine, page in enumerate(first):
        off = np.abs(outlines - page.outline).mean(axis=1)
        near += [
            (page.pixels != second[at].pixels, off[at], abs(at - mine), mine, at)
            for at in np.flatnonzero(off < _LOOSE_LEVELS).tolist()
            if same_shape(page.size, second[at].size)
        ]
    found: dict[int, int] = {}
    taken = set()
    for *_, mine, at in sorted(near):
        if mine not in found and at not in taken:
            found[mine] = at
            taken.add(at)
    return found


def _confirmed(
    proposed: dict[int, int], first: list[_Page], second: list[_Page], one: Original, two: Original
) -> dict[int, int]:
    """Leave out the pages that do not agree when they are looked at."""
    equal = {mine: at for mine, at in proposed.items() if first[mine].pixels == second[at].pixels}
    asked = dict([pair for pair in proposed.items() if pair[0] not in equal][:_MOST_PLACES])
    wanted = sorted(asked.values())
    held = dict(zip(wanted, pages(two.data, _MAX_PAGE_PIXELS, wanted), strict=True))
    qualities = one.quality, two.quality
    looked_at = zip(asked, pages(one.data, _MAX_PAGE_PIXELS, asked), strict=True)
    agree = {mine for mine, page in looked_at if _agree(page, held[asked[mine]], qualities)}
    return {mine: at for mine, at in proposed.items() if mine in equal or mine in agree}


def _whole(total: int) -> str:
    return f"the same image on all of {total} pages"


def _refused(count: int, total: int, reason: str) -> Verdict:
    check = Check(PAGES_AGREE, count, total, passed=False)
    return Verdict(near=False, evidence=reason, checks=(check,), backwards=reason)


def _agree(first: Pixels, second: Pixels, qualities: tuple[int, int]) -> bool:
    if not same_shape(first.shape[:2], second.shape[:2]):
        return False
    turned = first.shape[0] < second.shape[0]
    fine, coarse = (second, first) if turned else (first, second)
    pair = qualities[::-1] if turned else qualities
    found = Frames.of(fine, coarse, (min(pair[0], LOSSLESS), min(pair[1], LOSSLESS)))
    return all(check.passed for check in found.checks())
