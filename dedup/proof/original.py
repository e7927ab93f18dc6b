"""A file that a proof looks at once more: its size, its compression, its pixels at any size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.images.decode import decode_square
from dedup.images.header import open_image
from dedup.images.jpeg import quality
from dedup.images.metadata import exposure_of, moment_of
from dedup.images.pages import page_count
from dedup.images.profiles import profile_of
from dedup.images.traits import holes

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.images.header import Opened
    from dedup.images.metadata import Moment

    Pixels = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]

LOSSLESS = 100
MOST_PIXELS = 12_000_000
"""Files of more are not asked at their full size what they were made from."""

_KEPT_BYTES = 1 << 24
"""Of a file's pixels, that stay decoded in several sizes; what is larger does so in one."""

_LOSSY = {"WEBP": 75, "AVIF": 65, "HEIF": 75, "JXL": 80, "JPEG2000": 80}
"""Of formats whose losses cannot be read off: the JPEG quality whose noise is allowed for."""


@dataclass(eq=False)
class Original:
    """A whole file, decoded when and as large as it is asked for.

    Parameters
    ----------
    data : a file that could be described
    name : of the file, by which raw images are known
    srgb : whether an embedded colour profile is applied
    """

    data: bytes
    name: str = ""
    srgb: bool = True

    @cached_property
    def opened(self) -> Opened:
        """The file, its pixels not read."""
        return open_image(self.data, self.name)

    @property
    def is_part(self) -> bool:
        """Whether it is not the whole file."""
        return False

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, upright."""
        return self.opened.header.size

    @cached_property
    def pages(self) -> int:
        """1 for stills."""
        return page_count(self.opened)

    @cached_property
    def has_profile(self) -> bool:
        """Whether it has a colour profile that changes what it shows."""
        return profile_of(self.opened.image) is not None

    @cached_property
    def holes(self) -> npt.NDArray[np.bool_]:
        """Where it is transparent, reduced and as it is stored."""
        opened = self.opened
        if opened.header.alpha:
            opened = open_image(self.data, self.name)  # which is then decoded, and not kept so
        return holes(opened.image, opened.header)

    @cached_property
    def moment(self) -> Moment | None:
        """See `dedup.images.metadata.moment_of`."""
        return moment_of(self.opened.image)

    @cached_property
    def exposure(self) -> tuple[float, ...] | None:
        """See `dedup.images.metadata.exposure_of`."""
        return exposure_of(self.opened.image)

    def as_stored(self) -> Original:
        """Give the same file without its colour profile."""
        return Original(self.data, self.name, srgb=False)

    @cached_property
    def _luminance(self) -> list[int] | None:
        tables = getattr(self.opened.image, "quantization", None)
        return tables[min(tables)] if tables else None

    @property
    def steps(self) -> Floats | None:
        """By which the luminance of a JPEG was quantised, (8, 8), as its blocks are stored."""
        table = self._luminance
        return None if table is None else np.array(table, np.float32).reshape(8, 8)

    @cached_property
    def quality(self) -> int:
        """JPEG quality in 1 to 100; `LOSSLESS` where nothing was lost."""
        if self._luminance is not None:
            return quality(self._luminance)
        return _LOSSY.get(self.opened.header.format, LOSSLESS)

    @property
    def is_lossless(self) -> bool:
        """Whether its pixels are as they were saved, all colours of them."""
        return self.quality == LOSSLESS and self.opened.header.mode != "P"

    def pixels(self, height: int, width: int) -> Pixels:
        """Decode the whole image, its first page, into exactly this size.

        Returns
        -------
        (height, width, 3) uint8 RGB
        """
        return _decoded(self, height, width)

    def noise_at(self, height: int) -> int:
        """Give the JPEG quality whose noise is left once shrunk to a height."""
        shrink = self.size[0] / height
        if shrink < 1.1:  # noqa: PLR2004 -- as it is
            return self.quality
        return round(LOSSLESS - (LOSSLESS - self.quality) / (2 * shrink))


def _decoded(original: Original, height: int, width: int) -> Pixels:
    kept = original.__dict__.setdefault("_kept", {})
    if (height, width) not in kept:
        while kept and sum(each.size for each in kept.values()) + 3 * height * width > _KEPT_BYTES:
            del kept[next(iter(kept))]
        opened = original.opened
        # A JPEG is decoded beside Pillow, which has then not changed what it opened.
        fresh = opened.header.format == "JPEG" and bool(getattr(opened.image, "tile", ()))
        kept[height, width] = decode_square(
            original.data,
            height,
            width,
            original.name,
            opened=opened if fresh else None,
            srgb=original.srgb,
        ).pixels
    found: Pixels = kept[height, width]
    return found


def grey(pixels: Pixels) -> Floats:
    """Give (H, W) float32 in grey levels."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)).astype(np.float32)
