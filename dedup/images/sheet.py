"""Images with titles, laid out on a sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

_LEAST_WIDTH = 200
_GAP_PIXELS = 12
_TITLE_PIXELS = 28
_PAPER_LEVEL = 245
_INK_RGB = (40, 40, 40)


def contact_sheet(rows: Sequence[Sequence[tuple[str, Pixels]]]) -> Pixels:
    """Lay images out in rows, each below its title.

    Parameters
    ----------
    rows : titles, in ASCII, and (H, W, 3) uint8 RGB of any sizes

    Returns
    -------
    (H, W, 3) uint8 RGB
    """
    strips = [_strip(row) for row in rows]
    width = max(strip.shape[1] for strip in strips)
    sheet = np.concatenate(
        [
            np.pad(
                strip,
                ((0, 0), (0, width - strip.shape[1]), (0, 0)),
                constant_values=_PAPER_LEVEL,
            )
            for strip in strips
        ]
    )
    return np.asarray(sheet, np.uint8)


def _strip(panels: Sequence[tuple[str, Pixels]]) -> Pixels:
    height = max(panel.shape[0] for _, panel in panels)
    widths = [max(panel.shape[1], _LEAST_WIDTH) for _, panel in panels]
    width = sum(widths) + _GAP_PIXELS * (len(panels) + 1)
    strip = np.full((height + _TITLE_PIXELS + _GAP_PIXELS, width, 3), _PAPER_LEVEL, np.uint8)
    left = _GAP_PIXELS
    for (title, panel), own in zip(panels, widths, strict=True):
        place, font = (left, _TITLE_PIXELS - 9), cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(strip, title, place, font, 0.45, _INK_RGB, 1, cv2.LINE_AA)
        strip[_TITLE_PIXELS : _TITLE_PIXELS + panel.shape[0], left : left + panel.shape[1]] = panel
        left += own + _GAP_PIXELS
    return strip
