"""Whether two moments show the same frame: proven on their pixels, as two images are.

Everything that reads a video happens here and in `sample`, in a process that may be ended:
`reading` is for `Workers`.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager, nullcontext
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dedup.duplicates.explain import sight
from dedup.errors import ImageError
from dedup.images.encode import as_jpeg
from dedup.images.resize import resize
from dedup.images.sources import read_unchanged
from dedup.parallel.limits import ItemLimits
from dedup.parallel.workers import Workers, cores
from dedup.proof import Original, Side, prove, prove_copy
from dedup.proof.description import outlined
from dedup.proof.drawn import LESS
from dedup.video.align import AGREE
from dedup.video.decode import opened
from dedup.video.sample import SIDE, TICKS, Sampled, sample, unit_looks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from dedup.duplicates.explain import Sight
    from dedup.preparation import Preparation
    from dedup.video.decode import Frame, Reel

    Bytes = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]

LIMITS: Final = ItemLimits(seconds=20.0, last_seconds=60.0, memory=1 << 30)
"""Of each step of a video's decoding, not of all of it."""

_PROOF_SIDE, _PROOF_QUALITY = 400, 75
"""Pixels of the longer side, and the JPEG quality, at which frames are compared: the proof allows
for such noise, which is about that of a video. So all re-encodes down to a fifteenth of the bits
are proven, and frames of one scene a second apart are not; at 240 pixels one of those is."""

_PLAIN: Final = {
    "the same image",
    "hardly changed",
    "other noise or compression",
    "blurred",
    *chain.from_iterable(LESS.values()),
}
"""What the proof says of a frame that was only encoded anew or resized."""

_FINE_SIDE: Final = 48
_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)
"""Of red, green and blue, as in the grey of frames (ITU-R BT.601)."""
_MAX_FAILED: Final = 0.25
"""Of the moments, beyond which no further one is compared."""
_STRIP_SIDE: Final = 220


class Read(NamedTuple):
    """Wants a video sampled; gives `Digested`.

    Parameters
    ----------
    preparation : what is made of key frames; None: nothing
    known : SHA-256 of contents that need not be read again
    """

    path: bytes
    preparation: Preparation | None = None
    known: frozenset[str] = frozenset()


class Digested(NamedTuple):
    """A content; and its samples, unless it was known."""

    digest: str
    sampled: Sampled | None


class Moments(NamedTuple):
    """Wants moments of two videos compared, in seconds; gives `Compared`."""

    first: bytes
    second: bytes
    at: tuple[tuple[float, float], ...]
    strips: bool = False


class Still(NamedTuple):
    """Wants the frame of a video that a photo was taken from; gives `Compared`.

    Parameters
    ----------
    content : SHA-256 of the photo
    looks : (T, 144) of a part of the video
    start : the tick at which they begin
    """

    photo: bytes
    content: bytes
    video: bytes
    looks: Bytes
    start: int
    strips: bool = False


class Moment(NamedTuple):
    """Two frames.

    Parameters
    ----------
    first, second : seconds, 0 of a photo
    proven : whether they are one frame
    plain : and only encoded anew or resized
    similarity : cosine of how they look
    strips : both, small, where they were asked for
    """

    first: float
    second: float
    proven: bool = False
    plain: bool = False
    evidence: str = "no such frame"
    similarity: float = 0.0
    strips: tuple[Bytes, Bytes] | None = None


class Compared(NamedTuple):
    """What came of moments, in order; fewer than were asked for when too many had failed."""

    moments: tuple[Moment, ...]


class Failed(NamedTuple):
    """A video or a photo that cannot be read.

    Parameters
    ----------
    transient : worth another try although the file has not changed
    """

    reason: str
    transient: bool = False


Item = Read | Moments | Still
Done = Digested | Compared | Failed


def _lost(_: Item, cause: str) -> Done:
    return Failed(cause or "reading it ended the process that did so", transient=True)


@contextmanager
def _reading() -> Iterator[Callable[[Item], Done]]:
    yield _done


def _done(item: Item) -> Done:
    try:
        if isinstance(item, Read):
            return _read(item)
        if isinstance(item, Still):
            return Compared((_found_still(item),))
        return Compared(tuple(_compared(item)))
    except ImageError as error:
        return Failed(error.reason, error.transient)
    except MemoryError:
        return Failed("too large for the memory there is")


def _read(item: Read) -> Digested:
    try:
        with open(item.path, "rb") as file:
            before = os.fstat(file.fileno())
            if not before.st_size:
                raise ImageError("", "empty file")
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest in item.known:
            return Digested(digest, None)
        sampled = sample(item.path, item.preparation)
        after = os.stat(item.path)
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise ImageError("", reason, transient=True) from error
    if _state(before) != _state(after):
        raise ImageError("", "changed while it was being read; index again", transient=True)
    return Digested(digest, sampled)


def _state(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns


def _compared(item: Moments) -> Iterator[Moment]:
    failed = 0
    with opened(item.first) as one, opened(item.second) as two:
        for at, other in item.at:
            shown = _on_show(one, at)
            match = (
                None if shown is None else _most_alike(two, other, _fine(shown.grey(_FINE_SIDE)))
            )
            if shown is None or match is None:
                yield Moment(at, other)
                failed += 1
            else:
                frame, similarity = match
                images = _of_frame(shown), _of_frame(frame)
                made = _moment(images, (shown.at, frame.at), similarity, strips=item.strips)
                yield made
                failed += not made.proven
            if failed > _MAX_FAILED * len(item.at):
                return


def _found_still(item: Still) -> Moment:
    found = read_unchanged([item.photo], item.content)
    if found is None:
        raise ImageError("", "gone, or changed since it was indexed", transient=True)
    photo = sight(found[1], found[0])
    grey = (photo.pixels @ _LUMA).astype(np.uint8)
    look = unit_looks(resize(grey, SIDE, SIDE).reshape(1, -1))[0]
    tick = int(np.argmax(unit_looks(item.looks) @ look)) + item.start
    with opened(item.video) as reel:
        wanted = _fine(resize(grey, _FINE_SIDE, _FINE_SIDE))
        match = _most_alike(reel, tick / TICKS, wanted)
        if match is None:
            return Moment(0.0, tick / TICKS)
        frame, similarity = match
        images = photo, _of_frame(frame)
        moment = _moment(images, (0.0, frame.at), similarity, strips=item.strips)
        # A photo that only shows a part of the frame, or more than it, was not taken from it.
        return moment._replace(proven=moment.proven and similarity >= AGREE)


def _span(reel: Reel, at: float) -> tuple[float, float]:
    wide = max(1 / TICKS, 1.5 / reel.facts.rate)
    return at - wide, at + wide


def _on_show(reel: Reel, at: float) -> Frame | None:
    """Give the frame that is on show at a time."""
    shown = None
    for frame in reel.between(*_span(reel, at)):
        if shown is None or frame.at <= at + 1e-3:
            shown = frame
    return shown


def _most_alike(reel: Reel, at: float, wanted: Floats) -> tuple[Frame, float] | None:
    """Give the frame near a time that looks most like one, and how much it does."""
    best: tuple[Frame, float] | None = None
    for frame in reel.between(*_span(reel, at)):
        alike = float(_fine(frame.grey(_FINE_SIDE)) @ wanted)
        if best is None or alike > best[1]:
            best = frame, alike
    return best


def _fine(grey: Bytes) -> Floats:
    row = grey.ravel().astype(np.float32)
    row -= row.mean()
    return np.asarray(row / max(float(np.linalg.norm(row)), 1e-6), np.float32)


def _of_frame(frame: Frame) -> Sight:
    return sight("", as_jpeg(frame.rgb(_PROOF_SIDE), _PROOF_QUALITY))


def _moment(
    images: tuple[Sight, Sight], at: tuple[float, float], similarity: float, *, strips: bool
) -> Moment:
    one, two = images
    copied = prove_copy(_outline(one), _outline(two))
    verdict = copied if copied is not None else prove(one.side(), two.side())
    small = (_small(one.pixels), _small(two.pixels)) if strips else None
    plain = verdict.near and {*verdict.evidence.split(", ")} <= _PLAIN
    return Moment(*at, verdict.near, plain, verdict.evidence, similarity, small)


def _outline(image: Sight) -> Side:
    original = Original(image.data, image.path)
    return Side(outlined(image.pixels), lambda: original)


def _small(pixels: Bytes) -> Bytes:
    height, width = pixels.shape[:2]
    shrink = min(1.0, _STRIP_SIDE / max(height, width))
    return resize(pixels, max(1, round(height * shrink)), max(1, round(width * shrink)))


def workers() -> Workers[Item, Done]:
    """Give what works on items, in processes, which begin with the first."""
    return Workers(_reading, processes=True, lost=_lost, limits=LIMITS)


def run_all(items: Sequence[Item], ready: Workers[Item, Done] | None = None) -> Iterator[Done]:
    """Work on items, and give what comes of them in order.

    Parameters
    ----------
    ready : to use, entered; None: others, for these alone
    """
    if not items:
        return
    with nullcontext(ready) if ready is not None else workers() as working:
        yield from working.run(items, 2 * cores())
