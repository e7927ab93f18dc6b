"""What was found of videos: whether one is the whole of the other, and how it is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dedup.video.sample import TICKS

if TYPE_CHECKING:
    from dedup.video.align import Span
    from dedup.video.prove import Moment
    from dedup.video.sample import Film

_PROVEN: Final = 0.75
"""Of the moments that were compared, for two videos to share a span."""
_EDGE_TICKS: Final = 1
_SOUND_LEVELS: Final = 6.0  # mean difference, decibels, up to which two sounds may be one
_SILENT_LEVELS: Final = 10.0
_SOUND_ALIKE: Final = 0.9  # correlation


class Shared(NamedTuple):
    """What two videos share, by what is proven.

    Parameters
    ----------
    first, second : where it begins in either, seconds
    seconds : how long it is
    similarity : mean cosine of looks
    proven, of : moments that are proven to be one frame, and how many were compared
    plain : whether nothing but encoding and size sets these apart
    """

    first: float
    second: float
    seconds: float
    similarity: float
    proven: int
    of: int
    plain: bool

    def turned(self) -> Shared:
        """See it from the second."""
        return self._replace(first=self.second, second=self.first)


def shared(span: Span, moments: tuple[Moment, ...], of: int) -> Shared | None:
    """Say what is proven of a span; None: too little.

    Parameters
    ----------
    of : moments that were asked for
    """
    proven = sum(moment.proven for moment in moments)
    if proven < _PROVEN * of:
        return None
    plain = all(moment.plain for moment in moments)
    start, other = span.first / TICKS, span.second / TICKS
    return Shared(start, other, span.ticks / TICKS, span.similarity, proven, of, plain)


def is_whole(found: Shared, one: Film, two: Film) -> bool:
    """Tell whether all of one is all of the other: every frame looked at, the length, the sound."""
    edge = (_EDGE_TICKS + 0.5) / TICKS
    lengths = [film.facts.seconds for film in (one, two)]
    frame = 1 / min(one.facts.rate, two.facts.rate)
    return (
        found.proven == found.of
        and found.plain
        and max(found.first, found.second) < edge
        and max(lengths) - found.seconds < 2 * edge
        and abs(lengths[0] - lengths[1]) <= 1.5 * frame
        and same_sound(one, two)
    )


def same_sound(one: Film, two: Film) -> bool:
    """Tell whether two sounds may be one, by how loud they are over time; none is only none."""
    if not (one.heard and two.heard):
        return False
    length = min(len(one.sound), len(two.sound))
    if not length:
        return len(one.sound) == len(two.sound)
    first, second = (film.sound[:length].astype(np.float64) for film in (one, two))
    if max(first.max(), second.max()) < _SILENT_LEVELS:
        return True
    if np.ptp(first) < _SILENT_LEVELS and np.ptp(second) < _SILENT_LEVELS:
        return bool(abs(first.mean() - second.mean()) < _SOUND_LEVELS)
    if not np.ptp(first) or not np.ptp(second):
        return False
    return bool(np.corrcoef(first, second)[0, 1] >= _SOUND_ALIKE)


def clock(seconds: float) -> str:
    """Write a time: "0:12", "1:02:03"."""
    whole = int(seconds + 1e-6)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def evidence(found: Shared, kept: Film, other: Film) -> str:
    """Say what the second of two videos is, as against the first, which is kept."""
    parts = [_part(found, kept, other)]
    if (kept.facts.width, kept.facts.height) != (other.facts.width, other.facts.height):
        sizes = [f"{film.facts.width}×{film.facts.height}" for film in (other, kept)]
        parts.append(" instead of ".join(sizes))
    if kept.facts.codec != other.facts.codec:
        parts.append(f"{other.facts.codec} instead of {kept.facts.codec}")
    if not found.plain:
        parts.append("edited")
    parts.append(f"{found.proven} of {found.of} frames proven")
    return ", ".join(parts)


def _part(found: Shared, kept: Film, other: Film) -> str:
    if is_whole(found, kept, other):
        return "the whole of it, saved again"
    edge = 2 / TICKS
    theirs = f"{clock(found.first)}–{clock(found.first + found.seconds)}"
    ends = found.second + found.seconds
    if found.second <= edge and ends >= other.facts.seconds - edge:
        if found.first <= edge and found.seconds >= kept.facts.seconds - edge:
            return "the whole of it" + ("" if same_sound(kept, other) else ", with other sound")
        return f"a cut: its {theirs}"
    return f"its {theirs} at {clock(found.second)}–{clock(ends)}"


def frame_evidence(video: str, at: float) -> str:
    """Say what a photo is."""
    return f"a frame of {video} at {clock(at)}"
