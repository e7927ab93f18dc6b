"""How an embedding is stored: as a unit vector, with its length beside it.

Unit length keeps every network's range inside fp16. Details need less: their values are spread
evenly, so that one byte each, in 127ths of the largest, moves a cosine by less than 0.002, and 512
values take the room of 256.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dedup.fingerprint import DETAILS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_HALF, _BYTE = "<f2", "<i1"
_LARGEST = 127


def _kind(name: str) -> np.dtype[np.generic]:
    return np.dtype(_BYTE if name == DETAILS else _HALF)


def pack(name: str, embedding: npt.NDArray[np.float32]) -> tuple[float, bytes]:
    """Pack one embedding.

    Parameters
    ----------
    name : the layer, or `DETAILS`
    embedding : (D,) finite

    Returns
    -------
    Its L2 norm, and the bytes of the vector; zeros stay zeros.
    """
    norm = float(np.linalg.norm(embedding.astype(np.float64)))
    unit = embedding / (norm or 1.0)
    if name == DETAILS:
        unit = np.rint(unit * (_LARGEST / (float(np.abs(unit).max()) or 1.0)))
    return norm, unit.astype(_kind(name)).tobytes()


def unpack(name: str, packed: Sequence[bytes]) -> npt.NDArray[np.float32]:
    """Unpack vectors of equal length, (N, D) float32 of about any length: not yet unit rows."""
    values = np.frombuffer(b"".join(packed), _kind(name))
    return values.reshape(len(packed), -1).astype(np.float32)


def dimension(name: str, size: int) -> int:
    """Tell D from the bytes that a vector takes."""
    return size // _kind(name).itemsize
