"""What differs in the part that two images share, and whether an edit of one side explains it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from dedup.proof.badges import badges
from dedup.proof.both_inked import inked_apart
from dedup.proof.captions import other_captions
from dedup.proof.closely import few_levels, strange_places
from dedup.proof.colour_rule import (
    EVERYWHERE,
    TILE_PIXELS,
    colour_left,
    each_mapped,
    mapped,
    recoloured_share,
    tiles,
    turned,
)
from dedup.proof.coloured import coloured_places
from dedup.proof.drawn import Drawn, ground_in
from dedup.proof.filled import filled
from dedup.proof.ink import inked, patched
from dedup.proof.outlines import outline
from dedup.proof.ranks import percentiles
from dedup.proof.residual import blobs, equalised, strangeness
from dedup.proof.rims import Rims, by_rims
from dedup.proof.shapes import changed_everywhere, other_shapes
from dedup.proof.sides import (
    LARGE_SHARE,
    Shares,
    coloured_on_both,
    in_colour,
    sides,
)
from dedup.proof.small_print import AT_PLACES
from dedup.proof.verdict import Check
from dedup.proof.whole import LIMITS, MIN_PEAK

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.closely import Laid
    from dedup.proof.colour_rule import Part

    Floats = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

MIN_SPOT_PIXELS = 6
SMALL_SIDE = 96
"""Pixels of the longer side up to which nothing may differ: of 20 copies as small in a part none
does, and an icon has no more to tell it from another of its set."""
MAX_RECOLOURED_SHARE = 0.05  # of a small image; flags .4, copies 0
MAX_TURNED_SHARE = 0.5  # of a page's colours
MIN_SPOTS_SHARE = 0.0003  # of the overlap; less is the edge of an overlap
MAX_COVERED_SHARE = 0.45  # of the overlap, with all that lies between letters
MIN_EXPLAINED_SHARE = 0.6
MAX_COLOUR_LEVELS = 21.0  # strong filters leave 20, a product in another colour 23 and more
MAX_POSTERISED_LEVELS = 36.0
MIN_PATCH_TILES = 6  # of another colour
MAX_CLEAN_SHARE = 0.02
MAX_DOUBTFUL_SHARE = 0.25  # on either side by light; a grey thing beneath a coloured one has more
MIN_SPECKS, MAX_SPECK_SHARE = 20, 0.15
_BESIDE_PIXELS, _BESIDE_SHARE = 15, 12  # at most; and a share of a small image, or none is left
_EVEN_SHARE = 0.4  # of places, on sixteen levels
_MAX_REST_SHARE = 0.05  # of what differs, that is beside what is filled
_AROUND_PIXELS = 24  # of places, beyond which nothing is looked at to tell whose they are
_CELLS = 8  # a side of the page
_WRITTEN_LEVELS = 20  # contrast within a few pixels
MAX_PLACES_SHARE = 0.65  # of the written cells; where more differ no word was changed here or there
OTHER_SIDE_CHECK = "share of it drawn on the other"
DIFFERS_CHECK = "share that differs at full resolution"
BOTH_CHECK = "places with other ink on either"
PAGE_CHECK = "places of a page that differ at full resolution"
SHAPES_CHECK = "shapes on plain ground that are others"
OUTLINE_CHECK = "share of an outline that is on both"
_OTHER_SHAPES = "shapes on plain ground are others, or elsewhere"
_SMALL = "small, and not the same all over"
_TWO_BADGES = "either has a badge of its own at one place"
_OTHER_INK = "either shows something else in one place: other words, or another face"
_EVERYWHERE = "it agrees closely nowhere: another scan or print, or other words"
OTHER_COLOUR = "a part of it has another colour"
_OTHER_LIGHT = "light and colour differ as no edit makes them"
BY_ONE_RULE = frozenset({OTHER_COLOUR, _OTHER_LIGHT})
"""Refusals of what does not follow one rule for the whole image."""
_TEXTURED_LEVELS = 6.0
_MAX_CLEAN_STRANGENESS = 0.25  # at nine tenths of the textures; noise and blur leave .4 and more
_KEPT_LEVELS = 2.5  # mean difference; saving again leaves 1 to 2
_PLAIN_LEVELS = 7.0  # of light left over, that no edit need explain


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


def judge(laid: Laid, *, page: bool) -> Judgement:
    """Judge what differs at this resolution.

    Parameters
    ----------
    page : what both show is held to the rule for pages
    """
    inside = laid.inside
    if page:
        return _page(laid)
    if max(inside.shape) <= SMALL_SIDE and not laid.halvings:
        return _small(laid)
    strange = strange_places(laid)
    mask, _ = blobs(strange, inside, MIN_SPOT_PIXELS)
    places = mask | coloured_places(laid.one, laid.two, inside) if mask.any() else mask
    # At this resolution: a coarser look sees of small words that they differ, and not that both do.
    apart = inked_apart(laid.one, laid.two, places)
    if apart:
        return Judgement([Check(BOTH_CHECK, apart, 0, passed=False)], _OTHER_INK)
    return _photograph(laid, strange, mask)


def _photograph(laid: Laid, strange: Floats, mask: Mask) -> Judgement:
    """Judge by light, by colour, and by whose side places are on, (H, W), that differ in light."""
    inside = laid.inside
    around = min(_BESIDE_PIXELS, min(mask.shape) // _BESIDE_SHARE | 1)
    beside = cv2.dilate(mask.astype(np.uint8), np.ones((around, around), np.uint8))
    # Ink that both carry is no part of what one rule makes of the light of an image.
    sound = inside & (beside == 0)
    checks, refusal = _as_a_whole(laid, mask, sound)
    if refusal:
        return Judgement(checks, refusal)
    share = float(mask.sum() / max(1, int(inside.sum())))
    if share <= MIN_SPOTS_SHARE:
        return Judgement([*checks, Check(DIFFERS_CHECK, share, MIN_SPOTS_SHARE, passed=True)])
    few = share <= MAX_COVERED_SHARE
    checks.append(Check(DIFFERS_CHECK, share, MAX_COVERED_SHARE, few))
    if not few:
        return Judgement(checks, f"{share:.1%} of the content differs", lossy=True)
    found = _drawn(laid, sound, mask, checks)
    return found._replace(lossy=False) if laid.halvings and _clean(laid, strange, sound) else found


def _as_a_whole(laid: Laid, mask: Mask, sound: Mask) -> tuple[list[Check], str]:
    """Say why no edit of the whole and nothing drawn over it makes one of two; "": one may."""
    light = _light(laid, mask)
    enough = light >= MIN_EXPLAINED_SHARE
    check = Check("share of light that edits explain", light, MIN_EXPLAINED_SHARE, enough)
    if not enough:
        return [check], _OTHER_LIGHT
    checks, even = _colours(laid, sound)
    if not even:
        return checks, OTHER_COLOUR
    if states := _states(laid, sound):
        return [*checks, Check(SHAPES_CHECK, states, 0, passed=False)], _OTHER_SHAPES
    return checks, ""


def _states(laid: Laid, sound: Mask) -> int:
    """Count shapes on plain ground that are others; of drawings whatever was done to the whole."""
    one, two, inside = laid.one, laid.two, laid.inside
    if not changed_everywhere(one, two):
        return other_shapes(one, two, inside)
    if not all(few_levels(each, inside) for each in laid.greys):
        return 0
    # From grey no colour follows, but grey does from any colour.
    there = other_shapes(one, _toned_colours(two, one, sound, EVERYWHERE), inside)
    return there and min(
        there, other_shapes(_toned_colours(one, two, sound, EVERYWHERE), two, inside)
    )


def _clean(laid: Laid, strange: Floats, sound: Mask) -> bool:
    """Tell a pair that has lost next to nothing: a coarser look at it only hides what differs."""
    textured = strange[sound & (laid.contrasts[0] > _TEXTURED_LEVELS)]
    return bool(textured.size) and percentiles(textured, 90)[0] < _MAX_CLEAN_STRANGENESS


def _page(laid: Laid) -> Judgement:
    """Judge by the rule for pages: no spot may differ, nor the colour of a part."""
    seen, spread, qualities = laid.greys[0], laid.contrasts[0], laid.qualities[::-1]

    def apart(level: Floats) -> tuple[Mask, int]:
        made, _ = equalised(level, seen, laid.inside, spread)
        strange = strangeness(made, seen, qualities, LIMITS, MIN_SPOT_PIXELS, spread)
        return blobs(strange, laid.inside, MIN_SPOT_PIXELS, MIN_PEAK)

    mask, spots = apart(laid.greys[1])
    if spots:
        # The rule for tones makes up for softer strokes, at the cost of what is flat and small.
        mask, spots = apart(_toned(laid, laid.inside))
    check = Check(PAGE_CHECK, spots, 0, spots == 0)
    if spots:
        places = _spread(mask, spread, laid.inside)
        return Judgement([check], _EVERYWHERE if places > MAX_PLACES_SHARE else AT_PLACES)
    checks, even = _colours(laid, laid.inside, page=True)
    return Judgement([check, *checks], "" if even else OTHER_COLOUR)


def _small(laid: Laid) -> Judgement:
    """Judge what is too small to tell what was drawn over it: an icon is not another of its set."""
    found = _page(laid)
    if found.refusal:
        return Judgement(found.checks, _SMALL)
    share = recoloured_share(laid.one, laid.two, laid.inside)
    name, same = "share of a small image in other colours", share <= MAX_RECOLOURED_SHARE
    checks = [*found.checks, Check(name, share, MAX_RECOLOURED_SHARE, same)]
    return Judgement(checks, "" if same else OTHER_COLOUR)


def _spread(mask: Mask, contrasts: Floats, inside: Mask) -> float:
    """Give the share of a page's written cells in which a place of a mask lies."""

    def in_cells(values: Mask) -> Mask:
        size = (_CELLS, _CELLS)
        shares = cv2.resize(values.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        return np.asarray(shares > 0)

    written = in_cells((contrasts > _WRITTEN_LEVELS) & inside)
    return float((in_cells(mask) & written).sum() / max(1, int(written.sum())))


def _colours(laid: Laid, sound: Mask, *, page: bool = False) -> tuple[list[Check], bool]:
    """Tell whether no part has another colour."""
    colour = colour_left(laid.one, laid.two, sound, strict=page)
    limit = MAX_COLOUR_LEVELS
    if not page and any(few_levels(each, sound) for each in laid.greys):
        limit = MAX_POSTERISED_LEVELS
    calm, even = colour.levels <= limit, colour.patch < MIN_PATCH_TILES
    name = "colour that no one rule explains, in levels"
    checks = [
        Check(name, colour.levels, limit, calm),
        Check("tiles of a place in another colour", colour.patch, MIN_PATCH_TILES - 1, even),
    ]
    if not page or not (calm and even):
        return checks, calm and even
    share = turned(laid.one, laid.two, sound)
    same, name = share <= MAX_TURNED_SHARE, "share of colours that have another hue"
    return [*checks, Check(name, share, MAX_TURNED_SHARE, same)], same


def _drawn(laid: Laid, sound: Mask, mask: Mask, checks: list[Check]) -> Judgement:
    """Refuse what is not drawn on one side alone."""
    share = float(mask.sum() / max(1, int(laid.inside.sum())))
    around = _around(mask)  # a mark on a large image is a fraction of it
    one, level, places = laid.one[around], laid.greys[0][around], mask[around]
    large = float(mask.mean()) >= LARGE_SHARE
    toned = _toned(laid, sound, around)
    shares = sides(level, toned, places, large=large)
    if shares is None:  # faint all over: no content
        return Judgement(checks)
    colours = _toned_colours(laid.two, laid.one, sound, around)
    two = laid.two[around] if _kept(laid, sound) else colours
    rims = by_rims(one, two, places)
    shares = _told(one, colours, (level, toned), places, shares, rims, large=large)
    most, least = max(shares[:2]), min(shares[:2])
    checks = [
        *checks,
        Check("share of it drawn on one side", most, shares.limits[0], most >= shares.limits[0]),
        Check(OTHER_SIDE_CHECK, least, shares.limits[1], least <= shares.limits[1]),
    ]
    if not shares.drawn:
        reason = f"{max(share, 0.001):.1%} of the content differs, and not on one side alone"
        # A thing on either is no loss that a coarser look leaves out.
        either = rims is not None and rims.evenly
        lossy = _scattered(mask) or (share > MAX_CLEAN_SHARE and not either)
        return Judgement(checks, reason, lossy=lossy)
    for count, refusal in ((badges, _TWO_BADGES), (other_captions, _OTHER_INK)):
        if found := count(one, two, places):
            return Judgement([*checks, Check(BOTH_CHECK, found, 0, passed=False)], refusal)
    edges = outline(one, two, places)
    if edges is not None and edges.on_both:
        checks.append(Check(OUTLINE_CHECK, edges.stepped, 0, passed=False))
        return Judgement(checks, f"either has a thing of its own on {share:.0%} of it")
    on, what = 1 if shares.one > shares.two else 2, ""
    # Light steps along a bar before a dark thing less than in what it hides.
    told = rims is not None and rims.alone.drawn
    part = filled(laid) if not told and _is_even(places, level, toned) else None
    if part is not None and part.rest <= _MAX_REST_SHARE:
        on, share, what = part.on, float(part.mask.mean()), ground_in(part.mask)
    return Judgement(checks, drawn=Drawn(share, laid.owner if on == 1 else 3 - laid.owner, what))


def _is_even(places: Mask, *lights: Floats) -> bool:
    """Tell whether either image has much of one level at places, as what is filled has."""
    most = max(int(np.bincount(each[places].astype(np.intp) // 16).max()) for each in lights)
    return most >= _EVEN_SHARE * int(places.sum())


def _told(
    one: Bytes,
    two: Bytes,
    light: tuple[Floats, Floats],
    places: Mask,
    shares: Shares,
    rims: Rims | None,
    *,
    large: bool,
) -> Shares:
    """Tell whose side places are on where light alone does not, or is wrong.

    Parameters
    ----------
    one, two, light : colours and light of both, of one mapped onto the other's
    shares, rims : what light tells, and what rims tell
    """
    doubtful = not large and min(shares[:2]) > MAX_DOUBTFUL_SHARE
    gap = light[0] - light[1]
    if not shares.drawn:
        shares = inked(one, two, places) or patched(one, two, light, places) or shares
    coloured = in_colour(one, two, gap, places, large=large)
    # Where colours tell, they know better: over rough ground light is steep on the clean side. But
    # they do not see what is grey, and light that is steep on both sides stays the judge.
    if coloured and (shares.drawn or min(shares[:2]) <= MAX_DOUBTFUL_SHARE):
        shares = coloured
    if (either := coloured_on_both(one, two, gap, places)) is not None:
        return either
    if rims is None:
        return shares
    if rims.both:
        return Shares(0.5, 0.5, rims.alone.limits)
    if rims.alone.drawn and (shares.drawn or not doubtful):
        return rims.alone
    if shares.drawn or doubtful:
        return shares
    agreed = (
        coloured is not None
        and rims.agreeing.drawn
        and (coloured.one > coloured.two) == (rims.agreeing.one > rims.agreeing.two)
    )
    return rims.agreeing if agreed else shares


def _scattered(mask: Mask) -> bool:
    """Tell specks everywhere, which compression and sharpening leave, from content."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    area = stats[1:, cv2.CC_STAT_AREA]
    return len(area) >= MIN_SPECKS and int(area.max()) <= MAX_SPECK_SHARE * mask.sum()


def _around(mask: Mask) -> Part:
    """Give the rows and columns on which what is told of some places depends."""
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    return (
        slice(max(0, top - _AROUND_PIXELS), top + height + _AROUND_PIXELS),
        slice(max(0, left - _AROUND_PIXELS), left + width + _AROUND_PIXELS),
    )


def _kept(laid: Laid, sound: Mask) -> bool:
    """Tell whether light and colour are as they were: a rule would only change what was drawn."""
    # Every fourth pixel tells as much.
    one, two = (np.ascontiguousarray(each[::2, ::2]) for each in (laid.one, laid.two))
    some = np.ascontiguousarray(sound[::2, ::2]).view(np.uint8)
    count = 3 * cv2.countNonZero(some)
    return bool(count) and cv2.norm(one, two, cv2.NORM_L1, some) / count <= _KEPT_LEVELS


def _toned_colours(colour: Bytes, wanted: Bytes, sound: Mask, part: Part) -> Bytes:
    """Map one image's colours onto another's by one rule for the whole image."""
    channels = [wanted[..., at].astype(np.float32) for at in range(3)]
    made = np.stack(list(each_mapped(colour, channels, sound, part)), axis=-1)
    return np.asarray(np.clip(made, 0, 255), np.uint8)


def _toned(laid: Laid, sound: Mask, part: Part = EVERYWHERE) -> Floats:
    """Map the other's colours onto the owner's light by one rule for the whole image."""
    return np.clip(mapped(laid.two, laid.greys[0], sound, part), 0, 255)


def _light(laid: Laid, mask: Mask) -> float:
    """Give the share of coarse light that follows beside places; 1 where there is next to none."""
    # Every other pixel tells as much of tiles.
    one, two = (np.ascontiguousarray(each[::2, ::2]) for each in laid.greys)
    inside, places = laid.inside[::2, ::2], mask[::2, ::2]
    sound, side = inside & ~places, TILE_PIXELS // 2
    (mine, used), (theirs, _) = tiles(one, sound, side), tiles(two, sound, side)
    if used.sum() < 8:  # noqa: PLR2004 -- nothing to compare
        return 1.0
    if float((mine - theirs)[used].std()) < _PLAIN_LEVELS:
        return 1.0  # as it is, without a rule
    colour = np.ascontiguousarray(laid.two[::2, ::2])
    theirs, _ = tiles(np.clip(mapped(colour, one, inside), 0, 255), sound, side)
    left = float((mine - theirs)[used].std())
    if left < _PLAIN_LEVELS:
        return 1.0
    return max(0.0, 1 - (left / max(float(mine[used].std()), 1e-6)) ** 2)
