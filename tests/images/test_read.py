from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from drawn import as_nobody

from dedup.errors import ImageError
from dedup.images.decode import MAX_FILE_BYTES, read_file


def test_reading_says_why_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    os.mkfifo(tmp_path / "fifo.jpg")
    for name, told, transient in (
        ("gone.jpg", "no such file", True),
        ("empty.jpg", "empty file", False),
        ("fifo.jpg", "not a regular file", False),
        (".", "is a folder", False),
    ):
        with pytest.raises(ImageError) as refused:
            read_file(str(tmp_path / name))
        assert (refused.value.reason, refused.value.transient) == (told, transient)
        assert refused.value.path == str(tmp_path / name)


def test_a_locked_file_is_tried_again() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "a.jpg"
        path.write_bytes(b"x")
        path.chmod(0)
        with as_nobody(), pytest.raises(ImageError, match="permission denied") as refused:
            read_file(os.fsencode(path))
        assert refused.value.transient


def test_a_file_beyond_bounds_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse.tif").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(ImageError, match="too large: a file of 1024 MB"):
        read_file(str(tmp_path / "sparse.tif"))


def test_names_of_any_bytes_are_read(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\n.jpg"
    with open(path, "wb") as file:
        file.write(b"data")
    assert read_file(path) == read_file(os.fsdecode(path)) == b"data"
