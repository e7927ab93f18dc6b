"""Charts, calendars, clocks, boards and maps that share their frame and nothing else."""

from __future__ import annotations

import calendar
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageDraw

from hardset.files import Pair, as_page
from hardset.ink import TOWNS, colour, digits, one_of, paper, sentence, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardset.files import Pixels, Rng


def _axes(body: Rng) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    chart = paper(1100, 720)
    pen = ImageDraw.Draw(chart)
    write(chart, (550, 20), sentence(body, 4).title(), 26, anchor="ma")
    top = int(body.integers(5, 90)) * 10
    for step in range(9):
        y = 80 + step * 70
        pen.line((90, y, 1060, y), (215, 215, 215))
        write(chart, (80, y), str(top * (8 - step) // 8), 16, anchor="rm")
    for step in range(12):
        write(chart, (120 + step * 80, 655), calendar.month_abbr[step + 1], 16, anchor="ma")
    pen.rectangle((90, 80, 1060, 640), outline=(60, 60, 60))
    write(chart, (90, 690), f"Source: {sentence(body, 5)} {digits(body, 4)}", 13)
    return chart, pen


def curve(body: Rng, own: Rng) -> Image.Image:
    """Draw a line chart; its curve is its own."""
    chart, pen = _axes(body)
    paint = colour(body, 0, 200)
    walk = np.cumsum(own.normal(0, 22, 60))
    heights = np.clip(360 + walk - walk.mean(), 90, 630)
    pen.line([(100 + 16 * i, float(y)) for i, y in enumerate(heights)], paint, 3)
    return chart


def bars(body: Rng, own: Rng) -> Image.Image:
    """Draw a bar chart of which one bar is another."""
    chart, pen = _axes(body)
    paint, changed = colour(body, 0, 200), int(body.integers(12))
    for index in range(12):
        top = 640 - int((own if index == changed else body).integers(4, 54)) * 10
        pen.rectangle((105 + index * 80, top, 155 + index * 80, 640), paint)
    return chart


def pie(body: Rng, own: Rng) -> Image.Image:
    """Draw a pie chart; its slices are its own."""
    chart = paper(900, 700)
    pen = ImageDraw.Draw(chart)
    write(chart, (450, 20), sentence(body, 4).title(), 26, anchor="ma")
    parts = own.uniform(0.5, 2, 5)
    angle = 0.0
    for index, share in enumerate(parts / parts.sum()):
        paint = colour(body)
        pen.pieslice((60, 100, 580, 620), angle, angle + 360 * share, paint, "white", 3)
        pen.rectangle((640, 200 + index * 60, 665, 225 + index * 60), paint)
        write(chart, (680, 203 + index * 60), f"{sentence(body, 1)} {share:.0%}", 18)
        angle += 360 * share
    return chart


def month(body: Rng, own: Rng) -> Image.Image:
    """Draw the calendar of a month; the month is its own."""
    year, which = int(body.integers(2020, 2030)), int(own.integers(1, 13))
    sheet = paper(1000, 760)
    pen, line = ImageDraw.Draw(sheet), colour(body, 120, 200)
    write(sheet, (500, 25), f"{calendar.month_name[which]} {year}", 46, colour(body, 0, 140), "ma")
    for column, name in enumerate(calendar.day_abbr):
        write(sheet, (115 + 128 * column, 120), name, 26, anchor="ma")
    for row, week in enumerate(calendar.monthcalendar(year, which)):
        for column, day in enumerate(week):
            x, y = 50 + 128 * column, 160 + 95 * row
            pen.rectangle((x, y, x + 128, y + 95), outline=line, width=2)
            if day:
                write(sheet, (x + 64, y + 25), str(day), 36, anchor="ma")
    return sheet


def mirrored_month(rng: Rng, _: Sequence[Pixels]) -> Pair:
    """Draw two months, the other mirrored: its grid fits, nothing else does."""
    seed = int(rng.integers(1 << 30))
    one, two = (int(each) for each in rng.choice(1000, 2, replace=False))
    first, second = (
        np.asarray(month(np.random.default_rng(seed), np.random.default_rng(own)))
        for own in (one, two)
    )
    while np.array_equal(first, second):  # both drew one month
        two += 1
        second = np.asarray(month(np.random.default_rng(seed), np.random.default_rng(two)))
    return as_page(first, rng), as_page(np.ascontiguousarray(second[:, ::-1]), rng)


def clock(body: Rng, own: Rng) -> Image.Image:
    """Draw a clock; its time is its own."""
    face = paper(800, 800, colour(body, 180, 250))
    pen, dark = ImageDraw.Draw(face), colour(body, 0, 90)
    pen.ellipse((60, 60, 740, 740), "white", dark, 18)
    for hour in range(1, 13):
        turn = np.pi * hour / 6
        spot = (400 + 270 * float(np.sin(turn)), 400 - 270 * float(np.cos(turn)))
        write(face, spot, str(hour), 48, dark, "mm")
    time = int(own.integers(0, 720))
    for turn, long, wide in ((time / 720, 170, 16), (time % 60 / 60, 250, 9)):
        way = 2 * np.pi * turn
        tip = (400 + long * float(np.sin(way)), 400 - long * float(np.cos(way)))
        pen.line((400, 400, *tip), dark, wide)
    write(face, (400, 540), one_of(body, TOWNS), 24, dark, "mm")
    return face


def chess(body: Rng, own: Rng) -> Image.Image:
    """Draw a board on which one man stands elsewhere."""
    board, side = paper(860, 860), 100
    pen = ImageDraw.Draw(board)
    for place in range(64):
        x, y = 30 + place % 8 * side, 30 + place // 8 * side
        pen.rectangle(
            (x, y, x + side, y + side),
            (240, 217, 181) if (place + place // 8) % 2 else (181, 136, 99),
        )
    places = [int(place) for place in body.permutation(64)]
    men = [*places[:18], one_of(own, places[19:])]
    for number, place in enumerate(men):
        x, y = 80 + place % 8 * side, 80 + place // 8 * side
        white = number % 2 == 0
        fill, edge = ("white", "black") if white else ("black", "white")
        if number % 3:
            pen.polygon(
                ((x - 26, y + 34), (x + 26, y + 34), (x + 8, y - 10), (x - 8, y - 10)), fill, edge
            )
            pen.ellipse((x - 16, y - 38, x + 16, y - 6), fill, edge)
        else:
            pen.rectangle((x - 24, y - 26, x + 24, y + 34), fill, edge)
    return board


def _map(rng: Rng, width: int, height: int) -> Pixels:
    land = np.full((height, width, 3), (242, 239, 233), np.uint8)
    for tint in ((200, 230, 190), (170, 211, 223), (200, 230, 190)):
        spots = rng.integers(0, (width, height), (7, 2))
        middle = spots.mean(axis=0)
        cv2.fillPoly(land, [((spots - middle) * 0.5 + middle).astype(np.int32)], tint, cv2.LINE_AA)
    for kind in range(26):
        steps = np.cumsum(rng.normal(0, 130, (9, 2)), axis=0)
        points = (steps + rng.integers(0, (width, height))).astype(np.int32)
        wide = 14 if kind < 4 else 7
        paint = (249, 178, 117) if kind < 4 else (255, 255, 255)
        cv2.polylines(land, [points], False, (190, 180, 170), wide + 3, cv2.LINE_AA)
        cv2.polylines(land, [points], False, paint, wide, cv2.LINE_AA)
    image = Image.fromarray(land)
    for _ in range(22):
        spot = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        write(image, spot, f"{one_of(rng, TOWNS)} {sentence(rng, 1)}", int(rng.integers(12, 20)))
    return np.asarray(image)


def neighbouring_tiles(rng: Rng, _: Sequence[Pixels]) -> Pair:
    """Draw two parts of a map that meet."""
    whole = _map(rng, 1600, 800)
    return as_page(whole[:, :800], rng), as_page(whole[:, 800:], rng)


def pinned(body: Rng, own: Rng) -> Image.Image:
    """Draw a map with a pin elsewhere."""
    image = Image.fromarray(_map(body, 1000, 800))
    x, y = int(own.integers(80, 920)), int(own.integers(120, 760))
    pen = ImageDraw.Draw(image)
    pen.polygon(((x - 20, y - 50), (x + 20, y - 50), (x, y)), (220, 40, 40))
    pen.ellipse((x - 24, y - 84, x + 24, y - 36), (220, 40, 40), (120, 10, 10), 2)
    pen.ellipse((x - 9, y - 69, x + 9, y - 51), "white")
    return image
