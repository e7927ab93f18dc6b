"""Views of an image as people's copies show it, drawn at the size that the network sees.

`dedup.edits.catalogue` edits whole photographs for measuring; here millions of views are needed,
so that every view is cut and placed at its final size first, and coloured and drawn on there. The
kinds are the same ones, with strengths and combinations drawn at random.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]
    Generator = np.random.Generator

_WORDS = ("SALE", "look at this", "happy birthday", "2019", "so true", "(c) photo", "follow me")
_GREY = np.full((3, 3), 1 / 3, np.float32)
_RAMP = np.linspace(0, 1, 256, dtype=np.float32)


def clean(picture: Pixels, size: int) -> Pixels:
    """Squash the whole image to a square, as indexing does."""
    return np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def view(picture: Pixels, other: Pixels, size: int, rng: Generator) -> Pixels:
    """Draw one edited view: half of them by one kind of edit alone, the others by several.

    Parameters
    ----------
    picture : (H, W, 3) uint8 RGB
    other : what it may be pasted into
    size : both sides of the view, pixels

    Returns
    -------
    (size, size, 3) uint8 RGB
    """
    alone = int(rng.integers(5)) if rng.random() < 0.5 else None
    placed = alone in (None, 0)
    drawn = _framed(picture, other, size, rng) if placed else clean(picture, size)
    if alone == 1 or (alone is None and rng.random() < 0.35):
        drawn = _turned(drawn, rng)
    if alone == 2 or (alone is None and rng.random() < 0.3):
        drawn = _drawn_on(drawn, rng)
    if alone == 3 or (alone is None and rng.random() < 0.75):
        drawn = _coloured(drawn, rng)
    if alone == 4 or (alone is None and rng.random() < 0.4):
        drawn = _degraded(drawn, rng)
    return np.ascontiguousarray(drawn)


def _cut(picture: Pixels, rng: Generator) -> Pixels:
    """Cut a part of a quarter and more, mirror it, turn it by a right angle."""
    height, width = picture.shape[:2]
    if rng.random() < 0.6:
        area = rng.uniform(0.2, 1.0)
        stretch = np.exp(rng.uniform(-0.25, 0.25))
        across = min(1.0, np.sqrt(area) * stretch)
        down = min(1.0, area / across)
        wide, tall = max(8, round(width * across)), max(8, round(height * down))
        left = int(rng.integers(0, max(1, width - wide + 1)))
        top = int(rng.integers(0, max(1, height - tall + 1)))
        picture = picture[top : top + tall, left : left + wide]
    if rng.random() < 0.3:
        picture = np.flip(picture, int(rng.random() < 0.75))
    if rng.random() < 0.2:
        picture = np.rot90(picture, int(rng.integers(1, 4)))
    return picture


def _framed(picture: Pixels, other: Pixels, size: int, rng: Generator) -> Pixels:
    """Put the cut into the view: all of it, or within a border, bars, a window, another image."""
    part = np.ascontiguousarray(_cut(picture, rng))
    chance = rng.random()
    if chance < 0.62:
        return clean(part, size)
    if chance < 0.82:  # border on some sides, bars of a caption or a letterbox
        margins = np.where(rng.random(4) < 0.6, rng.uniform(0, 0.18, 4), 0)
        if rng.random() < 0.3:
            margins = np.array([rng.uniform(0.05, 0.3), rng.uniform(0.05, 0.3), 0, 0])
    else:  # a window of an app, or a larger image
        share = rng.uniform(0.38, 0.85)
        free = 1 - share
        down, across = rng.uniform(0, free, 2)
        margins = np.array([down, free - down, across, free - across])
    top, bottom, left, right = np.round(margins * size).astype(int)
    if chance > 0.9:
        canvas = clean(other, size)
    else:
        canvas = np.empty((size, size, 3), np.uint8)
        canvas[:] = (0, 0, 0) if rng.random() < 0.35 else _colour(rng)
        if chance > 0.75:
            _write(canvas, rng, small=True)
    wide, tall = size - left - right, size - top - bottom
    canvas[top : top + tall, left : left + wide] = cv2.resize(
        part, (wide, tall), interpolation=cv2.INTER_AREA
    )
    return canvas


def _turned(picture: Pixels, rng: Generator) -> Pixels:
    """Rotate by any angle, mostly a small one, or pull the corners; corners filled or cut off."""
    chance = rng.uniform(0, 0.35)
    size = len(picture)
    middle = (size - 1) / 2
    corners = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32)
    if chance < 0.1:
        pull = rng.uniform(0, 0.12, (4, 2)) * np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
        source = (corners + pull * size).astype(np.float32)
        matrix = cv2.getPerspectiveTransform(source, corners)
    else:
        angle = rng.normal(0, 9) if chance < 0.25 else rng.uniform(-45, 45)
        sine = abs(np.sin(np.radians(angle)))
        # From cutting nothing off to showing no corner.
        zoom = rng.choice((1.0, 1 / (1 + sine), 1 + sine))
        matrix = np.vstack([cv2.getRotationMatrix2D((middle, middle), angle, zoom), [0, 0, 1]])
    fill = ((0, 0, 0), (255, 255, 255), _colour(rng))[int(rng.integers(3))]
    return np.asarray(
        cv2.warpPerspective(
            picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderValue=fill
        ),
        np.uint8,
    )


def _colour(rng: Generator) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rng.integers(0, 256, 3))
    return red, green, blue


def _write(picture: Pixels, rng: Generator, *, small: bool) -> None:
    size = len(picture)
    for _ in range(int(rng.integers(1, 4))):
        scale = size * (rng.uniform(0.002, 0.005) if small else rng.uniform(0.004, 0.011))
        place = int(rng.integers(0, size // 2)), int(rng.integers(size // 8, size))
        ink = ((255, 255, 255), (0, 0, 0), _colour(rng))[int(rng.integers(3))]
        words = _WORDS[int(rng.integers(len(_WORDS)))]
        thick = max(1, round(3 * scale))
        cv2.putText(picture, words, place, cv2.FONT_HERSHEY_DUPLEX, scale, ink, thick, cv2.LINE_AA)


def _drawn_on(picture: Pixels, rng: Generator) -> Pixels:
    """Write on it, stick things on it, or lay a half-transparent mark over it."""
    sheet = picture.copy()
    write_on(sheet, rng)
    if rng.random() < 0.3:
        opacity = rng.uniform(0.2, 0.7)
        return np.asarray(cv2.addWeighted(sheet, opacity, picture, 1 - opacity, 0), np.uint8)
    return sheet


def write_on(sheet: Pixels, rng: Generator) -> None:
    """Write on an image, or stick things on it, in place."""
    size = len(sheet)
    chance = rng.random()
    if chance < 0.7:
        _write(sheet, rng, small=False)
    if chance > 0.5:
        for _ in range(int(rng.integers(1, 4))):
            centre = int(rng.integers(size)), int(rng.integers(size))
            axes = rng.integers(size // 16 + 1, size // 5, 2)
            if rng.random() < 0.7:
                cv2.circle(sheet, centre, int(axes[0]), _colour(rng), -1, cv2.LINE_AA)
            else:
                corner = centre[0] + int(axes[0]), centre[1] + int(axes[1])
                cv2.rectangle(sheet, centre, corner, _colour(rng), -1)


def _coloured(picture: Pixels, rng: Generator) -> Pixels:
    """Bend each channel's curve, mix the channels, darken the corners."""
    curve: npt.NDArray[np.floating] = np.repeat(_RAMP[:, None], 3, axis=1)
    if rng.random() < 0.5:
        curve = curve ** np.exp(rng.uniform(-0.8, 0.8))
    if rng.random() < 0.5:
        curve = 0.5 + (curve - 0.5) * np.exp(rng.uniform(-0.7, 0.7))
    if rng.random() < 0.5:
        curve = curve + rng.uniform(-0.25, 0.25)
    if rng.random() < 0.4:  # white balance, or a phone's filter
        curve = curve * np.exp(rng.uniform(-0.3, 0.3, 3)) + rng.uniform(-0.1, 0.1, 3)
    if rng.random() < 0.08:
        steps = float(rng.integers(2, 8))
        curve = np.rint(np.clip(curve, 0, 1) * steps) / steps
    table = np.clip(curve * 255, 0, 255).astype(np.uint8)[None]
    mixed = cv2.LUT(picture, np.ascontiguousarray(table))
    chance = rng.random()
    if chance < 0.5:
        keep = 0.0 if chance < 0.15 else float(np.exp(rng.uniform(-1, 1)))
        matrix = keep * np.eye(3, dtype=np.float32) + (1 - keep) * _GREY
        if 0.3 < chance < 0.4:  # hue: a turn around the grey axis (Rodrigues)
            turn, _ = cv2.Rodrigues(np.full(3, rng.uniform(-1.3, 1.3) / np.sqrt(3)))
            matrix = matrix @ turn.astype(np.float32)
        tint = rng.uniform(0.6, 1.1, (3, 1)).astype(np.float32) if chance < 0.05 else 1.0
        mixed = cv2.transform(mixed, matrix * tint)
    if rng.random() < 0.08:
        line = np.linspace(-1, 1, len(mixed), dtype=np.float32) ** 2
        shade = 1 - rng.uniform(0.2, 0.9) * (line[:, None] + line[None]) / 2
        mixed = (mixed * shade[..., None]).astype(np.uint8)
    return np.asarray(mixed, np.uint8)


def _degraded(picture: Pixels, rng: Generator) -> Pixels:
    """Shrink and enlarge, blur, sharpen, add noise, encode as JPEG: one or two of these."""
    size = len(picture)
    for way in rng.permutation(5)[: int(rng.integers(1, 3))]:
        if way == 0:
            small = max(12, round(size * rng.uniform(0.3, 0.9)))
            less = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
            picture = np.asarray(cv2.resize(less, (size, size)), np.uint8)
        elif way == 1:
            sigma = size * rng.uniform(0.004, 0.022)
            picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)
        elif way == 2:
            soft = cv2.GaussianBlur(picture, (0, 0), 0.8)
            amount = rng.uniform(0.5, 3)
            picture = np.asarray(cv2.addWeighted(picture, 1 + amount, soft, -amount, 0), np.uint8)
        elif way == 3:
            noise = rng.standard_normal(picture.shape, np.float32) * rng.uniform(3, 25)
            picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
        else:
            quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 90))]
            _, data = cv2.imencode(".jpg", picture, quality)
            picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return picture


def dead_leaves(size: int, rng: Generator) -> Pixels:
    """Draw discs and boxes that occlude each other, radii by a power law (Lee et al. 2001).

    Features learnt from such images alone carry over to photographs (Baradad et al. 2021).
    """
    canvas = np.empty((size, size, 3), np.uint8)
    canvas[:] = _colour(rng)
    palette = rng.integers(0, 256, (int(rng.integers(3, 12)), 3))
    least = rng.uniform(0.03, 0.15) ** -2
    radii = np.sort((rng.uniform(0, 1, 120) * (least - 4) + 4) ** -0.5 * size)[::-1]
    for radius in radii:
        tone = np.clip(palette[rng.integers(len(palette))] + rng.normal(0, 18, 3), 0, 255)
        ink = tuple(int(value) for value in tone)
        x, y = (int(value) for value in rng.integers(0, size, 2))
        if rng.random() < 0.5:
            cv2.circle(canvas, (x, y), int(radius), ink, -1, cv2.LINE_AA)
        else:
            box = ((float(x), float(y)), (2 * float(radius), float(radius)), rng.uniform(0, 180))
            cv2.fillPoly(canvas, [cv2.boxPoints(box).astype(np.int32)], ink, cv2.LINE_AA)
    if rng.random() < 0.6:  # texture on the leaves
        grain = cv2.resize(
            rng.normal(0, rng.uniform(4, 30), (size // 3, size // 3, 3)).astype(np.float32),
            (size, size),
        )
        canvas = np.clip(canvas + grain, 0, 255).astype(np.uint8)
    return canvas
