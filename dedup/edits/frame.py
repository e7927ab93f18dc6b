"""Edits that move, cut, frame or cover the image.

Each takes (H, W, 3) uint8 RGB, a strength and a seeded generator, and returns a new image,
often of another size. Letters, stickers and backgrounds are drawn here; nothing is third-party.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Colour = tuple[int, int, int]

_WORDS = [
    "when",
    "you",
    "see",
    "it",
    "Monday",
    "again",
    "sale",
    "today",
    "only",
    "best",
    "day",
    "ever",
    "call",
    "me",
    "maybe",
    "look",
    "at",
    "this",
    "happy",
    "birthday",
    "summer",
    "2019",
    "follow",
    "for",
    "more",
    "do",
    "not",
    "copy",
    "new",
    "price",
    "breaking",
    "news",
    "so",
    "true",
]
_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX)


def _colour(rng: np.random.Generator) -> Colour:
    red, green, blue = (int(value) for value in rng.integers(0, 256, 3))
    return red, green, blue


def _sized(pixels: Pixels, width: int, height: int) -> Pixels:
    shrinks = width * height < pixels.shape[0] * pixels.shape[1]
    rule = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=rule), np.uint8)


def resize(pixels: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    """Scale both sides."""
    del rng
    height, width = pixels.shape[:2]
    return _sized(pixels, max(1, round(width * factor)), max(1, round(height * factor)))


def aspect(pixels: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    """Scale the width alone."""
    del rng
    return _sized(pixels, max(1, round(pixels.shape[1] * factor)), pixels.shape[0])


def crop(pixels: Pixels, area: float, rng: np.random.Generator) -> Pixels:
    """Keep this share of the area, anywhere, at up to 15 % another aspect."""
    height, width = pixels.shape[:2]
    stretch = rng.uniform(0.87, 1.15)
    across = min(1.0, np.sqrt(area) * stretch)
    down = min(1.0, area / across)
    new_width, new_height = round(width * across), round(height * down)
    left = int(rng.integers(0, width - new_width + 1))
    top = int(rng.integers(0, height - new_height + 1))
    return pixels[top : top + new_height, left : left + new_width].copy()


def rotate(pixels: Pixels, degrees: float, rng: np.random.Generator) -> Pixels:
    """Rotate either way; corners are filled with one colour, or cut off."""
    height, width = pixels.shape[:2]
    angle = float(degrees * rng.choice((-1, 1)))
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1)
    style = rng.integers(3)
    fill = ((0, 0, 0), (255, 255, 255), (0, 0, 0))[style]
    if style == 2:  # noqa: PLR2004 -- the third style keeps the frame and grows the canvas
        cos, sin = abs(np.cos(np.radians(angle))), abs(np.sin(np.radians(angle)))
        wide, tall = round(width * cos + height * sin), round(width * sin + height * cos)
        matrix[:, 2] += (wide - width) / 2, (tall - height) / 2
        width, height = wide, tall
    turned = cv2.warpAffine(
        pixels, matrix, (width, height), flags=cv2.INTER_CUBIC, borderValue=fill
    )
    return np.asarray(turned, np.uint8)


def turn(pixels: Pixels, degrees: float, rng: np.random.Generator) -> Pixels:
    """Rotate by 90, 180 or 270 degrees counter-clockwise."""
    del rng
    return np.rot90(pixels, round(degrees / 90)).copy()


def mirror(pixels: Pixels, axis: float, rng: np.random.Generator) -> Pixels:
    """Exchange left and right (1) or top and bottom (0)."""
    del rng
    return np.flip(pixels, axis=int(axis)).copy()


def perspective(pixels: Pixels, pull: float, rng: np.random.Generator) -> Pixels:
    """Pull every corner inwards by up to this share of the sides and keep the quadrilateral."""
    height, width = pixels.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    inwards = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]], np.float32)
    moved = corners + inwards * rng.uniform(0, pull, (4, 2)) * (width, height)
    matrix = cv2.getPerspectiveTransform(moved.astype(np.float32), corners)
    return np.asarray(cv2.warpPerspective(pixels, matrix, (width, height), flags=cv2.INTER_CUBIC))


def _sentence(rng: np.random.Generator, words: int) -> str:
    return " ".join(rng.choice(_WORDS, words))


def _lines(
    canvas: Pixels, box: tuple[int, int, int, int], rng: np.random.Generator, ink: Colour
) -> None:
    """Fill the box (left, top, width, height) with one to three lines of words."""
    left, top, width, height = box
    count = int(rng.integers(1, 4))
    font = _FONTS[rng.integers(len(_FONTS))]
    pitch = height / count
    outline = (0, 0, 0) if sum(ink) > 380 else (255, 255, 255)  # noqa: PLR2004 -- mid grey, three times
    outlined = bool(rng.integers(2))
    for line in range(count):
        words = _sentence(rng, int(rng.integers(2, 6)))
        (wide, tall), _ = cv2.getTextSize(words, font, 1, 2)
        scale = min(width / max(1, wide), 0.7 * pitch / max(1, tall))
        thickness = max(1, round(2.2 * scale))
        origin = (round(left + (width - wide * scale) / 2), round(top + (line + 0.8) * pitch))
        if outlined:
            cv2.putText(canvas, words, origin, font, scale, outline, 3 * thickness, cv2.LINE_AA)
        cv2.putText(canvas, words, origin, font, scale, ink, thickness, cv2.LINE_AA)


def text(pixels: Pixels, area: float, rng: np.random.Generator) -> Pixels:
    """Write on the image; the lines' box takes this share of the area."""
    canvas = pixels.copy()
    height, width = pixels.shape[:2]
    across = rng.uniform(0.6, 0.95)
    tall = max(8, round(height * area / across))
    left = int(rng.uniform(0, 1 - across) * width)
    top = int(rng.uniform(0, max(1, height - tall)))
    ink = ((255, 255, 255), (0, 0, 0), (255, 220, 0), _colour(rng))[rng.integers(4)]
    _lines(canvas, (left, top, round(across * width), tall), rng, ink)
    return canvas


def sticker(pixels: Pixels, area: float, rng: np.random.Generator) -> Pixels:
    """Put one to three faces, hearts, stars or arrows on the image, this share in all."""
    canvas = pixels.copy()
    height, width = pixels.shape[:2]
    count = int(rng.integers(1, 4))
    radius = max(4, round(np.sqrt(area * height * width / count / np.pi)))
    for _ in range(count):
        centre = (
            int(rng.integers(radius, max(radius + 1, width - radius))),
            int(rng.integers(radius, max(radius + 1, height - radius))),
        )
        (_face, _heart, _star, _badge)[rng.integers(4)](canvas, centre, radius, rng)
    return canvas


def _face(canvas: Pixels, centre: tuple[int, int], radius: int, rng: np.random.Generator) -> None:
    x, y = centre
    dark = (60, 40, 10)
    cv2.circle(canvas, centre, radius, (255, int(rng.integers(180, 230)), 40), -1, cv2.LINE_AA)
    for side in (-1, 1):
        eye = (x + side * radius * 2 // 5, y - radius // 4)
        cv2.circle(canvas, eye, max(1, radius // 7), dark, -1, cv2.LINE_AA)
    mouth = (radius // 2, radius * 2 // 5)
    cv2.ellipse(canvas, (x, y + radius // 6), mouth, 0, 10, 170, dark, max(1, radius // 10))


def _heart(canvas: Pixels, centre: tuple[int, int], radius: int, rng: np.random.Generator) -> None:
    t = np.linspace(0, 2 * np.pi, 60)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    outline = np.stack([x, y], 1) / 17 * radius + centre
    cv2.fillPoly(canvas, [outline.astype(np.int32)], (int(rng.integers(200, 256)), 30, 60))


def _star(canvas: Pixels, centre: tuple[int, int], radius: int, rng: np.random.Generator) -> None:
    angle = np.arange(10) * np.pi / 5 + rng.uniform(0, 1)
    reach = radius * np.where(np.arange(10) % 2, 0.45, 1)
    outline = np.stack([np.cos(angle), np.sin(angle)], 1) * reach[:, None] + centre
    cv2.fillPoly(canvas, [outline.astype(np.int32)], _colour(rng))


def _badge(canvas: Pixels, centre: tuple[int, int], radius: int, rng: np.random.Generator) -> None:
    cv2.circle(canvas, centre, radius, _colour(rng), -1, cv2.LINE_AA)
    cv2.circle(canvas, centre, radius * 4 // 5, (255, 255, 255), max(1, radius // 12), cv2.LINE_AA)
    box = (centre[0] - radius * 3 // 5, centre[1] - radius // 3, radius * 6 // 5, radius * 2 // 3)
    _lines(canvas, box, rng, (255, 255, 255))


def watermark(pixels: Pixels, opacity: float, rng: np.random.Generator) -> Pixels:
    """Lay a half-transparent word over the image, once or tiled."""
    height, width = pixels.shape[:2]
    sheet = np.zeros((height, width, 3), np.uint8)
    tiles = int(rng.integers(1, 4))
    for row in range(tiles):
        for column in range(tiles):
            box = (column * width // tiles, row * height // tiles, width // tiles, height // tiles)
            word = str(rng.choice(("SAMPLE", "PREVIEW", "(c) photo", "DRAFT")))
            (wide, tall), _ = cv2.getTextSize(word, _FONTS[1], 1, 2)
            scale = 0.85 * box[2] / wide
            place = (box[0] + box[2] // 14, box[1] + round((box[3] + tall * scale) / 2))
            thickness = max(1, round(2.5 * scale))
            cv2.putText(sheet, word, place, _FONTS[1], scale, (255,) * 3, thickness, cv2.LINE_AA)
    alpha = opacity * sheet.astype(np.float32) / 255
    ink = 255.0 * float(rng.integers(2))
    return np.rint(pixels * (1 - alpha) + ink * alpha).astype(np.uint8)


def border(pixels: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    """Frame the image on four sides, on two, or as a square; width as a share of the sides."""
    height, width = pixels.shape[:2]
    down, across = max(1, round(share * height)), max(1, round(share * width))
    down, across = ((down, across), (down, 0), (0, across))[rng.integers(3)]
    colour = ((0, 0, 0), (255, 255, 255), _colour(rng))[rng.integers(3)]
    framed = cv2.copyMakeBorder(
        pixels, down, down, across, across, cv2.BORDER_CONSTANT, value=colour
    )
    return np.asarray(framed, np.uint8)


def caption(pixels: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    """Add a bar with words above or below; its height as a share of the image's."""
    height, width = pixels.shape[:2]
    light = bool(rng.integers(2))
    bar = np.full((max(12, round(share * height)), width, 3), 255 if light else 0, np.uint8)
    margin = width // 25
    ink = (0, 0, 0) if light else (255, 255, 255)
    _lines(bar, (margin, 0, width - 2 * margin, bar.shape[0]), rng, ink)
    return np.concatenate((bar, pixels) if rng.integers(2) else (pixels, bar))


def screenshot(pixels: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    """Show the image in an app's window; it takes about this share of the window's area."""
    height, width = pixels.shape[:2]
    light = bool(rng.integers(2))
    ground, ink = ((245, 245, 247), (40, 40, 40)) if light else ((24, 24, 26), (230, 230, 230))
    margin = round(width * rng.uniform(0, 0.04))
    total = round(height * width / share / (width + 2 * margin))
    above = max(20, round((total - height) * rng.uniform(0.25, 0.6)))
    below = max(20, total - height - above)
    canvas = np.empty((above + height + below, width + 2 * margin, 3), np.uint8)
    canvas[:] = ground
    bar = max(10, min(above // 2, round(0.05 * height)))
    cv2.rectangle(canvas, (0, 0), (canvas.shape[1], bar), _colour(rng), -1)
    _lines(canvas, (4, 0, canvas.shape[1] // 3, bar), rng, (255, 255, 255))
    for icon in range(3):
        place = (canvas.shape[1] - bar * (icon + 1), bar // 2)
        cv2.circle(canvas, place, bar // 3, (255, 255, 255), -1, cv2.LINE_AA)
    _lines(canvas, (margin + 4, bar, width * 2 // 3, above - bar), rng, ink)
    canvas[above : above + height, margin : margin + width] = pixels
    row = above + height
    _lines(canvas, (margin + 4, row, width // 2, below), rng, ink)
    cv2.circle(canvas, (canvas.shape[1] * 4 // 5, row + below // 2), below // 4, _colour(rng), -1)
    return canvas


def pasted(pixels: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    """Paste into a larger image; the sides become this share of the larger one's."""
    height, width = pixels.shape[:2]
    tall, wide = round(height / share), round(width / share)
    if rng.integers(3):
        canvas = scene(tall, wide, rng)
    else:
        large = _sized(pixels, wide, tall)
        canvas = np.asarray(cv2.GaussianBlur(large, (0, 0), max(tall, wide) / 40), np.uint8)
    top, left = int(rng.integers(0, tall - height + 1)), int(rng.integers(0, wide - width + 1))
    canvas[top : top + height, left : left + width] = pixels
    return resize(canvas, 0.75, rng)


def scene(height: int, width: int, rng: np.random.Generator) -> Pixels:
    """Draw clouds of several sizes and shapes over them: texture at every scale."""
    canvas = np.zeros((height, width, 3), np.float32)
    for cells in (3, 8, 24, 72):
        coarse = rng.normal(0, 1, (cells, cells, 3)).astype(np.float32)
        clouds = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        canvas += np.asarray(clouds, np.float32) * 36 * (3 / cells) ** 0.35
    image = np.clip(canvas + rng.uniform(70, 180, 3), 0, 255).astype(np.uint8)
    size = min(height, width)
    for _ in range(40):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(rng.integers(2, max(3, size // 8))), int(rng.integers(2, max(3, size // 8))))
        angle = float(rng.uniform(0, 180))
        if rng.integers(2):
            cv2.ellipse(image, centre, axes, angle, 0, 360, _colour(rng), -1, cv2.LINE_AA)
        else:
            corners = cv2.boxPoints((centre, (float(2 * axes[0]), float(2 * axes[1])), angle))
            cv2.fillPoly(image, [corners.astype(np.int32)], _colour(rng), cv2.LINE_AA)
    return image
