"""What is kept of a video: how each eighth of a second looks and sounds, and its key frames.

*Looks* say which moment of one video is which of another; *key frames*, the first of each scene and
some of long ones, are embedded like images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dedup.images.encode import as_jpeg
from dedup.video.decode import SOUND_RATE, Frame, opened

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.preparation import Inputs, Preparation
    from dedup.video.decode import Facts, Reel

    Bytes = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]

TICKS: Final = 8
"""Looks a second."""
SIDE: Final = 12  # pixels of a look
KEY_QUALITY: Final = 90  # of the JPEG that a key frame is embedded as

KEYS_PER_MINUTE: Final = 30
MAX_KEYS: Final = 900
"""Of one video; of what lasts longer than half an hour, key frames are further apart."""

_SCENE: Final = 0.97  # similarity of looks below which a frame shows something new
_STILL_GAPS: Final = 5  # smallest gaps between key frames, after which nothing new is needed
_FLAT_LEVELS: Final = 4.0  # standard deviation of a look that shows nothing
_SILENCE: Final = 1e-4  # amplitude at which levels begin


class Film(NamedTuple):
    """What is kept of a video.

    Parameters
    ----------
    looks : (T, 144) uint8, grey levels of the frame that is on show at each tick
    sound : (S,) uint8, decibels above silence in each tick; empty where there is none
    heard : whether all of the sound could be read
    times : (K,) float32, key frames, in seconds
    rows : (K, D) float32, their raw rows of the collection's space
    """

    facts: Facts
    looks: Bytes
    sound: Bytes
    heard: bool
    times: Floats
    rows: Floats


def unit_looks(looks: Bytes) -> Floats:
    """Give (T, 144) looks without their mean, of unit norm; zeros where they are flat."""
    rows = looks.astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.maximum(norms, 1e-6)
    rows[norms[:, 0] < _FLAT_LEVELS * SIDE] = 0
    return rows


class Sampled(NamedTuple):
    """A film whose key frames are still to be embedded."""

    film: Film
    inputs: list[Inputs]


def sample(path: bytes, preparation: Preparation | None) -> Sampled:
    """Read a video from its beginning to its end.

    Parameters
    ----------
    preparation : what is made of key frames; None: nothing

    Raises
    ------
    ImageError : as `opened` and `Reel.everything`.
    """
    with opened(path) as reel:
        keys = _Keys(preparation, reel.facts.seconds)
        seen, levels = _read(reel, keys)
        facts = reel.facts
    looks = _extended(seen, round(facts.seconds * TICKS))
    heard = levels is not None
    sound = np.array(levels if levels is not None else [], np.uint8)
    times, rows = np.array(keys.times, np.float32), np.empty((len(keys.times), 0), np.float32)
    return Sampled(Film(facts, looks, sound, heard, times, rows), keys.inputs)


def _read(reel: Reel, keys: _Keys) -> tuple[list[Bytes], list[int] | None]:
    """Take the look of each tick, and the levels of sound, None where these cannot be read."""
    looks: list[Bytes] = []
    levels: _Levels | None = _Levels()
    for part in reel.everything():
        if isinstance(part, Frame):
            tick = int(part.at * TICKS + 1e-6)
            if tick < len(looks):
                continue
            look = part.grey(SIDE).ravel()
            while len(looks) < tick:  # the frame before was on show
                looks.append(looks[-1] if looks else look)
            looks.append(look)
            keys.look_at(part, look)
        elif len(part.samples) and levels is not None:
            levels.add(part.at, part.samples)
        else:
            levels = None
    return looks, None if levels is None else levels.ticks


def _extended(looks: list[Bytes], ticks: int) -> Bytes:
    """Show the last frame until the end."""
    return np.stack([*looks, *[looks[-1]] * (ticks - len(looks))])


class _Keys:
    """Chooses key frames, and prepares them."""

    def __init__(self, preparation: Preparation | None, claimed: float) -> None:
        self._preparation = preparation
        self._gap = max(60 / KEYS_PER_MINUTE, claimed / MAX_KEYS)
        self._last: Floats | None = None
        self._last_at = 0.0
        self.times: list[float] = []
        self.inputs: list[Inputs] = []

    def look_at(self, frame: Frame, look: Bytes) -> None:
        """Take a frame that begins a scene, or comes long after the one before."""
        row = unit_looks(look[None])[0]
        if not row.any() or len(self.times) == 2 * MAX_KEYS:
            return
        since = frame.at - self._last_at
        if self._last is not None and (
            since < self._gap or (row @ self._last > _SCENE and since < _STILL_GAPS * self._gap)
        ):
            return
        self._last, self._last_at = row, frame.at
        if self._preparation is None:
            self.times.append(frame.at)
            return
        prepared = self._preparation.prepare(as_jpeg(frame.rgb(), KEY_QUALITY))
        if not prepared.decoded.trivial:
            self.times.append(frame.at)
            self.inputs.append(prepared.inputs._replace(parts=None))


class _Levels:
    """Gathers how loud each tick is."""

    def __init__(self) -> None:
        self.ticks: list[int] = []
        self._rest = np.empty(0, np.float32)

    def add(self, at: float, samples: Floats) -> None:
        """Take samples, which follow those from before."""
        if not self.ticks and not len(self._rest):
            silence = min(max(0, round(at * SOUND_RATE)), 60 * SOUND_RATE)
            self._rest = np.zeros(silence, np.float32)
        self._rest = np.concatenate([self._rest, samples])
        size = SOUND_RATE // TICKS
        whole = len(self._rest) // size
        if whole:
            blocks = self._rest[: whole * size].reshape(whole, size)
            loud = np.sqrt(np.mean(np.square(blocks), axis=1))
            decibels = 20 * np.log10(np.maximum(loud / _SILENCE, 1.0))
            self.ticks += np.rint(np.minimum(decibels, 255)).astype(int).tolist()
            self._rest = self._rest[whole * size :]
