"""Reading a file again, and only if it still has the content that was indexed."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from dedup.errors import ImageError
from dedup.images.decode import read_file

if TYPE_CHECKING:
    from collections.abc import Iterable


def read_unchanged(paths: Iterable[bytes], content: bytes) -> tuple[bytes, str] | None:
    """Read the first file that still has a content.

    Parameters
    ----------
    paths : files that had it once, in the order in which they are tried
    content : SHA-256

    Returns
    -------
    The whole file, and its name, by which raw images are known; None where no file is readable and
    unchanged.
    """
    for path in paths:
        with suppress(ImageError):
            data = read_file(path)
            if hashlib.sha256(data).digest() == content:
                return data, os.fsdecode(path)
    return None
