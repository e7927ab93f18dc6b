"""Copies of one image: saved again, edited, or a part of something else. Original first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageDraw

from hardset.files import (
    File,
    Pair,
    as_photo,
    camera,
    decoded,
    fitted,
    jpeg,
    once,
    png,
    resized,
    scaled,
    webp,
)
from hardset.ink import colour, font, lines, logo, paper, scene, sentence, write
from hardset.patterns import tiled
from hardset.screens import CAPTIONS, captioned, phone
from hardset.shots import sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hardset.files import Pixels, Rng

    Draw = Callable[[Rng, Rng], Image.Image]
    Maker = Callable[[Rng, Sequence[Pixels]], Pair]
    Edit = Callable[[Pixels, Rng], Pixels]
    Save = Callable[[Pixels, Rng], File]


def _source(rng: Rng, photos: Sequence[Pixels]) -> Pixels:
    """Give the photograph, or draw what stands for one."""
    if photos:
        return photos[0]
    size = (1200, 900) if rng.random() < 0.7 else (900, 1200)
    return scene(rng, *size)


# Saved again ---------------------------------------------------------------------------------


def saved(save: Save, draw: Draw | None = None) -> Maker:
    """Save a photograph, or something drawn, once more."""

    def pair(rng: Rng, photos: Sequence[Pixels]) -> Pair:
        if draw is not None:
            first = png(once(draw, rng)) if rng.random() < 0.5 else jpeg(once(draw, rng), 95, 0)
        else:
            first = as_photo(_source(rng, photos), rng)
        return first, save(decoded(first), rng)

    return pair


def quality(low: int, high: int) -> Save:
    """Save as JPEG."""
    return lambda pixels, rng: jpeg(pixels, int(rng.integers(low, high)))


def shrunk(low: float, high: float) -> Save:
    """Resize, then save as a JPEG of a usual quality."""
    return lambda pixels, rng: jpeg(
        scaled(pixels, float(np.exp(rng.uniform(np.log(low), np.log(high))))),
        int(rng.integers(70, 95)),
    )


def messenger(pixels: Pixels, rng: Rng) -> File:
    """Save small and badly, without metadata."""
    return jpeg(scaled(pixels, rng.uniform(0.4, 0.8)), int(rng.integers(45, 75)))


def lossless(pixels: Pixels, _: Rng) -> File:
    """Save as PNG."""
    return png(pixels)


def as_webp(pixels: Pixels, rng: Rng) -> File:
    """Save as WebP."""
    return webp(pixels, int(rng.integers(50, 92)))


def sampled(pixels: Pixels, rng: Rng) -> File:
    """Save with another resolution of colour."""
    return jpeg(pixels, int(rng.integers(75, 95)), int(rng.integers(0, 3)))


def progressive(pixels: Pixels, rng: Rng) -> File:
    """Save as a progressive JPEG."""
    return jpeg(pixels, int(rng.integers(60, 92)), progressive=True)


def twice_saved(pixels: Pixels, rng: Rng) -> File:
    """Save badly, then well."""
    return jpeg(decoded(jpeg(pixels, int(rng.integers(40, 70)))), int(rng.integers(85, 96)))


def turned(pixels: Pixels, rng: Rng) -> File:
    """Store turned, with the orientation that turns it back."""
    turns, orientation = ((1, 6), (2, 3), (3, 8))[int(rng.integers(3))]
    return jpeg(np.rot90(pixels, turns), int(rng.integers(88, 96)), exif=camera(orientation))


def without_metadata(file: File) -> File:
    """Take EXIF out of a JPEG, byte by byte."""
    data, at, kept = file.data, 2, [file.data[:2]]
    while data[at + 1] != 0xDA:
        size = 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] != 0xE1:
            kept.append(data[at : at + size])
        at += size
    return File(b"".join([*kept, data[at:]]), ".jpg")


def stripped(rng: Rng, photos: Sequence[Pixels]) -> Pair:
    """Take the metadata out of a photograph."""
    first = as_photo(_source(rng, photos), rng)
    return first, without_metadata(first)


# Edited --------------------------------------------------------------------------------------


def edited(edit: Edit) -> Maker:
    """Edit a photograph, or a drawn scene, and save it as people do."""

    def pair(rng: Rng, photos: Sequence[Pixels]) -> Pair:
        source = _source(rng, photos)
        copy = edit(source, rng)
        if rng.random() < 0.3:
            copy = scaled(copy, rng.uniform(0.6, 1))
        return as_photo(source, rng), jpeg(copy, int(rng.integers(75, 95)))

    return pair


def crop(share: float) -> Edit:
    """Keep this share of the area, at a place and in a shape of chance."""

    def edit(pixels: Pixels, rng: Rng) -> Pixels:
        height, width = pixels.shape[:2]
        stretch = rng.uniform(0.85, 1.15)
        across = min(width, round(width * np.sqrt(share) * stretch))
        down = min(height, round(share * width * height / across))
        x, y = int(rng.integers(0, width - across + 1)), int(rng.integers(0, height - down + 1))
        return np.ascontiguousarray(pixels[y : y + down, x : x + across])

    return edit


def bordered(pixels: Pixels, rng: Rng) -> Pixels:
    """Add a border, wider below as often as not."""
    wide = round(max(pixels.shape) * rng.uniform(0.02, 0.1))
    below = wide * 3 if rng.random() < 0.5 else wide
    paint = ((255,) * 3, (0,) * 3, colour(rng))[int(rng.integers(3))]
    return np.asarray(
        cv2.copyMakeBorder(pixels, wide, below, wide, wide, cv2.BORDER_CONSTANT, value=paint)
    )


def caption_bar(pixels: Pixels, rng: Rng) -> Pixels:
    """Add a bar of text above or below."""
    width = pixels.shape[1]
    bar = paper(width, round(width * rng.uniform(0.1, 0.2)))
    write(bar, (width / 2, bar.height / 2), sentence(rng, 5), max(14, width // 22), anchor="mm")
    parts = [np.asarray(bar), pixels]
    return np.concatenate(parts if rng.random() < 0.5 else parts[::-1])


def meme_text(pixels: Pixels, rng: Rng) -> Pixels:
    """Set a meme's words on a clean photograph."""
    order = rng.permutation(len(CAPTIONS))
    return captioned(pixels, CAPTIONS[int(order[0])], CAPTIONS[int(order[1])])


def colours(pixels: Pixels, rng: Rng) -> Pixels:
    """Change brightness, contrast, warmth and saturation together."""
    image = pixels.astype(np.float32)
    grey = image.mean(axis=2, keepdims=True)
    image = grey + (image - grey) * rng.uniform(0.5, 1.6)
    image = (image - 128) * rng.uniform(0.75, 1.3) + 128 + rng.uniform(-25, 25)
    warmth = rng.uniform(-0.12, 0.12)
    tint = np.array([1 + warmth, 1, 1 - warmth])
    return np.asarray(np.clip(image * tint, 0, 255), np.uint8)


def greyed(pixels: Pixels, _: Rng) -> Pixels:
    """Take the colours away."""
    return np.asarray(cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB))


def tilted(pixels: Pixels, rng: Rng) -> Pixels:
    """Turn by some degrees: the corners white, or cut off."""
    height, width = pixels.shape[:2]
    angle = rng.uniform(1, 6) * float(rng.choice((-1, 1)))
    zoom = 1.0 if rng.random() < 0.5 else 1 + abs(angle) * 0.028
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, zoom)
    return np.asarray(
        cv2.warpAffine(pixels, turn, (width, height), flags=cv2.INTER_CUBIC, borderValue=(255,) * 3)
    )


def mirrored(pixels: Pixels, _: Rng) -> Pixels:
    """Swap left and right."""
    return np.ascontiguousarray(pixels[:, ::-1])


def stamped(pixels: Pixels, rng: Rng) -> Pixels:
    """Put a camera's date or a firm's sign into a corner."""
    image = Image.fromarray(pixels)
    size = max(16, image.width // 28)
    if rng.random() < 0.5:
        text = f"{rng.integers(1, 29):02} {rng.integers(1, 13):02} '{rng.integers(10, 26)}"
        write(image, (image.width * 0.95, image.height * 0.95), text, size, (255, 150, 40), "rd")
    else:
        logo(image, rng, round(image.width * 0.04), round(image.height * 0.86), image.width // 14)
    return np.asarray(image)


def watermark(pixels: Pixels, rng: Rng) -> Pixels:
    """Lay a mark over a clean photograph."""
    return tiled(pixels, f"(c) {sentence(rng, 1)}", rng.uniform(0.25, 0.55))


def stickers(pixels: Pixels, rng: Rng) -> Pixels:
    """Put smiling faces on it, on a tenth of it in sum."""
    image = Image.fromarray(pixels)
    pen, side = ImageDraw.Draw(image), round(min(image.size) * rng.uniform(0.07, 0.1))
    for _ in range(int(rng.integers(1, 4))):
        x, y = (int(rng.uniform(0.15, 0.85) * part) for part in image.size)
        pen.ellipse((x - side, y - side, x + side, y + side), (255, 205, 60), (190, 130, 0), 3)
        for way in (-1, 1):
            eye = x + way * side // 3
            pen.ellipse((eye - side // 8, y - side // 3, eye + side // 8, y), (70, 40, 0))
        pen.arc(
            (x - side // 2, y - side // 3, x + side // 2, y + side * 2 // 3),
            20,
            160,
            (70, 40, 0),
            side // 8,
        )
    return np.asarray(image)


def filtered(pixels: Pixels, rng: Rng) -> Pixels:
    """Fade, tint and darken the corners as a telephone's filters do."""
    height, width = pixels.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    dark = (1 - rng.uniform(0.1, 0.4) * (x**2 + y**2) / 2)[..., None]
    levels = np.arange(256, dtype=np.float32) / 255
    curves = [
        np.clip(levels ** rng.uniform(0.75, 1.3) * rng.uniform(0.8, 1) + rng.uniform(0, 0.1), 0, 1)
        for _ in range(3)
    ]
    toned = cv2.LUT(pixels, (np.dstack(curves) * 255).astype(np.uint8).reshape(1, 256, 3))
    return np.asarray(toned * dark, np.uint8)


def told(pixels: Pixels, rng: Rng) -> Pixels:
    """Write and stick over it as for a story."""
    image = Image.fromarray(stickers(pixels, rng))
    pen, size = ImageDraw.Draw(image), max(18, image.width // 20)
    text, y = sentence(rng, 4), round(image.height * rng.uniform(0.1, 0.8))
    left, top, right, bottom = pen.textbbox((image.width / 2, y), text, font(size), "ma")
    pen.rounded_rectangle((left - 16, top - 10, right + 16, bottom + 10), 12, "white")
    pen.text((image.width / 2, y), text, "black", font(size), "ma")
    return np.asarray(image)


def screenshot(pixels: Pixels, rng: Rng) -> Pixels:
    """Show it on a telephone."""
    return phone(pixels, rng)


def sharpened(pixels: Pixels, rng: Rng) -> Pixels:
    """Sharpen as editors do."""
    soft = cv2.GaussianBlur(pixels, (0, 0), 2)
    amount = rng.uniform(0.5, 1.2)
    return np.asarray(cv2.addWeighted(pixels, 1 + amount, soft, -amount, 0))


def blurred(pixels: Pixels, rng: Rng) -> Pixels:
    """Soften by two or three pixels."""
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), rng.uniform(1.5, 3)))


def both(first: Edit, second: Edit) -> Edit:
    """Edit twice."""
    return lambda pixels, rng: second(first(pixels, rng), rng)


# Parts ---------------------------------------------------------------------------------------


def part(make: Callable[[Rng, Pixels, Sequence[Pixels]], Pixels], others: int = 0) -> Maker:
    """Show a photograph, or a drawn scene, as part of something else.

    Parameters
    ----------
    make : by the source and other images, which are drawn where no photographs are given
    others : how many of these it takes
    """

    def pair(rng: Rng, photos: Sequence[Pixels]) -> Pair:
        source = _source(rng, photos)
        more = photos[1:] or [scene(rng, 600, 450) for _ in range(others)]
        return as_photo(source, rng), jpeg(make(rng, source, more), int(rng.integers(80, 95)))

    return pair


def passport_crop(rng: Rng, source: Pixels, _: Sequence[Pixels]) -> Pixels:
    """Cut a portrait of the usual size from a photograph."""
    height, width = source.shape[:2]
    down = round(min(height, width / 35 * 45) * rng.uniform(0.45, 0.6))
    across = down * 35 // 45
    x, y = int(rng.integers(0, width - across)), int(rng.integers(0, height - down))
    return resized(np.ascontiguousarray(source[y : y + down, x : x + across]), 413, 531)


def on_a_page(rng: Rng, source: Pixels, _: Sequence[Pixels]) -> Pixels:
    """Print it small on a page of text."""
    page = paper(1000, 1414)
    logo(page, rng, 70, 50, 60)
    wide = int(rng.integers(380, 620))
    high = min(620, wide * source.shape[0] // source.shape[1])
    top = int(rng.integers(200, 600))
    lines(page, rng, (70, 140, 930, top - 20), 15)
    page.paste(
        Image.fromarray(fitted(source, wide, high)), (int(rng.integers(70, 930 - wide)), top)
    )
    lines(page, rng, (70, top + high + 20, 930, 1360), 15)
    return np.asarray(page)


def in_a_gallery(rng: Rng, source: Pixels, others: Sequence[Pixels]) -> Pixels:
    """Show it as the large one of a gallery on a telephone, thumbnails below."""
    screen = paper(1080, 1920, (18, 18, 18))
    write(screen, (40, 30), f"{rng.integers(1, 24)}:{rng.integers(10, 60)}   Gallery", 34, "white")
    high = min(1000, 1080 * source.shape[0] // source.shape[1])
    screen.paste(Image.fromarray(fitted(source, 1080, high)), (0, 140))
    screen.paste(Image.fromarray(sheet(others, 4, 250, 10)), (8, high + 180))
    return np.asarray(screen)


def in_a_story(rng: Rng, source: Pixels, _: Sequence[Pixels]) -> Pixels:
    """Show it on its own blurred enlargement, with words."""
    back = cv2.GaussianBlur(fitted(source, 1080, 1920), (0, 0), 30)
    wide = int(rng.integers(760, 1081))
    high = min(1200, wide * source.shape[0] // source.shape[1])
    x, y = (1080 - wide) // 2, int(rng.integers(300, 1920 - 250 - high))
    back[y : y + high, x : x + wide] = fitted(source, wide, high)
    image = Image.fromarray(np.asarray(back, np.uint8))
    write(image, (540, 180), sentence(rng, 4), 52, "white", "ma")
    write(image, (540, 1760), sentence(rng, 5), 40, "white", "ma")
    return np.asarray(image)


def in_a_collage(rng: Rng, source: Pixels, others: Sequence[Pixels]) -> Pixels:
    """Lay it out with three others."""
    place = int(rng.integers(4))
    four = [*others[:place], source, *others[place:3]]
    return sheet(four, 2, 590)


def pasted(rng: Rng, source: Pixels, others: Sequence[Pixels]) -> Pixels:
    """Paste it on another."""
    back = fitted(others[0], 1200, 900)
    wide = int(rng.integers(420, 700))
    high = min(700, wide * source.shape[0] // source.shape[1])
    x, y = int(rng.integers(0, 1200 - wide)), int(rng.integers(0, 900 - high))
    back[y : y + high, x : x + wide] = fitted(source, wide, high)
    return back


def cut(share: float) -> Callable[[Rng, Pixels, Sequence[Pixels]], Pixels]:
    """Keep a small part."""
    return lambda rng, source, _: crop(share)(source, rng)
