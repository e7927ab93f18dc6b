"""A review of many groups, in Chromium: review [--images N] [--groups N] [--at DIR].

Thumbnails drawn by code, of which some have a copy of the same bytes; those that come first are
drawn photographs of 12 megapixels. Measured as a person meets it: how long until the groups are
there, and the images in sight, after the page is opened, after PageDown, and after n in the
comparison; and what the server holds. Takes the extra `browser`.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from machine import add_json_option, describe, record
from playwright.sync_api import sync_playwright
from startup import make_tree

DEDUP = [sys.executable, "-m", "dedup"]
PHOTOGRAPHS = 300
ROUNDS = 9
READY = "html[data-ready]:not([data-ready^='0.'])"
NOTE_READY = """new MutationObserver(() => { window.readyAt ??= Date.now(); })
  .observe(document, { attributes: true, subtree: true, attributeFilter: ['data-ready'] })"""
# Milliseconds until something has changed, and until the images in sight are there.
TIMED = """async ([key, scope]) => {
  const tick = () => new Promise(resolve => setTimeout(resolve, 2));
  const inSight = () => {
    const images = [...document.querySelectorAll(scope + ' img')].filter(image => {
      const box = image.getBoundingClientRect();
      return box.bottom > 0 && box.top < innerHeight;
    });
    return images.length && images.every(image => image.complete && image.naturalWidth);
  };
  const shown = () => (key === 'n' ? [...document.querySelectorAll('#stage img')].at(-1)?.src
    : document.querySelector('article')?.dataset.number);
  const started = performance.now();
  const before = shown();
  const press = new KeyboardEvent('keydown', { key, bubbles: true });
  if (key) document.activeElement.dispatchEvent(press);
  while (key && shown() === before) await tick();
  const there = performance.now();
  while (!inSight()) await tick();
  return [there - started, performance.now() - started];
}"""


def make_images(folder: Path, images: int, groups: int) -> None:
    """Draw images, so many of them with a copy."""
    make_tree(folder, images - groups)
    copies = folder / "copies"
    copies.mkdir()
    for number in range(groups - PHOTOGRAPHS):
        name = f"{number:06}.jpg"
        shutil.copy(folder / f"{number // 1000:03}" / name, copies / name)
    rng = np.random.default_rng(1)
    photographs = folder / "photographs"
    photographs.mkdir()
    for number in range(PHOTOGRAPHS):
        coarse = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        path = photographs / f"{number:03}.jpg"
        cv2.imwrite(os.fspath(path), cv2.resize(coarse, (4000, 3000)))
        shutil.copy(path, copies / f"photograph {number:03}.jpg")


def memory_of(process: int) -> tuple[float, float]:
    """Resident memory now and at its peak, MB."""
    text = Path(f"/proc/{process}/status").read_text("ascii")
    return tuple(  # type: ignore[return-value]
        int(re.findall(rf"{name}:\s+(\d+)", text)[0]) / 1000 for name in ("VmRSS", "VmHWM")
    )


def visit(browser: Any, url: str) -> dict[str, list[tuple[float, float]]]:
    """Look through pages and pairs."""
    seen: dict[str, list[tuple[float, float]]] = {"opened": [], "page": [], "pair": []}
    for _ in range(ROUNDS):
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.add_init_script(NOTE_READY)
        page = context.new_page()
        started = 1000 * time.time()
        page.goto(url)
        page.wait_for_selector(READY)
        there = page.evaluate("() => readyAt") - started
        page.evaluate(TIMED, ["", "article"])
        seen["opened"].append((there, 1000 * time.time() - started))
        context.close()
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(url)
    page.wait_for_selector(READY)
    seen["page"] = [page.evaluate(TIMED, ["PageDown", "article"]) for _ in range(ROUNDS)]
    page.locator("article button.look").first.click()
    page.evaluate(TIMED, ["", "#stage"])
    seen["pair"] = [page.evaluate(TIMED, ["n", "#stage"]) for _ in range(ROUNDS)]
    page.close()
    return seen


def measure(store: Path) -> list[list[str]]:
    """Start a review, look through it, and give the rows of the table."""
    command = [*DEDUP, "review", "-s", os.fspath(store), "--no-browser", "--tier", "exact"]
    started = time.perf_counter()
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = server.stdout.readline().strip() if server.stdout else ""
        answers = time.perf_counter() - started
        with sync_playwright() as playwright:
            own = shutil.which("chromium") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(executable_path=own, chromium_sandbox=False)
            page = browser.new_page()
            page.goto(url)
            page.wait_for_selector(READY, timeout=600_000)
            listed = time.perf_counter() - started
            page.close()
            idle, _ = memory_of(server.pid)
            seen = visit(browser, url)
            browser.close()
        used, peak = memory_of(server.pid)
    finally:
        server.terminate()
        server.wait()
    rows = [
        ["answers, after its start", f"{answers:.1f} s", ""],
        ["groups listed, after its start", f"{listed:.1f} s", ""],
    ]
    names = {"opened": "page opened", "page": "next page", "pair": "next pair, compared"}
    for key, values in seen.items():
        there, whole = zip(*values, strict=True)
        middle = f"{statistics.median(there):.0f} ms", f"{statistics.median(whole):.0f} ms"
        rows.append([names[key], *middle])
    rows.append(["memory of the server: groups listed", f"{idle:.0f} MB", ""])
    rows.append(
        ["memory of the server: after all this, at its peak", f"{used:.0f} MB", f"{peak:.0f} MB"]
    )
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--groups", type=int, default=10_000)
    parser.add_argument("--at", type=Path, help="a folder to keep images and collection in")
    add_json_option(parser)
    options = parser.parse_args()
    print(describe() + "\n")
    with tempfile.TemporaryDirectory() as place:
        at = options.at or Path(place)
        if not (at / "store").exists():
            at.mkdir(parents=True, exist_ok=True)
            make_images(at / "images", options.images, options.groups)
            command = [*DEDUP, "index", os.fspath(at / "images"), "-s", os.fspath(at / "store")]
            subprocess.run([*command, "--views", "content"], check=True, capture_output=True)
        rows = measure(at / "store")
    columns = [f"{options.images:,} images, {options.groups:,} groups", "there", "images in sight"]
    print("| " + " | ".join(columns) + " |\n|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    if options.json:
        record("speed", "review", "Review", columns, rows, statistic=f"median of {ROUNDS}")


if __name__ == "__main__":
    main()
