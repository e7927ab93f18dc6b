"""A group under another of its files, and one image laid over another."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawings import scene
from PIL import Image

from dedup.collection import Collection
from dedup.duplicates.overlay import overlay
from dedup.errors import DedupError
from dedup.results import Tier
from dedup.spec import ModelSpec
from dedup.verbs.pairs import why

if TYPE_CHECKING:
    from pathlib import Path


def test_every_member_as_keeper_is_related_as_why_says(collection: Collection) -> None:
    for group in collection.duplicates():
        for keeper in group.paths:
            changed = collection.kept_instead(group, keeper)
            assert changed.keeper == keeper
            assert changed.number == group.number
            expected = {
                path: why(keeper, path).tier for path in group.paths if path != keeper
            }  # fmt: skip
            assert {one.path: one.tier for one in changed.duplicates} == expected
            sizes = [os.path.getsize(one.path) for one in changed.duplicates]
            assert [one.bytes for one in changed.duplicates] == sizes
            assert changed.reclaimable_bytes == sum(sizes)


def test_files_of_no_group_and_pairs_that_are_apart_are_refused(own: Collection) -> None:
    small = next(group for group in own.duplicates() if group.tier is Tier.RESAVED)
    with pytest.raises(DedupError, match="not in the group"):
        own.kept_instead(small, "/etc/passwd")
    (other,) = small.duplicates
    own.ignore(small.keeper, other.path)
    with pytest.raises(DedupError, match="no other file of the group is proven"):
        own.kept_instead(small, other.path)


def test_an_original_does_not_go_for_what_was_made_from_it(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    whole = scene(3, (800, 600))
    whole.save(folder / "whole.png")
    whole.crop((100, 60, 700, 540)).save(folder / "part.png")
    with Collection.create(tmp_path / "store", ModelSpec(views="details")) as made:
        made.index([folder])
        (group,) = made.duplicates()
        assert group.keeper == os.fspath(folder / "whole.png")
        part = os.fspath(folder / "part.png")
        changed = made.kept_instead(group, part)
        (original,) = changed.duplicates
        assert (original.tier, original.is_original) == (Tier.NEAR, True)
        plan = made.plan_of([changed], chosen=[part])
        assert [one.reason for one in plan.left_out] == ["its keeper was made from it"]
        assert len(plan) == 0
        assert [one.path for one in made.plan_of([group])] == [part]


def test_an_image_is_laid_where_the_proof_places_it() -> None:
    whole = scene(3, (800, 600))
    part = whole.crop((100, 60, 700, 540)).transpose(Image.Transpose.ROTATE_90)
    laid = overlay(_png(whole), _png(part), 400)
    assert laid is not None
    assert laid.laid.shape == laid.heat.shape == (300, 400, 3)
    expected = np.asarray(whole.resize((400, 300), Image.Resampling.BOX), np.float64)
    inside = np.s_[40:260, 60:340]
    assert np.abs(laid.laid[inside] - expected[inside]).mean() < 6
    assert laid.heat[inside].mean() < 40
    assert (laid.heat[:20, :40] == 128).all()  # grey, where they share nothing
    assert overlay(_png(whole), _png(scene(5)), 400) is None


def _png(image: Image.Image) -> tuple[bytes, str]:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue(), ""
