"""Which of two versions was made from the other, by what an edit leaves behind in pixels.

Noise that is added is as strong everywhere, and is like nothing in the photograph; what a filter
takes away is not. Local contrast strengthens what is coarse and fine alike, sharpening what is
fine. Tones that are stretched leave levels out, and posterising leaves few of them. No edit makes
any of that undone again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import cv2
import numpy as np

from dedup.images.history import grey_of
from dedup.proof.exactly import made_exactly
from dedup.proof.lineage import BLURRED, comparable, mixed_of, parts_of
from dedup.proof.paper import is_page
from dedup.proof.ranks import percentiles

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.lineage import Window
    from dedup.proof.original import Original

    Doubles = npt.NDArray[np.float64]
    Floats = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]
    Pixels = npt.NDArray[np.uint8]

_FINE, _COARSE, _AROUND = 1.5, 4.0, 3.0  # widths of blurs, pixels
_UNCLIPPED = (6, 249)
_FEWEST_PIXELS = 2_000
_CALM, _RICH = 30, 80  # percentiles of texture
_TILE = 32
_FITTED_PIXELS = 4_000
_LEAST_QUALITY, _FINE_QUALITY, _SOUND_QUALITY = 75, 88, 92
"""Of JPEGs: the least of what may have lost something to a filter, and from which on the rougher of
two has next to no errors of its own, and none. Of 127 copies that look so, all edits beside the
others, 2 were posterised, at 88; from 92 on none of 105."""

_TAKEN_LIKE = -0.2
"""Correlation of what is left with the other image, where noise of that was taken away."""

_BANDS: Final = ((0.04, 0.12), (0.15, 0.3), (0.35, 0.5))
"""Cycles a pixel, from what is coarse to what is finest."""

_COUNTED_PIXELS = 300_000
_LEAST_COUNT = 100.0  # pixels of a level and its neighbours, on average
_FEWEST_LEVELS, _FEWEST_FOURS = 8, 20  # drawings have fewer of these
_COMBED, _POSTERISED, _TIMES = 0.12, 0.2, 2.2
"""How far levels, and fours of them, are from the mean of their neighbours, as a share, and how
many times
as far as in the other image. Of 120 photographs beside edits of them most have .03 to .09 and
.02 to .12, and the most .15 and .17; stretched tones saved without loss leave .13 to .57, and
posterised ones, saved as JPEGs too, .20 to .39 of fours. Drawings that are JPEGs have combs."""
_FOURS = 4


class Left(NamedTuple):
    """What the rougher of two images has beside the other one, whose tones were fitted to it.

    Parameters
    ----------
    rougher : standard deviation of its fine details against those of the other one
    like : correlation of the fine details of both
    calm, evenly : of what is left, fine: its standard deviation where there is little texture, and
        that against where there is much
    calm_like, rich_like : correlation of what is left with the other one, at both places
    own : the same with the rougher one itself, where there is little texture
    fall, finest : power of what is left in the second of `_BANDS` against that in the first, and in
        the third against that in the second
    deeper : standard deviation of coarser details against those of the other one
    """

    rougher: float
    like: float
    calm: float
    evenly: float
    calm_like: float
    rich_like: float
    own: float
    fall: float
    finest: float
    deeper: float

    @property
    def is_noise(self) -> bool:
        """Whether it is noise that was added: as strong everywhere, and like nothing there."""
        nothing_alike = abs(self.calm_like) <= 0.07 and -0.12 <= self.rich_like <= 0.06  # noqa: PLR2004 - see `Left`
        even = 0.75 <= self.evenly <= 1.12 and self.calm > 1  # noqa: PLR2004
        return nothing_alike and even and self.own >= 0.3 and self.rougher >= 1.005  # noqa: PLR2004

    @property
    def is_local_contrast(self) -> bool:
        """Whether details of all sizes are stronger, the coarse ones above all."""
        stronger = self.deeper >= 1.025 and self.rougher >= 1.015  # noqa: PLR2004
        return stronger and self.like >= 0.9 and self.fall <= 0.2  # noqa: PLR2004

    @property
    def is_sharpening(self) -> bool:
        """Whether it is more of the other one's own fine details, and not what a slight blur took.

        Of 28 copies that were blurred a little and look so else, 27 are below all of these; of 87
        that were sharpened 4 are.
        """
        same = self.like >= 0.93 and self.rich_like >= 0.35  # noqa: PLR2004
        clearly = self.rougher >= 1.42 or self.rich_like >= 0.75 or self.fall < 0.5  # noqa: PLR2004
        return same and clearly and self.rougher >= 1.15 and self.evenly <= 0.9  # noqa: PLR2004

    def is_lost(self, *, lossy: bool, fine: bool) -> bool:
        """Tell whether the other one lost it to a blur or a filter against noise.

        Parameters
        ----------
        lossy : the other one is a JPEG, which takes less than a level as well
        fine : the rougher one is no JPEG of such steps that these may have made it rougher
        """
        if lossy and self.calm < 1:
            return False
        if self.own >= 0.55 and self.evenly >= 1.18 and self.rougher >= 1.01:  # noqa: PLR2004
            return True  # as what takes noise off does, and leaves edges
        smoothed = self.own >= 0.5 and self.calm_like >= 0.12 and self.rich_like <= 0.15  # noqa: PLR2004
        if smoothed and self.fall >= 0.35 and self.finest < 0.6 and 1.003 < self.rougher < 1.3:  # noqa: PLR2004
            return True
        if self.rougher < (1.03 if fine else 1.15) or self.own < 0.55 or self.fall < 0.35:  # noqa: PLR2004
            return False
        uneven = self.evenly < 0.5 and self.rich_like < 0.3  # noqa: PLR2004
        return uneven or (0.15 < self.calm_like <= 0.5 and self.rich_like < 0.25)  # noqa: PLR2004


def traced(one: Original, two: Original, placed: Doubles) -> int:
    """Tell which of two images was made from the other, by what edits leave behind.

    Parameters
    ----------
    placed : (3, 3), pixels of the second to those of the first, of the files' own sizes

    Returns
    -------
    1 or 2, the one that was; 0 where that cannot be told, or where they do not lie on each other
    pixel on pixel.
    """
    cut = comparable(one, two, placed)
    if cut is None:
        return 0
    # Drawings have few levels by themselves, to which compression adds more.
    drawn = all(is_page(grey_of(each.pixels)) for each in cut)
    return (
        (not drawn and levels_lost((_some(one), _some(two)), (one.is_lossless, two.is_lossless)))
        or made_exactly(cut, (one.is_lossless, two.is_lossless))
        or _left_over(cut, (one, two))
    )


def traced_again(one: Original, two: Original) -> int:
    """Tell which of two images of one size was made from the other; what it gives is as `traced`.

    What was only saved again has few traces: what it lost, it may have lost to compression, unless
    the other one shows what that leaves.
    """
    cut = comparable(one, two, np.eye(3))
    if cut is None:
        return 0
    rough = _rougher(cut)
    left = left_of(cut[1 - rough].pixels, cut[rough].pixels)
    if left is None:
        return 0
    if left.is_noise or left.is_sharpening:
        return rough + 1
    files = (one, two) if rough else (two, one)
    sound = files[0].quality >= _LEAST_QUALITY and _own_quality(files[1]) >= _SOUND_QUALITY
    return 2 - rough if sound and left.is_lost(lossy=not files[0].is_lossless, fine=True) else 0


def _own_quality(file: Original) -> int:
    """Give the quality that tells how rough a file may be by itself: few colours are dithered."""
    return 0 if file.opened.header.mode == "P" else file.quality


def _rougher(cut: tuple[Window, Window]) -> int:
    """Give which of two, 0 or 1, has more fine detail or noise."""
    light = [grey_of(each.pixels) for each in cut]
    fine = [float((each - _blurred(each, 1.0)).std()) for each in light]
    return 0 if fine[0] > fine[1] else 1


def _some(file: Original) -> Pixels:
    """Take rows of an image that have as many pixels as it takes to count levels."""
    height, width = file.size
    return file.pixels(height, width)[:: max(1, height * width // _COUNTED_PIXELS)]


def _left_over(cut: tuple[Window, Window], files: tuple[Original, Original]) -> int:
    rough = _rougher(cut)
    left = left_of(cut[1 - rough].pixels, cut[rough].pixels)
    if left is None:
        return 0
    if left.is_noise or left.is_local_contrast or left.is_sharpening:
        return rough + 1
    qualities = files[1 - rough].quality, _own_quality(files[rough])
    # A coarse JPEG takes as much by itself, and its errors make another one rougher.
    lossy, fine = not files[1 - rough].is_lossless, qualities[1] >= _FINE_QUALITY
    if qualities[0] >= _LEAST_QUALITY and left.is_lost(lossy=lossy, fine=fine):
        return 2 - rough
    if left.calm_like > _TAKEN_LIKE:
        return 0
    back = left_of(cut[rough].pixels, cut[1 - rough].pixels)
    return 2 - rough if back is not None and back.is_noise else 0


def left_of(smooth: Pixels, rough: Pixels) -> Left | None:
    """Measure what the rougher of two images has beside the other one.

    Parameters
    ----------
    smooth, rough : (H, W, 3) RGB, pixel on pixel

    Returns
    -------
    None where too little of it is neither black nor white.
    """
    low, high = _UNCLIPPED
    both = np.concatenate([smooth, rough], axis=2)
    sound = (both.min(axis=2) > low) & (both.max(axis=2) < high)
    if np.count_nonzero(sound) < _FEWEST_PIXELS:
        return None
    wanted = grey_of(rough)
    # Tones alone: blurs would take away what is measured.
    made = mixed_of(np.delete(parts_of(smooth), BLURRED, axis=0), wanted, _FITTED_PIXELS)
    more = wanted - made
    soft = [_blurred(each, _FINE) for each in (made, wanted, more)]
    mine, theirs, left = (a - b for a, b in zip((made, wanted, more), soft, strict=True))
    texture = _blurred(mine * mine, _AROUND)
    little, much = percentiles(texture[sound], _CALM, _RICH)
    calm, rich = sound & (texture <= little), sound & (texture >= much)
    coarse = [each - _blurred(each, _COARSE) for each in soft[:2]]
    deep = sound & (_blurred(coarse[0] * coarse[0], _AROUND) > 9)  # noqa: PLR2004 - three levels
    bands = _powers(more)
    enough = np.count_nonzero(deep) >= _FEWEST_PIXELS // 10
    return Left(
        rougher=_ratio(theirs, mine, sound),
        like=_correlation(mine, theirs, sound),
        calm=float(left[calm].std()),
        evenly=float(left[calm].std()) / (float(left[rich].std()) + 1e-6),
        calm_like=_correlation(mine, left, calm),
        rich_like=_correlation(mine, left, rich),
        own=_correlation(theirs, left, calm),
        fall=bands[1] / bands[0],
        finest=bands[2] / bands[1],
        deeper=_ratio(coarse[1], coarse[0], deep) if enough else 1.0,
    )


def _blurred(light: Floats, sigma: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(light, (0, 0), sigma), np.float32)


def _ratio(one: Floats, two: Floats, at: Mask) -> float:
    return float(one[at].std()) / (float(two[at].std()) + 1e-6)


def _correlation(one: Floats, two: Floats, at: Mask) -> float:
    mine, theirs = one[at] - one[at].mean(), two[at] - two[at].mean()
    strength = float(mine.std()) * float(theirs.std())
    return float((mine * theirs).mean()) / strength if strength > 1e-3 else 0.0  # noqa: PLR2004 - nothing


def _powers(light: Floats) -> tuple[float, ...]:
    """Give the power of each of `_BANDS`, over tiles."""
    down, across = (side // _TILE for side in light.shape)
    rows = light[: down * _TILE, : across * _TILE].reshape(down, _TILE, across, _TILE)
    tiles = rows.transpose(0, 2, 1, 3).reshape(-1, _TILE, _TILE)
    window = np.hanning(_TILE).astype(np.float32)
    tiles = (tiles - tiles.mean(axis=(1, 2), keepdims=True)) * window[:, None] * window
    power = (np.abs(np.fft.rfft2(tiles)) ** 2).sum(axis=0)
    rate = np.hypot(np.fft.fftfreq(_TILE)[:, None], np.fft.rfftfreq(_TILE)[None])
    return tuple(float(power[(rate >= low) & (rate < high)].mean()) + 1e-6 for low, high in _BANDS)


# -- levels ----------------------------------------------------------------------------------------


def levels_lost(both: tuple[Pixels, Pixels], lossless: tuple[bool, bool]) -> int:
    """Tell which of two images, 1 or 2, has lost levels that the other one has; else 0.

    Parameters
    ----------
    both : (H, W, 3) RGB, of what both show
    lossless : whether either was saved without loss, which keeps levels that are left out
    """
    fours = [_apart(each, _FOURS) for each in both]
    if max(fours) >= _POSTERISED and max(fours) >= _TIMES * min(fours) > 0:
        return 1 + fours.index(max(fours))
    # What was stretched once may have been smoothed by a JPEG since, if its tones are as they were.
    combs = [_apart(each, 1) for each in both]
    combed = combs.index(max(combs))
    if not lossless[combed] or max(combs) < _COMBED or max(combs) < _TIMES * min(combs):
        return 0
    return 1 + combed if _other_light(*both) else 0


def _other_light(one: Pixels, two: Pixels) -> bool:
    """Tell whether the tones of a channel were changed."""
    off = cv2.mean(one)[:3], cv2.mean(two)[:3]
    return float(np.abs(np.subtract(*off)).max()) >= 2  # noqa: PLR2004 - levels


def _apart(pixels: Pixels, width: int) -> float:
    """Give how far the counts of levels are from the mean of their neighbours', as a share.

    Returns
    -------
    Of the channel where that is most; 0 where too few levels tell.
    """
    found = [0.0]
    for channel in cv2.split(np.ascontiguousarray(pixels)):
        counts = np.bincount(channel.ravel(), minlength=256)[4:252].reshape(-1, width).sum(axis=1)
        around = (counts[:-2] + counts[2:]) / 2
        both = around + counts[1:-1]
        known = both >= 2 * _LEAST_COUNT
        if np.count_nonzero(known) >= (_FEWEST_FOURS if width == _FOURS else _FEWEST_LEVELS):
            share = np.abs(counts[1:-1] - around)[known] / both[known]
            found.append(float(share.mean()))
    return max(found)
