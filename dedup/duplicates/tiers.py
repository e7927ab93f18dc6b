"""What was found about a pair, in plain words: the proof's, and facts known without decoding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dedup.results import Tier

if TYPE_CHECKING:
    from dedup.store.gallery import GalleryImages


def describe_pair(
    images: GalleryImages,
    keeper: int,
    other: int,
    tier: Tier,
    found: str = "",
    share: float = 1.0,
) -> str:
    """Say what makes `other` a duplicate of `keeper`, both rows of images, in this tier.

    Parameters
    ----------
    found : what the proof on the pair said, when there was one
    share : bytes of the other file per byte of the keeper's
    """
    if tier is Tier.EXACT:
        return "same bytes"
    kinds = images.format[keeper], images.format[other]
    container = f"{kinds[1]} instead of {kinds[0]}" if kinds[0] != kinds[1] else ""
    if tier is Tier.PIXELS:
        return f"same pixels, {container or 'other compression or metadata'}"
    size = _size(images, keeper, other)
    if tier is Tier.NEAR:
        encoded = "" if size or container else f"re-encoded to {share:.0%} of the bytes"
        return ", ".join(filter(None, [found, size, container, encoded]))
    refuted = f"looks alike, but {found}" if found else "looks alike, not proven"
    return ", ".join(filter(None, [refuted, size or "same size", container]))


def _size(images: GalleryImages, keeper: int, other: int) -> str:
    kept = int(images.width[keeper]), int(images.height[keeper])
    found = int(images.width[other]), int(images.height[other])
    return "" if kept == found else f"{found[0]}×{found[1]} instead of {kept[0]}×{kept[1]}"
