"""Pages that share nearly all: invoices, sheets, tables, letters, forms, scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from hardset.files import Pair, as_page
from hardset.ink import (
    NAMES,
    TOWNS,
    digits,
    lines,
    logo,
    one_of,
    one_other,
    paper,
    scribble,
    sentence,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hardset.files import Pixels, Rng

    Draw = Callable[[Rng, Rng], Image.Image]


def invoice(field: str) -> Draw:
    """Draw an invoice of which one digit of a field is another; "number", "date" or "total"."""

    def draw(body: Rng, own: Rng) -> Image.Image:
        width = int(body.integers(900, 1300))
        page = paper(width, round(width * 1.414))
        logo(page, body, 60, 50, 70)
        texts = {
            "number": f"INV-{digits(body, 6)}",
            "date": f"{body.integers(10, 29)}.{body.integers(10, 13)}.202{body.integers(10)}",
            "total": f"{digits(body, 4)}.{digits(body, 2)}",
        }
        texts[field] = one_other(texts[field], body, own)
        write(page, (60, 170), "INVOICE", 30)
        write(page, (width - 320, 170), f"Number  {texts['number']}", 15)
        write(page, (width - 320, 195), f"Date  {texts['date']}", 15)
        lines(page, body, (60, 230, width // 2, 330))
        pen, top = ImageDraw.Draw(page), 380
        for row in range(int(body.integers(8, 16))):
            y = top + row * 32
            pen.line((60, y, width - 60, y), (180, 180, 180))
            write(page, (70, y + 8), sentence(body, 5), 14)
            write(page, (width - 250, y + 8), str(body.integers(1, 20)), 14)
            write(
                page, (width - 70, y + 8), f"{digits(body, 3)}.{digits(body, 2)}", 14, anchor="ra"
            )
            top_of_sum = y + 50
        write(page, (width - 70, top_of_sum), f"Total  {texts['total']}", 18, anchor="ra")
        lines(page, body, (60, top_of_sum + 60, width - 60, top_of_sum + 260), 12)
        return page

    return draw


def spreadsheet(body: Rng, own: Rng) -> Image.Image:
    """Draw a sheet of numbers of which one cell is another."""
    rows, columns = int(body.integers(22, 34)), int(body.integers(7, 11))
    across, down = 118, 26
    page = paper(columns * across + 60, rows * down + 90)
    pen = ImageDraw.Draw(page)
    pen.rectangle((0, 0, page.width, 60), (33, 115, 70))
    write(page, (20, 20), f"{sentence(body, 3)}.xlsx", 16, "white")
    changed = int(body.integers(1, rows)), int(body.integers(1, columns))
    for row in range(rows):
        for column in range(columns):
            x, y = 50 + column * across, 75 + row * down
            pen.rectangle((x, y, x + across, y + down), outline=(205, 205, 205))
            text = sentence(body, 2) if not row or not column else digits(body, 5)
            if (row, column) == changed:
                text = digits(own, 5)
            write(page, (x + 5, y + 6), text[:14], 13)
    return page


def table(body: Rng, own: Rng) -> Image.Image:
    """Draw a list of people of which three rows are others."""
    page = paper(1100, 1000)
    write(page, (50, 40), sentence(body, 4).title(), 24)
    pen, others = ImageDraw.Draw(page), set(map(int, body.choice(28, 3, replace=False)))
    for row in range(28):
        rng = own if row in others else body
        y = 100 + row * 30
        if row % 2:
            pen.rectangle((40, y, 1060, y + 30), (238, 242, 248))
        cells = (digits(rng, 6), one_of(rng, NAMES), one_of(rng, TOWNS), digits(rng, 4))
        for column, cell in enumerate(cells):
            write(page, (60 + column * 250, y + 7), cell, 14)
    return page


def letter(body: Rng, own: Rng) -> Image.Image:
    """Draw a letter on a firm's paper; the text is its own."""
    page = paper(1000, 1414)
    logo(page, body, 70, 60, 80)
    ImageDraw.Draw(page).line((70, 170, 930, 170), (60, 60, 120), 3)
    lines(page, own, (70, 210, 400, 300))
    lines(page, own, (70, 360, 930, 1000 + int(own.integers(0, 200))), 15)
    lines(page, body, (70, 1310, 930, 1380), 11, (110, 110, 110))
    return page


def recipient(body: Rng, own: Rng) -> Image.Image:
    """Draw a serial letter; name and account are its own."""
    page = paper(1000, 1414)
    logo(page, body, 70, 60, 80)
    write(page, (70, 230), one_of(own, NAMES), 15)
    write(page, (70, 255), f"{one_of(own, TOWNS)} {digits(own, 5)}", 15)
    write(page, (70, 330), f"Your account {digits(own, 8)}", 17)
    lines(page, body, (70, 380, 930, 1200), 15)
    return page


def form(body: Rng, own: Rng) -> Image.Image:
    """Draw a form that is filled in by hand."""
    page = paper(1000, 1300, (252, 250, 244))
    write(page, (60, 50), f"Form {digits(body, 3)}: {sentence(body, 3)}", 24)
    pen = ImageDraw.Draw(page)
    for row in range(11):
        y = 130 + row * 95
        write(page, (60, y), sentence(body, 3), 13)
        pen.rectangle((60, y + 20, 940, y + 72), outline=(90, 90, 90))
        if row % 3 != 2:
            text = f"{one_of(own, NAMES)} {digits(own, 2)}" if row % 2 else digits(own, 7)
            scribble(page, own, (80, y + 58), text, 1.0)
    lines(page, body, (60, 1190, 940, 1280), 12)
    return page


def score(body: Rng, own: Rng) -> Image.Image:
    """Draw sheet music of which one bar is another."""
    page = paper(1100, 1300)
    write(page, (550, 40), sentence(body, 3).title(), 28, anchor="ma")
    pen, changed = ImageDraw.Draw(page), (int(body.integers(8)), int(body.integers(4)))
    for staff in range(8):
        top = 130 + staff * 140
        for line in range(5):
            pen.line((60, top + line * 12, 1040, top + line * 12), (0, 0, 0))
        for bar in range(4):
            left = 60 + bar * 245
            pen.line((left, top, left, top + 48), (0, 0, 0), 2)
            rng = own if (staff, bar) == changed else body
            for note in range(5):
                x, y = left + 30 + note * 42, top + 6 * int(rng.integers(-1, 9))
                pen.ellipse(
                    (x - 8, y - 6, x + 8, y + 6), "black" if rng.random() < 0.7 else None, "black"
                )
                pen.line((x + 8, y, x + 8, y - 40), (0, 0, 0), 2)
    return page


def receipt(body: Rng, own: Rng) -> Image.Image:
    """Draw a shop's receipt; what was bought is its own."""
    page = paper(620, 1200, (250, 250, 246))
    write(page, (310, 40), f"{one_of(body, TOWNS)} MARKET", 30, anchor="ma")
    write(page, (310, 85), f"{sentence(body, 3)} {digits(body, 4)}", 14, anchor="ma")
    y, total = 140, 0
    for _ in range(int(own.integers(14, 24))):
        price = int(own.integers(80, 3000))
        write(page, (50, y), sentence(own, 2), 16)
        write(page, (570, y), f"{price / 100:.2f}", 16, anchor="ra")
        y, total = y + 30, total + price
    write(page, (570, y + 20), f"SUM {total / 100:.2f}", 24, anchor="ra")
    lines(page, body, (50, 1060, 570, 1180), 13)
    return page


def scrolled(rng: Rng, _: Sequence[Pixels]) -> Pair:
    """Show a long page in a window, and again scrolled by 30 %."""
    long = paper(1200, 2200)
    for part in range(5):
        write(long, (80, 40 + part * 430), sentence(rng, 4).title(), 26)
        lines(long, rng, (80, 100 + part * 430, 1120, 440 + part * 430), 15)
    pixels, way = np.asarray(long), round(900 * rng.uniform(0.25, 0.35))
    top = int(rng.integers(0, 900))
    views = (pixels[top : top + 900], pixels[top + way : top + way + 900])
    return as_page(views[0], rng), as_page(views[1], rng)
