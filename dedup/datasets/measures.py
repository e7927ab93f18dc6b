"""The quality of many images, each read once, on every core; what one may cost is bounded."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Final, NamedTuple

from dedup.errors import ImageError
from dedup.images.decode import bounded_size, decode_bytes, decode_seconds, read_header
from dedup.images.quality import SIDE, Quality, measure_quality
from dedup.images.sources import read_unchanged
from dedup.indexing.reader import EXCLUSIVE_BYTES
from dedup.parallel.limits import ItemLimits, NeedsProcessError, can_be_ended, limited
from dedup.parallel.workers import WORTH_PROCESSES, Workers, exclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from dedup.answer import Progress

_MAX_PENDING: Final = 256
_TOGETHER: Final = 16  # an image takes two milliseconds
_LIMITS: Final = ItemLimits()
_WORTH_PROCESSES: Final = 5 * WORTH_PROCESSES


class _Wanted(NamedTuple):
    content: bytes
    paths: Sequence[bytes]


def read_quality(
    contents: Mapping[bytes, Sequence[bytes]], report: Progress
) -> dict[bytes, Quality | str]:
    """Measure contents.

    Parameters
    ----------
    contents : SHA-256 to the files that had it when they were indexed

    Returns
    -------
    By SHA-256; why there is none, where there is none.
    """
    workers: Workers[_Wanted, Quality | str] = Workers(
        _measuring,
        processes=len(contents) >= _WORTH_PROCESSES,
        lost=lambda _item, cause: cause or "the decoder crashed",
    )
    found: dict[bytes, Quality | str] = {}
    wanted = (_Wanted(content, paths) for content, paths in contents.items())
    with workers:
        results = workers.run(wanted, _MAX_PENDING, _TOGETHER)
        for done, (content, measured) in enumerate(zip(contents, results, strict=True), 1):
            found[content] = measured
            report("Looking at images", done, len(contents))
    return found


@contextmanager
def _measuring() -> Iterator[Callable[[_Wanted], Quality | str]]:
    """Give what measures an image; for `Workers`."""
    yield _measured


def _measured(wanted: _Wanted) -> Quality | str:
    found = read_unchanged(wanted.paths, wanted.content)
    if found is None:
        return "gone, or changed since it was indexed"
    data, name = found
    try:
        with limited():
            header = read_header(data, name)
        memory = decode_bytes(header, *bounded_size(header, SIDE))
        if not can_be_ended() and (
            memory > _LIMITS.thread_memory
            or decode_seconds(header, len(data)) > _LIMITS.thread_seconds
        ):
            raise NeedsProcessError
        with exclusive() if memory > EXCLUSIVE_BYTES else nullcontext(), limited(2 * memory):
            return measure_quality(data, name)
    except ImageError as error:
        return error.reason
    except MemoryError:
        return "too large for the memory there is"
