"""Duplicate groups added up by folder: what `dedup list --summary` gives."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dedup.results import Tier

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from dedup.results import Group


_FOLDERS_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class FolderSummary:
    """The duplicates that lie in one folder itself, counted by tier.

    Parameters
    ----------
    reclaimable_bytes : of the copies: `exact`, `pixels` and `resaved`
    """

    folder: str
    exact: int
    pixels: int
    resaved: int
    near: int
    similar: int
    video: int
    reclaimable_bytes: int

    @property
    def count(self) -> int:
        """All of them."""
        return self.exact + self.pixels + self.resaved + self.near + self.similar + self.video


def by_folder(groups: Iterable[Group], sort: str = "bytes") -> list[FolderSummary]:
    """Add up the duplicates of each folder.

    Parameters
    ----------
    sort : "bytes" (the most reclaimable first), "count" (the most duplicates) or "path"
    """
    counts: Counter[tuple[str, Tier]] = Counter()
    sizes: Counter[str] = Counter()
    for group in groups:
        for one in group.duplicates:
            folder = os.path.dirname(one.path)
            counts[folder, one.tier] += 1
            sizes[folder] += one.bytes if one.tier.looseness < Tier.NEAR.looseness else 0
    folders = sorted(sizes, key=os.fsencode)
    rows = [
        FolderSummary(
            folder,
            exact=counts[folder, Tier.EXACT],
            pixels=counts[folder, Tier.PIXELS],
            resaved=counts[folder, Tier.RESAVED],
            near=counts[folder, Tier.NEAR],
            similar=counts[folder, Tier.SIMILAR],
            video=counts[folder, Tier.VIDEO],
            reclaimable_bytes=sizes[folder],
        )
        for folder in folders
    ]
    if sort == "bytes":
        rows.sort(key=lambda row: (-row.reclaimable_bytes, -row.count))
    elif sort == "count":
        rows.sort(key=lambda row: (-row.count, -row.reclaimable_bytes))
    return rows


def sums(groups: Collection[Group]) -> dict[str, Any]:
    """Add up duplicates by tier and by folder, as pages show it."""
    found = [one for group in groups for one in group.duplicates]
    tiers = [
        [tier, len(sizes), sum(sizes)]
        for tier in Tier
        if (sizes := [one.bytes for one in found if one.tier is tier])
    ]
    folders = [
        [one.folder, one.count, one.reclaimable_bytes] for one in by_folder(groups)[:_FOLDERS_SHOWN]
    ]
    return {"tiers": tiers, "folders": folders}
