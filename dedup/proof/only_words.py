"""Whether all that two images share are the words on them, over two photographs.

Words in large letters place one image in the other, and over dimmed photographs what lies between
them has too little contrast to be strange on both sides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dedup.proof.channels import gap_levels, in_commonest, off_levels

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.closely import Laid

    Mask = npt.NDArray[np.bool_]

_TEXTURED_LEVELS = 6.0
_FEWEST_PIXELS = 50
_SAME_LEVELS, _BIN_LEVELS = 24, 32
_BESIDE_PIXELS = 7  # square, around textures, in which their ink is looked for
_NEAR_PIXELS = 11  # square, around ink
# Of the textures that agree; of the ink. Words over two photographs have 1.0 and .98 with 31 to 70
# letters; of 86 copies with more than .05 covered none has .9 of both
_MIN_NEAR_SHARE, _MIN_LETTERS_SHARE = 0.95, 0.9
_FEWEST_LETTERS = 10
_LETTER_SHARES = (0.0004, 0.03)  # of the image


def only_words_agree(laid: Laid, sound: Mask) -> bool:
    """Tell letters of one ink, beside which lies all texture that agrees.

    Parameters
    ----------
    sound : (H, W), beside what differs
    """
    textured = sound & (np.minimum(*laid.contrasts) > _TEXTURED_LEVELS)
    beside = cv2.dilate(textured.view(np.uint8), np.ones((_BESIDE_PIXELS,) * 2, np.uint8)) > 0
    same = (gap_levels(laid.one, laid.two) <= _SAME_LEVELS) & laid.inside
    colours = laid.one[same & beside]
    if min(int(textured.sum()), len(colours)) < _FEWEST_PIXELS:
        return False
    common = np.median(colours[in_commonest(colours, _BIN_LEVELS)], axis=0)
    off = off_levels(laid.one, common)
    ink = ((off <= _SAME_LEVELS) & same).astype(np.uint8)
    near = cv2.dilate(ink, np.ones((_NEAR_PIXELS,) * 2, np.uint8)) > 0
    if float(near[textured].mean()) < _MIN_NEAR_SHARE:
        return False
    _, _, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    area = stats[1:, cv2.CC_STAT_AREA]
    least, most = (share * ink.size for share in _LETTER_SHARES)
    letters = area[(area > least) & (area < most)]
    return len(letters) >= _FEWEST_LETTERS and letters.sum() >= _MIN_LETTERS_SHARE * area.sum()
