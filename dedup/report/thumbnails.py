"""Small versions of images for pages: upright, in sRGB, and bounded in bytes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from dedup.errors import ImageError
from dedup.images.decode import decode_bounded, read_header
from dedup.images.encode import as_webp
from dedup.images.sources import read_unchanged
from dedup.parallel.workers import WORTH_PROCESSES, Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from dedup.answer import Progress

SIDE: Final = 360
"""Pixels of the longest side: enough to compare two on a screen, where photographs take 12 KB."""

MOST_BYTES: Final = 14_000
"""Of one; 5,000 of them, in base64 and with what is said of them, are below 100 MB."""

_MAX_PENDING: Final = 64


class Thumbnail(NamedTuple):
    """A small version of an image, and what its header says.

    Parameters
    ----------
    webp : the bytes of a WebP file
    width, height : of the image itself, upright
    format : of its file, such as "JPEG"
    """

    webp: bytes
    width: int
    height: int
    format: str


class _Wanted(NamedTuple):
    content: bytes
    paths: Sequence[bytes]
    side: int
    most: int


def read_thumbnails(
    contents: Mapping[bytes, Sequence[bytes]],
    report: Progress,
    *,
    side: int = SIDE,
    most: int = MOST_BYTES,
) -> dict[bytes, Thumbnail | str]:
    """Make the thumbnails of contents.

    Parameters
    ----------
    contents : SHA-256 to the files that had it when they were indexed
    side : pixels of the longest side
    most : bytes of one

    Returns
    -------
    By SHA-256; why there is none, where there is none.
    """
    workers: Workers[_Wanted, Thumbnail | str] = Workers(
        _making,
        processes=len(contents) >= WORTH_PROCESSES,
        lost=lambda _item, cause: cause or "the decoder crashed",
    )
    found = {}
    wanted = (_Wanted(content, paths, side, most) for content, paths in contents.items())
    with workers:
        results = workers.run(wanted, _MAX_PENDING)
        for done, (content, made) in enumerate(zip(contents, results, strict=True), 1):
            found[content] = made
            report("Making thumbnails", done, len(contents))
    return found


@contextmanager
def _making() -> Iterator[Callable[[_Wanted], Thumbnail | str]]:
    """Give what makes a thumbnail; for `Workers`."""
    yield _made


def _made(wanted: _Wanted) -> Thumbnail | str:
    found = read_unchanged(wanted.paths, wanted.content)
    if found is None:
        return "gone, or changed since it was indexed"
    try:
        return make_thumbnail(*found, wanted.side, wanted.most)
    except ImageError as error:
        return error.reason


def make_thumbnail(data: bytes, name: str, side: int = SIDE, most: int = MOST_BYTES) -> Thumbnail:
    """Make the thumbnail of one file, which was read; parameters as in `read_thumbnails`.

    Raises
    ------
    ImageError
    """
    header = read_header(data, name)
    webp = as_webp(decode_bounded(data, side, name, srgb=True), most)
    return Thumbnail(webp, header.width, header.height, header.format)
