"""Why two files are, or are not, the same picture: every check with its figure.

Needs nothing but the two files; what only a collection can tell (similarity, a person's decision)
is added by the caller.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from dedup.errors import DedupError
from dedup.images.decode import decode_bounded, pixel_digest, read_file
from dedup.images.encode import write_png
from dedup.images.header import read_header
from dedup.proof import WORKING_SIDE, describe, verify
from dedup.proof.drawing import draw_proof
from dedup.results import CheckResult, Explanation, Tier

if TYPE_CHECKING:
    from pathlib import Path

    from dedup.proof import Verdict


def explain(
    first: str,
    second: str,
    similarity: float | None,
    threshold: float | None,
    *,
    ignored: bool = False,
    picture: Path | None = None,
) -> Explanation:
    """Compare two files in every way there is.

    Parameters
    ----------
    similarity : of their embeddings, where it is known
    threshold : lowest similarity of the tier `similar`
    ignored : a person said that they are no duplicates
    picture : a .png to draw the proof into

    Raises
    ------
    ImageError : one of them cannot be read as a picture.
    DedupError : the picture of the proof cannot be written.
    """
    if picture is not None and picture.suffix.lower() != ".png":
        raise DedupError(f"{picture}: the picture of a proof is a .png")
    data = [read_file(path) for path in (first, second)]
    same_bytes = hashlib.sha256(data[0]).digest() == hashlib.sha256(data[1]).digest()
    pixels = [
        decode_bounded(content, WORKING_SIDE, path)
        for content, path in zip(data, (first, second), strict=True)
    ]
    verdict = verify(*(describe(picture) for picture in pixels))
    same_pixels = same_bytes or _same_pixels(data[0], data[1], first, second)
    if picture is not None:
        write_png(draw_proof(pixels[0], pixels[1], verdict.transform), picture)
    checks = [
        CheckResult("same bytes", None, None, same_bytes),
        CheckResult("same pixels", None, None, same_pixels),
        *(
            CheckResult(check.name, check.value, check.limit, check.passed)
            for check in verdict.checks
        ),
    ]
    tier = _tier(
        verdict,
        same_bytes=same_bytes,
        same_pixels=same_pixels,
        alike=similarity is not None and threshold is not None and similarity >= threshold,
    )
    return Explanation(
        first=first,
        second=second,
        tier=tier,
        similarity=similarity,
        threshold=threshold,
        evidence=_evidence(tier, verdict),
        checks=tuple(checks),
        missing=_missing(tier, verdict),
        ignored=ignored,
    )


def _same_pixels(one: bytes, two: bytes, first: str, second: str) -> bool:
    headers = [read_header(one, first), read_header(two, second)]
    if (headers[0].width, headers[0].height) != (headers[1].width, headers[1].height):
        return False
    digest = pixel_digest(one, first)
    return digest is not None and digest == pixel_digest(two, second)


def _tier(verdict: Verdict, *, same_bytes: bool, same_pixels: bool, alike: bool) -> Tier | None:
    if same_bytes:
        return Tier.EXACT
    if same_pixels:
        return Tier.PIXELS
    if verdict.near:
        return Tier.NEAR
    return Tier.SIMILAR if alike else None


def _evidence(tier: Tier | None, verdict: Verdict) -> str:
    if tier is Tier.EXACT:
        return "same bytes"
    if tier is Tier.PIXELS:
        return "same pixels in another container, or with other metadata"
    return verdict.evidence


def _missing(tier: Tier | None, verdict: Verdict) -> str:
    """Say what would have had to differ for a surer tier."""
    if tier is Tier.EXACT:
        return ""
    if tier is Tier.PIXELS:
        return "exact: the two files would have to have the same bytes"
    if tier is Tier.NEAR:
        return "pixels: the two pictures would have to have the same size and pixels"
    failed = [check for check in verdict.checks if not check.passed]
    if not failed:
        return f"near: {verdict.evidence}"
    check = failed[0]
    side = "at least" if check.value < check.limit else "at most"
    return f"near: {check.name} would have to be {side} {check.limit:g}, and is {check.value:.3g}"
