"""Digests of images decoded in full, which prove the tier `pixels`.

Each image is decoded in full at most once in the life of a collection; what was found is for the
catalog to remember. A file counts only when it still has the content that was indexed.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from dedup.errors import ImageError
from dedup.images.decode import pixel_digest
from dedup.images.sources import read_unchanged
from dedup.parallel.workers import cores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NO_DIGEST = b""
"""Remembered for images that have none, as `pixel_digest` lists them."""


def digest_images(
    wanted: Mapping[int, tuple[bytes, Sequence[bytes]]],
    progress: Callable[[int, int], None] | None = None,
) -> dict[int, bytes]:
    """Decode images in full and digest them.

    Parameters
    ----------
    wanted : per row the SHA-256 of the content, and the files that had it when they were indexed

    Returns
    -------
    Per row the digest, or `NO_DIGEST`; rows for which no file could be read are left out.
    """
    found: dict[int, bytes] = {}
    with ThreadPoolExecutor(cores(), thread_name_prefix="pixels") as pool:
        digests = pool.map(lambda item: _digest(*item), wanted.values())
        for done, (row, digest) in enumerate(zip(wanted, digests, strict=True), start=1):
            if digest is not None:
                found[row] = digest
            if progress is not None:
                progress(done, len(wanted))
    return found


def _digest(content: bytes, paths: Sequence[bytes]) -> bytes | None:
    found = read_unchanged(paths, content)
    if found is None:
        return None
    try:
        return pixel_digest(*found) or NO_DIGEST
    except ImageError:
        return None
