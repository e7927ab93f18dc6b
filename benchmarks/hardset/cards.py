"""Cards, papers and codes of one kind that belong to different people or things."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageDraw

from hardset.files import fitted
from hardset.ink import (
    INK,
    NAMES,
    TOWNS,
    colour,
    digits,
    lines,
    logo,
    one_of,
    one_other,
    paper,
    portrait,
    scene,
    sentence,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hardset.files import Pixels, Rng


def trading_card(body: Rng, own: Rng, art: Pixels | None = None) -> Image.Image:
    """Draw a card of a series; its art and figures are its own."""
    card = paper(750, 1050, (20, 20, 24))
    pen, edge, field = ImageDraw.Draw(card), colour(body), colour(body, 190, 245)
    pen.rounded_rectangle((25, 25, 725, 1025), 30, edge)
    pen.rounded_rectangle((50, 50, 700, 1000), 20, field)
    write(card, (75, 68), f"{one_of(own, TOWNS)} {sentence(own, 1)}", 34)
    art = scene(own, 600, 430) if art is None else fitted(art, 600, 430)
    card.paste(Image.fromarray(art), (75, 125))
    pen.rectangle((75, 125, 675, 555), outline=edge, width=5)
    write(card, (75, 575), f"{sentence(body, 2)} — series {digits(body, 2)}", 20)
    pen.rounded_rectangle((75, 610, 675, 900), 12, (250, 248, 240))
    lines(card, own, (95, 630, 655, 880), 18)
    for index in range(5):
        pen.ellipse((75 + 45 * index, 920, 110 + 45 * index, 955), edge)
    write(card, (670, 925), f"{digits(own, 2)} / {digits(own, 2)}", 34, anchor="ra")
    return card


def identity_card(body: Rng, own: Rng) -> Image.Image:
    """Draw the identity card of a person."""
    card = paper(1010, 638, colour(body, 195, 240))
    pen, line = ImageDraw.Draw(card), colour(body, 120, 200)
    for index in range(40):
        top = index * 18
        pen.arc((-200, top - 150, 1200, top + 250), 0, 180, line)
    write(card, (40, 25), f"REPUBLIC OF {one_of(body, TOWNS).upper()}", 34, (30, 40, 110))
    write(card, (40, 70), "IDENTITY CARD", 22, (30, 40, 110))
    card.paste(portrait(own, 270, 360), (40, 130))
    first, last = one_of(own, NAMES).split()
    values = (last, first, f"{own.integers(1, 29)}.{own.integers(1, 13)}.19{own.integers(50, 99)}")
    for row, (label, text) in enumerate(
        zip(("Surname", "Given names", "Date of birth"), values, strict=True)
    ):
        write(card, (350, 140 + row * 90), label, 15, (90, 90, 110))
        write(card, (350, 162 + row * 90), text, 30)
    write(card, (350, 430), f"No. {digits(own, 9)}", 28)
    logo(card, body, 800, 480, 60)
    return card


def passport(body: Rng, own: Rng) -> Image.Image:
    """Draw the page of a passport with a person's data."""
    page = paper(1250, 880, (236, 228, 214))
    pen, line = ImageDraw.Draw(page), colour(body, 180, 220)
    for index in range(0, 1250, 16):
        pen.line((index, 0, 1250 - index, 880), line)
    write(page, (60, 40), f"PASSPORT  {one_of(body, TOWNS).upper()}", 36, (110, 20, 40))
    page.paste(portrait(own, 320, 420), (60, 120))
    name = one_of(own, NAMES).upper()
    for row, text in enumerate((name, one_of(own, TOWNS), digits(own, 8), f"{digits(own, 2)} JUN")):
        write(page, (430, 130 + row * 100), sentence(body, 2), 15, (100, 90, 90))
        write(page, (430, 155 + row * 100), text, 32)
    number = digits(own, 9)
    for row, text in enumerate((f"P<XXX{name.replace(' ', '<<')}", f"{number}XXX{digits(own, 7)}")):
        write(page, (60, 690 + row * 70), text.ljust(36, "<"), 44)
    return page


def ticket(body: Rng, own: Rng) -> Image.Image:
    """Draw a ticket for one seat of a concert."""
    width = 1200
    card = paper(width, 480, colour(body, 200, 250))
    pen, dark = ImageDraw.Draw(card), colour(body, 20, 120)
    pen.rectangle((0, 0, width, 90), dark)
    write(card, (40, 22), sentence(body, 4).upper(), 40, "white")
    write(card, (40, 120), f"{one_of(body, TOWNS)} HALL   {digits(body, 2)} MAY   20:00", 30)
    card.paste(Image.fromarray(scene(body, 360, 240)), (40, 190))
    pen.line((900, 90, 900, 480), dark, 3)
    seat = f"ROW {one_of(body, list('ABCDEFGH'))}  SEAT {one_other(digits(body, 2), body, own)}"
    write(card, (430, 230), seat, 40)
    write(card, (925, 130), seat.replace("  ", "\n"), 34)
    lines(card, body, (430, 310, 880, 460), 13)
    return card


def plate(body: Rng, own: Rng) -> Image.Image:
    """Draw the back of a car; its number is its own."""
    car = Image.fromarray(scene(body, 1000, 700))
    pen, paint = ImageDraw.Draw(car), colour(body)
    pen.rounded_rectangle((60, 120, 940, 680), 80, paint)
    pen.rounded_rectangle((150, 150, 850, 330), 50, (40, 46, 56))
    for left in (90, 790):
        pen.rounded_rectangle((left, 380, left + 120, 450), 20, (190, 20, 20))
    pen.rounded_rectangle((300, 480, 700, 580), 10, "white", "black", 4)
    letters = "".join(chr(65 + int(index)) for index in own.integers(0, 26, 2))
    write(
        car,
        (500, 530),
        f"{one_of(body, list('BHKM'))} {letters} {digits(own, 4)}",
        64,
        "black",
        "mm",
    )
    return car


def code(body: Rng, own: Rng) -> Image.Image:
    """Draw a label with a QR code."""
    label = paper(800, 900)
    drawn = cv2.QRCodeEncoder.create().encode(
        f"https://example.org/{digits(own, 12)}/{digits(own, 9)}"
    )
    big = cv2.resize(np.asarray(drawn), (640, 640), interpolation=cv2.INTER_NEAREST)
    label.paste(Image.fromarray(big).convert("RGB"), (80, 60))
    write(label, (400, 740), sentence(body, 4), 26, anchor="ma")
    write(label, (400, 800), "Scan me", 40, anchor="ma")
    return label


def barcode(body: Rng, own: Rng) -> Image.Image:
    """Draw a parcel's label with bars."""
    label = paper(900, 700)
    logo(label, body, 40, 30, 70)
    lines(label, body, (40, 130, 560, 260), 16)
    pen, x = ImageDraw.Draw(label), 60
    while x < 820:
        wide, gap = (int(part) for part in own.integers(2, 10, 2))
        pen.rectangle((x, 290, x + wide, 560), "black")
        x += wide + gap + 1
    write(label, (450, 580), digits(own, 12), 34, anchor="ma")
    return label


def product(variant: str) -> Callable[[Rng, Rng], Image.Image]:
    """Draw a bottle of a brand: "colour" or "label" is its own."""

    def draw(body: Rng, own: Rng) -> Image.Image:
        shot = paper(900, 1200, (244, 244, 244))
        pen = ImageDraw.Draw(shot)
        glass = colour(own if variant == "colour" else body)
        pen.ellipse((240, 1080, 660, 1160), (205, 205, 205))
        pen.rounded_rectangle((280, 330, 620, 1120), 60, glass)
        pen.rectangle((390, 130, 510, 360), glass)
        pen.rounded_rectangle((375, 70, 525, 160), 12, (40, 40, 40))
        red, green, blue = (min(255, part + 50) for part in glass)
        pen.rounded_rectangle((300, 380, 330, 1080), 14, (red, green, blue))
        pen.rectangle((280, 520, 620, 920), (250, 246, 232))
        logo(shot, body, 295, 540, 60)
        rng = own if variant == "label" else body
        write(shot, (450, 680), sentence(rng, 2).upper(), 32, anchor="ma")
        write(shot, (450, 740), f"{rng.integers(2, 9) * 50} ml", 28, anchor="ma")
        lines(shot, body, (300, 800, 600, 900), 13, INK)
        return shot

    return draw


def with_art(rng: Rng, photos: Sequence[Pixels]) -> tuple[Pixels, Pixels]:
    """Draw two trading cards with a photograph each."""
    seed = int(rng.integers(1 << 30))
    cards = [np.asarray(trading_card(np.random.default_rng(seed), rng, photo)) for photo in photos]
    return cards[0], cards[1]
