"""Videos: how many copies, cuts and frames are found among videos made of photographs.

    scripts/bench videos PHOTOS [--sources 8] [--json]

Each source moves over four photographs. Another take moves over the same ones in other ways; what
is matched between takes, or between sources, is wrong.
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import av
import numpy as np
from machine import add_json_option, record
from PIL import Image

from dedup.collection import Collection

SUFFIXES = {".jpg", ".jpeg", ".png"}
SIZE, RATE, SECONDS = (480, 360), 24, 12
SCENES = 4
COLUMNS = ["what", "made", "found", "with the wrong one"]


def moved(path: Path, frames: int, seed: int) -> list[Image.Image]:
    """Move over a photograph and closer to it."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    dice = random.Random(seed)  # noqa: S311 - no secret
    size, ends = np.array(image.size), [[dice.random() for _ in range(2)] for _ in range(2)]
    zooms = dice.uniform(0.55, 0.75), dice.uniform(0.75, 0.95)
    found = []
    for step in np.linspace(0, 1, frames):
        window = size * (zooms[0] + (zooms[1] - zooms[0]) * step)
        corner = (size - window) * (np.array(ends[0]) * (1 - step) + np.array(ends[1]) * step)
        box = (*corner, *(corner + window))
        found.append(image.resize(SIZE, Image.Resampling.BILINEAR, box=box))
    return found


def write(
    path: Path, frames: list[Image.Image], codec: str, kilobits: int, rate: int = RATE
) -> None:
    """Write a video."""
    with av.open(path, "w") as out:
        stream: Any = out.add_stream(codec, rate=rate)
        stream.width, stream.height = frames[0].size
        stream.pix_fmt, stream.bit_rate = "yuv420p", kilobits * 1000
        for frame in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(frame), "rgb24")))
        out.mux(stream.encode(None))


def make(folder: Path, photos: list[Path], source: int) -> None:
    """Make a source and what people make of one."""
    each = SECONDS * RATE // SCENES
    frames = [one for place, path in enumerate(photos) for one in moved(path, each, place)]
    take = [one for place, path in enumerate(photos) for one in moved(path, each, 50 + place)]
    half = [one.resize((SIZE[0] // 2, SIZE[1] // 2), Image.Resampling.LANCZOS) for one in frames]
    dice = random.Random(source)  # noqa: S311
    start = dice.randrange(0, len(frames) - 5 * RATE)
    top = folder / str(source)
    top.mkdir()
    write(top / "source.mp4", frames, "libx264", 1500)
    write(top / "h264 at a tenth.mp4", frames, "libx264", 150)
    write(top / "mpeg4 at a third.avi", frames, "mpeg4", 500)
    write(top / "half the size.mkv", half, "libx264", 300)
    write(top / "half the frames.mp4", frames[::2], "libx264", 500, RATE // 2)
    write(top / "cut of 5 s.mp4", frames[start : start + 5 * RATE], "mpeg4", 600)
    write(top / "another take.mp4", take, "libx264", 600)
    dice.choice(frames).save(top / "frame.jpg", quality=85)
    dice.choice(half).save(top / "frame, half the size.jpg", quality=85)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--sources", type=int, default=8)
    add_json_option(parser)
    options = parser.parse_args()
    paths = [p for p in sorted(options.photos.rglob("*")) if p.suffix.lower() in SUFFIXES]
    order = np.random.default_rng(1).permutation(len(paths))[: options.sources * SCENES]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "videos"
        folder.mkdir()
        for source in range(options.sources):
            chosen = order[source * SCENES : (source + 1) * SCENES]
            make(folder, [paths[place] for place in chosen], source)
        started = [(time.perf_counter(), _used())]
        with Collection.open(Path(name) / "store", create=True) as collection:
            collection.index([folder])
            started.append((time.perf_counter(), _used()))
            groups = collection.duplicates("exact,video").groups
            started.append((time.perf_counter(), _used()))
        files = sorted(folder.rglob("*.*"))
    found, wrong = Counter[str](), Counter[str]()
    for group in groups:
        keeper = Path(group.keeper)
        for one in map(Path, (two.path for two in group.duplicates)):
            take = "another take" in {one.stem, keeper.stem}
            right = one.parent == keeper.parent and not take
            (found if right else wrong)[one.stem] += 1
        found[keeper.stem] += keeper.stem != "another take"
    kinds = list(dict.fromkeys(path.stem for path in files))
    rows = [[kind, options.sources, found[kind], wrong[kind]] for kind in kinds]
    for row in rows:
        print("{:>24s}  {:4d} {:4d} {:4d}".format(*row))
    (first, used), (second, indexed), (third, listed) = started
    length = options.sources * (6 * SECONDS + 5)
    note = (
        f"{length} s of video of {SIZE[0]}×{SIZE[1]}: indexed in {second - first:.0f} s "
        f"({indexed - used:.0f} s of processors), listed in {third - second:.0f} s "
        f"({listed - indexed:.0f})"
    )
    print(note)
    if options.json:
        record("videos", "found", "Found among videos", COLUMNS, rows, note=note)


def _used() -> float:
    """Give the seconds of processors that this process and those it ended have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
