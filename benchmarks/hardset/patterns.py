"""Smooth, repeating and noisy images, and drawn scenes that differ in one thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageDraw

from hardset.documents import letter
from hardset.files import Pair, as_photo, fitted, gif, jpeg, once, png, scaled, tiff, twice
from hardset.ink import colour, font, grain, paper, portrait, scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardset.files import Pixels, Rng


def tiling(body: Rng, own: Rng) -> Image.Image:
    """Draw a floor of tiles; which tile is where is its own."""
    side = int(body.integers(60, 100))
    kinds = [colour(body) for _ in range(4)]
    floor = paper(side * 12, side * 10)
    pen = ImageDraw.Draw(floor)
    for place in range(120):
        x, y, kind = place % 12 * side, place // 12 * side, kinds[int(own.integers(4))]
        pen.rectangle((x, y, x + side, y + side), kind, (90, 90, 90), 3)
        pen.ellipse(
            (x + side // 4, y + side // 4, x + side * 3 // 4, y + side * 3 // 4),
            outline="white",
            width=4,
        )
    return floor


def plaid(body: Rng, own: Rng) -> Image.Image:
    """Draw a checked cloth; the rhythm of its stripes is its own, not its colours."""
    back, threads = colour(body), [colour(body) for _ in range(3)]
    cloth = np.full((900, 900, 3), back, np.float32)
    for axis in range(2):
        at = 0
        while at < 900:
            wide, thread = int(own.integers(8, 60)), threads[int(own.integers(3))]
            part = (
                (slice(None), slice(at, at + wide)) if axis else (slice(at, at + wide), slice(None))
            )
            cloth[part] = cloth[part] * 0.5 + np.array(thread, np.float32) * 0.5
            at += wide + int(own.integers(10, 70))
    return Image.fromarray(grain(cloth.astype(np.uint8), own, 6))


def material(rng: Rng, _: Sequence[Pixels]) -> Pair:
    """Draw two patches of one rough material."""
    tint = np.array(colour(rng, 60, 200), np.float32)
    waves, long = rng.uniform(1, 6), float(rng.uniform(1, 8))
    patches = []
    for _index in range(2):
        noise = rng.normal(0, 1, (700, 900)).astype(np.float32)
        rough = cv2.GaussianBlur(noise, (0, 0), waves, sigmaY=waves * long)
        rough = rough / rough.std() * 24 + noise * 5
        patches.append(np.clip(tint + rough[..., None], 0, 255).astype(np.uint8))
    return as_photo(patches[0], rng), as_photo(patches[1], rng)


def radiograph(body: Rng, own: Rng) -> Image.Image:
    """Draw a chest as X-rays show it; ribs and shadows are its own."""
    side_mark = "LR"[int(body.integers(2))]
    y, x = np.mgrid[0:900, 0:800].astype(np.float32)
    film = np.full((900, 800), 165.0, np.float32)
    for side in (-1, 1):
        lung = ((x - 400 - side * 165) / 140) ** 2 + ((y - 430) / 300) ** 2
        film -= 120 * np.exp(-(lung**2))
        for rib in range(9):
            bend = own.uniform(0.0008, 0.0018)
            top = 150 + rib * 66 + own.normal(0, 8)
            film += (
                26
                * np.exp(-(((y - top - bend * (x - 400 - side * 40) ** 2) / 9) ** 2))
                * (side * (x - 400) > 0)
            )
    film += 60 * np.exp(-(((x - 400 - own.normal(0, 4)) / 45) ** 2))
    spot = own.uniform((250, 300), (550, 650))
    film += 30 * np.exp(-(((x - spot[0]) / 40) ** 2) - ((y - spot[1]) / 40) ** 2)
    soft = cv2.GaussianBlur(film, (0, 0), 4)
    grey = np.clip(soft, 0, 255).astype(np.uint8)
    image = Image.fromarray(grain(np.dstack([grey] * 3), own, 2))
    ImageDraw.Draw(image).text((30, 30), side_mark, "white", font(44))
    return image


def night(rng: Rng, _: Sequence[Pixels]) -> Pair:
    """Draw two skies full of stars."""
    skies = []
    for _index in range(2):
        sky = np.zeros((800, 1200, 3), np.uint8)
        sky[:] = (8, 10, 24)
        for x, y, size in zip(
            rng.integers(0, 1200, 500),
            rng.integers(0, 800, 500),
            rng.exponential(0.8, 500),
            strict=True,
        ):
            light = int(rng.integers(120, 255))
            cv2.circle(sky, (int(x), int(y)), int(size), (light, light, light), -1, cv2.LINE_AA)
        skies.append(grain(cv2.GaussianBlur(sky, (0, 0), 0.7).astype(np.uint8), rng, 6))
    return as_photo(skies[0], rng), as_photo(skies[1], rng)


def tiled(pixels: Pixels, words: str, strength: float = 0.6) -> Pixels:
    """Lay a mark over the whole of an image, in rows."""
    image = Image.fromarray(pixels)
    layer = Image.new("RGB", image.size, "black")
    pen = ImageDraw.Draw(layer)
    for row, y in enumerate(range(0, image.height, 90)):
        for x in range(-(row % 2) * 110, image.width, 230):
            pen.text((x, y), words, "white", font(32))
    mask = np.asarray(layer)[..., :1].astype(np.float32) / 255 * strength
    return np.asarray(pixels * (1 - mask) + 255 * mask, np.uint8)


def smooth_marked(rng: Rng, _: Sequence[Pixels]) -> Pair:
    """Draw two smooth images under one tiled mark."""
    y, x = np.mgrid[0:700, 0:950].astype(np.float32)
    shots = []
    for _index in range(2):
        waves = [
            128
            + 60 * np.sin(x / rng.uniform(150, 500) + rng.uniform(0, 6))
            + 50 * np.cos(y / rng.uniform(150, 500))
            for _channel in range(3)
        ]
        shots.append(tiled(np.clip(np.dstack(waves), 0, 255).astype(np.uint8), "(c) example.org"))
    return as_photo(shots[0], rng), as_photo(shots[1], rng)


def differences(body: Rng, own: Rng) -> Image.Image:
    """Draw a picture puzzle; five small things are its own."""
    image = Image.fromarray(scene(body, 1000, 750))
    pen = ImageDraw.Draw(image)
    for index in range(30):
        rng = own if index < 5 else body
        x, y = (int(part) for part in body.integers(40, (960, 710)))
        side = int(body.integers(16, 34))
        shapes = (pen.ellipse, pen.rectangle)
        shapes[int(rng.integers(2))](
            (x - side, y - side, x + side, y + side), colour(rng), "black", 2
        )
    return image


def group(body: Rng, own: Rng) -> Image.Image:
    """Draw five people in a room, of whom one is another."""
    room = Image.fromarray(scene(body, 1200, 700))
    changed = int(body.integers(5))
    for seat in range(5):
        room.paste(portrait(own if seat == changed else body, 190, 250), (60 + seat * 225, 320))
    return room


def _cover(first: Pixels, more: Sequence[Pixels], rng: Rng) -> Pair:
    half = len(more) // 2
    return tiff([first, *more[:half]]), tiff(
        [scaled(first, float(rng.choice((1, 0.8)))), *more[half:]]
    )


def scans(rng: Rng, _: Sequence[Pixels]) -> Pair:
    """Draw two reports of some pages that have one cover."""
    cover = once(letter, rng)
    return _cover(cover, [*twice(letter, rng), *twice(letter, rng)], rng)


def albums(rng: Rng, photos: Sequence[Pixels]) -> Pair:
    """Give two files of three photographs with one in front."""
    return _cover(photos[0], photos[1:], rng)


def cover_alone(rng: Rng, photos: Sequence[Pixels]) -> Pair:
    """Give a file of three photographs, and the first of them alone."""
    first = as_photo(photos[0], rng)
    return tiff(list(photos)), first


def clip(rng: Rng, photos: Sequence[Pixels]) -> Pair:
    """Give an animation of three photographs, and the first of them as a still."""
    frames = [fitted(photo, 480, 360) for photo in photos]
    return gif(frames), (png(frames[0]) if rng.random() < 0.5 else jpeg(frames[0]))
