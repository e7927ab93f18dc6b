from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from dedup.images.sources import read_unchanged

if TYPE_CHECKING:
    from pathlib import Path


def test_the_first_file_that_is_unchanged_is_read(tmp_path: Path) -> None:
    for name, data in {"changed": b"other", "same": b"content", "again": b"content"}.items():
        (tmp_path / name).write_bytes(data)
    content = hashlib.sha256(b"content").digest()
    gone, changed, same, again = (
        os.fsencode(tmp_path / name) for name in ("gone", "changed", "same", "again")
    )
    assert read_unchanged([gone, changed, same, again], content) == (
        b"content",
        os.fsdecode(same),
    )
    assert read_unchanged([gone, changed], content) is None
    assert read_unchanged([os.fsencode(tmp_path)], content) is None  # a folder
    assert read_unchanged([], content) is None
