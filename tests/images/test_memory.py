"""What a decode needs at its peak, measured, against what was estimated beforehand."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from drawn import encode, exif, textured

if TYPE_CHECKING:
    from pathlib import Path

PEAK = """
import sys
from pathlib import Path
import cv2
from dedup.images.decode import decode_bytes, decode_square
from dedup.images.header import read_header

cv2.setNumThreads(1)

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))

data = Path(sys.argv[1]).read_bytes()
header = read_header(data)
before = status("VmRSS")
decode_square(data, 224, 224)
print(status("VmHWM") - before, decode_bytes(header, 224, 224))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("JPEG", "RGB", {}),
        ("JPEG", "RGB", {"progressive": True, "subsampling": 0}),
        ("JPEG", "CMYK", {}),
        ("PNG", "RGB", {"compress_level": 1}),
        ("PNG", "RGBA", {"compress_level": 1}),
        ("PNG", "P", {"compress_level": 1}),
        ("GIF", "L", {}),
        ("BMP", "RGB", {}),
        ("PPM", "RGB", {}),
        ("TIFF", "RGB", {"compression": "tiff_lzw"}),
        ("TIFF", "RGBA", {"compression": "tiff_lzw", "exif": exif(6)}),
        ("TIFF", "RGBA", {"compression": "tiff_lzw", "strip_size": 1 << 30}),
        ("WEBP", "RGBA", {"lossless": True, "quality": 0, "method": 0}),
        ("AVIF", "RGBA", {"speed": 10, "subsampling": "4:4:4"}),
        ("JPEG2000", "RGBA", {}),
    ],
)
def test_a_decode_needs_no_more_than_estimated(
    name: str, mode: str, options: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "image"
    path.write_bytes(encode(textured(3000, 4000), name, mode, **options))
    ended = subprocess.run(
        [sys.executable, "-c", PEAK, path], capture_output=True, text=True, check=True
    )
    peak, estimate = map(int, ended.stdout.split())
    assert peak < estimate
