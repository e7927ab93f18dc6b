"""What stays is at least as good as what goes for it, whatever chose it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from pathlib import Path

    from dedup.collection import Collection


@pytest.mark.parametrize("chosen", ["newest", "reference"])
def test_an_original_never_goes_for_what_was_made_from_it(
    own: Collection, images: Path, chosen: str
) -> None:
    """Of one size, so that the number of pixels does not tell."""
    original, made = images / "a/3.jpg", images / "c/drawn.png"
    made.parent.mkdir()
    with Image.open(original) as image:
        drawn = image.convert("RGB")
    ImageDraw.Draw(drawn).rectangle((40, 40, 110, 70), fill=(255, 0, 0))
    drawn.save(made)
    os.utime(original, (1e9, 1e9))
    own.index()
    tiers = ["exact", "pixels", "resaved", "near"]
    wishes: dict[str, Any] = (
        {"keep": "newest"} if chosen == "newest" else {"reference": made.parent}
    )
    plan = own.plan(tier=tiers, **wishes)
    reasons = {one.path: one.reason for one in plan.left_out}
    assert reasons[str(original)] == "its keeper was made from it"
    assert not {str(original), str(made)} & {entry.path for entry in plan}
    assert {str(made): str(original)}.items() <= {
        entry.path: entry.keeper for entry in own.plan(tier=tiers)
    }.items()


def test_what_has_more_pixels_stays_where_a_folder_chose_the_keeper(
    own: Collection, images: Path
) -> None:
    """An enlargement is no original; it stays for its pixels, which the policy did not weigh."""
    original, large = images / "a/3.jpg", images / "c/large.jpg"
    large.parent.mkdir()
    with Image.open(original) as image:
        size = (2 * image.width, 2 * image.height)
        image.resize(size, Image.Resampling.BICUBIC).save(large, quality=95)
    own.index()
    plan = own.plan(tier=["exact", "pixels", "resaved"], keep=f"under:{images / 'a'}")
    reasons = {one.path: one.reason for one in plan.left_out}
    assert reasons[str(large)] == "has more pixels than its keeper"
