"""Photographs that are alike and are not one: other moments, places, things and templates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from hardset.files import fitted, resized, scaled
from hardset.ink import colour, grain, logo, sentence, write
from hardset.patterns import tiled

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from hardset.files import Pixels, Rng

    Shots = tuple[Pixels, Pixels]
    Floats = npt.NDArray[np.float32]


def shot(pixels: Pixels, rng: Rng) -> Pixels:
    """Add the noise of one exposure."""
    return grain(pixels, rng, 2.5)


def _blob(pixels: Pixels, rng: Rng, centre: tuple[int, int], radius: float) -> Floats:
    """Give a soft mask of an odd shape."""
    turns = np.arange(0, 2 * np.pi, 0.35)
    reach = radius * rng.uniform(0.6, 1.3, len(turns))
    points = np.column_stack([np.cos(turns), np.sin(turns)]) * reach[:, None] + centre
    mask = np.zeros(pixels.shape[:2], np.uint8)
    cv2.fillPoly(mask, [points.astype(np.int32)], 255)
    return _softened(mask, 1.5)


def _softened(mask: Pixels, sigma: float) -> Floats:
    """Make a mask of 0 and 255 one of 0 to 1 with soft edges."""
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma)[..., None] / 255, np.float32)


def _place(pixels: Pixels, rng: Rng) -> tuple[int, int]:
    height, width = pixels.shape[:2]
    return int(rng.uniform(0.2, 0.8) * width), int(rng.uniform(0.2, 0.8) * height)


def _mixed(under: Pixels, over: Pixels, mask: Floats) -> Pixels:
    return np.asarray(under * (1 - mask) + over * mask, np.uint8)


def strangers(_: Rng, photos: Sequence[Pixels]) -> Shots:
    """Take two photographs as they are."""
    return photos[0], photos[1]


def watermarked(rng: Rng, photos: Sequence[Pixels]) -> Shots:
    """Lay one mark over two photographs of one size."""
    words = f"(c) {sentence(rng, 1)}.example"
    one, two = (tiled(fitted(photo, 1000, 750), words) for photo in photos)
    return one, two


def framed(rng: Rng, photos: Sequence[Pixels]) -> Shots:
    """Put two photographs into one ornate frame."""
    frame = fitted(photos[2], 1100, 850)
    ring = np.arange(0, 1100, 22)
    for x in ring:
        for y in (30, 820):
            cv2.circle(frame, (int(x), y), 9, colour(rng), -1, cv2.LINE_AA)
    shots = []
    for photo in photos[:2]:
        whole = frame.copy()
        whole[75:775, 75:1025] = fitted(photo, 950, 700)
        cv2.rectangle(whole, (72, 72), (1027, 777), (212, 175, 55), 6)
        shots.append(whole)
    return shots[0], shots[1]


def branded(rng: Rng, photos: Sequence[Pixels]) -> Shots:
    """Put one logo and one banner on two photographs."""
    seed, shots = int(rng.integers(1 << 30)), []
    for photo in photos:
        image = Image.fromarray(fitted(photo, 1000, 800))
        body = np.random.default_rng(seed)
        image.paste(colour(body, 200, 250), (0, 690, 1000, 800))
        logo(image, body, 30, 705, 80)
        write(image, (970, 730), f"{sentence(body, 3).title()}", 30, anchor="ra")
        shots.append(np.asarray(image))
    return shots[0], shots[1]


def focus(rng: Rng, photos: Sequence[Pixels]) -> Shots:
    """Focus on the left, and on the right."""
    photo = photos[0]
    blurred = cv2.GaussianBlur(photo, (0, 0), max(photo.shape) * rng.uniform(0.004, 0.01))
    ramp = np.clip(np.linspace(-0.6, 1.6, photo.shape[1]), 0, 1).astype(np.float32)[None, :, None]
    soft = np.asarray(blurred, np.uint8)
    near, far = _mixed(photo, soft, ramp), _mixed(photo, soft, 1 - ramp)
    return shot(near, rng), shot(far, rng)


def exposure(rng: Rng, photos: Sequence[Pixels]) -> Shots:
    """Expose two stops apart, with what is clipped lost."""
    light = (photos[0].astype(np.float32) / 255) ** 2.2
    stops = 2 ** rng.uniform(0.8, 1.3)
    one, two = (
        (np.clip(light * factor, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)
        for factor in (1 / stops, stops)
    )
    return shot(one, rng), shot(two, rng)


def burst(rng: Rng, photos: Sequence[Pixels]) -> Shots:
    """Let a thing in the middle move by some percent between two exposures."""
    photo = photos[0]
    height, width = photo.shape[:2]
    mask = _blob(photo, rng, _place(photo, rng), min(height, width) * rng.uniform(0.12, 0.25))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    reach = width * rng.uniform(0.015, 0.04) * float(rng.choice((-1, 1)))
    soft = cv2.GaussianBlur(mask, (0, 0), width * 0.01)
    moved = cv2.remap(
        photo,
        x + soft * reach,
        y + soft * reach / 3,
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT,
    )
    return shot(photo, rng), shot(np.asarray(moved, np.uint8), rng)


def viewpoint(rng: Rng, photos: Sequence[Pixels]) -> Shots:
    """Step aside: what is near moves by up to 5 % of the width."""
    other = _aside(photos[0], rng, 0.025, 0.05)
    return shot(photos[0], rng), shot(other, rng)


def _aside(pixels: Pixels, rng: Rng, least: float, most: float) -> Pixels:
    height, width = pixels.shape[:2]
    depth = cv2.resize(
        rng.uniform(0, 1, (4, 5)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    reach = float(rng.choice((-1, 1))) * rng.uniform(least, most) * width
    moved = cv2.remap(pixels, x + depth * reach, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, np.uint8)


def thumbnails(rng: Rng, photos: Sequence[Pixels]) -> Shots:
    """Take a step and turn the camera a little; of either shot there is a small image alone."""
    one, other = photos[0], _aside(photos[0], rng, 0.004, 0.015)
    height, width = one.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    inwards = np.sign(corners - corners.mean(axis=0)) * (width, height)
    turned = corners - inwards * rng.uniform(0.005, 0.04, (4, 1))
    matrix = cv2.getPerspectiveTransform(turned.astype(np.float32), corners)
    other = np.asarray(cv2.warpPerspective(other, matrix, (width, height)), np.uint8)
    factor = rng.uniform(130, 170) / min(height, width)
    return shot(scaled(one, factor), rng), shot(scaled(other, factor), rng)


def handheld(rng: Rng, photos: Sequence[Pixels]) -> Shots:
    """Take two frames some percent apart, as by hand: each shows what the other does not."""
    photo = photos[0]
    height, width = photo.shape[:2]
    across, down = round(width * 0.85), round(height * 0.85)
    x, y = round(width * rng.uniform(0.07, 0.15)), round(height * rng.uniform(0.07, 0.15))
    return shot(photo[:down, :across], rng), shot(photo[y : y + down, x : x + across], rng)


def other_day(rng: Rng, photos: Sequence[Pixels]) -> Shots:
    """Put three things of another photograph elsewhere in the same scene."""
    scenes = []
    things = resized(photos[1], *photos[0].shape[1::-1])
    radius = min(photos[0].shape[:2]) * rng.uniform(0.05, 0.1)
    sources = [_place(things, rng) for _ in range(3)]
    for _ in range(2):
        scene = photos[0]
        for source in sources:
            spot = _place(scene, rng)
            moved = np.roll(things, (spot[1] - source[1], spot[0] - source[0]), (0, 1))
            scene = _mixed(scene, moved, _blob(scene, rng, spot, radius))
        scenes.append(shot(scene, rng))
    return scenes[0], scenes[1]


def removed(rng: Rng, photos: Sequence[Pixels]) -> Shots:
    """Stand a thing into a scene; before and after it is gone."""
    photo = photos[0]
    thing = resized(photos[1], *photo.shape[1::-1])
    radius = min(photo.shape[:2]) * rng.uniform(0.08, 0.16)
    with_it = _mixed(photo, thing, _blob(photo, rng, _place(photo, rng), radius))
    return shot(with_it, rng), shot(photo, rng)


def swapped(rng: Rng, photos: Sequence[Pixels]) -> Shots:
    """Swap two faces of the same scene: ovals from two other photographs."""
    photo = photos[0]
    height, width = photo.shape[:2]
    side, shots = round(min(height, width) * 0.22), []
    y = int(rng.uniform(0.3, 0.7) * height)
    heads = [fitted(each, side * 2, side * 2) for each in photos[1:3]]
    for order in (heads, heads[::-1]):
        scene = photo
        for head, x in zip(order, (round(width * 0.3), round(width * 0.7)), strict=True):
            layer, mask = photo.copy(), np.zeros((height, width), np.uint8)
            top, left = max(0, y - side), x - side
            part = layer[top : top + 2 * side, left : left + 2 * side]
            part[:] = head[: part.shape[0], : part.shape[1]]
            cv2.ellipse(
                mask, (x, top + side), (round(side * 0.6), round(side * 0.8)), 0, 0, 360, 255, -1
            )
            soft = _softened(mask, 2)
            scene = _mixed(scene, layer, soft)
        shots.append(shot(scene, rng))
    return shots[0], shots[1]


def sheet(photos: Sequence[Pixels], columns: int, side: int, gap: int = 12) -> Pixels:
    """Lay photographs out in a grid on white."""
    rows = -(-len(photos) // columns)
    down = side * 3 // 4
    whole = np.full((rows * (down + gap) + gap, columns * (side + gap) + gap, 3), 250, np.uint8)
    for index, photo in enumerate(photos):
        y, x = gap + index // columns * (down + gap), gap + index % columns * (side + gap)
        whole[y : y + down, x : x + side] = fitted(photo, side, down)
    return whole


def contact_sheets(rng: Rng, photos: Sequence[Pixels]) -> Shots:
    """Lay out nine photographs, and again with one other."""
    place, first = int(rng.integers(9)), list(photos[:9])
    second = [photos[9] if index == place else photo for index, photo in enumerate(first)]
    return sheet(first, 3, 360), sheet(second, 3, 360)


def skyline(_: Rng, photos: Sequence[Pixels]) -> Shots:
    """Cut a photograph into two that meet and do not overlap."""
    half = photos[0].shape[1] // 2
    wide = scaled(photos[0], 1.5)
    half = wide.shape[1] // 2
    return wide[:, :half], wide[:, half:]


def patches(rng: Rng, photos: Sequence[Pixels]) -> Shots:
    """Cut two patches of one surface: corners that do not meet, enlarged."""
    photo = photos[0]
    height, width = photo.shape[0] * 2 // 5, photo.shape[1] * 2 // 5
    one, two = photo[:height, :width], photo[-height:, -width:]
    if rng.random() < 0.5:
        one, two = photo[:height, -width:], photo[-height:, :width]
    return scaled(one, 2), scaled(two, 2)


def recoloured(rng: Rng, photos: Sequence[Pixels]) -> Shots:
    """Show one product in two colours: only the thing in the middle is dyed."""
    photo = photos[0]
    height, width = photo.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(
        mask, (width // 2, height // 2), (width * 3 // 10, height * 3 // 10), 0, 0, 360, 255, -1
    )
    soft = _softened(mask, 3)
    hsv = cv2.cvtColor(photo, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + int(rng.integers(40, 140))) % 180
    hsv[..., 1] = np.clip(hsv[..., 1].astype(int) + 70, 0, 255)
    dyed = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)
    return shot(photo, rng), shot(_mixed(photo, dyed, soft), rng)
