"""One rule for the whole image by which its light and colour become another's.

Filters, white balance and vignettes are such rules. Where a rule leaves much, a part of the image
has another light or colour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from dedup.proof import cells
from dedup.proof.ranks import median, percentiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Doubles = npt.NDArray[np.float64]
    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

TILE_PIXELS = 16
_SHRINK = 4  # tiles are averages, for which a quarter of the resolution is plenty
_FIT_ROUNDS = 4
_MAX_FIT_PIXELS = 12_000
_MIN_FIT_PIXELS = 64
_ONE_HUE_LEVELS = 3.0
_PATCH_LEVELS = 30.0
_PAGE_PATCH_LEVELS = 12.0
_PATCH_OVER_USUAL = 5.0
# Things dyed in photographs with a tenth of their colours spread by .35 and more, follow by .6 and
# more, and are as strong but for a quarter; paling, clipping, vignettes and filters leave no tile
_TINTED_LEVELS = 0.3
_FOLLOWING = 0.6
_MOST_STRONGER = 1.6
_KEPT_LEVELS = 1.5
_LEAST_KEPT, _LEAST_COLOURED, _COLOURED_TILE = 0.15, 0.03, 6.0
_DYED_LEVELS = 10.0
# Of tiles that are as near as this none is dyed or in a patch, whichever rule is fitted
_SAME_LEVELS = 6.0


class ColourLeft(NamedTuple):
    """What no one rule explains of the colours.

    Parameters
    ----------
    levels : at the 97th percentile of tiles
    patch : tiles in the largest place that is far off where others are not
    """

    levels: float
    patch: int


_COLOURED_LEVELS = 25.0  # of chroma
_HUE = 0.77  # cosine of 40 degrees
_ONE_HUE = 0.9  # of the mean of hues as unit vectors
_FEWEST_COLOURED = 0.01  # of the pixels
_OFF_LEVELS = 20.0
_RELIT_LEVELS, _RELIT_CONTRAST = 6.0, 1.1  # beyond what a thing in another colour does to light
_LOW_END, _HIGH_END = 1, 254
Part = tuple[slice, slice]
EVERYWHERE: Part = slice(None), slice(None)


def mapped(colour: Bytes, wanted: Floats, sound: Mask, part: Part = EVERYWHERE) -> Floats:
    """Give (H, W) what of `wanted` follows from another image's colours by one rule.

    Parameters
    ----------
    colour : (H, W, 3) RGB
    sound : (H, W), pixels that the rule is fitted to
    part : rows and columns for which it is given
    """
    return next(each_mapped(colour, [wanted], sound, part))


def each_mapped(
    colour: Bytes,
    wanted: Iterable[Floats],
    sound: Mask,
    part: Part = EVERYWHERE,
) -> Iterator[Floats]:
    """Give what `mapped` gives, for several in turn."""
    step = max(1, round((sound.size / _MAX_FIT_PIXELS) ** 0.5))
    few = sound[::step, ::step]
    if few.sum() < _MIN_FIT_PIXELS:
        for _ in wanted:
            yield np.asarray(cv2.cvtColor(colour[part], cv2.COLOR_RGB2GRAY)).astype(np.float32)
        return
    far = _far(sound.shape)
    terms = _terms(colour[::step, ::step][few], far[::step, ::step][few])
    colour, far = np.ascontiguousarray(colour[part]), far[part]
    level = cv2.transform(colour.astype(np.float32), np.full((1, 3), 1 / 384, np.float32)) - 1
    square, more = level * level, np.empty_like(level)
    values = np.arange(256, dtype=np.float64) / 128 - 1
    for each in wanted:
        weights = _fitted(terms, each[::step, ::step][few])
        table = values[:, None] * weights[1:4] + values[:, None] ** 2 * weights[6:9]
        parts = cv2.LUT(colour, table.astype(np.float32)[None])
        made = np.asarray(cv2.transform(parts, np.ones((1, 3), np.float32)), np.float32)
        weights = weights.astype(np.float32)
        # Step by step, since sums in one line take several images more: the cube of light and
        # its square, then the distance from the middle.
        np.multiply(level, weights[5], out=more)
        more += weights[4]
        np.multiply(more, square, out=more)
        more += weights[0]
        made += more
        np.multiply(level, weights[10], out=more)
        more += weights[9]
        np.multiply(more, far, out=more)
        made += more
        yield made


def _far(shape: tuple[int, ...]) -> Floats:
    """Give the squared distance from the middle, 2 in the corners."""
    y = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, shape[1], dtype=np.float32)[None]
    return np.asarray(x * x + y * y, np.float32)


def _terms(colour: Bytes, far: Floats) -> Floats:
    """Give (11, N) what a rule is made of.

    Parameters
    ----------
    colour : (N, 3)
    far : (N,) squared distance from the middle
    """
    values = colour.T.astype(np.float32) / np.float32(128) - np.float32(1)
    level = values.mean(axis=0)
    square = level * level
    one = np.ones_like(level)
    return np.stack([one, *values, square, square * level, *values**2, far, far * level])


def _fitted(terms: Floats, wanted: Floats) -> Doubles:
    weights: Doubles = np.zeros(len(terms))
    trust = np.ones(len(wanted), np.float32)
    for turn in range(_FIT_ROUNDS):
        if turn:
            off = np.abs(weights.astype(np.float32) @ terms - wanted)
            trust = 1 / (1 + (off / max(4.0, 2 * median(off))) ** 2)
        heavy = terms * (trust / len(wanted))
        normal = (heavy @ terms.T).astype(np.float64) + 1e-4 * np.eye(len(terms))
        weights = np.asarray(
            np.linalg.solve(normal, (heavy @ wanted).astype(np.float64)), np.float64
        )
    return np.asarray(weights)


def colour_left(one: Bytes, two: Bytes, sound: Mask, *, strict: bool = False) -> ColourLeft:
    """Give how far tiles are from the colour that one rule for the whole image gives them.

    Parameters
    ----------
    one, two : (H, W, 3) RGB
    sound : (H, W), pixels that count
    strict : colours may be stronger, fainter or warmer, and no others
    """
    one, two, sound = _shrunk(one, two, sound)
    if (levels := _as_is(one, two, sound)) is not None:
        return ColourLeft(levels, 0)
    dyed = min(_dyed(one, two, sound), _dyed(two, one, sound))
    # From grey no colour follows, but grey does from any colour.
    for grey, other in ((two, one), (one, two)):
        if _has_one_hue(grey, sound):
            left = _left(grey, other, sound, strict)
            return ColourLeft(left.levels, max(left.patch, dyed))
    if strict:
        left = _left(one, two, sound, strict)
        return ColourLeft(left.levels, max(left.patch, dyed))
    # A part in a colour that is nowhere else follows by a rule of its own, but not back again.
    there, back = _left(one, two, sound, strict), _left(two, one, sound, strict)
    return ColourLeft(max(there.levels, back.levels), max(dyed, min(there.patch, back.patch)))


def _shrunk(one: Bytes, two: Bytes, sound: Mask) -> tuple[Bytes, Bytes, Mask]:
    one, two = (cells.averaged(cells.cut(each, _SHRINK), _SHRINK) for each in (one, two))
    part = cells.averaged(cells.cut(sound.astype(np.float32), _SHRINK), _SHRINK)
    return one, two, np.asarray(part > 0.5)  # noqa: PLR2004 -- most of it


def turned(one: Bytes, two: Bytes, sound: Mask) -> float:
    """Give the share of plain colours that have another hue.

    Returns
    -------
    0 where one alone has many hues, as beside a sepia copy of it, or is the other's negative.
    """
    one, two, sound = _shrunk(one, two, sound)
    values = [
        cv2.cvtColor(each, cv2.COLOR_RGB2YCrCb)[sound].astype(np.float32) for each in (one, two)
    ]
    mine, theirs = (each[:, 1:] - 128 for each in values)
    strong = [np.linalg.norm(each, axis=1) + 1e-6 for each in (mine, theirs)]
    plain = np.minimum(*strong) >= _COLOURED_LEVELS
    if plain.sum() < max(1, _FEWEST_COLOURED * len(plain)):
        return 0.0
    hues = [
        (each / size[:, None])[plain] for each, size in zip((mine, theirs), strong, strict=True)
    ]
    share = float(((hues[0] * hues[1]).sum(axis=1) < _HUE).mean())
    first, second = (bool(np.linalg.norm(each.mean(axis=0)) >= _ONE_HUE) for each in hues)
    if first != second:
        return 0.0
    light = [each[:, 0] - each[:, 0].mean() for each in values]
    return share if float(light[0] @ light[1]) > 0 else 0.0


def recoloured_share(one: Bytes, two: Bytes, sound: Mask) -> float:
    """Give the share of pixels that stronger, fainter or warmer colours do not explain.

    Of what is too small for tiles; either image may be the one that was changed.
    """
    mine, theirs = (
        np.asarray(cv2.cvtColor(cv2.blur(each, (3, 3)), cv2.COLOR_RGB2YCrCb), np.uint8)
        for each in (one, two)
    )
    if not sound.any():
        return 0.0
    shares = []
    for colour, wanted in ((mine, theirs), (theirs, mine)):
        left = np.abs(_stronger(colour, wanted, sound)[..., 1:] - wanted[..., 1:]).max(axis=2)
        shares.append(float((left[sound] > _OFF_LEVELS).mean()))
    return min(shares)


def _as_is(one: Bytes, two: Bytes, sound: Mask) -> float | None:
    """Give how far tiles are from each other where no rule is needed; None where one is.

    Most copies have kept their colours, and fitting rules costs many times as much.
    """
    mine, theirs = (cv2.cvtColor(each, cv2.COLOR_RGB2YCrCb) for each in (one, two))
    side, worst, used = TILE_PIXELS // _SHRINK, np.zeros(0, np.float32), sound
    for at in (1, 2):
        off = mine[..., at].astype(np.float32) - theirs[..., at]
        means, used = tiles(off, sound, side)
        worst = np.maximum(np.abs(means[used]), worst if worst.size else 0)
    if not worst.size or float(worst.max()) > _SAME_LEVELS:
        return None
    return percentiles(worst, 97)[0]


def _left(one: Bytes, two: Bytes, sound: Mask, strict: bool) -> ColourLeft:  # noqa: FBT001 - passed on
    """Give what of the first's colours does not follow from the second's; none of too little."""
    if sound.sum() < _MIN_FIT_PIXELS:
        return ColourLeft(0.0, 0)
    wanted, colour = (
        np.asarray(cv2.cvtColor(each, cv2.COLOR_RGB2YCrCb), np.uint8) for each in (one, two)
    )
    stronger = _stronger(colour, wanted, sound) if strict else wanted
    left, used = [], sound
    chroma = [np.ascontiguousarray(wanted[..., channel]).astype(np.float32) for channel in (1, 2)]
    guesses = (stronger[..., 1], stronger[..., 2]) if strict else each_mapped(two, chroma, sound)
    for mine, guess in zip(chroma, guesses, strict=True):
        off, used = tiles(mine - guess, sound, TILE_PIXELS // _SHRINK)
        left.append(np.abs(off))
    worst = np.maximum(*left)
    if not used.any():
        return ColourLeft(0.0, 0)
    usual, most = percentiles(worst[used], 90, 97)
    least = _PAGE_PATCH_LEVELS if strict else max(_PATCH_LEVELS, _PATCH_OVER_USUAL * usual)
    return ColourLeft(most, largest((worst > least) & used))


def _dyed(one: Bytes, two: Bytes, sound: Mask) -> int:
    """Give the tiles of the largest thing in another colour, where all else has kept its colours.

    What takes colours away, or makes them stronger or warmer, does so everywhere, and faint colours
    tell of it as well as strong ones. Where light differs colours may pale or deepen with it, and
    do not turn.
    """
    both = [cv2.cvtColor(each, cv2.COLOR_RGB2YCrCb).astype(np.float32) for each in (one, two)]
    side = TILE_PIXELS // _SHRINK
    if _relit(both[0][..., 0], both[1][..., 0], sound):
        sound = sound & ~_cut_off(one, two)
    parts = [[tiles(np.ascontiguousarray(each[..., at]), sound, side) for at in range(3)]
             for each in both]  # fmt: skip
    used = parts[0][0][1]
    light = [each[0][0] for each in parts]
    mine, theirs = (np.stack([each[at][0] - 128 for at in (1, 2)]) for each in parts)
    off = np.abs(mine - theirs).max(axis=0)
    if not used.any():
        return 0
    if (usual := median(off[used])) > _KEPT_LEVELS:
        # A thing that fills most of the image leaves less, which then has to have colours to keep.
        coloured = used & (off <= _KEPT_LEVELS) & (np.abs(mine).max(axis=0) >= _COLOURED_TILE)
        usual = percentiles(off[used], 100 * _LEAST_KEPT)[0]
        if usual > _KEPT_LEVELS or coloured.sum() < _LEAST_COLOURED * used.sum():
            return 0
    kept = used & (off <= max(_KEPT_LEVELS, 3 * usual))
    strength = _strength(mine[:, kept], theirs[:, kept])
    if strength is None:
        return 0
    ratios = (light[1] + 4) / (light[0] + 4), (259 - light[1]) / (259 - light[0])
    least = np.minimum(np.minimum(*ratios), min(1.0, strength))
    most = np.maximum(np.maximum(*ratios), max(1.0, strength))
    factor = (mine * theirs).sum(axis=0) / np.maximum((mine * mine).sum(axis=0), 1e-6)
    turned = np.abs(theirs - np.clip(factor, least, most) * mine).max(axis=0)
    places = ((turned > _DYED_LEVELS) & used).astype(np.uint8)
    # Blur moves colours across edges, of which places are as narrow.
    opened = cv2.morphologyEx(places, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return largest(np.asarray(opened > 0))


def _relit(one: Floats, two: Floats, sound: Mask) -> bool:
    """Tell whether the light of one was changed as a whole."""
    mine, theirs = one[sound], two[sound]
    if not mine.size:
        return False
    spreads = sorted((float(mine.std()), float(theirs.std())))
    moved = abs(float(mine.mean()) - float(theirs.mean()))
    return moved > _RELIT_LEVELS or spreads[1] > _RELIT_CONTRAST * spreads[0]


def _cut_off(one: Bytes, two: Bytes) -> Mask:
    """Find pixels of which a channel ran into an end on one side alone, which turns their hue."""
    ends = [(each <= _LOW_END) | (each >= _HIGH_END) for each in (one, two)]
    return np.asarray((ends[0] != ends[1]).any(axis=-1))


def _strength(mine: Floats, theirs: Floats) -> float | None:
    """Give how strong the other's colours are against these; None where colours tell nothing.

    Parameters
    ----------
    mine, theirs : (2, N) chroma of tiles
    """
    spreads = mine.std(axis=1), theirs.std(axis=1)
    at = int(np.argmax(np.minimum(*spreads)))
    one, two = float(spreads[0][at]), float(spreads[1][at])
    if min(one, two) < _TINTED_LEVELS:
        return None
    joint = float(((mine[at] - mine[at].mean()) * (theirs[at] - theirs[at].mean())).mean())
    alike = joint >= _FOLLOWING * one * two and max(one, two) <= _MOST_STRONGER * min(one, two)
    return two / one if alike else None


def largest(places: Mask) -> int:
    """Count the tiles of the largest place."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(places.astype(np.uint8), connectivity=8)
    return int(stats[1:, cv2.CC_STAT_AREA].max()) if len(stats) > 1 else 0


def _stronger(colour: Bytes, wanted: Bytes, sound: Mask) -> Floats:
    """Give the chroma of one, (H, W, 3), as strong and as warm as the other's altogether.

    Both channels grow stronger alike: a rule that turns green into blue is another product.
    """
    mine, theirs = (each.astype(np.float32) - 128 for each in (colour, wanted))
    light, one, none = mine[..., 0], np.ones_like(mine[..., 0]), np.zeros_like(mine[..., 0])
    terms = [
        np.stack(each, -1)
        for each in ([one, light, none, none, mine[..., 1]], [none, none, one, light, mine[..., 2]])
    ]
    table = np.concatenate([each[sound] for each in terms])
    seen = np.concatenate([theirs[..., channel][sound] for channel in (1, 2)])
    weights = np.linalg.lstsq(table, seen, rcond=None)[0]
    return np.stack([none, *(each @ weights + 128 for each in terms)], -1)


def _has_one_hue(image: Bytes, sound: Mask) -> bool:
    """Tell grey, sepia and the like: colour follows from light alone."""
    values = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)[sound].astype(np.float32)
    if len(values) < _MIN_FIT_PIXELS:
        return False
    light = values[:, 0] / 128 - 1
    terms = np.stack([np.ones_like(light), light, light * light], 1)
    weights = np.linalg.lstsq(terms, values[:, 1:], rcond=None)[0]
    return float((values[:, 1:] - terms @ weights).std()) < _ONE_HUE_LEVELS


def tiles(values: Floats, sound: Mask, side: int = TILE_PIXELS) -> tuple[Floats, Mask]:
    """Average over tiles, and tell which of them are mostly sound; 0 where not."""
    weight = cells.whole(sound.astype(np.float32), side, cv2.BORDER_CONSTANT)
    total = cells.averaged(weight, side)
    sums = cells.averaged(cells.whole(values, side) * weight, side)
    used = np.asarray(total > 0.5)  # noqa: PLR2004 -- most of the tile
    means = np.where(used, sums / np.maximum(total, 0.5), 0)
    return np.asarray(means, np.float32), used
