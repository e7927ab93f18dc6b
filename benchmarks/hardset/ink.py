"""What drawn pages are made of: letters, words, logos, faces, scenes."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dedup.edits.catalogue import drawn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardset.files import Pixels, Rng

    Colour = tuple[int, int, int]

T = TypeVar("T")

_WORDS = (
    "the of and to in a for is that on with as by at from this be are it which or an "
    "have not was report invoice period service amount please contact delivery "
    "agreement office account quarter number customer street balance payment within "
    "project meeting result figure summary between national water market energy school "
    "council because during several through company general north letter page order "
    "return price value public system under member change history small"
)
WORDS = _WORDS.split()
_NAMES = "Anna Berg|Tom Weller|Ines Costa|Jan Novak|Mary Hope|Luis Prado|Eva Lind|Omar Said"
NAMES = _NAMES.split("|")
_TOWNS = "Linden Harbour Elmstead Norwick Castell Brandon Ashford Milton Kerrin Solvay"
TOWNS = _TOWNS.split()
INK = (25, 25, 30)


@lru_cache(64)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Give the font that Pillow brings, this many pixels high."""
    return ImageFont.load_default(size)


def paper(width: int, height: int, colour: str | Colour = "white") -> Image.Image:
    """Give an empty page."""
    return Image.new("RGB", (width, height), colour)


def one_of(rng: Rng, among: Sequence[T]) -> T:
    """Choose by chance."""
    return among[int(rng.integers(len(among)))]


def colour(rng: Rng, low: int = 30, high: int = 220) -> Colour:
    """Draw a colour."""
    red, green, blue = rng.integers(low, high, 3)
    return int(red), int(green), int(blue)


def digits(rng: Rng, count: int) -> str:
    """Draw a number; never with a leading 0."""
    return str(rng.integers(10 ** (count - 1), 10**count))


def one_other(text: str, place: Rng, own: Rng) -> str:
    """Put another digit in the place of one: which one is shared, what it becomes is not."""
    spots = [index for index, letter in enumerate(text) if letter.isdigit()]
    spot = one_of(place, spots)
    return text[:spot] + str(own.integers(10)) + text[spot + 1 :]


def sentence(rng: Rng, words: int) -> str:
    """Draw words that mean nothing."""
    return " ".join(WORDS[index] for index in rng.integers(0, len(WORDS), words))


def write(
    image: Image.Image, place: tuple[float, float], text: str, size: int,
    fill: str | Colour = INK, anchor: str = "la",
) -> None:  # fmt: skip
    """Set a line of text."""
    ImageDraw.Draw(image).text(place, text, fill, font(size), anchor)


def lines(
    image: Image.Image, rng: Rng, box: tuple[int, int, int, int], size: int = 14,
    fill: str | Colour = INK,
) -> None:  # fmt: skip
    """Fill a box (left, top, right, bottom) with lines of text."""
    left, top, right, bottom = box
    words = max(2, round((right - left) / (size * 3.2)))
    for y in range(top, bottom - size, round(size * 1.55)):
        write(image, (left, y), sentence(rng, words), size, fill)


def logo(image: Image.Image, rng: Rng, left: int, top: int, side: int) -> None:
    """Put a firm's sign and name."""
    draw, first, second = ImageDraw.Draw(image), colour(rng), colour(rng)
    draw.rounded_rectangle((left, top, left + side, top + side), side // 6, first)
    for _ in range(3):
        x, y = rng.integers(0, side // 2, 2)
        draw.ellipse((left + x, top + y, left + x + side // 2, top + y + side // 2), second)
    name = f"{one_of(rng, TOWNS)} & Co"
    write(image, (left + side + 10, top + side // 4), name, max(12, side // 2), first)


def scene(rng: Rng, width: int, height: int) -> Pixels:
    """Draw what stands for a photograph; fine grain on top."""
    rough = drawn(max(32, height // 2), max(32, width // 2), rng)
    image = cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)
    return grain(np.asarray(image, np.uint8), rng, 3)


def grain(pixels: Pixels, rng: Rng, levels: float) -> Pixels:
    """Add a sensor's noise."""
    noise = np.empty(pixels.shape, np.int16)
    cv2.setRNGSeed(int(rng.integers(1 << 30)))
    cv2.randn(noise, np.zeros(3), np.full(3, levels))
    return np.asarray(cv2.add(pixels, noise, dtype=cv2.CV_8U), np.uint8)


def portrait(rng: Rng, width: int, height: int) -> Image.Image:
    """Draw the face of a person who is nobody: four times finer, then shrunk."""
    image = Image.new("RGB", (300, 400), colour(rng, 150, 235))
    draw = ImageDraw.Draw(image)
    red = int(rng.integers(120, 245))
    skin = (red, int(red * rng.uniform(0.7, 0.86)), int(red * rng.uniform(0.5, 0.75)))
    hair, shirt = colour(rng, 10, 150), colour(rng)
    wide, tall = int(rng.integers(75, 105)), int(rng.integers(105, 140))
    draw.ellipse((20, 330, 280, 560), shirt)
    draw.rectangle((120, 280, 180, 350), skin)
    reach = int(rng.integers(10, 45))
    draw.ellipse((150 - wide - 14, 190 - tall - reach, 150 + wide + 14, 200 + reach * 2), hair)
    draw.ellipse((150 - wide, 200 - tall, 150 + wide, 200 + tall), skin)
    apart, eyes = int(rng.integers(32, 46)), int(rng.integers(175, 195))
    for side in (-1, 1):
        x = 150 + side * apart
        draw.ellipse((x - 14, eyes - 8, x + 14, eyes + 8), "white")
        draw.ellipse((x - 6, eyes - 6, x + 6, eyes + 6), colour(rng, 10, 120))
        lift = int(rng.integers(18, 28))
        draw.line((x - 18, eyes - lift, x + 18, eyes - lift - 4), hair, int(rng.integers(3, 8)))
    nose = int(rng.integers(215, 245))
    draw.line((150, eyes + 5, 150 - int(rng.integers(6, 16)), nose, 155, nose), (90, 50, 40), 3)
    mouth = int(rng.integers(25, 48))
    draw.arc((150 - mouth, 235, 150 + mouth, 275), 10, 170, (150, 40, 50), int(rng.integers(4, 9)))
    small = image.resize((width, height), Image.Resampling.LANCZOS)
    return Image.fromarray(grain(np.asarray(small), rng, 3))


def scribble(image: Image.Image, rng: Rng, place: tuple[int, int], text: str, size: float) -> None:
    """Write by hand, each letter a little off."""
    canvas = np.array(image)
    x, y = float(place[0]), place[1]
    blue = (30, 40, int(rng.integers(120, 190)))
    for letter in text:
        spot = (int(x), int(y + rng.normal(0, 1.5)))
        scale = size * rng.uniform(0.9, 1.1)
        cv2.putText(
            canvas, letter, spot, cv2.FONT_HERSHEY_SCRIPT_COMPLEX, scale, blue, 2, cv2.LINE_AA
        )
        x += size * 19
    image.paste(Image.fromarray(canvas))
