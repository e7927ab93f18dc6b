"""Two images on a page, and the evidence for what they are to each other: `dedup why --html`."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from dedup.errors import DISTRIBUTION
from dedup.images.decode import decode_bounded, read_header
from dedup.images.encode import as_webp
from dedup.proof.alignment import at_sizes
from dedup.proof.drawing import heat_map, lay_over
from dedup.report.pages import Kind, write_page
from dedup.results import Tier

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from dedup.results import Explanation

    Transform = npt.NDArray[np.float64]

WHY: Final = Kind(
    "Two images compared",
    "why.html",
    ("style.css", "why.css"),
    ("words", "text", "data", "views", "why"),
)

_SIDE, _BYTES = 1400, 500_000


class Side(NamedTuple):
    """One of the two.

    Parameters
    ----------
    data : the whole file
    shape : height and width of the pixels that a placing is about
    """

    path: str
    data: bytes
    shape: tuple[int, int]


def write_why(
    explanation: Explanation, sides: Sequence[Side], transform: Transform | None, path: Path
) -> None:
    """Write the page.

    Parameters
    ----------
    transform : (3, 3), pixels of the second to those of the first; None when no placing was found

    Raises
    ------
    DedupError : the file cannot be written.
    """
    pixels = [decode_bounded(side.data, _SIDE, side.path, srgb=True) for side in sides]
    files = [_file(side, number) for number, side in enumerate(sides)]
    drawn = [*pixels]
    over: dict[str, Any] | None = None
    if transform is None and explanation.tier in {Tier.EXACT, Tier.PIXELS}:
        transform = np.eye(3)
    if transform is not None:
        shown = [one.shape[:2] for one in pixels]
        placed = at_sizes(transform, [side.shape for side in sides], shown)
        laid, shared = lay_over(pixels[0], pixels[1], placed)
        heat = heat_map(pixels[0], laid, shared)
        laid[~shared] = 128
        drawn += [laid, heat]
        over = {"laid": 2, "heat": 3, "shared": float(shared.mean())}
    data = {
        "version": version(DISTRIBUTION),
        "files": files,
        "over": over,
        "tier": explanation.tier,
        "evidence": explanation.evidence,
        "missing": explanation.missing,
        "ignored": explanation.ignored,
        "companions": explanation.companions,
        "similarity": explanation.similarity,
        "threshold": explanation.threshold,
        "remarks": [*explanation.remarks, *explanation.notes],
        "checks": [
            [check.name, check.value, check.limit, check.passed] for check in explanation.checks
        ],
    }
    write_page(WHY, path, data, [as_webp(one, _BYTES) for one in drawn])


def _file(side: Side, number: int) -> dict[str, Any]:
    header = read_header(side.data, side.path)
    return {
        "path": side.path,
        "image": number,
        "width": header.width,
        "height": header.height,
        "format": header.format,
        "bytes": len(side.data),
        "sha256": hashlib.sha256(side.data).hexdigest(),
    }
