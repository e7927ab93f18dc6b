"""Views drawn by torch, a whole batch at once, on the device that trains.

The same kinds as `views`, which draws one at a time on the host and feeds two hundred a second; a
GPU asks for a thousand times that. Images lie on the device as uint8; every view is cut, turned
and placed by one sampling of its image, then written on, coloured and degraded. All that chance
decides comes from a generator on the device, seeded by run and step, so that a run that goes on
draws what one sitting would have.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import torch
from torch.nn import functional

from training.views import write_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

STORED: Final = 160  # sides at which images are kept: squashed, as the network will see them
SHEETS: Final = 512  # drawings that are laid over views
_FINER: Final = 2  # views are sampled at this multiple of their size, and averaged
_GREY: Final = (0.299, 0.587, 0.114)
_LUMINANCE: Final = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""Steps at quality 50 (ITU-T T.81, annex K.1); colour takes them too, doubled."""


class DeviceViews:
    """Images on a device, and views of them.

    Parameters
    ----------
    pictures : (H, W, 3) uint8 RGB, any sizes
    seed : of the run
    """

    def __init__(self, pictures: Sequence[Pixels], device: torch.device, seed: int) -> None:
        squashed = np.empty((len(pictures), STORED, STORED, 3), np.uint8)
        for place, picture in enumerate(pictures):
            squashed[place] = cv2.resize(picture, (STORED, STORED), interpolation=cv2.INTER_AREA)
        self._pictures = torch.from_numpy(squashed).to(device).permute(0, 3, 1, 2)
        self._sheets = torch.from_numpy(_sheets(seed)).to(device).permute(0, 3, 1, 2)
        self._device = device
        self._seed = seed

    def draw(self, chosen: npt.NDArray[np.int64], size: int, step: int) -> torch.Tensor:
        """Draw two views of each image; of half of the pairs the first one is clean.

        Parameters
        ----------
        chosen : (B,) which images
        size : both sides, pixels; a multiple of 8
        step : of the run; equal steps draw equal views on equal devices

        Returns
        -------
        (2B, 3, size, size) float32 in [0, 1], in channels_last order; view b and B + b show one
        """
        if size % 8:
            raise ValueError(f"size must be a multiple of 8, not {size}")
        chance = _Chance(self._device, self._seed, step, 2 * len(chosen))
        index = torch.from_numpy(np.concatenate([chosen, chosen])).to(self._device)
        pictures = self._pictures[index].float() / 255
        others = self._pictures[chance.integers(len(self._pictures))].float() / 255
        clean = functional.interpolate(pictures, (size, size), mode="area")
        alone = torch.where(chance.happens(0.5), chance.integers(5), -1)

        def drawn(kind: int, share: float) -> torch.Tensor:
            return (alone == kind) | ((alone < 0) & chance.happens(share))

        placed = (alone < 0) | (alone == 0)
        views = _placed(pictures, others, size, placed, drawn(1, 0.35), chance)
        views = _where(drawn(2, 0.3), self._laid_over(views, chance), views)
        views = _where(drawn(3, 0.75), _coloured(views, chance), views)
        views = _where(drawn(4, 0.4), _degraded(views, chance), views)
        plain = chance.happens(0.5)
        plain[len(chosen) :] = False
        views = _where(plain, clean, views)
        return views.clamp(0, 1).contiguous(memory_format=torch.channels_last)

    def _laid_over(self, views: torch.Tensor, chance: _Chance) -> torch.Tensor:
        sheets = self._sheets[chance.integers(len(self._sheets))].float() / 255
        sheets = functional.interpolate(sheets, views.shape[2:], mode="area")
        opacity = torch.where(chance.happens(0.3), chance.between(0.2, 0.7), 1.0)
        cover = sheets[:, 3:] * opacity.view(-1, 1, 1, 1)
        return views * (1 - cover) + sheets[:, :3] * cover


class _Chance:
    """Random values for a batch, on its device."""

    def __init__(self, device: torch.device, seed: int, step: int, count: int) -> None:
        self._generator = torch.Generator(device)
        self._generator.manual_seed(seed * 1_000_003 + step)
        self.device, self.count = device, count

    def between(self, low: float, high: float, *more: int) -> torch.Tensor:
        shape = (self.count, *more)
        unit = torch.rand(shape, generator=self._generator, device=self.device)
        return low + (high - low) * unit

    def normal(self, *more: int) -> torch.Tensor:
        shape = (self.count, *more)
        return torch.randn(shape, generator=self._generator, device=self.device)

    def happens(self, share: float) -> torch.Tensor:
        return self.between(0, 1) < share

    def integers(self, below: int) -> torch.Tensor:
        shape = (self.count,)
        return torch.randint(below, shape, generator=self._generator, device=self.device)


def _where(some: torch.Tensor, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return torch.where(some.view(-1, 1, 1, 1), one, other)


def _placed(
    pictures: torch.Tensor,
    others: torch.Tensor,
    size: int,
    placed: torch.Tensor,
    turned: torch.Tensor,
    chance: _Chance,
) -> torch.Tensor:
    """Cut, mirror, turn and frame, in one sampling.

    A place in the view is brought into the frame that the image has there, is turned and pulled
    with it, and then falls into the part that was cut. Coordinates are in [-1, 1].
    """
    one, none = torch.ones_like(placed, dtype=torch.float32), torch.zeros_like(placed).float()
    # The frame: all of the view, within margins, or a smaller window.
    kind = torch.where(placed, chance.between(0, 1), none)
    margin = chance.between(0, 0.18, 4) * (chance.between(0, 1, 4) < 0.6)
    caption = torch.stack([chance.between(0.05, 0.3), chance.between(0.05, 0.3), none, none], 1)
    margin = torch.where(chance.happens(0.3)[:, None], caption, margin)
    share = chance.between(0.38, 0.85)
    first = chance.between(0, 1, 2) * (1 - share)[:, None]
    window = torch.stack([first, (1 - share)[:, None] - first], 2).flatten(1)
    margin = torch.where((kind > 0.82)[:, None], window, margin) * (kind > 0.62)[:, None]
    top, bottom, left, right = margin.unbind(1)
    line = (torch.arange(_FINER * size, device=pictures.device) + 0.5) / (_FINER * size)
    across = 2 * (line - left[:, None]) / (1 - left - right)[:, None] - 1
    down = 2 * (line - top[:, None]) / (1 - top - bottom)[:, None] - 1
    x = across[:, None, :].expand(-1, len(line), -1)
    y = down[:, :, None].expand(-1, -1, len(line))
    framed = (x.abs() <= 1) & (y.abs() <= 1)
    # Turned by an angle, or pulled at its corners.
    how = chance.between(0, 0.35)
    angle = torch.where(
        how < 0.25, chance.normal() * math.radians(9), chance.between(-math.pi / 4, math.pi / 4)
    )
    angle = torch.where(turned & (how >= 0.1), angle, none)
    sine = angle.sin().abs()
    choice = chance.integers(3)
    zoom = torch.where(choice == 0, one, torch.where(choice == 1, 1 / (1 + sine), 1 + sine))
    pull = torch.where((turned & (how < 0.1))[:, None], chance.between(-0.12, 0.12, 2), 0.0)
    cos, sin, zoom = (value[:, None, None] for value in (angle.cos(), angle.sin(), zoom))
    depth = 1 + pull[:, 0, None, None] * x + pull[:, 1, None, None] * y
    x, y = (x * cos - y * sin) / zoom / depth, (x * sin + y * cos) / zoom / depth
    shown = (x.abs() <= 1) & (y.abs() <= 1)
    # Mirrored, and turned by right angles.
    flip = torch.where(placed & chance.happens(0.3), -one, one)[:, None, None]
    quarter = torch.where(placed & chance.happens(0.2), 1 + chance.integers(3), 0)
    x = x * flip
    for turns in (1, 2, 3):
        again = (quarter >= turns)[:, None, None]
        x, y = torch.where(again, -y, x), torch.where(again, x, y)
    # The part that was cut: a fifth of the area and more.
    cut = placed & chance.happens(0.6)
    area = torch.where(cut, chance.between(0.2, 1), one)
    stretch = torch.where(cut, chance.between(-0.25, 0.25).exp(), one)
    wide = (area.sqrt() * stretch).clamp(max=1)
    tall = (area / wide).clamp(max=1)
    shift = chance.between(-1, 1, 2)
    x = x * wide[:, None, None] + (shift[:, 0] * (1 - wide))[:, None, None]
    y = y * tall[:, None, None] + (shift[:, 1] * (1 - tall))[:, None, None]
    sampled = functional.grid_sample(
        pictures, torch.stack([x, y], 3), padding_mode="border", align_corners=False
    )
    fill = torch.where(chance.happens(0.35)[:, None], 0.0, chance.between(0, 1, 3))
    plain = fill[:, :, None, None].expand_as(sampled)
    around = functional.interpolate(others, sampled.shape[2:])
    ground = _where(kind > 0.9, around, plain)
    inside = torch.where(shown[:, None], sampled, plain)
    return functional.avg_pool2d(torch.where(framed[:, None], inside, ground), _FINER)


def _coloured(views: torch.Tensor, chance: _Chance) -> torch.Tensor:
    """Bend curves, mix channels, darken the corners."""

    def maybe(share: float, value: torch.Tensor, neutral: float) -> torch.Tensor:
        some = chance.happens(share).view(-1, *[1] * (value.ndim - 1))
        return torch.where(some, value, neutral)

    def shaped(value: torch.Tensor) -> torch.Tensor:
        return value.reshape(len(views), -1, 1, 1)

    curve = views.clamp(1e-4, 1) ** shaped(maybe(0.5, chance.between(-0.8, 0.8).exp(), 1))
    curve = 0.5 + (curve - 0.5) * shaped(maybe(0.5, chance.between(-0.7, 0.7).exp(), 1))
    curve = curve + shaped(maybe(0.5, chance.between(-0.25, 0.25), 0))
    cast = chance.happens(0.4)[:, None]
    curve = curve * shaped(torch.where(cast, chance.between(-0.3, 0.3, 3).exp(), 1.0))
    curve = (curve + shaped(torch.where(cast, chance.between(-0.1, 0.1, 3), 0.0))).clamp(0, 1)
    steps = shaped(2.0 + chance.integers(6))
    curve = _where(chance.happens(0.08), (curve * steps).round() / steps, curve)
    grey = curve.mean(1, keepdim=True)
    kind = chance.between(0, 1)
    keep = torch.where(kind < 0.15, 0.0, chance.between(-1, 1).exp())
    mixed = shaped(keep) * curve + (1 - shaped(keep)) * grey
    mixed = _where(kind < 0.5, mixed, curve)
    mixed = torch.where(shaped(kind < 0.05), mixed * shaped(chance.between(0.6, 1.1, 3)), mixed)
    # Hue: a turn around the grey axis (Rodrigues).
    turn = shaped(torch.where((kind > 0.3) & (kind < 0.4), chance.between(-1.3, 1.3), 0.0))
    crossed = (mixed.roll(1, 1) - mixed.roll(-1, 1)) / math.sqrt(3)
    axis = mixed.mean(1, keepdim=True)
    mixed = mixed * turn.cos() + crossed * turn.sin() + axis * (1 - turn.cos())
    line = torch.linspace(-1, 1, views.shape[2], device=views.device) ** 2
    shade = shaped(maybe(0.08, chance.between(0.2, 0.9), 0))
    return (mixed * (1 - shade * (line[:, None] + line[None]) / 2)).clamp(0, 1)


def _degraded(views: torch.Tensor, chance: _Chance) -> torch.Tensor:
    """Shrink, blur, sharpen, add noise, encode: each with about one chance in three."""
    size = views.shape[2]
    for share in (0.35, 0.5, 0.75):  # one factor for all that are shrunk by it
        less = functional.interpolate(views, max(12, round(size * share)), mode="area")
        again = functional.interpolate(less, size, mode="bilinear", align_corners=False)
        views = _where(chance.happens(0.12), again, views)
    sigma = size * chance.between(0.004, 0.022)
    views = _where(chance.happens(0.3), _blurred(views, sigma), views)
    soft = _blurred(views, torch.full_like(sigma, 0.8))
    amount = chance.between(0.5, 3).view(-1, 1, 1, 1)
    views = _where(chance.happens(0.3), (views + amount * (views - soft)).clamp(0, 1), views)
    noise = chance.normal(*views.shape[1:]) * chance.between(3 / 255, 25 / 255).view(-1, 1, 1, 1)
    views = _where(chance.happens(0.3), (views + noise).clamp(0, 1), views)
    return _where(chance.happens(0.3), _encoded(views, chance.between(15, 90)), views)


def _blurred(views: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Blur each view by its own sigma, in pixels, cut off at four pixels' distance."""
    count, channels, _, _ = views.shape
    offsets = torch.arange(-4, 5, device=views.device, dtype=torch.float32)
    kernel = torch.exp(-(offsets**2) / (2 * sigma[:, None] ** 2))
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    rows = functional.pad(views, (4, 4, 4, 4), mode="reflect").reshape(1, -1, *_grown(views))
    rows = functional.conv2d(rows, kernel[:, None, :, None], groups=count * channels)
    rows = functional.conv2d(rows, kernel[:, None, None, :], groups=count * channels)
    return rows.reshape(views.shape)


def _grown(views: torch.Tensor) -> tuple[int, int]:
    return views.shape[2] + 8, views.shape[3] + 8


def _encoded(views: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
    """Lose what JPEG loses: blocks of 8 in the cosine basis, rounded to steps."""
    count, channels, height, width = views.shape
    order = torch.arange(8, device=views.device, dtype=torch.float32)
    basis = torch.cos((2 * order + 1) * order[:, None] * math.pi / 16) / 2
    basis[0] *= math.sqrt(0.5)
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality) / 100
    table = torch.tensor(_LUMINANCE, device=views.device, dtype=torch.float32)
    table = torch.stack([table, 2 * table, 2 * table])
    steps = (table * scale.view(-1, 1, 1, 1)).clamp(1, 255)[:, :, None, :, None, :] / 255
    grey = torch.einsum("bchw,c->bhw", views, torch.tensor(_GREY, device=views.device))
    toned = torch.stack([grey, views[:, 2] - grey, views[:, 0] - grey], 1)
    blocks = toned.reshape(count, channels, height // 8, 8, width // 8, 8)
    waves = torch.einsum("ui,bcyixj,vj->bcyuxv", basis, blocks, basis)
    waves = (waves / steps).round() * steps
    blocks = torch.einsum("ui,bcyuxv,vj->bcyixj", basis, waves, basis)
    grey, blue, red = blocks.reshape(views.shape).unbind(1)
    green = (grey - _GREY[0] * (red + grey) - _GREY[2] * (blue + grey)) / _GREY[1]
    return torch.stack([red + grey, green, blue + grey], 1).clamp(0, 1)


def _sheets(seed: int) -> Pixels:
    """Draw text and stickers on transparent sheets, (SHEETS, 128, 128, 4) uint8."""
    sheets = np.zeros((SHEETS, 128, 128, 4), np.uint8)
    for number, sheet in enumerate(sheets):
        rng = np.random.default_rng((seed, 5, number))
        # Drawn on black and on white: where the two differ, the sheet shows through.
        black = np.zeros((128, 128, 3), np.uint8)
        white = np.full_like(black, 255)
        write_on(black, np.random.default_rng((seed, 6, number)))
        write_on(white, np.random.default_rng((seed, 6, number)))
        cover = 255 - (white.astype(int) - black).mean(axis=2).clip(0, 255)
        if rng.random() < 0.1:
            cover *= rng.uniform(0.2, 0.9)
        sheet[..., :3] = np.where(cover[..., None] > 0, white, 0)
        sheet[..., 3] = cover
    return sheets
