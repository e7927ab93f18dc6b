"""Hostile files: each ends in an outcome, in little time and memory."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from drawn import encode, jpeg_claiming, png, png_chunk, textured, tiff

from dedup.images.decode import decode_bytes
from dedup.images.header import read_header
from dedup.images.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Decoder = subprocess.Popen[str]

MAX_SECONDS = 20.0
MAX_BYTES = 1 << 30

OUTCOMES = """
import json, os, sys, time
from dedup.errors import ImageError
from dedup.images.decode import decode_square, read_file

def outcome(path):
    try:
        return decode_square(read_file(path), 224, 224, path).header.format
    except ImageError as error:
        return error.reason

for line in sys.stdin:  # each file in a process of its own, which need not import anything again
    path = line.rstrip()
    child = os.fork()
    if child:
        status = os.waitpid(child, 0)[1]
        print(json.dumps(status), flush=True)
        continue
    os.dup2(os.open(path + ".err", os.O_CREAT | os.O_WRONLY), 2)
    started = time.perf_counter()
    reason = outcome(path)
    # The peak of this process: ru_maxrss also knows that of the one that started it.
    peak = int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0]) << 10
    print(json.dumps([reason, time.perf_counter() - started, peak]), flush=True)
    os._exit(0)
"""

SMALL = textured(64, 64)
long, short = struct.Struct("<I").pack, struct.Struct("<H").pack


def progressive(side: int, scans: int, padding: int) -> bytes:
    """Write a JPEG of passes that each say in one byte that nothing changes."""
    data = encode(textured(16, 16), "JPEG", "L", progressive=True)
    start = data[: data.find(b"\xff\xda")]
    table = b"\xff\xc4" + struct.pack(">H", 21) + b"\x10\x00\x02" + bytes(14) + b"\xe0\x00"
    first = b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x01\x00"
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x02\x3f"
    claimed = jpeg_claiming(side, side, start)
    return claimed + first + table + scan * scans + b"\xff\xd9" + bytes(padding)


def strips(count: int) -> bytes:
    tags = [
        (256, 4, 1, long(64)),
        (257, 4, 1, long(64)),
        (258, 3, 1, short(8)),
        (259, 3, 1, short(1)),
        (262, 3, 1, short(1)),
        (273, 4, count, long(8) * count),
        (277, 3, 1, short(1)),
        (278, 4, 1, long(1)),
        (279, 4, count, long(64) * count),
    ]
    return tiff(tags) + bytes(5000)


def shared_tags(count: int, size: int) -> bytes:
    entries = b"".join(
        struct.pack("<HHII", 1000 + number, 1, size, 14 + 12 * count) for number in range(count)
    )
    head = b"II*\0" + long(8) + short(count)
    return head + entries + bytes(4) + bytes(size)


def gif(before_frame: bytes = b"", frames: int = 1) -> bytes:
    data = encode(textured(16, 16), "GIF", "P")
    at = 13 + (3 << (data[10] & 7) + 1)
    return data[:at] + before_frame + data[at:-1] * frames + b";"


def blank_png(width: int, height: int) -> bytes:
    some = bytes(64 * (3 * width + 1))
    deflate = zlib.compressobj(9, wbits=-15)
    block = deflate.compress(some) + deflate.flush(zlib.Z_FULL_FLUSH)  # can be repeated
    checksum = (len(some) * (height // 64) % 65521 << 16) + 1  # Adler-32 of so many zeros
    rows = b"\x78\xda" + block * (height // 64) + b"\x03\0" + struct.pack(">I", checksum)
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = png_chunk(b"IHDR", size) + png_chunk(b"IDAT", rows)
    return b"\x89PNG\r\n\x1a\n" + body + png_chunk(b"IEND", b"")


def run_length_bitmap(side: int) -> bytes:
    body = b"\x01\x00\x00\x00" * side + b"\0\1"
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(body), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 1078 + len(body), 0, 0, 1078) + head + bytes(1024) + body


JPEG = encode(SMALL, "JPEG")
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "250 passes over 64 megapixels": (
        lambda: progressive(8000, 250, 130_000),
        "too large: 251 passes over 64 megapixels",
    ),
    "20 passes over 256 megapixels": (
        lambda: progressive(16_000, 20, 600_000),
        "too large: 21 passes over 256 megapixels",
    ),
    "300 passes over few bytes": (
        lambda: progressive(304, 300, 0),
        "damaged: more than 256 passes",
    ),
    "a million segments": (
        lambda: JPEG[:2] + b"\xff\xfe\0\2" * 1_000_000 + JPEG[2:],
        "damaged: more than 4096 segments",
    ),
    "fill bytes": (
        lambda: JPEG[:2] + b"\xff" * 20_000_000 + JPEG[2:],
        "damaged: much that is no part of it",
    ),
    "100,000 chunks": (
        lambda: png(SMALL, 2, png_chunk(b"abCd", b"") * 100_000),
        "damaged: more than 65536 chunks",
    ),
    "a million strips": (lambda: strips(1_000_000), "damaged: more than 262144 strips"),
    "100,000 strips": (lambda: strips(100_000), "TIFF"),
    "20,000 tags": (lambda: shared_tags(20_000, 1000), "damaged: more than 4096 tags"),
    "tags over one megabyte": (
        lambda: shared_tags(4000, 1 << 20),
        "damaged: tags that share their values",
    ),
    "100,000 frames": (lambda: gif(frames=100_000), "GIF"),
    "a comment of 20 MB": (
        lambda: gif(b"\x21\xfe" + (b"\xff" + b"a" * 255) * 80_000 + b"\0"),
        "damaged: comments without end",
    ),
    "100,000 comments": (
        lambda: gif(b"\x21\xfe\x01a\0" * 100_000),
        "damaged: comments without end",
    ),
    "blank png": (lambda: blank_png(16_000, 12_992), "too large: 16000×12992 pixels"),
    "run-length bitmap": (lambda: run_length_bitmap(16_000), "too large: 16000×16000 pixels"),
    "blank webp": (
        # As Pillow writes it without losses, which takes long.
        lambda: bytes.fromhex(
            "524946461a000000574542505650384c0e0000002fdfeee104071011fd0f4444ff03"
        ),
        "too large: 12000×5000 pixels",
    ),
}


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    """A process that decodes the files whose names it is given."""
    with subprocess.Popen(
        [sys.executable, "-c", OUTCOMES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak is counted otherwise")
@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_costs_little(what: str, tmp_path: Path, decoder: Decoder) -> None:
    write, expected = HOSTILE[what]
    path = tmp_path / "image"
    path.write_bytes(write())
    assert decoder.stdin is not None
    assert decoder.stdout is not None
    print(path, file=decoder.stdin, flush=True)
    reason, seconds, peak = json.loads(decoder.stdout.readline())
    assert json.loads(decoder.stdout.readline()) == 0
    assert reason == expected
    assert seconds < MAX_SECONDS
    assert peak < MAX_BYTES
    assert (tmp_path / "image.err").read_bytes() == b""


@pytest.mark.parametrize(("name", "mode"), [("TIFF", "RGB"), ("TIFF", "RGBA"), ("PNG", "RGB")])
def test_a_scan_of_200_megapixels_is_within_the_limits(name: str, mode: str) -> None:
    small = read_header(encode(textured(12, 16), name, mode))
    scan = replace(small, width=16_320, height=12_240)
    pixels, needed = scan.width * scan.height, decode_bytes(scan, 224, 224)
    assert LIMITS.most_decode_bytes(pixels, 1 << 20) < needed  # where a file of 1 MB claims it
    assert needed <= LIMITS.most_decode_bytes(pixels, 1 << 28)
