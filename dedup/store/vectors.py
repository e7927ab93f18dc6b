"""How an embedding is stored: as a unit vector, with its length next to it.

Unit length keeps every network's range inside fp16. Details need less: their values are spread
evenly, so that half a byte each is enough, and many values find more than few exact ones (µAP and
recall at precision .99 of hard copies: 512 values of one byte .955 and .839, 1,024 of half a byte
.961 and .874, of one byte .961 and .871; `scripts/bench quality`, docs/benchmarks.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dedup.fingerprint import DETAILS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_HALF = np.dtype("<f2")
_LARGEST = 7
_REACH = 3.0
"""Standard deviations that the largest step stands for; the few values beyond are cut to it."""


class Packed(NamedTuple):
    """Embeddings of N images as they are stored.

    Parameters
    ----------
    norms : L2, of the embeddings as they were
    vectors : the bytes of each
    """

    norms: list[float]
    vectors: list[bytes]


def pack(name: str, rows: npt.NDArray[np.float32]) -> Packed:
    """Pack embeddings; each is packed as if it were alone.

    Parameters
    ----------
    name : the layer, or `DETAILS`
    rows : (N, D) finite; of details D is even

    Returns
    -------
    Vectors of 2 D bytes, or D / 2 of details; zeros stay zeros.
    """
    norms = np.sqrt(np.square(rows, dtype=np.float64).sum(axis=1))
    if name == DETAILS:
        packed = _steps(rows)
    else:
        lengths = np.where(norms > 0, norms, 1.0).astype(np.float32)
        packed = (rows / lengths[:, None]).astype(_HALF).view(np.uint8)
    vectors = [row.tobytes() for row in packed]
    return Packed(norms.tolist(), vectors)


def _steps(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Round to -7 … 7 and put two values into a byte, the first in its lower half."""
    step = np.float32(_REACH / _LARGEST) * rows.std(axis=1, keepdims=True)
    scaled = np.rint(rows / np.where(step > 0, step, np.float32(1)))
    steps = np.clip(scaled, -_LARGEST, _LARGEST).astype(np.int16) + 8
    low, high = steps[:, 0::2], steps[:, 1::2]
    return np.asarray(low | high << 4, np.uint8)


def unpack(name: str, packed: Sequence[bytes]) -> npt.NDArray[np.float32]:
    """Unpack vectors of equal length, (N, D) float32 of any length: not yet unit rows."""
    data = b"".join(packed)
    if name != DETAILS:
        return np.frombuffer(data, _HALF).reshape(len(packed), -1).astype(np.float32)
    pairs = np.frombuffer(data, np.uint8).reshape(len(packed), -1, 1)
    steps = np.concatenate([pairs & 15, pairs >> 4], axis=2).reshape(len(packed), -1)
    return steps.astype(np.float32) - 8


def unpack_unit(name: str, packed: Sequence[bytes]) -> npt.NDArray[np.float32]:
    """Unpack vectors as unit rows, (N, D) float32; zeros stay zeros."""
    rows = unpack(name, packed)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    # Rounding moved the length; exact unit rows keep the cosine of equal ones at 1.
    rows /= np.where(lengths > 0, lengths, 1)
    return rows


def as_stored(name: str, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Round fresh embeddings as storing does, so that an image agrees with itself to the last bit.

    Parameters
    ----------
    rows : (N, D)
    """
    return unpack(name, pack(name, rows).vectors)


def dimension(name: str, size: int) -> int:
    """Tell D from the bytes that a vector takes."""
    return 2 * size if name == DETAILS else size // _HALF.itemsize
