"""Open videos and give their frames and their sound; the one module that knows PyAV.

What a file may cost is bounded as for images: pixels, length, the time of each step and of the
whole, and memory, all in a process that may be ended (`dedup.parallel.limits`). A file is read as
what its bytes are, and only as one of a few containers: playlists, which name other files and
hosts, are none.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from itertools import chain, dropwhile, takewhile
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from dedup.errors import ExtraMissingError, ImageError
from dedup.parallel.limits import NeedsProcessError, can_be_ended, limited

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

MAX_SECONDS: Final = 6 * 3600
"""Of a video, as it claims and as it is; longer than any film."""
MAX_PIXELS: Final = 1 << 26
"""Of a frame; 8K has half as many."""
MAX_WORK_SECONDS: Final = 1800.0
"""By the clock, for one video."""
SOUND_RATE: Final = 8000  # samples a second, of which levels are taken

_CONTAINERS: Final = "mov,matroska,avi,mpegts,mpeg,mpegvideo,asf,flv"
_BYTES_PER_PIXEL: Final = 60  # some 16 frames of reference at 3 bytes, and what is made of one
_LEAST_SHARE, _SPARE_SECONDS = 0.9, 2.0  # sound may go on for a while after the last frame


class Facts(NamedTuple):
    """What is known of a video.

    Parameters
    ----------
    width, height : upright, pixels
    seconds : from the first frame until the last one has been shown; as claimed until it was read
    rate : frames a second
    sound : whether there is any stream of it
    """

    codec: str
    width: int
    height: int
    seconds: float
    rate: float
    sound: bool

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


class Frame(NamedTuple):
    """One frame; its pixels are made when they are asked for.

    Parameters
    ----------
    at : seconds from the start
    """

    at: float
    raw: Any

    def grey(self, side: int) -> Pixels:
        """Give (side, side) uint8, upright, whatever the aspect."""
        small = self.raw.reformat(width=4 * side, height=4 * side, format="gray").to_ndarray()
        blocks = small.reshape(side, 4, side, 4).mean(axis=(1, 3))
        return np.asarray(np.rot90(np.rint(blocks), _turns(self.raw)), np.uint8)

    def rgb(self, longest: int = 0) -> Pixels:
        """Give (H, W, 3) uint8 RGB, upright.

        Parameters
        ----------
        longest : most pixels of the longer side; 0: as many as there are
        """
        width, height = self.raw.width, self.raw.height
        shrink = min(1.0, longest / max(width, height)) if longest else 1.0
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        made = self.raw.reformat(width=size[0], height=size[1], format="rgb24").to_ndarray()
        return np.ascontiguousarray(np.rot90(made, _turns(self.raw)))


class Sound(NamedTuple):
    """Some sound: (S,) float32 mono, at `SOUND_RATE`; empty where it cannot be read.

    Parameters
    ----------
    at : seconds from the start
    """

    at: float
    samples: npt.NDArray[np.float32]


class Reel:
    """An open video.

    Parameters
    ----------
    name : for errors
    """

    def __init__(self, container: Any, stream: Any, name: str) -> None:
        self._container = container
        self._stream = stream
        self._name = name
        self._started = time.monotonic()
        stream.codec_context.thread_count = 1
        context, audio = stream.codec_context, container.streams.audio
        self._audio = audio[0] if audio else None
        self._memory = context.width * context.height * _BYTES_PER_PIXEL
        claimed = container.duration / 1e6 if container.duration else 0.0
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        self.facts = Facts(
            context.name, context.width, context.height, claimed, rate, self._audio is not None
        )
        if context.width * context.height > MAX_PIXELS:
            raise ImageError(name, f"too large: frames of {context.width}×{context.height} pixels")
        if not 0 <= claimed <= MAX_SECONDS:
            hours = MAX_SECONDS // 3600
            raise ImageError(
                name, f"claims to last {claimed / 3600:,.0f} hours; videos up to {hours} are read"
            )
        self._tick = float(stream.time_base)
        self._zero = (stream.start_time or 0) * self._tick

    def everything(self) -> Iterator[Frame | Sound]:
        """Give all frames, and the sound, as they come in the file; then `facts` are measured.

        Raises
        ------
        ImageError : damaged, truncated, without frames, or too long to read.
        """
        import av

        claimed, times = self.facts.seconds, list[float]()
        resampler = av.AudioResampler("flt", "mono", SOUND_RATE)
        for raw in self._decoded(sound=True):
            if raw is None:
                yield Sound(0.0, np.empty(0, np.float32))
            elif isinstance(raw, av.AudioFrame):
                at = float(raw.time or 0.0) - self._zero
                for part in resampler.resample(raw):
                    yield Sound(at, np.asarray(part.to_ndarray().ravel(), np.float32))
            else:
                if not times and _turns(raw) % 2:
                    self.facts = self.facts._replace(width=raw.height, height=raw.width)
                times.append(self._at(raw, len(times)))
                yield Frame(times[-1], raw)
        if not times:
            raise ImageError(self._name, "no frame of it can be decoded")
        shown = times[-1] - times[0]
        rate = (len(times) - 1) / shown if shown > 0 else self.facts.rate
        seconds = times[-1] + 1 / rate
        if seconds < _LEAST_SHARE * claimed - _SPARE_SECONDS:
            raise ImageError(
                self._name, f"truncated: {seconds:.0f} of its {claimed:.0f} seconds are there"
            )
        self.facts = self.facts._replace(seconds=seconds, rate=rate)

    def between(self, start: float, end: float) -> Iterator[Frame]:
        """Give the frames that begin within a span of time, in seconds, ends included.

        Raises
        ------
        ImageError : damaged
        """
        beginning = max(0.0, start) + 60.0
        for back in (0.0, 5.0, beginning):  # some containers seek beyond what was asked for
            self._seek(start - back)
            frames = (Frame(self._at(raw, 0), raw) for raw in self._decoded(sound=False))
            first = next(frames, None)
            if first is not None and (first.at <= max(0.0, start) or back == beginning):
                yield from takewhile(
                    lambda one: one.at <= end,
                    dropwhile(lambda one: one.at < start, chain([first], frames)),
                )
                return

    def _seek(self, at: float) -> None:
        from av.error import FFmpegError

        try:
            self._container.seek(int((at + self._zero) / self._tick), stream=self._stream)
        except FFmpegError:  # before the beginning
            self._container.seek(int(self._zero / self._tick), stream=self._stream)

    def _at(self, frame: Any, number: int) -> float:
        """Give the time of a frame; where the file says none, frames follow at an even rate."""
        if frame.time is None:
            return number / self.facts.rate
        at = float(frame.time) - self._zero
        if at > MAX_SECONDS or time.monotonic() - self._started > MAX_WORK_SECONDS:
            raise ImageError(self._name, "takes too long to read")
        return max(0.0, at)

    def _decoded(self, *, sound: bool) -> Iterator[Any]:
        """Give decoded frames; None stands for sound that cannot be read."""
        from av.error import FFmpegError

        streams = [self._stream, *([self._audio] if sound and self._audio else [])]
        packets = self._container.demux(streams)
        while True:
            packet: Any = None
            try:
                with limited(self._memory):
                    packet = next(packets, None)
                    frames = [] if packet is None else packet.decode()
            except FFmpegError as error:
                if packet is None or packet.stream is self._stream:
                    raise ImageError(self._name, f"damaged: {error.strerror}") from error
                frames = [None]
            if packet is None:
                return
            yield from frames


@contextmanager
def opened(path: bytes) -> Iterator[Reel]:
    """Open a video.

    Raises
    ------
    ImageError : it is none, or asks for too much.
    NeedsProcessError : this is no process that may be ended.
    ExtraMissingError : PyAV is not installed.
    """
    try:
        import av
        from av.error import FFmpegError
    except ImportError as error:
        raise ExtraMissingError("reading videos", "video") from error
    if not can_be_ended():
        raise NeedsProcessError
    name = os.fsdecode(path)
    try:
        with open(path, "rb") as file:
            with limited():
                container = av.open(file, options={"format_whitelist": _CONTAINERS})
            with container:
                streams = [one for one in container.streams.video if not _is_cover(one)]
                if not streams:
                    raise ImageError(name, "no video in it")
                yield Reel(container, streams[0], name)
    except FFmpegError as error:
        raise ImageError(name, f"not a video, or damaged: {error.strerror}") from error
    except OSError as error:
        raise ImageError(name, (error.strerror or "cannot be read").lower()) from error


def _is_cover(stream: Any) -> bool:
    """Tell the cover of an album from a video."""
    return "attached_pic" in str(stream.disposition)


def _turns(frame: Any) -> int:
    """Count quarter turns, counter-clockwise, that make a frame upright."""
    turns: int = round(frame.rotation / 90)
    return turns % 4
