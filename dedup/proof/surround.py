"""An image shown on its own blurred enlargement, as apps fill a frame of another shape with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.proof.original import Original

    Doubles = npt.NDArray[np.float64]
    Floats = npt.NDArray[np.float32]
    Pixels = npt.NDArray[np.uint8]
    Flags = npt.NDArray[np.bool_]

_WHOLE_SHARE: Final = 0.97  # of an image; more is the whole of it
_LONGEST: Final = 384  # pixels of the outer image that are looked at
_LEAST_SIDE: Final = 32
_LEAST_AROUND: Final = 0.03  # of the outer image
_SEAM: Final = 4  # pixels that are left out
_PLAIN_LEVELS: Final = 5.0  # what falls off from a thing on black is like an enlargement of it
_BLUR: Final = 1 / 24  # of the longest side

_LEVEL: Final = 0.015  # sine of the most that the inner image is turned: it is laid on as it is
_MIDDLE: Final = 0.03  # of the outer image, that the middles are apart at most

_ALIKE: Final = ((0.25, 0.95), (0.4, 0.99))
"""Detail around against that inside, and from which correlation on of what is around with the
enlargement, both blurred, it is that. Of 8 such there are .11 to .36 and .966 to .999; of 100 crops
beside what they were cut from two have more than .95, at .43 and .50."""


def holder_of(overlap: tuple[float, float]) -> int:
    """Tell which image, 1 or 2, shows the other as a whole among more; 0 where neither does."""
    whole = [share >= _WHOLE_SHARE for share in overlap]
    return 0 if whole[0] == whole[1] else 1 + whole.index(False)


def surrounded(one: Original, two: Original, placed: Doubles, overlap: tuple[float, float]) -> int:
    """Tell which image, 1 or 2, shows the other on a blurred enlargement of it; else 0.

    Parameters
    ----------
    placed : (3, 3), pixels of the second to those of the first, of the files' own sizes
    overlap : share of each that both show
    """
    holder = holder_of(overlap)
    if not holder:
        return 0
    outer, inner = (one, two) if holder == 1 else (two, one)
    matrix = placed if holder == 1 else np.linalg.inv(placed)
    factor = min(1.0, _LONGEST / max(outer.size))
    height, width = (max(1, round(side * factor)) for side in outer.size)
    ends = np.array([(0, 0, 1), (inner.size[1], inner.size[0], 1)], float) @ matrix.T
    corners = ends[:, :2] / ends[:, 2:] * factor
    (left, top), (right, bottom) = np.rint(corners).astype(int).tolist()
    scale = abs(float(np.linalg.det(matrix[:2, :2]))) ** 0.5
    turned = float(np.abs(matrix[[0, 1], [1, 0]]).max()) > _LEVEL * scale
    if turned or min(right - left, bottom - top) < _LEAST_SIDE:  # or it is mirrored
        return 0
    aside = abs(left + right - width) / 2 / width, abs(top + bottom - height) / 2 / height
    if max(aside) > _MIDDLE:
        return 0
    shown = outer.pixels(height, width)
    around = np.ones((height, width), np.bool_)
    around[max(0, top - _SEAM) : bottom + _SEAM, max(0, left - _SEAM) : right + _SEAM] = False
    if float(around.mean()) < _LEAST_AROUND:
        return 0
    within = np.zeros_like(around)
    within[max(0, top + _SEAM) : bottom - _SEAM, max(0, left + _SEAM) : right - _SEAM] = True
    least = next((alike for soft, alike in _ALIKE if _softness(shown, around, within) < soft), None)
    if least is None:
        return 0
    enlarged = _covering(inner.pixels(bottom - top, right - left), (height, width))
    return holder if _likeness(shown, enlarged, around) >= least else 0


def _softness(shown: Pixels, around: Flags, within: Flags) -> float:
    """Give how much fine detail there is around, against that within."""
    light = cv2.GaussianBlur(cv2.cvtColor(shown, cv2.COLOR_RGB2GRAY), (0, 0), 1)
    fine = np.abs(cv2.Laplacian(light.astype(np.float32), cv2.CV_32F))
    return float(fine[around].mean()) / max(1e-6, float(fine[within].mean()))


def _covering(image: Pixels, shape: tuple[int, int]) -> Pixels:
    """Enlarge an image until it covers a shape, and cut out the middle."""
    factor = max(shape[0] / image.shape[0], shape[1] / image.shape[1])
    height, width = (max(1, round(side * factor)) for side in image.shape[:2])
    large = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    top, left = (height - shape[0]) // 2, (width - shape[1]) // 2
    return np.asarray(large[top : top + shape[0], left : left + shape[1]], np.uint8)


def _likeness(shown: Pixels, enlarged: Pixels, around: Flags) -> float:
    """Give the correlation of what is around, blurred; -1 where that is plain."""
    sigma = _BLUR * max(around.shape)
    one, two = (
        np.asarray(cv2.GaussianBlur(each.astype(np.float32), (0, 0), sigma))[around].ravel()
        for each in (shown, enlarged)
    )
    if min(one.std(), two.std()) < _PLAIN_LEVELS:
        return -1.0
    return float(np.corrcoef(one, two)[0, 1])
