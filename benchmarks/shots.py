"""Pairs that look alike and are not one photograph, made from photographs and by drawing.

Each maker takes an image (and another one), and a seeded generator, and returns two images as
a camera or a scanner might have taken them one after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.edits.catalogue import drawn, edit

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Maker = Callable[[Pixels, Pixels, np.random.Generator], tuple[Pixels, Pixels]]


def _taken(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Add a camera's noise and JPEG."""
    return edit("jpeg", 90, edit("noise", 2, pixels, rng), rng)


def _blend(under: Pixels, over: Pixels, centre: tuple[int, int], axes: tuple[int, int]) -> Pixels:
    mask = np.zeros(under.shape[:2], np.uint8)
    cv2.ellipse(mask, centre, axes, 0, 0, 360, 255, -1, cv2.LINE_AA)
    soft = cv2.GaussianBlur(mask, (0, 0), 1)[..., None] / 255
    return np.asarray(under * (1 - soft) + over * soft, np.uint8)


def _spot(shape: tuple[int, ...], share: float) -> tuple[int, int]:
    radius = np.sqrt(share * shape[0] * shape[1] / np.pi)
    return max(2, round(radius * 0.7)), max(2, round(radius / 0.7))


def moved(share: float) -> Maker:
    """Make a thing of this share of the image stand elsewhere in the second shot."""

    def make(pixels: Pixels, _: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
        height, width = pixels.shape[:2]
        axes = _spot(pixels.shape, share)
        source, first = (
            np.array([rng.uniform(0.15, 0.85) * width, rng.uniform(0.2, 0.8) * height])
            for _ in range(2)
        )
        way = rng.uniform(0.06, 0.3) * width * rng.choice((-1, 1))
        aside = np.array([way, 0.0])
        second = first + aside if 0 < first[0] + way < width else first - aside
        shots = []
        for place in (first, second):
            shift = np.round(place - source).astype(int)
            thing = np.roll(pixels, (shift[1], shift[0]), (0, 1))
            centre = (int(place[0]), int(place[1]))
            shots.append(_taken(_blend(pixels, thing, centre, axes), rng))
        return shots[0], shots[1]

    return make


def appeared(share: float) -> Maker:
    """Make something of another photograph stand in the second shot."""

    def make(pixels: Pixels, more: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
        height, width = pixels.shape[:2]
        thing = np.asarray(cv2.resize(more, (width, height)), np.uint8)
        centre = (int(rng.uniform(0.1, 0.9) * width), int(rng.uniform(0.2, 0.8) * height))
        second = _blend(pixels, thing, centre, _spot(pixels.shape, share))
        return _taken(pixels, rng), _taken(second, rng)

    return make


def parallax(pixels: Pixels, _: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Step aside: near things (a smooth depth) shift by up to 2 % of the width."""
    height, width = pixels.shape[:2]
    depth = cv2.resize(rng.uniform(0, 1, (3, 4)).astype(np.float32), (width, height))
    depth = np.asarray((depth - depth.min()) / (np.ptp(depth) + 1e-6))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    reach = float(rng.choice((-1, 1))) * rng.uniform(0.012, 0.02) * width
    second = cv2.remap(pixels, x + depth * reach, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return _taken(pixels, rng), _taken(np.asarray(second, np.uint8), rng)


def handheld(pixels: Pixels, _: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Take two shots from one spot whose frames are 5 to 10 % apart, as in a burst."""
    height, width = pixels.shape[:2]
    across, down = round(width * 0.88), round(height * 0.88)
    one = np.array([rng.uniform(0, 0.03) * width, rng.uniform(0, 0.03) * height])
    two = np.array([rng.uniform(0.09, 0.12) * width, rng.uniform(0.09, 0.12) * height])
    shots = [pixels[int(y) : int(y) + down, int(x) : int(x) + across] for x, y in (one, two)]
    return _taken(shots[0], rng), _taken(shots[1], rng)


_VERBS = ("states", "holds", "agrees", "pays", "delivers", "signs", "keeps", "returns", "reports")
_NOUNS = ("party", "tenant", "buyer", "seller", "clerk", "council", "agent", "owner", "guest")


def _line(rng: np.random.Generator) -> str:
    words = [str(rng.choice(_NOUNS if index % 2 else _VERBS)) for index in range(6)]
    return " ".join(words) + f" {rng.integers(10, 9999)}"


def page(rng: np.random.Generator, body: np.random.Generator, changed: int = 0) -> Pixels:
    """Draw a page with a letterhead; `rng` writes the last `changed` lines, `body` the rest."""
    paper = np.full((560, 400, 3), 250, np.uint8)
    cv2.rectangle(paper, (20, 16), (120, 46), (30, 60, 140), -1)
    cv2.putText(paper, "ACME Ltd", (26, 38), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255,) * 3, 1)
    cv2.line(paper, (20, 56), (380, 56), (30, 60, 140), 2)
    total = 24
    for index in range(total):
        words = _line(rng if index >= total - changed else body)
        place = (24, 80 + 19 * index)
        cv2.putText(paper, words, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (20,) * 3, 1, cv2.LINE_AA)
    return paper


def document(lines: int) -> Maker:
    """Draw two pages of one template that differ in this many lines."""

    def make(_: Pixels, __: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
        seed = int(rng.integers(1 << 30))
        first = page(rng, np.random.default_rng(seed), lines)
        return first, page(rng, np.random.default_rng(seed), lines)

    return make


def app(pixels: Pixels, more: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Show two images in the same window of the same app."""
    seed = int(rng.integers(1 << 30))
    more = np.asarray(cv2.resize(more, pixels.shape[1::-1], interpolation=cv2.INTER_AREA), np.uint8)
    windows = [
        edit("screenshot", 0.6, shown, np.random.default_rng(seed)) for shown in (pixels, more)
    ]
    return windows[0], windows[1]


def logo(pixels: Pixels, more: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Put the same drawn badge, a quarter of the side, on two images."""
    side = max(24, min(*pixels.shape[:2], *more.shape[:2]) // 3)
    badge = drawn(side, side, rng)
    shots = []
    for picture in (pixels, more):
        marked = picture.copy()
        marked[8 : 8 + side, 8 : 8 + side] = badge[: marked.shape[0] - 8, : marked.shape[1] - 8]
        shots.append(marked)
    return shots[0], shots[1]


def watermark(pixels: Pixels, more: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Lay the same watermark over two images of one size."""
    seed = int(rng.integers(1 << 30))
    more = np.asarray(cv2.resize(more, pixels.shape[1::-1], interpolation=cv2.INTER_AREA), np.uint8)
    marked = [
        edit("watermark", 0.6, shown, np.random.default_rng(seed)) for shown in (pixels, more)
    ]
    return marked[0], marked[1]


SHOTS: dict[str, Maker] = {
    "moved thing, 1 %": moved(0.01),
    "moved thing, 5 %": moved(0.05),
    "new thing, 1 %": appeared(0.01),
    "new thing, 5 %": appeared(0.05),
    "parallax": parallax,
    "hand-held burst": handheld,
    "document, 1 line": document(1),
    "document, 6 lines": document(6),
    "document, all lines": document(24),
    "same app": app,
    "same badge": logo,
    "same watermark": watermark,
}
