"""Which of several related images is the original, as far as that can be told.

Two kinds of knowledge go into it. Traits say of one image what became of it; they are compared
within a family, the images that relations join, since a border or an enlargement shows only beside
what has none. What a proof knows of a pair goes above that: an original is never ranked below what
was made from it. Where such pairs contradict each other, most of them decide, or traits alone.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dedup.images.history import LOSSLESS
from dedup.images.traits import NEUTRAL, Traits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_ENLARGED: Final = 0.6
"""Exponent of the ratio of sides that the reach of two spectra must differ by, for the larger image
to count as the smaller one enlarged: it is 1 where nothing was added, and 0 between a photograph
and its reduction. Medians of 88 photographs are 1.0 to 1.5, and 0.0."""

_ENLARGED_NAMELESS: Final = 0.25
"""The same where the smaller image alone has the camera's data, and so did not come of the larger
one: soft photographs and their enlargements differ by .36 and more."""

_LEAST_HOLE: Final = 0.01  # of an image
_LEAST_RATIO: Final = 1.1  # of sides; nearer ones say nothing
_SAME_PIXELS: Final = 0.08
_VISIBLE_QUALITY: Final = 80
"""From here on few see how strongly a JPEG was compressed, and tables tell little of which was
first: editors save at more than their source was saved at."""
_SAME_QUALITY: Final = 5
_SAME_ASPECT: Final = 0.02
_LOSSLESS_FORMATS: Final = frozenset({"PNG", "TIFF", "BMP"})
"""Those that photographs are kept in without loss; what is saved so from a JPEG mostly shows it."""


class Candidate(NamedTuple):
    """An image of a family.

    Parameters
    ----------
    width, height : upright, pixels
    named_screenshot : a file of it is named so
    copies : one number for all images that are copies of each other, unedited
    format : as in `dedup.store.gallery.GalleryImages`
    """

    width: int
    height: int
    traits: Traits = NEUTRAL
    named_screenshot: bool = False
    copies: int = 0
    format: str = ""


class Rank(NamedTuple):
    """What is known of an image beside its family, every value the better the lower.

    The order of the fields is the order in which they count.
    """

    colour_lost: bool
    screenshot: bool
    pixels: int
    framed: bool
    visible_quality: int
    fewer_pixels: int
    no_metadata: int
    converted: bool
    edited: bool
    lossy: bool


REASONS: Final[dict[str, str]] = {
    "colour_lost": "in colour",
    "screenshot": "no screenshot",
    "pixels": "larger",
    "framed": "nothing added around it",
    "visible_quality": "less compressed",
    "fewer_pixels": "larger",
    "no_metadata": "has the camera's data",
    "converted": "HEIC, as phones take it",
    "edited": "not edited since it was taken",
    "lossy": "never compressed with losses",
}
"""Per field of `Rank` why the better one is kept."""

ENLARGED: Final = "the others are enlarged"


def ranks(family: Mapping[int, Candidate]) -> dict[int, Rank]:
    """Compare the traits of a family's images, by row."""
    pixels = _true_pixels(family)
    sizes = steps(pixels, lambda best, value: value < best * (1 - _SAME_PIXELS))
    visible = steps(_qualities(family), lambda best, value: value < best - _SAME_QUALITY)
    colourful = any(not one.traits.grey for one in family.values())
    framed = _framed(family)
    taken = {_canvas(one) for one in family.values() if _is_taken_so(one)}
    sources = {
        (one.traits.camera, one.width / one.height)
        for one in family.values()
        if not _is_screenshot(one)
    }
    return {
        row: Rank(
            colour_lost=colourful and one.traits.grey,
            screenshot=_is_screenshot(one) and _has_source(one, sources),
            pixels=sizes[row],
            framed=framed[row] > 0,
            visible_quality=visible[row],
            fewer_pixels=0 if framed[row] else -one.width * one.height,
            no_metadata=-_metadata(one.traits),
            # Phones take HEIC, and hand over JPEG; hardly anybody converts back.
            converted=not _is_taken_so(one) and (one.format == "HEIF" or _canvas(one) in taken),
            edited=one.traits.edited,
            lossy=not (one.format in _LOSSLESS_FORMATS and one.traits.quality == LOSSLESS),
        )
        for row, one in family.items()
    }


def steps(values: Mapping[int, float], is_worse: Callable[[float, float], bool]) -> dict[int, int]:
    """Give values numbers from the highest down.

    One that is not worse than the one before shares its number.
    """
    result: dict[int, int] = {}
    number, before = 0, None
    for row in sorted(values, key=lambda row: (-values[row], row)):
        if before is not None and is_worse(before, values[row]):
            number += 1
        result[row] = number
        before = values[row]
    return result


def _true_pixels(family: Mapping[int, Candidate]) -> dict[int, float]:
    """Count the pixels of each image that show something and are not made up by enlarging."""
    shown = _shown(family)
    # Of one size the finest counts: the others were blurred, not enlarged.
    detail: dict[tuple[int, int], float] = defaultdict(float)
    for one in family.values():
        detail[_canvas(one)] = max(detail[_canvas(one)], one.traits.detail)
    order = sorted(family, key=lambda row: (shown[row], row))
    # By columns: ten thousand copies are fifty million pairs.
    size = np.array([shown[row] for row in order])
    fine = np.array([detail[_canvas(family[row])] for row in order])
    camera = np.array([family[row].traits.camera for row in order], np.bool_)
    result = size.copy()
    for place in range(len(order)):
        ratio = (size[place] / np.maximum(size[:place], 1)) ** 0.5
        lost = camera[:place] & ~camera[place]
        exponent = np.where(lost, _ENLARGED_NAMELESS, _ENLARGED)
        made = (ratio >= _LEAST_RATIO) & (fine[:place] / fine[place] >= ratio**exponent)
        if camera[place]:  # as `may_come_of` says
            made &= camera[:place]
        if made.any():
            # Just below what it was made from, and above what is smaller than that.
            below = float(result[:place][made].min()) * (1 - 2 * _SAME_PIXELS)
            result[place] = min(result[place], below)
    return dict(zip(order, result.tolist(), strict=True))


def _qualities(family: Mapping[int, Candidate]) -> dict[int, float]:
    """Give how strongly each image is compressed, as far as that is seen.

    Edits wipe out the traces of an earlier JPEG, and add no quality: these tell an image from its
    own copies of one size alone.
    """
    best: dict[tuple[int, ...], int] = defaultdict(int)
    for one in family.values():
        best[one.copies, *_canvas(one)] = max(best[one.copies, *_canvas(one)], one.traits.quality)
    found = {}
    for row, one in family.items():
        worse = one.traits.quality < best[one.copies, *_canvas(one)] - _SAME_QUALITY
        quality = one.traits.quality if worse else max(one.traits.saved, one.traits.quality)
        found[row] = float(min(quality, _VISIBLE_QUALITY))
    return found


def may_come_of(made: Traits, original: Traits) -> bool:
    """Tell whether one image may have been made from another.

    No edit adds the camera's data, and none fills what was cut out.
    """
    return (original.camera or not made.camera) and original.holes <= made.holes + _LEAST_HOLE


def _canvas(one: Candidate) -> tuple[int, int]:
    return min(one.width, one.height), max(one.width, one.height)


def _shown(family: Mapping[int, Candidate]) -> dict[int, float]:
    """Count the pixels that are neither margin nor hole.

    Margins count between images of different size alone: to one of equal size nothing was added,
    and noise or contrast only changed how plain its own margins look. Nor do those count that a
    camera took, unless another of its images has less.
    """
    content: dict[tuple[int, int], float] = defaultdict(float)
    for one in family.values():
        content[_canvas(one)] = max(content[_canvas(one)], one.traits.content)
    taken = max((content[_canvas(one)] for one in family.values() if one.traits.camera), default=1)
    return {
        row: one.width
        * one.height
        * (content[_canvas(one)] / (taken if one.traits.camera else 1))
        * (1 - one.traits.holes)
        for row, one in family.items()
    }


def _framed(family: Mapping[int, Candidate]) -> dict[int, float]:
    """Give the share of margins and holes that an image has more than the least of its family."""
    shown = _shown(family)
    shares = {row: 1 - shown[row] / (one.width * one.height) for row, one in family.items()}
    least = min(shares.values())
    return {row: share - least if share - least > 0.01 else 0.0 for row, share in shares.items()}  # noqa: PLR2004 - seen


def _is_screenshot(one: Candidate) -> bool:
    return one.named_screenshot or one.traits.screen


def _has_source(one: Candidate, sources: Iterable[tuple[bool, float]]) -> bool:
    """Tell whether a screenshot may show another image, rather than be saved again as that one.

    Parameters
    ----------
    sources : of the images that are no screenshots whether a camera's, and width to height
    """
    aspect = one.width / one.height
    return any(camera or abs(other / aspect - 1) > _SAME_ASPECT for camera, other in sources)


def _is_taken_so(one: Candidate) -> bool:
    """Tell the HEIC of a phone, which always names the camera, from what was converted to it."""
    return one.format == "HEIF" and one.traits.camera


def _metadata(traits: Traits) -> int:
    told = traits.told
    return 2 * traits.camera + bool(told.taken) + bool(told.place) + bool(told.rating)


def above_derived(
    positions: Mapping[int, int], originals: Iterable[tuple[int, int]]
) -> dict[int, int]:
    """Rank originals above what was made from them.

    Parameters
    ----------
    positions : per row, by traits, 0 for the best; rows that tie share one
    originals : pairs of an original and what was made from it

    Returns
    -------
    Per row a position; an original takes the best one of all that came of it, and stands before
    them. Pairs that run in a circle contradict each other: what most of them say counts.
    """
    made_from: dict[int, set[int]] = defaultdict(set)
    for original, made in originals:
        made_from[made].add(original)
    best, depth = dict(positions), dict.fromkeys(positions, 0)
    edges = _without_circles(made_from)
    order = list(TopologicalSorter(edges).static_order())
    for made in order:
        depth[made] = max((depth[one] + 1 for one in edges.get(made, ())), default=0)
    for made in reversed(order):
        for original in edges.get(made, ()):
            best[original] = min(best[original], best[made])
    keys = {row: (best[row], depth[row], positions[row]) for row in positions}
    number = {key: place for place, key in enumerate(sorted(set(keys.values())))}
    return {row: number[key] for row, key in keys.items()}


def _without_circles(edges: Mapping[int, set[int]]) -> dict[int, set[int]]:
    """Leave out pairs that run in circles: those that most of the others speak against, else all.

    They speak against a pair where more was made from its copy than from its original, less what
    either was made from. What is left does not depend on the order in which pairs are known.
    """
    pairs = {(one, made) for made, originals in edges.items() for one in originals}
    came_of = Counter(one for one, _ in pairs)
    came_of.subtract(made for _, made in pairs)
    while True:
        circle_of = _circles(edges)
        inside = {(one, made) for one, made in pairs if circle_of[one] == circle_of[made]}
        if not inside:
            return dict(edges)
        against = {(one, made) for one, made in inside if came_of[one] < came_of[made]}
        decided = {circle_of[one] for one, _ in against}
        pairs -= against | {pair for pair in inside if circle_of[pair[0]] not in decided}
        edges = {made: {one for one in edges[made] if (one, made) in pairs} for made in edges}


def _circles(edges: Mapping[int, Iterable[int]]) -> dict[int, int]:
    """Give images that circles join one number (strongly connected components, by Kosaraju)."""
    back: dict[int, list[int]] = defaultdict(list)
    for made, originals in edges.items():
        for one in originals:
            back[one].append(made)
    left = [node for walk in _walks(edges, edges) for node in walk]
    walks = _walks(back, reversed(left))
    return {node: number for number, walk in enumerate(walks) for node in walk}


def _walks(edges: Mapping[int, Iterable[int]], starts: Iterable[int]) -> Iterator[list[int]]:
    """Walk on from each start, depth first; gives what no walk before had, in the order left."""
    seen: set[int] = set()
    for start in starts:
        ways = [] if start in seen else [(start, iter(edges.get(start, ())))]
        seen.add(start)
        left = []
        while ways:
            node, others = ways[-1]
            new = next((other for other in others if other not in seen), None)
            if new is None:
                left.append(node)
                ways.pop()
            else:
                seen.add(new)
                ways.append((new, iter(edges.get(new, ()))))
        yield left
