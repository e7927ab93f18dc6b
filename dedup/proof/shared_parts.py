"""What differs in the part that two images share, and whether an edit of one side explains it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from dedup.proof.original import grey
from dedup.proof.residual import blobs, equalised, strangeness
from dedup.proof.sides import sides
from dedup.proof.verdict import Check
from dedup.proof.whole import LIMITS
from dedup.proof.wording import Drawn

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from dedup.proof.closely import Compared, Laid

    Floats = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

MIN_SPOT_PIXELS = 6
MIN_SPOTS_SHARE = 0.0003  # of the overlap; less is the edge of an overlap
MAX_COVERED_SHARE = 0.45  # of the overlap, with all that lies between letters
MIN_EXPLAINED_SHARE = 0.6
MAX_COLOUR_LEVELS = 14.0
MAX_CLEAN_SHARE = 0.02
_PLAIN_LEVELS = 7.0  # of light left over, that no edit need explain
_TILE_PIXELS = 16
_FIT_ROUNDS = 4
_COLOUR_STEP = 4
_ONE_HUE_LEVELS = 3.0


class Judgement(NamedTuple):
    """What comes of a look at the files' resolution.

    Parameters
    ----------
    refusal : why the pair is not near; "" where it is
    lossy : so much differs that it may be noise or blur, which a coarser look leaves out
    drawn : what lies over one of them
    """

    checks: list[Check]
    refusal: str = ""
    lossy: bool = False
    drawn: Drawn = Drawn()


def judge(found: Compared, *, page: bool) -> Judgement:
    """Judge what was found at the files' resolution.

    Parameters
    ----------
    page : what both show is held to the rule for pages
    """
    laid, inside = found.laid, found.laid.inside
    mapped = _toned(laid)
    if page:
        made, _ = equalised(mapped, grey(laid.one), inside)
        strange = strangeness(made, grey(laid.one), laid.qualities[::-1], LIMITS)
        _, spots = blobs(strange, inside, MIN_SPOT_PIXELS)
        check = Check("places of a page that differ at full resolution", spots, 0, spots == 0)
        return Judgement([check], "" if spots == 0 else "words or figures on it differ")
    mask, _ = blobs(found.strange, inside, MIN_SPOT_PIXELS)
    light = _light(grey(laid.one), mapped, inside & ~mask)
    enough = light >= MIN_EXPLAINED_SHARE
    check = Check("share of light that edits explain", light, MIN_EXPLAINED_SHARE, enough)
    if not enough:
        return Judgement([check], "light and colour differ as no edit makes them")
    colour = _colour(laid, inside & ~mask)
    calm = colour <= MAX_COLOUR_LEVELS
    check = Check("colour that no one rule explains, in levels", colour, MAX_COLOUR_LEVELS, calm)
    if not calm:
        return Judgement([check], "a part of it has another colour")
    share = float(mask.sum() / max(1, int(inside.sum())))
    name = "share that differs at full resolution"
    if share <= MIN_SPOTS_SHARE:
        return Judgement([check, Check(name, share, MIN_SPOTS_SHARE, passed=True)])
    few = share <= MAX_COVERED_SHARE
    checks = [check, Check(name, share, MAX_COVERED_SHARE, few)]
    if not few:
        return Judgement(checks, f"{share:.1%} of the content differs", lossy=True)
    return _drawn(laid, mapped, mask, checks)


def _drawn(laid: Laid, mapped: Floats, mask: Mask, checks: list[Check]) -> Judgement:
    """Refuse what is not drawn on one side alone."""
    shares = sides(grey(laid.one), mapped, mask)
    if shares is None:  # faint all over: no content
        return Judgement(checks)
    most, least = max(shares[:2]), min(shares[:2])
    checks = [
        *checks,
        Check("share of it drawn on one side", most, shares.limits[0], most >= shares.limits[0]),
        Check("share of it drawn on the other", least, shares.limits[1], least <= shares.limits[1]),
    ]
    share = float(mask.sum() / max(1, int(laid.inside.sum())))
    if not shares.drawn:
        reason = f"{max(share, 0.001):.1%} of the content differs, and not on one side alone"
        return Judgement(checks, reason, lossy=share > MAX_CLEAN_SHARE)
    on = laid.owner if shares.one > shares.two else 3 - laid.owner
    return Judgement(checks, drawn=Drawn(share, on))


def _colour(laid: Laid, sound: Mask) -> float:
    """Give how far tiles are from the colour that one rule for the whole image gives them."""
    # Tiles are averages, for which a quarter of the resolution is plenty.
    height, width = (max(1, side // _COLOUR_STEP) for side in sound.shape)
    one, two = (
        np.asarray(cv2.resize(each, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        for each in (laid.one, laid.two)
    )
    part = cv2.resize(sound.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    sound = np.asarray(part > 0.5)  # noqa: PLR2004 -- most of it
    if _has_one_hue(two, sound):  # from grey no colour follows, but grey does from any colour
        one, two = two, one
    wanted = cv2.cvtColor(one, cv2.COLOR_RGB2YCrCb)
    left = [np.zeros(1, np.float32)]
    for channel in (1, 2):
        mine = wanted[..., channel].astype(np.float32)
        off = mine - _mapped(two, mine, sound, step=1)
        left.append(np.abs(_tiles(off, sound, _TILE_PIXELS // _COLOUR_STEP)))
    both = np.maximum.reduce(np.broadcast_arrays(*left))
    return float(np.percentile(both, 97)) if both.size else 0.0


def _has_one_hue(image: Bytes, sound: Mask) -> bool:
    """Tell grey, sepia and the like: colour follows from light alone."""
    values = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)[sound].astype(np.float32)
    if len(values) < 64:  # noqa: PLR2004 -- nothing to fit
        return False
    light = values[:, 0] / 128 - 1
    terms = np.stack([np.ones_like(light), light, light * light], 1)
    weights = np.linalg.lstsq(terms, values[:, 1:], rcond=None)[0]
    return float((values[:, 1:] - terms @ weights).std()) < _ONE_HUE_LEVELS


def _toned(laid: Laid) -> Floats:
    """Map the other's colours onto the owner's light by one rule for the whole image."""
    return np.clip(_mapped(laid.two, grey(laid.one), laid.inside), 0, 255)


def _mapped(colour: Bytes, wanted: Floats, sound: Mask, step: int = 3) -> Floats:
    """Give what of `wanted` follows from another image's colours by one rule.

    Parameters
    ----------
    step : in pixels, between the places that the rule is fitted to
    """
    few = sound[::step, ::step]
    if few.sum() < 64:  # noqa: PLR2004 -- nothing to fit
        return grey(colour)
    values = np.moveaxis(colour.astype(np.float32), 2, 0) / np.float32(128) - np.float32(1)
    far = _far(sound.shape)
    some = np.stack(list(_terms(values[:, ::step, ::step][:, few], far[::step, ::step][few])))
    target = wanted[::step, ::step][few]
    weights = np.zeros(len(some), np.float32)
    trust = np.ones(len(target), np.float32)
    for _ in range(_FIT_ROUNDS):
        heavy = some * trust / len(target)
        normal = heavy @ some.T + 1e-4 * np.eye(len(some))
        weights = np.linalg.solve(normal, heavy @ target).astype(np.float32)
        off = np.abs(weights @ some - target)
        trust = 1 / (1 + (off / max(4.0, 2 * float(np.median(off)))) ** 2)
    made = np.zeros_like(far)
    for weight, term in zip(weights, _terms(values, far), strict=True):
        made += weight * term
    return made


def _far(shape: tuple[int, ...]) -> Floats:
    """Give the squared distance from the middle, 2 in the corners."""
    y = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, shape[1], dtype=np.float32)[None]
    return np.asarray(x * x + y * y, np.float32)


def _terms(values: Floats, far: Floats) -> Iterator[Floats]:
    """Yield what a rule is made of, one after the other.

    Parameters
    ----------
    values : (3, ...), channels in -1 to 1
    far : (...), squared distance from the middle
    """
    level = (values[0] + values[1] + values[2]) / np.float32(3)
    square = level * level
    yield np.ones_like(level)
    yield from values
    yield square
    yield square * level
    for channel in values:
        yield channel * channel
    yield far
    yield far * level


def _light(one: Floats, two: Floats, sound: Mask) -> float:
    """Give the share of coarse light that follows; 1 where there is next to none."""
    mine, theirs = _tiles(one, sound), _tiles(two, sound)
    if mine.size < 8:  # noqa: PLR2004 -- nothing to compare
        return 1.0
    left = float((mine - theirs).std())
    if left < _PLAIN_LEVELS:
        return 1.0
    return max(0.0, 1 - (left / max(float(mine.std()), 1e-6)) ** 2)


def _tiles(values: Floats, sound: Mask, side: int = _TILE_PIXELS) -> Floats:
    """Average over the tiles that are mostly sound."""
    height, width = values.shape
    size = max(1, width // side), max(1, height // side)
    weight = sound.astype(np.float32)
    total = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    sums = cv2.resize(values * weight, size, interpolation=cv2.INTER_AREA)
    used = total > 0.5  # noqa: PLR2004 -- most of the tile
    return np.asarray(sums[used] / total[used], np.float32)
