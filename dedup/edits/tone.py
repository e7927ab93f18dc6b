"""Edits that leave every pixel in its place: colour, light, loss, noise.

Each takes (H, W, 3) uint8 RGB, a strength and a seeded generator, and returns a new image of
the same size. Strengths are in the unit that the edit is usually dialled in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]


def _bytes(values: npt.NDArray[np.floating]) -> Pixels:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _mapped(pixels: Pixels, curve: npt.NDArray[np.floating]) -> Pixels:
    return _bytes(curve)[pixels]


_RAMP = np.arange(256, dtype=np.float64)


def jpeg(pixels: Pixels, quality: float, rng: np.random.Generator) -> Pixels:
    """Encode as JPEG at this quality, 1 to 100, and decode again."""
    del rng
    done, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    if not done:
        raise RuntimeError("OpenCV could not write a JPEG")
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]


def blur(pixels: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    """Gaussian blur; `sigma` as a share of the longest side."""
    del rng
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma * max(pixels.shape[:2])), np.uint8)


def sharpen(pixels: Pixels, amount: float, rng: np.random.Generator) -> Pixels:
    """Unsharp mask of this amount at a radius of 0.3 % of the longest side."""
    del rng
    sharp = pixels.astype(np.float32)
    soft = cv2.GaussianBlur(sharp, (0, 0), max(0.8, 0.003 * max(pixels.shape[:2])))
    return _bytes(sharp + amount * (sharp - soft))


def noise(pixels: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    """Add Gaussian noise of this many grey levels to every channel."""
    return _bytes(pixels + rng.normal(0, sigma, pixels.shape))


def brightness(pixels: Pixels, levels: float, rng: np.random.Generator) -> Pixels:
    """Add this many grey levels."""
    del rng
    return _mapped(pixels, _RAMP + levels)


def contrast(pixels: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    """Stretch around the mean grey."""
    del rng
    middle = pixels.mean()
    return _mapped(pixels, middle + factor * (_RAMP - middle))


def gamma(pixels: Pixels, exponent: float, rng: np.random.Generator) -> Pixels:
    """Raise to this power."""
    del rng
    return _mapped(pixels, 255 * (_RAMP / 255) ** exponent)


def saturation(pixels: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    """Scale the distance of every pixel from its grey."""
    plain = grey(pixels, 1, rng).astype(np.float32)
    return _bytes(plain + factor * (pixels - plain))


def hue(pixels: Pixels, degrees: float, rng: np.random.Generator) -> Pixels:
    """Turn the colour wheel this far, either way."""
    way = rng.choice((-1, 1))
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + round(way * degrees / 2)) % 180
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)


def white_balance(pixels: Pixels, warmth: float, rng: np.random.Generator) -> Pixels:
    """Warm (positive) or cool the light by scaling red against blue."""
    del rng
    return _bytes(pixels * np.array([1 + warmth, 1, 1 - warmth]))


def grey(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Take the colour away."""
    del strength, rng
    plain = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.cvtColor(plain, cv2.COLOR_GRAY2RGB), np.uint8)


def sepia(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Tint the grey image brown."""
    return _bytes(grey(pixels, strength, rng) * np.array([1.07, 0.86, 0.63]) + np.array([16, 8, 0]))


def posterise(pixels: Pixels, levels: float, rng: np.random.Generator) -> Pixels:
    """Keep this many levels per channel."""
    del rng
    steps = levels - 1
    return _mapped(pixels, np.rint(_RAMP / 255 * steps) / steps * 255)


def phone_filter(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Bend each channel's curve and mix the channels, as the filters of phone apps do."""
    ramp = _RAMP / 255
    bent = np.empty(pixels.shape, np.float32)
    for channel in range(3):
        lift, fade, power = rng.uniform((0, 0.75, 0.7), (0.2, 1, 1.4))
        curve = lift + (fade - lift) * ramp**power
        curve = ramp + strength * (curve + 0.08 * np.sin(2 * np.pi * ramp) - ramp)
        bent[..., channel] = 255 * curve[pixels[..., channel]]
    mix = np.eye(3) + strength * rng.uniform(-0.15, 0.15, (3, 3))
    mixed = bent @ (mix / mix.sum(axis=1, keepdims=True)).T.astype(np.float32)
    return vignette(_bytes(mixed), 0.4 * strength, rng)


def vignette(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Darken the corners; at 1 they are almost black."""
    del rng
    height, width = pixels.shape[:2]
    y = np.linspace(-1, 1, height)[:, None]
    x = np.linspace(-1, 1, width)[None]
    shade = 1 - 0.9 * strength * np.clip((x * x + y * y) / 2, 0, 1)
    return _bytes(pixels * shade[..., None])
