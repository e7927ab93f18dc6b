"""Fuzzing corpora: every file ends in an outcome, in bounded time and memory, without a word."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from drawn import SHARED

if TYPE_CHECKING:
    from pathlib import Path

BROKEN = SHARED / "broken"
SECONDS_PER_FILE = 5.0
BYTES_PER_FILE = 200 << 20

# A process of its own: its peak memory is its own, and so is what decoders write to stderr.
WALK = """
import json, sys, time, warnings
from pathlib import Path
from dedup.errors import ImageError
from dedup.images.decode import decode_bounded, decode_square, pixel_digest, read_file

warnings.simplefilter("error")

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))

def outcome(path):
    data = read_file(path)
    decoded = decode_square(data, 224, 224, path)
    decode_bounded(data, 320, path)
    pixel_digest(data, path)
    return decoded.header.format

for path in json.load(sys.stdin):
    Path("/proc/self/clear_refs").write_text("5")
    before, start = status("VmRSS"), time.perf_counter()
    try:
        told = outcome(path)
    except ImageError as error:
        told = error.reason
    spent, grown = time.perf_counter() - start, status("VmHWM") - before
    print(json.dumps([path, told, spent, grown]))
"""

pytestmark = [
    pytest.mark.skipif(not BROKEN.is_dir(), reason="the shared broken images are not here"),
    pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc"),
]


def walk(paths: list[str]) -> tuple[list[tuple[str, str, float, int]], str]:
    ended = subprocess.run(
        [sys.executable, "-c", WALK],
        input=json.dumps(paths),
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    return [json.loads(line) for line in ended.stdout.splitlines()], ended.stderr


def assert_bounded(paths: list[str]) -> dict[str, int]:
    outcomes, stderr = walk(paths)
    assert [path for path, *_ in outcomes] == paths
    for path, told, spent, grown in outcomes:
        assert told, path
        assert spent < SECONDS_PER_FILE, path
        assert grown < BYTES_PER_FILE, path
    assert stderr == ""
    counts: dict[str, int] = {}
    for _, told, _, _ in outcomes:
        counts[told] = counts.get(told, 0) + 1
    return counts


def broken_files() -> list[str]:
    return sorted(str(path) for path in BROKEN.rglob("*") if path.is_file())


def test_a_sample_of_broken_files_ends_in_outcomes() -> None:
    assert_bounded(broken_files()[::25])


@pytest.mark.slow
def test_every_broken_file_ends_in_an_outcome() -> None:
    counts = assert_bounded(broken_files())
    assert sum(counts.values()) == len(broken_files())
    assert counts["truncated"] + counts["damaged"] > 1000
    assert counts["PNG"] > 100
    assert counts["JPEG"] > 40


def test_what_a_decoder_logs_of_a_damaged_image_does_not_reach_stderr(tmp_path: Path) -> None:
    entries = [(256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
               (273, 4, 1, 8), (277, 3, 1, 1028), (278, 3, 1, 8), (279, 4, 1, 64)]  # fmt: skip
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    data = b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(4) + bytes(64)
    path = tmp_path / "many.tif"
    path.write_bytes(data)
    code = (
        "import sys\n"
        "from dedup.errors import ImageError\n"
        "from dedup.images.decode import decode_bounded\n"
        "try:\n    decode_bounded(open(sys.argv[1], 'rb').read(), 64, 'many.tif')\n"
        "except ImageError as error:\n    print('refused')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert (ran.stdout, ran.stderr) == ("refused\n", "")
