"""Colour profiles that the tests build by bytes."""

from __future__ import annotations

import itertools
import struct

# Primaries adapted to D50: Display P3 (Apple's own profile), Adobe RGB (1998).
P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
WHITE = (0.9642, 1.0, 0.8249)


def fixed(value: float) -> int:
    return round(value * 65536)


def profile(primaries: tuple[tuple[float, float, float], ...] | None, gamma: float) -> bytes:
    """Build a matrix profile, or a grey one without primaries (ICC.1:2001-04)."""
    curve = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(gamma * 256))
    text = b"A profile\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
        b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">3i", *map(fixed, WHITE)),
    }
    if primaries is None:
        tags[b"kTRC"] = curve
    else:
        for name, primary in zip("rgb", primaries, strict=True):
            tags[f"{name}XYZ".encode()] = b"XYZ \0\0\0\0" + struct.pack(">3i", *map(fixed, primary))
            tags[f"{name}TRC".encode()] = curve
    return _written(tags, b"mntr", b"RGB " if primaries else b"GRAY", b"XYZ ")


def _written(tags: dict[bytes, bytes], kind: bytes, space: bytes, connection: bytes) -> bytes:
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for tag, data in tags.items():
        table += tag + struct.pack(">2I", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = 128 + len(table) + len(body)
    head = struct.pack(">I4xI", size, 0x02100000) + kind + space + connection + bytes(12)
    head += b"acsp" + bytes(28) + struct.pack(">3i", *map(fixed, WHITE))
    return head.ljust(128, b"\0") + table + body


def cmyk_profile(paper: float = 100.0, warmth: float = 14.0) -> bytes:
    """Build a press profile by a table of two steps an ink (ICC.1:2001-04, 6.5.8)."""
    corners = b""
    for inks in itertools.product((0, 1), repeat=4):
        cyan, magenta, yellow, black = inks
        light = paper * (1 - 0.42 * cyan) * (1 - 0.48 * magenta) * (1 - 0.08 * yellow)
        light *= 1 - 0.9 * black
        left = 1 - 0.9 * black
        green = left * (70 * magenta - 34 * cyan - 6 * yellow)
        blue = left * (warmth + 80 * yellow - 46 * cyan - 8 * magenta)
        lab = light * 2.55, 128 + green, 128 + blue
        corners += bytes(min(255, max(0, round(value))) for value in lab)
    ramp = bytes(range(256))
    identity = struct.pack(">9i", *(fixed(value) for value in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    table = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + identity + 4 * ramp + corners + 3 * ramp
    text = b"A press\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
        b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">3i", *map(fixed, WHITE)),
        b"A2B0": table,
    }
    return _written(tags, b"prtr", b"CMYK", b"Lab ")
