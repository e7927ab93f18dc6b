"""What is kept of views that were made."""

from __future__ import annotations

import asyncio
import hashlib
import os
from contextlib import closing
from typing import TYPE_CHECKING

from drawings import scene

from dedup.review import views
from dedup.review.views import Order, Views

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def _pair(folder: Path) -> tuple[tuple[bytes, bytes], ...]:
    whole = scene(3)
    files = []
    for name, image in (("whole.png", whole), ("part.png", whole.crop((10, 8, *whole.size)))):
        image.save(folder / name)
        digest = hashlib.sha256((folder / name).read_bytes()).digest()
        files.append((os.fsencode(folder / name), digest))
    return tuple(files)


def test_what_is_made_again_does_not_crowd_out_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = _pair(tmp_path)
    laid, heat = Order("laid", files), Order("heat", files)  # made together, kept apart

    async def size() -> int:
        with closing(Views()) as made:
            return len((await made.get(heat)).content)

    async def is_kept() -> bool:
        with closing(Views()) as made:
            for one in (laid, heat) * 4:
                await made.get(one)
            return await made.get(heat) is await made.get(heat)

    monkeypatch.setattr(views, "MOST_KEPT_BYTES", asyncio.run(size()))  # room for it alone
    assert asyncio.run(is_kept())
