"""Which span of one video is which of another: by their looks, from a vote to the very tick."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dedup.video.sample import TICKS, unit_looks

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from dedup.video.sample import Film

    Floats = npt.NDArray[np.float32]
    _Votes = dict[tuple[int, int], dict[int, set[tuple[int, int]]]]

AGREE: Final = 0.9
"""Cosine of two looks from which they may be of one frame; re-encodes of photographs keep .99."""

_PEAK: Final = 0.01  # below the best moment for a key frame, at which others are as good
_BIN: Final = TICKS // 2
_OFFSETS: Final = 3  # that are tried of a pair
_GAP: Final = TICKS // 2  # ticks in a span that need not agree
_LEAST: Final = 2 * TICKS
_BLOCK: Final = 512  # key frames at once


class _Keys(NamedTuple):
    """Looks of key frames: (K, 144), whose they are, and when."""

    looks: Floats
    owner: npt.NDArray[np.int_]
    tick: npt.NDArray[np.int_]


class Span(NamedTuple):
    """A span of time that two videos share.

    Parameters
    ----------
    first, second : ticks at which it begins in either
    ticks : its length
    similarity : mean cosine of looks
    """

    first: int
    second: int
    ticks: int
    similarity: float


def find_spans(films: Sequence[Film], new: Sequence[bool]) -> dict[tuple[int, int], Span]:
    """Find the longest span that each two of some videos seem to share.

    Parameters
    ----------
    new : pairs without one of these are left out

    Returns
    -------
    By their places, i < j; nothing is proven yet.
    """
    rows = [unit_looks(film.looks) for film in films]
    votes: _Votes = defaultdict(lambda: defaultdict(set))
    keys = _keys(films, rows, [*range(len(films))])
    of_new = _keys(films, rows, np.flatnonzero(new).tolist())
    for second, row in enumerate(rows):
        _vote(votes, keys if new[second] else of_new, second, row)
    spans = {}
    for (first, second), bins in votes.items():
        likely = sorted(bins, key=lambda one: (-len(bins[one]), one))[:_OFFSETS]
        tried = (_align(rows[first], rows[second], one * _BIN) for one in likely)
        found = [span for span in tried if span is not None]
        if found:
            spans[first, second] = max(found, key=lambda span: span.ticks * span.similarity)
    return dict(sorted(spans.items()))


def _keys(films: Sequence[Film], rows: Sequence[Floats], chosen: Sequence[int]) -> _Keys:
    """Gather the looks of the key frames of some videos."""
    ticks = [
        np.minimum((films[one].times * TICKS).astype(int), len(rows[one]) - 1) for one in chosen
    ]
    looks = [rows[one][at] for one, at in zip(chosen, ticks, strict=True)]
    return _Keys(
        np.concatenate(looks) if looks else np.empty((0, 0), np.float32),
        np.repeat(np.array(chosen, int), [len(at) for at in ticks]),
        np.concatenate(ticks) if ticks else np.empty(0, int),
    )


def _vote(votes: _Votes, keys: _Keys, second: int, row: Floats) -> None:
    """Let key frames vote for how much later a video shows them, where they are in it."""
    for start in range(0, len(keys.looks), _BLOCK):
        found = keys.looks[start : start + _BLOCK] @ row.T
        best = np.maximum(found.max(axis=1, keepdims=True) - _PEAK, AGREE)
        for place, tick in np.argwhere(found >= best).tolist():
            key = start + place
            first, offset = int(keys.owner[key]), tick - int(keys.tick[key])
            if first < second:
                votes[first, second][offset // _BIN].add((first, key))
            elif first > second:
                votes[second, first][-offset // _BIN].add((first, key))


def _align(first: Floats, second: Floats, offset: int) -> Span | None:
    """Try the offsets near one, of the second against the first."""
    spans = (_span(first, second, offset + near) for near in range(-_BIN, 2 * _BIN))
    return max(filter(None, spans), key=lambda span: span.ticks * span.similarity, default=None)


def _span(first: Floats, second: Floats, offset: int) -> Span | None:
    """Find the longest run of ticks that agree where the second is so many ticks later."""
    start = max(0, -offset)
    end = min(len(first), len(second) - offset)
    if end <= start:
        return None
    one, two = first[start:end], second[start + offset : end + offset]
    alike = np.einsum("td,td->t", one, two)
    flat = np.asarray(~one.any(axis=1) & ~two.any(axis=1))
    begin, length = _longest_run((alike >= AGREE) | flat)
    shown = ~flat[begin : begin + length]
    if length < min(_LEAST, 0.9 * min(len(first), len(second))) or shown.mean() < 0.5:  # noqa: PLR2004 - more black than frames
        return None
    similarity = float(alike[begin : begin + length][shown].mean())
    return Span(start + begin, start + offset + begin, length, similarity)


def _longest_run(agree: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Give the first and the number of the ticks of the longest run, short gaps included."""
    places = np.flatnonzero(agree)
    if not len(places):
        return 0, 0
    breaks = np.flatnonzero(np.diff(places) > _GAP)
    starts = places[np.concatenate([[0], breaks + 1])]
    ends = places[np.concatenate([breaks, [len(places) - 1]])]
    longest = int(np.argmax(ends - starts))
    return int(starts[longest]), int(ends[longest] - starts[longest]) + 1
