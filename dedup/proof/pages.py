"""Files of several pages or frames, compared page by page."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from dedup.images.pages import pages
from dedup.proof.original import LOSSLESS
from dedup.proof.verdict import Check, Verdict
from dedup.proof.whole import Frames, same_shape

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from dedup.proof.original import Original

    Pixels = npt.NDArray[np.uint8]

MAX_PAGES = 300
"""More are not compared: an hour of animation would be."""

_MAX_PAGE_PIXELS = 1 << 20
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
        return _refused(0, total, "no page is the same")
    which = f"page {same[0]}" if len(same) == 1 else f"{len(same)} pages"
    return _refused(
        len(same),
        total,
        f"only {which} of {total} is the same"
        if len(same) == 1
        else f"only {which} of {total} are the same",
    )


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
