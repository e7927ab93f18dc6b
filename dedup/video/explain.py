"""Why two videos, or a photo and a video, are or are not of one film; and strips of both."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

from dedup.errors import ImageError
from dedup.images.decode import read_file
from dedup.images.encode import write_png
from dedup.images.passed_over import is_video_name
from dedup.images.sheet import contact_sheet
from dedup.results import CheckResult, Explanation, Tier
from dedup.video.align import AGREE, find_spans
from dedup.video.find import moments_of
from dedup.video.prove import Failed, Moments, Read, Still, run_all
from dedup.video.wording import clock, evidence, frame_evidence, is_whole, same_sound, shared

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dedup.video.prove import Item, Moment
    from dedup.video.sample import Film

_NOT_WHOLE = "a copy that may go: all of one would have to be all of the other, sound included"


def explain_videos(first: str, second: str, image: Path | None = None) -> Explanation:
    """Compare two files, of which one at least is a video.

    Parameters
    ----------
    image : a .png to draw frames of both into, aligned

    Raises
    ------
    ImageError : one of them cannot be read.
    """
    if not is_video_name(os.fsencode(first)):
        return _explain_photo(first, second, first, second, image)
    if not is_video_name(os.fsencode(second)):
        return _explain_photo(first, second, second, first, image)
    names = (first, second)
    (one, digest), (two, other) = (
        (done.sampled.film, done.digest) for done in _run(names, [_reading(name) for name in names])
    )
    same = CheckResult("same bytes", None, None, digest == other)
    if digest == other:
        return _explanation(names, Tier.EXACT, 1.0, "same bytes", [same], "")
    span = find_spans([one, two], [True, True]).get((0, 1))
    if span is None:
        longest = CheckResult("looks in order", 0.0, AGREE, passed=False)
        return _explanation(names, None, None, "no span of time in common", [same, longest], "")
    at = moments_of(span, one)
    paths = os.fsencode(first), os.fsencode(second)
    (done,) = _run((first,), [Moments(*paths, at, strips=image is not None)])
    moments: tuple[Moment, ...] = done.moments
    found = shared(span, moments, len(at))
    proven = sum(moment.proven for moment in moments)
    checks = [
        same,
        CheckResult("looks in order", span.similarity, AGREE, span.similarity >= AGREE),
        CheckResult("frames proven", float(proven), float(len(at)), proven == len(at)),
        CheckResult("same sound", None, None, same_sound(one, two)),
        CheckResult("the whole", None, None, found is not None and is_whole(found, one, two)),
    ]
    _draw(moments, image)
    if found is None:
        failed = next(moment.evidence for moment in moments if not moment.proven)
        words = f"alike in order, but {proven} of {len(at)} frames proven: {failed}"
        return _explanation(names, None, span.similarity, words, checks, "video: " + words)
    missing = "" if checks[-1].passed else _NOT_WHOLE
    words = evidence(found, one, two)
    return _explanation(names, Tier.VIDEO, span.similarity, words, checks, missing)


def _explain_photo(
    first: str, second: str, photo: str, video: str, image: Path | None
) -> Explanation:
    digest = hashlib.sha256(read_file(photo)).digest()
    (read,) = _run((video,), [_reading(video)])
    film: Film = read.sampled.film
    still = Still(os.fsencode(photo), digest, os.fsencode(video), film.looks, 0, image is not None)
    (done,) = _run((video,), [still])
    (moment,) = done.moments
    words = frame_evidence(os.path.basename(video), moment.second)
    if not moment.proven:
        words = f"no frame of it; the most alike, at {clock(moment.second)}: {moment.evidence}"
    checks = [CheckResult("frame proven", None, None, moment.proven)]
    _draw(done.moments, image)
    tier = Tier.VIDEO if moment.proven else None
    return _explanation((first, second), tier, moment.similarity, words, checks, "")


def _reading(name: str) -> Item:
    return Read(os.fsencode(name))


def _run(names: Sequence[str], items: Sequence[Item]) -> list[Any]:
    """Work on items, or say of which file that was not possible."""
    found = list(run_all(items))
    for name, done in zip(names, found, strict=True):
        if isinstance(done, Failed):
            raise ImageError(name, done.reason, transient=done.transient)
    return found


def _draw(moments: Sequence[Moment], image: Path | None) -> None:
    """Draw frames of both in two rows, aligned."""
    strips = [(moment, *moment.strips) for moment in moments if moment.strips is not None]
    if image is not None and strips:
        ends = [("" if moment.proven else " not proven") for moment, _, _ in strips]
        rows = [
            [(clock(moment.first), one) for moment, one, _ in strips],
            [
                (clock(moment.second) + end, two)
                for (moment, _, two), end in zip(strips, ends, strict=True)
            ],
        ]
        write_png(contact_sheet(rows), image)


def _explanation(
    names: tuple[str, str],
    tier: Tier | None,
    similarity: float | None,
    words: str,
    checks: Sequence[CheckResult],
    missing: str,
) -> Explanation:
    return Explanation(
        *names,
        tier=tier,
        similarity=similarity,
        threshold=AGREE,
        evidence=words,
        ignored=False,
        missing=missing,
        checks=tuple(checks),
    )
