"""Screens and slides of one program or deck that say different things."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from hardset.files import fitted
from hardset.ink import (
    NAMES,
    colour,
    digits,
    font,
    lines,
    logo,
    one_of,
    paper,
    scene,
    sentence,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardset.files import Pixels, Rng

_CAPTIONS = (
    "WHEN THE BUILD FINALLY PASSES|MONDAY MORNING NO COFFEE|"
    "THE LAST TRAIN LEAVES AT NINE|NOBODY TOLD ME ABOUT THIS|ONE DOES NOT SIMPLY STOP|"
    "I WILL DO IT TOMORROW|THEY SAID IT WAS EASY|AND THEN IT RAINED AGAIN|"
    "FIVE MINUTES BEFORE LUNCH"
)
CAPTIONS = _CAPTIONS.split("|")


def chat(body: Rng, own: Rng) -> Image.Image:
    """Draw a conversation on a telephone; the last two messages are its own."""
    screen = paper(828, 1600, (236, 229, 221))
    pen, bar = ImageDraw.Draw(screen), colour(body, 0, 140)
    pen.rectangle((0, 0, 828, 150), bar)
    write(screen, (30, 15), f"{body.integers(1, 24)}:{body.integers(10, 60)}", 24, "white")
    pen.ellipse((40, 60, 115, 135), colour(body))
    write(screen, (140, 75), one_of(body, NAMES), 32, "white")
    y = 190
    for index in range(11):
        rng = own if index >= 9 else body
        left = 40 if body.random() < 0.5 else 300
        pen.rounded_rectangle(
            (left, y, left + 480, y + 96), 18, "white" if left == 40 else (220, 248, 198)
        )
        write(screen, (left + 20, y + 14), sentence(rng, 6)[:34], 24)
        write(screen, (left + 20, y + 50), sentence(rng, 5)[:34], 24)
        y += 115
    pen.rounded_rectangle((30, 1500, 700, 1570), 34, "white")
    write(screen, (60, 1520), "Message", 26, (150, 150, 150))
    pen.ellipse((730, 1500, 800, 1570), bar)
    return screen


def alert(body: Rng, own: Rng) -> Image.Image:
    """Draw a program's window with a message that is its own."""
    screen = paper(1280, 800, (240, 240, 240))
    pen, bar = ImageDraw.Draw(screen), colour(body, 20, 160)
    pen.rectangle((0, 0, 1280, 44), bar)
    write(screen, (16, 12), sentence(body, 4).title(), 18, "white")
    pen.rectangle((0, 44, 240, 800), (250, 250, 250))
    for row in range(16):
        write(screen, (24, 70 + row * 42), sentence(body, 2), 16)
    lines(screen, body, (270, 80, 1240, 760), 14)
    pen.rounded_rectangle((420, 290, 900, 500), 14, "white", (120, 120, 120), 2)
    write(screen, (450, 320), f"Error {digits(own, 4)}", 24)
    write(screen, (450, 370), sentence(own, 7)[:46], 16)
    write(screen, (450, 396), sentence(own, 7)[:46], 16)
    pen.rounded_rectangle((760, 440, 870, 480), 8, bar)
    write(screen, (815, 460), "OK", 18, "white", "mm")
    return screen


def article(body: Rng, own: Rng) -> Image.Image:
    """Draw the page of a newspaper's site; article and illustration are its own."""
    screen = paper(1200, 1300)
    pen = ImageDraw.Draw(screen)
    pen.rectangle((0, 0, 1200, 60), (222, 225, 230))
    pen.rounded_rectangle((160, 14, 900, 46), 16, "white")
    write(screen, (180, 22), f"example.org/{digits(own, 6)}", 15)
    logo(screen, body, 60, 90, 60)
    for index in range(7):
        write(screen, (60 + index * 150, 180), sentence(body, 1).title(), 20)
    pen.line((60, 220, 1140, 220), (0, 0, 0), 2)
    write(screen, (60, 250), sentence(own, 6).capitalize(), 36)
    screen.paste(Image.fromarray(scene(own, 720, 400)), (60, 320))
    lines(screen, own, (60, 750, 780, 1270), 16)
    lines(screen, body, (830, 320, 1140, 1270), 14, (90, 90, 90))
    return screen


def settings(body: Rng, own: Rng) -> Image.Image:
    """Draw a list of switches of which one is set otherwise."""
    screen = paper(828, 1400, (242, 242, 247))
    pen, changed = ImageDraw.Draw(screen), int(body.integers(14))
    write(screen, (40, 40), "Settings", 48)
    for row in range(14):
        y = 130 + row * 88
        pen.rectangle((0, y, 828, y + 86), "white")
        write(screen, (50, y + 28), sentence(body, 3), 26)
        on = (own if row == changed else body).random() < 0.5
        pen.rounded_rectangle(
            (690, y + 20, 780, y + 66), 23, (52, 199, 89) if on else (220, 220, 224)
        )
        left = 735 if on else 693
        pen.ellipse((left, y + 23, left + 40, y + 63), "white")
    return screen


def keyboard(body: Rng, own: Rng) -> Image.Image:
    """Draw a keyboard; what is on its keys is its own."""
    shot = paper(1300, 520, colour(body, 30, 80))
    pen, key = ImageDraw.Draw(shot), colour(body, 200, 250)
    letters = [chr(int(each)) for each in own.permutation(np.arange(65, 91))] + list(
        "1234567890+-*/=;,."
    )
    for row in range(4):
        for column in range(11):
            x, y = 40 + column * 111 + row * 12, 40 + row * 112
            pen.rounded_rectangle((x, y, x + 98, y + 98), 14, key, (90, 90, 90), 3)
            write(shot, (x + 22, y + 18), letters[row * 11 + column], 36)
    return shot


def _slide(body: Rng) -> tuple[Image.Image, ImageDraw.ImageDraw, tuple[int, int, int]]:
    slide, paint = paper(1280, 720), colour(body, 10, 150)
    pen = ImageDraw.Draw(slide)
    pen.rectangle((0, 0, 1280, 100), paint)
    pen.rectangle((0, 690, 1280, 720), paint)
    for index in range(6):
        x = 900 + index * 70
        pen.polygon(((x, 0), (x + 40, 0), (x - 20, 100), (x - 60, 100)), colour(body))
    logo(slide, body, 1000, 610, 50)
    return slide, pen, paint


def slide(body: Rng, own: Rng) -> Image.Image:
    """Draw a slide of a deck; title and points are its own."""
    page, pen, paint = _slide(body)
    write(page, (50, 28), sentence(own, 4).title(), 40, "white")
    for row in range(int(own.integers(4, 7))):
        pen.ellipse((70, 168 + row * 75, 86, 184 + row * 75), paint)
        write(page, (110, 155 + row * 75), sentence(own, 7), 28)
    write(page, (40, 694), f"{sentence(body, 5)}   {digits(own, 2)}", 16, "white")
    return page


def shown(rng: Rng, photos: Sequence[Pixels]) -> tuple[Pixels, Pixels]:
    """Draw two slides of a deck, a photograph and a title of its own on each."""
    seed, slides = int(rng.integers(1 << 30)), []
    for photo in photos:
        page, _, _ = _slide(np.random.default_rng(seed))
        write(page, (50, 28), sentence(rng, 4).title(), 40, "white")
        page.paste(Image.fromarray(fitted(photo, 800, 480)), (100, 140))
        slides.append(np.asarray(page))
    return slides[0], slides[1]


def captioned(pixels: Pixels, above: str, below: str) -> Pixels:
    """Set a meme's two lines."""
    image = Image.fromarray(pixels)
    pen, (width, height) = ImageDraw.Draw(image), image.size
    size = max(18, width // 18)
    for text, y, anchor in ((above, height // 40, "ma"), (below, height - height // 40, "md")):
        pen.text(
            (width / 2, y),
            text,
            "white",
            font(size),
            anchor,
            stroke_width=max(2, size // 14),
            stroke_fill="black",
        )
    return np.asarray(image)


def meme(body: Rng, own: Rng) -> Image.Image:
    """Draw a meme; its words are its own."""
    return Image.fromarray(captioned(scene(body, 900, 700), *_two(own)))


def memes(rng: Rng, photos: Sequence[Pixels]) -> tuple[Pixels, Pixels]:
    """Set other words on the same photograph."""
    order = rng.permutation(len(CAPTIONS))
    said = [CAPTIONS[int(index)] for index in order[:4]]
    return captioned(photos[0], said[0], said[1]), captioned(photos[0], said[2], said[3])


def _two(rng: Rng) -> tuple[str, str]:
    order = rng.permutation(len(CAPTIONS))
    return CAPTIONS[int(order[0])], CAPTIONS[int(order[1])]


def phone(inside: Pixels, rng: Rng, *, story: bool = False) -> Pixels:
    """Show an image on a telephone's screen, over the whole width."""
    screen = paper(1080, 2160, (14, 14, 16))
    pen, height = ImageDraw.Draw(screen), round(inside.shape[0] * 1080 / inside.shape[1])
    pixels = Image.fromarray(inside).resize((1080, min(height, 1500)), Image.Resampling.LANCZOS)
    screen.paste(pixels, (0, (2160 - pixels.height) // 2))
    write(screen, (50, 30), f"{rng.integers(1, 24)}:{rng.integers(10, 60)}", 34, "white")
    pen.rounded_rectangle((960, 34, 1030, 66), 8, outline="white", width=3)
    write(screen, (120, 130), one_of(rng, NAMES), 36, "white")
    if story:
        pen.line((30, 100, 1050, 100), (210, 210, 210), 6)
        pen.rounded_rectangle((40, 2010, 860, 2110), 50, outline="white", width=3)
        write(screen, (90, 2040), "Send message", 34, "white")
        return np.asarray(screen)
    for index in range(5):
        x = 110 + index * 215
        pen.ellipse((x - 30, 2030, x + 30, 2090), outline="white", width=5)
    return np.asarray(screen)


def phones(rng: Rng, photos: Sequence[Pixels]) -> tuple[Pixels, Pixels]:
    """Show two photographs in one app."""
    seed = int(rng.integers(1 << 30))
    one, two = (phone(fitted(each, 1080, 1080), np.random.default_rng(seed)) for each in photos)
    return one, two
