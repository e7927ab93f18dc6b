"""What is known of files, by path."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from PIL import Image

from dedup.store.acted import contents_by_path
from dedup.store.catalog import Catalog

if TYPE_CHECKING:
    from pathlib import Path


def test_files_are_found_by_path_among_many_that_are_not_there(store: Path, drawn: Path) -> None:
    files = [os.fsencode(path) for path in drawn.rglob("*.*")]
    more = {os.path.join(os.fsencode(drawn), b"no %d.jpg" % number) for number in range(5000)}
    catalog = Catalog.open(store)
    found = contents_by_path(catalog, {*files, *more, b"/etc/passwd", b"relative.jpg"})
    catalog.close()
    assert {os.path.basename(path) for path in set(files) - found.keys()} == {
        b"cut.jpg",
        b"text.jpg",
    }
    assert set(found) <= set(files)
    for path, known in found.items():
        facts = os.stat(path)
        assert (known.size, known.mtime_ns) == (facts.st_size, facts.st_mtime_ns)
        with open(path, "rb") as file:
            assert known.digest == hashlib.sha256(file.read()).digest()
        with Image.open(path) as image:
            assert (known.width, known.height, known.format) == (*image.size, image.format)
    assert len({known.file for known in found.values()}) == len(found)
