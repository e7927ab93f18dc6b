"""Views of images for the page: bounded in size, in number at once, and in what one may cost.

An image is decoded only if it still has the content that was indexed. What may take long or much
memory is decoded in a process of its own, one at a time. What was made is kept, up to a limit.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from dedup.errors import DedupError, ImageError
from dedup.images.decode import bounded_size, decode_bounded, decode_bytes, decode_seconds
from dedup.images.encode import as_jpeg
from dedup.images.header import read_header
from dedup.images.sources import read_unchanged
from dedup.parallel.limits import ItemLimits, NeedsProcessError, can_be_ended, limited
from dedup.parallel.workers import Workers
from dedup.report.thumbnails import SIDE, Thumbnail, make_thumbnail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dedup.duplicates.overlay import Overlay

SIDES: Final = {"thumb": SIDE, "view": 1600, "full": 4096, "laid": 1600, "heat": 1600}
"""Kinds of views, and their longest side in pixels."""

MOST_AT_ONCE: Final = 2
MOST_WAITING: Final = 64
MOST_KEPT_BYTES: Final = 48 << 20

_QUALITY: Final = 88
_LIMITS: Final = ItemLimits(seconds=15.0)


class CrowdedError(DedupError):
    """Too many views are waited for."""


class Order(NamedTuple):
    """A view that is wanted.

    Parameters
    ----------
    kind : a key of `SIDES`
    files : paths with the SHA-256 that they have to have; two of "laid" and "heat", else one
    """

    kind: str
    files: tuple[tuple[bytes, bytes], ...]


class View(NamedTuple):
    """A view that was made.

    Parameters
    ----------
    type : of `content`, as HTTP says it
    reason : why there is none; "" where there is one
    """

    type: str
    content: bytes
    reason: str = ""


class Views:
    """Makes views, and keeps them."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="dedup-view")
        self._pool.submit(_overlay)  # to import it takes longer than to use it
        self._running: dict[Order, asyncio.Future[dict[str, View]]] = {}
        self._kept: OrderedDict[Order, View] = OrderedDict()
        self._bytes = 0

    async def get(self, order: Order) -> View:
        """Give a view; one that is being made is waited for, not made twice.

        Raises
        ------
        CrowdedError
        """
        kept = self._kept.get(order)
        if kept is not None:
            self._kept.move_to_end(order)
            return kept
        of = order._replace(kind="laid") if order.kind == "heat" else order
        running = self._running.get(of)
        if running is None:
            if len(self._running) >= MOST_WAITING:
                raise CrowdedError("too many images are being decoded; try again")
            running = asyncio.get_running_loop().run_in_executor(self._pool, _make, of)
            self._running[of] = running
            running.add_done_callback(lambda done: self._made(of, done))
        return (await asyncio.shield(running))[order.kind]

    def _made(self, order: Order, done: asyncio.Future[dict[str, View]]) -> None:
        del self._running[order]
        if done.cancelled() or done.exception() is not None:
            return
        for kind, view in done.result().items():
            if not view.reason:
                of = order._replace(kind=kind)
                before = self._kept.pop(of, None)  # one of a pair may be here still
                self._bytes += len(view.content) - (len(before.content) if before else 0)
                self._kept[of] = view
        while self._bytes > MOST_KEPT_BYTES:
            self._bytes -= len(self._kept.popitem(last=False)[1].content)

    def close(self) -> None:
        """Make no more."""
        self._pool.shutdown(wait=True, cancel_futures=True)


_one_heavy: Final = threading.Lock()


def _make(order: Order) -> dict[str, View]:
    """Make a view, in a process of its own where that is wiser; for "laid" that of "heat" too."""
    try:
        return _made(order)
    except NeedsProcessError:
        pass
    workers: Workers[Order, dict[str, View]] = Workers(
        _making,
        lost=lambda _, cause: _none(order, cause or "the decoder crashed"),
        limits=_LIMITS,
    )
    with _one_heavy, workers:
        return next(iter(workers.run([order], 1)))


@contextmanager
def _making() -> Iterator[Callable[[Order], dict[str, View]]]:
    yield _made


def _made(order: Order) -> dict[str, View]:
    read = [read_unchanged([path], digest) for path, digest in order.files]
    found = [one for one in read if one is not None]
    if len(found) < len(order.files):
        return _none(order, "gone, or changed since it was indexed")
    try:
        with limited(2 * sum(_cost(data, name, SIDES[order.kind]) for data, name in found)):
            if order.kind == "laid":
                return _pair(order, found)
            return {order.kind: _single(order.kind, *found[0])}
    except ImageError as error:
        return _none(order, error.reason)
    except MemoryError:
        return _none(order, "too large for the memory there is")


def _none(order: Order, reason: str) -> dict[str, View]:
    kinds = ("laid", "heat") if order.kind == "laid" else (order.kind,)
    return dict.fromkeys(kinds, View("", b"", reason))


def _cost(data: bytes, name: str, side: int) -> int:
    """Estimate the memory that a decode takes.

    Raises
    ------
    NeedsProcessError : it, or the time, is more than a thread should spend.
    """
    header = read_header(data, name)
    memory = decode_bytes(header, *bounded_size(header, side))
    long = decode_seconds(header, len(data)) > _LIMITS.thread_seconds
    if (memory > _LIMITS.thread_memory or long) and not can_be_ended():
        raise NeedsProcessError
    return memory


def _single(kind: str, data: bytes, name: str) -> View:
    if kind == "thumb":
        made: Thumbnail = make_thumbnail(data, name)
        return View("image/webp", made.webp)
    pixels = decode_bounded(data, SIDES[kind], name, srgb=True)
    return View("image/jpeg", as_jpeg(pixels, _QUALITY))


def _overlay() -> Callable[..., Overlay | None]:
    from dedup.duplicates.overlay import overlay

    return overlay


def _pair(order: Order, found: list[tuple[bytes, str]]) -> dict[str, View]:
    placed = _overlay()(found[0], found[1], SIDES[order.kind])
    if placed is None:
        return _none(order, "the proof places neither in the other")
    return {
        "laid": View("image/jpeg", as_jpeg(placed.laid, _QUALITY)),
        "heat": View("image/jpeg", as_jpeg(placed.heat, _QUALITY)),
    }
