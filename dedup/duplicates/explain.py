"""Why two files are, or are not, the same image: every check with its figure.

Needs nothing but the two files; what only a collection can tell (similarity, a person's decision)
is added by the caller. The tier is that of the images alone: a decision is reported with it.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, NamedTuple

from dedup.descriptors.agreement import promising
from dedup.descriptors.parts import unpack
from dedup.descriptors.vlad import PARTS_SIDE, SIDE, load_details
from dedup.duplicates.tiers import PROVEN, ImageFile, PairFacts, decide, evidence, missing, reaches
from dedup.images.companions import companions
from dedup.images.containers import has_gain_map
from dedup.images.decode import (
    DAMAGED,
    bounded_size,
    decode_square,
    left_out,
    pixel_digest,
    read_file,
)
from dedup.images.header import open_image
from dedup.proof import (
    Original,
    Side,
    describe,
    prove,
    prove_placed,
    reversed_verdict,
    working_side,
)
from dedup.proof.pages import PAGES_AGREE, pages_elsewhere
from dedup.results import CheckResult, Explanation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    import numpy.typing as npt

    from dedup.descriptors.parts import Parts
    from dedup.proof import Verdict
    from dedup.store.pairs import StoredVerdict

    Keep = Callable[[bytes, bytes, StoredVerdict], None]
    Transform = npt.NDArray[np.float64] | None
    Look = Callable[["Sight", "Sight", Transform], None]


GAIN_MAP = "gain map ignored: compared as it looks on an ordinary screen"


class Sight(NamedTuple):
    """A file, read and decoded once."""

    path: str
    data: bytes
    pixels: npt.NDArray[np.uint8]
    file: ImageFile
    trivial: bool
    damaged: bool
    left_out: str | None

    def remark(self, *, by_pages: bool) -> str:
        """Say what a person should know of it; "" where there is nothing."""
        notes = (
            DAMAGED if self.damaged else None,
            None if by_pages else self.left_out,
            GAIN_MAP if has_gain_map(self.data) else None,
        )
        return "; ".join(filter(None, notes))

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the file."""
        return hashlib.sha256(self.data).digest()

    def side(self) -> Side:
        """Give it as the proof takes it."""
        original = Original(self.data, self.path)
        return Side(describe(self.pixels), lambda: original)


def explain(
    first: str,
    second: str,
    similarity: float | None,
    threshold: float | None,
    *,
    ignored: bool = False,
    look: Look | None = None,
    keep: Keep | None = None,
) -> Explanation:
    """Compare two files in every way there is.

    Parameters
    ----------
    similarity : of their embeddings, where it is known
    threshold : lowest similarity of the tier `similar`, inclusive
    ignored : a person said that they are no duplicates
    look : called with both, and the placing of the second over the first, if one was found: (3, 3),
        pixels to pixels
    keep : called with the SHA-256 of both and the verdict where that makes them duplicates

    Raises
    ------
    ImageError : one of them cannot be read as an image.
    """
    one, two = (sight(path, read_file(path)) for path in (first, second))
    verdict = proven(one, two)
    if look is not None:
        look(one, two, verdict.transform)
    digests = one.digest, two.digest
    facts = PairFacts(
        same_bytes=digests[0] == digests[1],
        same_pixels=_same_pixels(one, two),
        verdict=verdict.stored,
        alike=similarity is not None and threshold is not None and reaches(similarity, threshold),
        trivial=one.trivial or two.trivial,
    )
    tier = decide(facts)
    if keep is not None and tier in PROVEN:
        keep(*digests, verdict.stored)
    checks = [
        CheckResult("same bytes", None, None, facts.same_bytes),
        CheckResult("same pixels", None, None, facts.same_pixels),
        *(CheckResult(each.name, each.value, each.limit, each.passed) for each in verdict.checks),
    ]
    return Explanation(
        first=first,
        second=second,
        tier=tier,
        similarity=similarity,
        threshold=threshold,
        evidence=evidence(tier, facts, one.file, two.file),
        checks=tuple(checks),
        remarks=_remarks((one, two), verdict),
        missing=missing(tier, verdict, trivial=facts.trivial),
        ignored=ignored,
        companions=_are_companions(one, two),
    )


def proven(one: Sight, two: Sight) -> Verdict:
    """Prove a pair by local features, else by parts, either of which is enough for `list`."""
    sides = one.side(), two.side()
    verdict = prove(*sides)
    if verdict.near:
        return verdict
    if elsewhere := pages_elsewhere(*(side.open() for side in sides)):
        return elsewhere
    # In the order in which `list` holds them against each other: agreement may hang on it.
    turned = one.digest > two.digest
    first, second = (two, one) if turned else (one, two)
    agreed = promising(_parts(first), _parts(second))
    if agreed is None:
        return verdict
    placed = prove_placed(*(sides[::-1] if turned else sides), agreed)
    if placed is None or not placed.near:
        return verdict
    return reversed_verdict(placed) if turned else placed


def _parts(image: Sight) -> Parts:
    """Describe the parts of an image as indexing does."""
    decoded = decode_square(image.data, 1, 1, image.path, bound=SIDE, larger=PARTS_SIDE)
    if decoded.bounded is None or decoded.larger is None:
        raise RuntimeError("decoding gave no image in its aspect")
    return unpack(load_details().describe(decoded.bounded, decoded.larger)[1])


def _remarks(images: Iterable[Sight], verdict: Verdict) -> tuple[str, ...]:
    by_pages = any(check.name == PAGES_AGREE for check in verdict.checks)
    said = ((each.path, each.remark(by_pages=by_pages)) for each in images)
    return tuple(f"{path}: {remark}" for path, remark in said if remark)


def sight(path: str, data: bytes) -> Sight:
    """Decode a file as the proof wants it.

    Raises
    ------
    ImageError : it cannot be read as an image.
    """
    opened = open_image(data, path)
    size = bounded_size(opened.header, working_side(*opened.header.size))
    decoded = decode_square(data, *size, path, opened=opened, srgb=True)
    header = decoded.header
    file = ImageFile(header.format, header.width, header.height, len(data))
    return Sight(
        path, data, decoded.pixels, file, decoded.trivial, decoded.damaged, left_out(header)
    )


def _are_companions(one: Sight, two: Sight) -> bool:
    names = [os.path.realpath(os.fsencode(each.path)) for each in (one, two)]
    kinds = [each.file.format for each in (one, two)]
    return bool(companions(names).raws) and kinds.count("RAW") == 1


def _same_pixels(one: Sight, two: Sight) -> bool:
    if one.data == two.data:
        return True
    if (one.file.width, one.file.height) != (two.file.width, two.file.height):
        return False
    digest = pixel_digest(one.data, one.path)
    return digest is not None and digest == pixel_digest(two.data, two.path)
