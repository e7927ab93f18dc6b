"""Files that are no longer what an encoder wrote: each is indexed, or skipped with a reason."""

from __future__ import annotations

import io
import json
import re
import shutil
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from faultlab.lab import drawn
from faultlab.trials import Trials

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.random import Generator

    from faultlab.lab import Lab

TOGETHER = 50
"""Files to one run."""

_EXPECTED = re.compile(
    r"Created the collection .*|Using the bundled model .*|[\d,]+ images?: .*"
    r"|  skipped .*: .+|  … and [\d,]+ more: .*|[\d,]+ (gone|further names) .*"
    r"|Passed over .*|Not .*"
)
_WAYS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("JPEG", {"quality": 90}),
    ("JPEG", {"quality": 60, "progressive": True}),
    ("PNG", {}),
    ("GIF", {}),
    ("BMP", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("TIFF", {"compression": "tiff_deflate"}),
    ("WEBP", {"quality": 80}),
    ("WEBP", {"lossless": True}),
    ("PPM", {}),
    ("AVIF", {"quality": 60}),
)


def good(rng: Generator) -> tuple[bytes, str]:
    """Draw an image and encode it in some way; gives the file and its ending."""
    width, height = (int(one) for one in rng.integers(24, 200, 2))
    image = Image.fromarray(drawn(rng, width, height))
    form, options = _WAYS[int(rng.integers(len(_WAYS)))]
    mode = ("RGB", "RGB", "L", "P", "RGBA")[int(rng.integers(5))]
    if form in {"PNG", "TIFF", "GIF"} and options.get("compression") is None:
        image = image.convert(mode)
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue(), {"JPEG": "jpg", "TIFF": "tif"}.get(form, form.lower())


def mutated(content: bytes, rng: Generator) -> bytes:
    """Damage a file in one to three places, of which most lie near its head."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        near = len(data) if rng.random() < 0.4 else min(len(data), 400)
        at = int(rng.integers(max(near, 1)))
        length = int(2 ** rng.uniform(0, 9))
        match int(rng.integers(7)):
            case 0:
                for where in range(at, min(at + 3, len(data))):
                    data[where] ^= int(rng.integers(1, 256))
            case 1:
                del data[at + length :]
            case 2:
                data[at : at + length] = bytes(len(data[at : at + length]))
            case 3:
                data[at : at + length] = rng.bytes(len(data[at : at + length]))
            case 4:
                data[at:at] = data[at : at + length]
            case 5:
                del data[at : at + length]
            case _:
                data[at : at + 4] = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\xff\xff")[
                    int(rng.integers(3))
                ]
    return bytes(data)


class Corpus(Trials):
    """A run of `index` over some of the files."""

    count = 0

    def prepare(self) -> None:
        """Count."""
        self.files = 0
        self.memory = 0
        self.seconds = 0.0

    def absent(self) -> str:
        """Nothing is needed."""
        return ""

    def judged(self, folder: Path) -> list[str]:
        """Index a folder, and check that all of it was accounted for, without noise."""
        store = self.lab.empty()
        names = sorted(path for path in folder.rglob("*") if path.is_file())
        begin = time.monotonic()
        run = self.lab.index(store, folder)
        self.seconds = max(self.seconds, time.monotonic() - begin)
        self.memory = max(self.memory, run.memory)
        self.files += len(names)
        faults = [f"ended with {run.code}: {run.last}"] if run.crashed else []
        noise = [one for one in run.err.splitlines() if one and not _EXPECTED.fullmatch(one)]
        faults += [f"noise: {line}" for line in noise if not line.startswith("Error: ")]
        skipped = self.lab.run(["status", "--skipped", "-s", store, "--format", "jsonl"])
        rows = [json.loads(line) for line in skipped.out.splitlines()]
        faults += [f"no reason: {row['path']}" for row in rows if not row["reason"].strip()]
        found = re.search(r"^([\d,]+) images?: ", run.err, re.MULTILINE)
        counted = int(found[1].replace(",", "")) if found else 0
        if counted != len(names) and not run.err.strip().startswith("Error: "):
            faults.append(f"{len(names) - counted} of {len(names)} files without an outcome")
        self.note = (
            f"{self.files:,} files; at most {self.memory / 1e6:,.0f} MB in a process, "
            f"{self.seconds:.1f} s a run"
        )
        return faults


class Mutated(Corpus):
    """Files that the mutator made of good ones."""

    name, title, asked, short = "corpus mutated", f"runs over {TOGETHER} mutated files", 108, 4

    def trial(self, number: int, rng: Generator) -> list[str]:
        """Write some and index them."""
        folder = self.lab.work / "mutated"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for one in range(TOGETHER):
            content, ending = good(rng)
            (folder / f"{number:04}-{one:03}.{ending}").write_bytes(mutated(content, rng))
        return self.judged(folder)


class Given(Corpus):
    """Files of folders that were named on the command line."""

    name, title = "corpus given", f"runs over {TOGETHER} files of given folders"
    folders: tuple[Path, ...] = ()

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab)
        files = [path for folder in self.folders for path in sorted(folder.rglob("*"))]
        files = [path for path in files if path.is_file()]
        np.random.default_rng(0).shuffle(files)
        self._parts = [files[start : start + TOGETHER] for start in range(0, len(files), TOGETHER)]
        self.asked = len(self._parts)  # type: ignore[misc]

    asked = 0

    def absent(self) -> str:
        """Say that no folder was named."""
        return "" if self._parts else "no folder was given"

    def trial(self, number: int, rng: Generator) -> list[str]:  # noqa: ARG002 - of all trials
        """Index some, whatever their ending."""
        folder = self.lab.work / "given"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for one, path in enumerate(self._parts[number]):
            known = path.suffix.lower() in {
                ".jpg",
                ".jpeg",
                ".png",
                ".gif",
                ".bmp",
                ".tif",
                ".webp",
            }
            ending = path.suffix if known else _ending(path)
            shutil.copy(path, folder / f"{one:03} {path.stem[:40]}{ending}")
        return self.judged(folder)


def _ending(path: Path) -> str:
    """Guess by the folders' names, as collections of a fuzzer have it."""
    for part in reversed(path.parts):
        if found := re.search(r"jpe?g|png|gif|bmp|tiff?|webp|avif", part.lower()):
            return f".{found.group()}"
    return ".jpg"


ALL = (Mutated, Given)
