"""Say in plain words what was done to an image."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof.alignment import corners, jacobian
from dedup.proof.coarsened import is_blurred_away, is_coarsened
from dedup.proof.containment import is_edged
from dedup.proof.drawn import EVEN, LESS, WHAT, beside_even
from dedup.proof.geometry import project
from dedup.proof.hues import beside_tone, is_on_white, unclipped
from dedup.proof.paper import is_page
from dedup.proof.seams import seam

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from dedup.proof.description import Features
    from dedup.proof.drawn import Drawn
    from dedup.proof.verdict import Verdict

    Doubles = npt.NDArray[np.float64]
    Floats = npt.NDArray[np.float32]

_SMALL_SHARE = 0.02  # of the overlap
_WHOLE_SHARE = 0.97  # of an image; more is the whole of it
_ALL_SHARE = 0.988
"""The same where nothing turned or bent it: of 470 copies that show all .992 is the least."""

_MAX_GREY_CHROMA, _MIN_COLOUR_CHROMA = 2, 5  # mean spread of the channels
_MAX_GREY_SPREAD, _LEAST_COLOURED_SHARE = 8, 0.15
_MAX_TONE_SHARE = 0.1
_COLOURED_SHARE = 0.2  # from which on nobody takes it for one tone
_KEPT_SHARE = 0.1
_GROUND = "plain ground"
_WRITTEN = "words on plain ground"
_PANEL = "panel"
_AROUND_SHARE = 0.6  # of the outline, that a strip has to lie along
_GUTTER_SHARE = 0.95
_CAPTION, _CORNERS = "caption or frame", "corners filled"
_CUT, _SEAM, _MOSTLY = 1.0, 2.0, 0.9
"""Limits of `seam`, and the share of an image beside which too little lies to tell by that. Of 130
crops, most of them of things on plain ground, .99 is most but for two of 1.4 and 1.7; of collages,
captions and frames nine in ten have more."""

_SOFT, _SHARP = LESS["blur"]
_SIDES = ("left", "top", "right", "bottom")


class Words:
    """What is said of either image as against the other, and which was made from which."""

    def __init__(self, asked: Callable[[bool], int] = lambda _: 0) -> None:
        self._said: tuple[list[str], list[str]] = ([], [])
        self._made: set[int] = set()
        self._likely: set[int] = set()
        self._asked = asked
        self.framed = False  # one of them has an edged frame or caption that the other has not
        self.other_tones = False

    @cached_property
    def told(self) -> int:
        """The image that was made from the other as far as their pixels tell; else 0."""
        return self._asked(self.framed)

    def both(self, words: str) -> None:
        """Say what is true either way."""
        for said in self._said:
            said.append(words)

    def retoned(self, words: str) -> None:
        """Say of light or colours how they differ, which is true either way."""
        self.both(words)
        self.other_tones = True

    def of(self, side: int, words: str, other: str) -> None:
        """Say of the image 1 or 2 that this was done to it, and the reverse of the other."""
        self._said[side - 1].append(words)
        self._said[2 - side].append(other)
        self._made.add(side)

    def likely_of(self, side: int, words: str, other: str) -> None:
        """Say of the image 1 or 2 what was done to it, unless pixels tell the reverse."""
        self.seen_on(side, words, other)
        self._likely.add(side)

    def seen_on(self, side: int, words: str, other: str) -> None:
        """Say of the image 1 or 2 what may have been done to either of them."""
        self._said[side - 1].append(words)
        self._said[2 - side].append(other)

    def said(self, side: int) -> str:
        """Give the words on the image 1 or 2."""
        return ", ".join(self._said[side - 1]) or "hardly changed"

    @property
    def hardly(self) -> bool:
        """Whether nothing was said."""
        return not any(self._said)

    @property
    def derived(self) -> int:
        """The image that was made from the other; 0 where neither or both were changed."""
        made = self._made | self._likely
        if len(self._made) == 1:
            # What is only likely is set aside by what pixels tell.
            return next(iter(self._made)) if len(made) == 1 or self.told in self._made else 0
        return self.told or (next(iter(made)) if len(made) == 1 else 0)


def describe_edits(
    one: Features,
    two: Features,
    verdict: Verdict,
    drawn: Drawn,
    asked: Callable[[bool], int] = lambda _: 0,
    faintly: Callable[[], tuple[int, str]] = lambda: (0, ""),
) -> Words:
    """Say what sets two images apart that are one photograph.

    Parameters
    ----------
    verdict : with its placing, seen from `one`
    asked : says which was made from the other, as far as their pixels tell; else 0; whether one is
        framed is told to it
    faintly : as `dedup.proof.softness.faintly_softer`; asked where there is nothing else to say
    """
    words = Words(asked)
    _shape(words, one, two, verdict)
    _tone(words, one, two, verdict, drawn)
    share = f"{max(drawn.share, 0.01):.0%}"
    if drawn.what:
        words.of(drawn.on, *(said.format(share) for said in WHAT[drawn.what]))
    elif drawn.share and not is_blurred_away(one, two, verdict, drawn.on):
        if drawn.on and is_coarsened(one, two, verdict, drawn.on):
            words.of(3 - drawn.on, *(said.format(share) for said in WHAT["coarse"]))
        elif drawn.on and (drawn.share > _SMALL_SHARE or words.told != 3 - drawn.on):
            # Light that is lost looks like something small drawn over the other.
            small = words.seen_on if words.other_tones else words.likely_of
            say = words.of if drawn.share > _SMALL_SHARE else small
            say(
                drawn.on,
                f"something added over {share} of it",
                f"without what was added over {share} of the other",
            )
        else:
            words.both(f"something added over {share} of one or both")
    if words.hardly and (less := faintly())[0]:
        words.seen_on(less[0], *LESS[less[1]])
    return words


def _shape(words: Words, one: Features, two: Features, verdict: Verdict) -> None:
    placed = verdict.transform
    if placed is None:
        return
    _around_either(words, one, two, verdict, _WHOLE_SHARE)
    angle = abs(verdict.rotation)
    if verdict.mirrored:
        over = angle > 179  # noqa: PLR2004 -- upside down and mirrored is turned over
        words.both("mirrored top to bottom" if over else "mirrored")
        angle = 0 if over else angle
    if angle > 1:
        words.both(f"rotated {angle:.0f}°")
    slope = jacobian(placed, (two.grey.shape[1] - 1) / 2, (two.grey.shape[0] - 1) / 2)
    long, short = np.linalg.svd(slope, compute_uv=False)
    if long / short > 1.04:  # noqa: PLR2004 -- below, it is rounding of sides
        words.both(f"stretched by {long / short - 1:.0%}")
    bend = np.abs(placed[2, :2]) @ np.array(two.grey.shape[::-1], float)
    if bend > 0.03:  # noqa: PLR2004 -- a corner moved by some 1 %
        words.both("in perspective")
    if words.hardly:
        _around_either(words, one, two, verdict, _ALL_SHARE)


def _around_either(
    words: Words, one: Features, two: Features, verdict: Verdict, whole: float
) -> None:
    for side, share in enumerate(verdict.overlap, 1):
        if share < whole:
            _around(words, one, two, verdict, side)


def _around(words: Words, one: Features, two: Features, verdict: Verdict, side: int) -> None:
    """Say what the image 1 or 2 has around what it shows of the other."""
    share = verdict.overlap[side - 1]
    frame = _frame(one, two, verdict, side - 1)
    framed, beside = frame.startswith((_CAPTION, _CORNERS)), None
    if verdict.transform is not None and (framed or not frame):
        beside = seam(*_outlined(one, two, verdict.transform, side - 1))
    if framed and beside is not None and beside < _CUT:
        frame = ""  # plain ground of a photograph, of which the other is cut
    ground = frame in {_GROUND, _WRITTEN}
    words.framed |= bool(frame) and not ground
    if frame in {"", _PANEL} or words.told == 3 - side:
        pasted = not frame and share < _MOSTLY and beside is not None and beside >= _SEAM
        _part(words, side, share, panel=frame == _PANEL, pasted=pasted)
    elif ground and not words.told:
        words.seen_on(side, f"more {_GROUND} around it", f"less {_GROUND} around it")
    else:
        added = f"{_GROUND} added around it" if ground else frame
        # Around what was turned and cropped is a photograph, which may be as plain.
        tilted = verdict.tilt > 1
        say = words.seen_on if tilted and frame.startswith(_CAPTION) else words.likely_of
        say(side, added, f"without the other's {added.partition(' added')[0]}")


def _part(words: Words, side: int, share: float, *, panel: bool, pasted: bool) -> None:
    """Say that one image shows the other on a share of it, and something else around it."""
    told = words.told
    if panel or told == side or (pasted and not told):
        words.of(
            side,
            f"shows the other among other things, on {share:.0%} of it",
            f"shown on {share:.0%} of the other, among other things",
        )
    else:
        cropped = f"cropped to {share:.0%}"
        words.likely_of(3 - side, cropped, f"shows more (the other is {cropped})")


def shows_both(one: Features, two: Features, verdict: Verdict) -> bool:
    """Tell whether either image has more than a plain border around what both show."""
    more = (
        share < _WHOLE_SHARE and not _frame(one, two, verdict, side).startswith(("border", _GROUND))
        for side, share in enumerate(verdict.overlap)
    )
    return all(more)


def captioned_both(one: Features, two: Features, verdict: Verdict) -> bool:
    """Tell whether either image has a caption or a frame that the other has not."""
    return all(
        share < _WHOLE_SHARE and _frame(one, two, verdict, side).startswith(_CAPTION)
        for side, share in enumerate(verdict.overlap)
    )


def _frame(one: Features, two: Features, verdict: Verdict, smaller: int) -> str:
    """Words for an added border or caption; empty where the outside is photographic.

    Where the outside is as plain as what it surrounds, nobody can tell a border from a crop.
    """
    if verdict.transform is None:
        return ""
    grey, outline = _outlined(one, two, verdict.transform, smaller)
    height, width = grey.shape
    inner = np.zeros(grey.shape, np.uint8)
    cv2.fillConvexPoly(inner, np.round(outline).astype(np.int32), 1)
    outside = cv2.dilate(inner, np.ones((5, 5), np.uint8)) == 0
    if not outside.any():
        return ""
    fill, filled = _fill(grey[outside])
    gutter = _gutter(grey, inner)
    if filled < 0.5:  # noqa: PLR2004 -- mostly one fill, as in containment
        edged = gutter is not None and is_edged(grey, ~(inner > 0), inner, (gutter,))
        return _PANEL if edged else ""
    plain = filled > 0.97  # noqa: PLR2004 -- no words on it
    if not is_edged(grey, ~(inner > 0), inner, (fill,)):
        # Words that lie on plain ground of their own are none that were cropped.
        return _GROUND if plain else _WRITTEN if gutter is not None else ""
    gaps = (
        outline[:, 0].min() / width,
        outline[:, 1].min() / height,
        1 - outline[:, 0].max() / width,
        1 - outline[:, 1].max() / height,
    )
    sides = [name for name, gap in zip(_SIDES, gaps, strict=True) if gap > 0.015]  # noqa: PLR2004 -- seen
    what = "border" if plain else _CAPTION
    where = "around it" if len(sides) > 2 else "at the " + " and ".join(sides)  # noqa: PLR2004 -- most sides
    return f"{what} added {where}" if sides else _CORNERS


def _outlined(
    one: Features, two: Features, placed: Doubles, smaller: int
) -> tuple[npt.NDArray[np.uint8], Doubles]:
    """Give the first image (0) or the second (1), and the corners of what it shows of the other."""
    owner, other = (two, one) if smaller else (one, two)
    matrix = np.asarray(np.linalg.inv(placed), np.float64) if smaller else placed
    return owner.grey, project(matrix, corners(other.whole))


def _fill(values: npt.NDArray[np.uint8]) -> tuple[int, float]:
    """Give the level that is most frequent, and the share of what is about as light."""
    level = int(np.bincount(values, minlength=256).argmax())
    return level, float((np.abs(values.astype(int) - level) <= 8).mean())  # noqa: PLR2004 -- levels


def _gutter(grey: npt.NDArray[np.uint8], inner: npt.NDArray[np.uint8]) -> int | None:
    """Give the level of a plain strip around what an image shows of another, as panels have.

    Parameters
    ----------
    grey : (H, W)
    inner : (H, W), 1 where it shows the other

    Returns
    -------
    None where there is none, or where it lies on fewer than three sides.
    """
    near, far = (cv2.dilate(inner, np.ones((side, side), np.uint8)) > 0 for side in (3, 7))
    around = far & ~near
    within = cv2.erode(inner, np.ones((3, 3), np.uint8)) > 0
    outline = int(np.count_nonzero((inner > 0) & ~within))
    if np.count_nonzero(around) < 2 * _AROUND_SHARE * outline:
        return None
    level, share = _fill(grey[around])
    return level if share >= _GUTTER_SHARE else None


def _tone(words: Words, one: Features, two: Features, verdict: Verdict, drawn: Drawn) -> None:
    """Say what was done to light and colour, where both show the same."""
    first, second = _shared(one, two, verdict)
    if drawn.what in EVEN:
        first, second = beside_even((first, second), drawn.on)
    if not len(first):
        return
    spreads = [each.max(axis=1) - each.min(axis=1) for each in (first, second)]
    chroma = [float(each.mean()) for each in spreads]
    coloured = max(float((each > _MAX_GREY_SPREAD).mean()) for each in spreads)
    means = [c.mean(axis=0) for c in (first, second)]
    cast = np.abs((means[0] - means[0].mean()) - (means[1] - means[1].mean())).max()
    lost = min(chroma) < _MAX_GREY_CHROMA and max(chroma) > _MIN_COLOUR_CHROMA
    if lost:
        # Where light ran into black or white, colours went with it.
        kept = unclipped(first) & unclipped(second)
        kept = kept if kept.mean() >= _KEPT_SHARE else np.ones_like(kept)
        inked = _is_inked(one, second if chroma[0] < chroma[1] else first)
        _lost_colour(words, first[kept], second[kept], chroma, coloured, inked=inked)
    elif min(left := [beside_tone(first), beside_tone(second)]) < _MAX_TONE_SHARE and (
        max(left) > _COLOURED_SHARE
        and not _is_inked(one, (first, second)[(side := 1 + left.index(min(left))) - 1])
    ):
        words.of(side, "toned in one colour", "in colour, which the other lost")
    elif abs(np.log((chroma[0] + 3) / (chroma[1] + 3))) > 0.25 or cast > 8:  # noqa: PLR2004 -- seen side by side
        words.retoned("recoloured")
    spread = [float(c.mean(axis=1).std()) + 1 for c in (first, second)]
    if abs(float(means[0].mean() - means[1].mean())) > 12:  # noqa: PLR2004 -- seen side by side
        words.retoned("light changed")
    elif abs(np.log(spread[0] / spread[1])) > 0.15:  # noqa: PLR2004 -- seen side by side
        words.retoned("contrast changed")
    _sharpness(words, verdict)


def _sharpness(words: Words, verdict: Verdict) -> None:
    made = 3 - verdict.softer if verdict.sharpened else verdict.softer
    if verdict.softer and (verdict.sharpened is None or words.told == 3 - made):
        words.seen_on(verdict.softer, _SOFT, _SHARP)
    elif verdict.softer and verdict.sharpened:
        words.likely_of(made, "sharpened", _SOFT)
    elif verdict.softer:
        words.likely_of(made, "blurred", _SHARP)
    elif verdict.residual > 1:
        words.both("other noise or compression")


def _lost_colour(
    words: Words,
    first: Floats,
    second: Floats,
    chroma: list[float],
    coloured: float,
    *,
    inked: bool,
) -> None:
    grey = 1 if chroma[0] < chroma[1] else 2
    toned = beside_tone(second if grey == 1 else first) < _MAX_TONE_SHARE
    if toned and not inked:
        words.of(3 - grey, "toned in one colour", "without the other's tone")
    elif coloured > _LEAST_COLOURED_SHARE:  # a coloured badge on a grey image is none that was lost
        words.of(grey, "colour taken away", "in colour, which the other lost")


def _is_inked(one: Features, colours: Floats) -> bool:
    """Tell a page on white paper, whose ink may have one hue by itself."""
    return is_page(one.grey.astype(np.float32)) and is_on_white(colours)


def _shared(one: Features, two: Features, verdict: Verdict) -> tuple[Floats, Floats]:
    """(N, 3) colours of both at the places that both show."""
    if (placed := verdict.transform) is None:
        return np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32)
    # An eighth of the described size is plenty for means.
    eighth = np.diag((0.125, 0.125, 1.0))
    size = (max(1, one.grey.shape[1] // 8), max(1, one.grey.shape[0] // 8))
    first = cv2.resize(one.colour, size, interpolation=cv2.INTER_AREA)
    to_size = eighth @ placed @ np.diag((2.0, 2.0, 1.0))
    blurred = cv2.blur(two.colour, (4, 4))
    second = cv2.warpPerspective(blurred, to_size, size)
    full = np.full(two.colour.shape[:2], 255, np.uint8)
    inside = cv2.erode(cv2.warpPerspective(full, to_size, size), np.ones((3, 3), np.uint8)) > 200  # noqa: PLR2004 -- whole
    return first[inside].astype(np.float32), second[inside].astype(np.float32)
