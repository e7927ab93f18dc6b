"""A map of 20,000 images: how long it takes; and of 100,000: how fluent its page is.

Embeddings are seeded and lie in clusters of uneven size, as those of photographs do. Files are the
given photographs, over and over, told apart by a byte after their end. Frames are counted in
Chromium while a wheel turns and a pointer drags; for comparison also in a page by plotly.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import shutil
import statistics
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from machine import add_json_option, describe, record

from dedup.report.layout import Layout, lay_out
from dedup.report.map import Points, Shown, write_map

FACTS = {"version": "", "made": "2026-01-01T00:00:00+00:00", "collection": "bench", "notes": ()}


def embeddings(count: int, dimension: int = 256) -> Any:
    """Draw rows in 2,000 sets of uneven size, in 200 larger ones; some far from their set."""
    rng = np.random.default_rng(0)
    large, small = rng.normal(size=(200, dimension)), rng.normal(size=(2000, dimension)) / 2
    one = rng.zipf(1.5, size=count) % 2000
    off = 0.35 * rng.gamma(2, 1, size=(count, 1)) * rng.normal(size=(count, dimension))
    rows = (large[one % 200] + small[one] + off).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def points_of(photos: Path, folder: Path, count: int) -> Points:
    """Write so many files, each with content of its own."""
    known = [path.read_bytes() for path in sorted(photos.rglob("*.jpg"))]
    paths, digests = [], []
    for number, data in zip(range(count), itertools.cycle(known)):
        content = data + number.to_bytes(4)
        path = folder / f"{number // 1000:03}" / f"{number:06}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        paths.append(os.fspath(path))
        digests.append(hashlib.sha256(content).digest())
    return Points(paths, np.arange(count), np.arange(count), digests, embeddings(count))


def silent(*_: object) -> None:
    """Take no notice of progress."""


def time_map(points: Points, path: Path) -> list[float]:
    """Give the seconds of layout and page."""
    started = time.perf_counter()
    layout = lay_out(points.vectors)
    laid_out = time.perf_counter()
    write_map(points, layout, Shown((), None, "", FACTS), path, silent)
    return [laid_out - started, time.perf_counter() - laid_out]


def large_page(points: Points, path: Path, count: int) -> Layout:
    """Write a page of many points, of which some have thumbnails."""
    rng = np.random.default_rng(1)
    cluster = np.sort(rng.zipf(1.3, size=count) % 80).astype(np.int32)
    places = rng.normal(size=(80, 2))[cluster] * 10 + rng.normal(size=(count, 2))
    _, first = np.unique(cluster, return_index=True)
    layout = Layout(
        places.astype(np.float32), cluster, tuple(first.tolist()), rng.random(count) < 0.01, ""
    )
    known = len(points.paths)
    more = [f"/nowhere/{number}.jpg" for number in range(known, count)]
    digests = points.digests + [hashlib.sha256(name.encode()).digest() for name in more]
    rows = np.arange(count)
    write_map(
        Points(points.paths + more, rows, rows, digests, points.vectors),
        layout,
        Shown((), None, "", FACTS),
        path,
        silent,
    )
    return layout


def plotly_page(layout: Layout, path: Path) -> None:
    """Write the same points as a page of plotly's."""
    from plotly.offline import get_plotlyjs

    x, y = layout.places.T.round(4).tolist()
    marker = {"size": 4, "color": layout.cluster.tolist()}
    trace = {"type": "scattergl", "mode": "markers", "x": x, "y": y, "marker": marker}
    path.write_text(
        f"<!doctype html><body style='margin:0'><div id=a style='height:100vh'></div>"
        f"<script>{get_plotlyjs()}</script><script>Plotly.newPlot('a', {json.dumps([trace])}, "
        "{dragmode: 'pan'}, {scrollZoom: true})"
        ".then(() => { document.documentElement.dataset.ready = 1; })</script>",
        "utf-8",
    )


FRAMES = """() => {
  window.frames = [];
  const note = (now) => { window.frames.push(now); requestAnimationFrame(note); };
  requestAnimationFrame(note);
}"""


def frames(path: Path) -> list[float]:
    """Give the seconds until a page is ready, then median, 95th percentile and longest frame."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=own, chromium_sandbox=False)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        started = time.perf_counter()
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]", timeout=120_000)
        ready = time.perf_counter() - started
        page.mouse.move(800, 400)
        page.evaluate(FRAMES)
        for turn in range(60):
            page.mouse.wheel(0, -60 if turn < 40 else 60)
            page.wait_for_timeout(16)
        page.mouse.down()
        for step in range(60):
            page.mouse.move(800 + 3 * step, 400 + 2 * step)
            page.wait_for_timeout(16)
        page.mouse.up()
        times = np.diff(page.evaluate("window.frames"))
        browser.close()
    return [ready, *(float(np.percentile(times, share)) for share in (50, 95, 100))]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    add_json_option(parser)
    options = parser.parse_args()
    print(describe())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        points = points_of(options.photos, folder, options.images)
        page = folder / "map.html"
        rounds = [time_map(points, page) for _ in range(options.rounds)]
        layout, writing = (statistics.median(each) for each in zip(*rounds, strict=True))
        megabytes = page.stat().st_size / 1e6
        times = [layout, writing, layout + writing, sum(rounds[0]), megabytes]
        rows: list[list[str | int | float | None]] = [
            [f"{options.images:,}", *(round(each, 1) for each in times)]
        ]
        print(rows)
        large = large_page(points, folder / "large.html", options.points)
        seen = [(f"dedup map, {options.points:,} points", frames(folder / "large.html"))]
        if find_spec("plotly"):
            plotly_page(large, folder / "plotly.html")
            seen.append((f"plotly, {options.points:,} points", frames(folder / "plotly.html")))
        shown: list[list[str | int | float | None]] = [
            [what, round(ready, 1), *(round(one) for one in each)] for what, (ready, *each) in seen
        ]
        print(shown)
    if options.json:
        record(
            "scale",
            "map",
            "A map: seconds, and MB of the page",
            ["images", "layout", "page", "together", "first round", "MB"],
            rows,
            statistic=f"median of {options.rounds} in one process",
            note="UMAP is compiled in the first round, which is what `dedup map` takes. "
            "Without finding duplicate groups, as `dedup list` does.",
        )
        record(
            "scale",
            "frames",
            "A map in Chromium without a GPU",
            ["page", "ready, s", "median frame, ms", "95th percentile", "longest"],
            shown,
            statistic="of one run: 60 turns of a wheel, 60 steps of a drag",
        )


if __name__ == "__main__":
    main()
