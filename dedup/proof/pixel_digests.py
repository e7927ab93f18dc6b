"""Digests of pictures decoded in full, which prove the tier `pixels`.

Each image is decoded in full at most once in the life of a collection; what was found is for the
catalog to remember. A file is looked at only when it still has the content that was indexed.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from dedup.errors import ImageError
from dedup.images.decode import pixel_digest, read_file
from dedup.parallel.workers import cores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Key = TypeVar("Key", int, bytes)

NO_DIGEST = b""
"""Remembered for pictures that have none: animations and multi-page files."""


def digest_pictures(
    wanted: Mapping[Key, tuple[bytes, Sequence[bytes]]],
    progress: Callable[[int, int], None] | None = None,
) -> dict[Key, bytes]:
    """Decode pictures in full and digest them.

    Parameters
    ----------
    wanted : per key the SHA-256 of the content, and the files that had it when they were indexed

    Returns
    -------
    Per key the digest, or `NO_DIGEST`; keys for which no file could be read are left out.
    """
    found: dict[Key, bytes] = {}
    with ThreadPoolExecutor(cores(), thread_name_prefix="pixels") as pool:
        digests = pool.map(lambda item: _digest(*item), wanted.values())
        for done, (key, digest) in enumerate(zip(wanted, digests, strict=True), start=1):
            if digest is not None:
                found[key] = digest
            if progress is not None:
                progress(done, len(wanted))
    return found


def _digest(content: bytes, paths: Sequence[bytes]) -> bytes | None:
    for path in paths:
        try:
            data = read_file(path)
            if hashlib.sha256(data).digest() == content:
                return pixel_digest(data, os.fsdecode(path)) or NO_DIGEST
        except ImageError:
            continue
    return None
