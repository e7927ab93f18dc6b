"""The trailer of a saved index: which catalog version it was built from, and a checksum.

A damaged FAISS file may load and then answer wrongly in silence, so FAISS is only shown bytes
that are known to be the ones it wrote. FAISS itself ignores what follows its data. Free of FAISS,
so that the state of an index can be told without loading it.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

import numpy as np
import xxhash

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

_TRAILER = struct.Struct("<8sQ16s")  # magic, catalog version, XXH3-128 of all bytes before
_MAGIC = b"dedupix1"


def seal(payload: npt.NDArray[np.uint8], version: int) -> bytes:
    """Give the bytes that follow an index in its file."""
    return _TRAILER.pack(_MAGIC, version, xxhash.xxh3_128_digest(payload.data))


def unsealed(path: Path, version: int) -> npt.NDArray[np.uint8] | None:
    """Read an index's bytes; None when the file is missing, damaged, or of another version."""
    if saved_version(path) != version:
        return None
    try:
        content = np.fromfile(path, np.uint8)
    except OSError:
        return None
    payload = content[: -_TRAILER.size]
    _, _, checksum = _TRAILER.unpack(content[-_TRAILER.size :].tobytes())
    return payload if xxhash.xxh3_128_digest(payload.data) == checksum else None


def saved_version(path: Path) -> int | None:
    """Read the catalog version that a saved index was built from, without loading it."""
    try:
        with path.open("rb") as file:
            file.seek(-_TRAILER.size, os.SEEK_END)
            magic, version, _ = _TRAILER.unpack(file.read())
    except (OSError, struct.error):
        return None
    return int(version) if magic == _MAGIC else None
