"""Images that a task reads again come from its disk, as far as that has room."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from dedup.distributed import images
from dedup.distributed.images import Images
from dedup.errors import ImageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def reader(tmp_path: Path) -> Images:
    for name, size in (("a", 400), ("b", 500), ("c", 300)):
        (tmp_path / f"{name}.jpg").write_bytes(name.encode() * size)
    (tmp_path / "kept").mkdir()
    return Images(f"file://{tmp_path}", tmp_path / "kept")


def url(folder: Path, name: str) -> bytes:
    return os.fsencode(f"file://{folder}/{name}.jpg")


def test_what_was_read_last_is_kept(
    reader: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "_MAX_KEPT_BYTES", 1000)
    content = {name: (tmp_path / f"{name}.jpg").read_bytes() for name in "abc"}
    for name in "abac":  # the last of which takes the place of b
        assert reader.read(url(tmp_path, name)) == content[name]
    assert sum(path.stat().st_size for path in (tmp_path / "kept").iterdir()) == 700
    for name in "abc":
        (tmp_path / f"{name}.jpg").unlink()
    assert reader.read(url(tmp_path, "a")) == content["a"]
    assert reader.read(url(tmp_path, "c")) == content["c"]
    with pytest.raises(ImageError, match="no such file there"):
        reader.read(url(tmp_path, "b"))
    assert reader.missing == {url(tmp_path, "b")}


def test_without_room_images_are_read_all_the_same(reader: Images, tmp_path: Path) -> None:
    (tmp_path / "kept").rmdir()  # in which nothing can be written then
    for _ in range(2):
        assert reader.read(url(tmp_path, "a")) == b"a" * 400
