"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from typing import IO, TYPE_CHECKING

import pytest

from dedup.files import atomic_write

if TYPE_CHECKING:
    from pathlib import Path


def test_new_content_replaces_the_old(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"one", b"two, longer"):
        atomic_write(path, lambda file, content=content: file.write(content))  # type: ignore[misc]
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["file"]


def test_what_goes_wrong_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(file: IO[bytes]) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        atomic_write(path, fail)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
    with pytest.raises(FileNotFoundError):
        atomic_write(tmp_path / "nowhere" / "file", lambda file: file.write(b"new"))


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs limits of file size")
def test_a_disk_that_fills_up_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from dedup.files import atomic_write\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "atomic_write(Path(sys.argv[1]), lambda file: file.write(bytes(5000)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=False
    )
    assert "OSError" in done.stderr
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
