"""The local features of an image, kept in 20 bytes each, by which its parts are found elsewhere.

Where one image shows a part of another (cropped out of it, pasted on a page, one of four in a
collage), their embeddings need not be alike, and some of their features are. A feature is kept as
its descriptor, reduced by the vocabulary to 32 values of half a byte, and as place, scale and
direction of a byte each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from dedup.descriptors.keypoints import Keypoints

    Floats = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]
    Flags = npt.NDArray[np.bool_]

PARTS_VERSION: Final = "5 637db89c8630aaea"
"""What described the details and parts of an image, the shipped vocabulary included; parts of two
versions are not compared."""

MOST_IMAGES: Final = 50_000
"""Images up to which parts are looked for."""

COARSE: Final = 200
"""Most features that are kept of those that details are made of: the ones of strongest contrast."""

FEATURE_BYTES: Final = 20
VALUES: Final = 32
"""Values of a reduced descriptor."""

STEP: Final = 0.08
"""Between two values of half a byte; of a descriptor's length, which is some 0.7 when reduced."""

_LEVELS: Final = 16
_CODE_BYTES: Final = VALUES // 2
_PLACES: Final = 255
_TURNS: Final = 128  # directions told apart; the lowest bit of their byte says which side is shown
_SCALES: Final = 40  # steps an octave
_FINEST: Final = 1 / 256


@dataclass(frozen=True, slots=True)
class Parts:
    """F unpacked features, of one image or of several.

    Parameters
    ----------
    codes : (F, `VALUES`) uint8, 0 to 15
    x, y : (F,) float32, as shares of the longest side of the image
    scale : (F,) float32, the binary logarithm of a feature's size as such a share
    angle : (F,) float32, radians
    turned : (F,) bool, which side of the mirror the descriptor was folded to
    """

    codes: Bytes
    x: Floats
    y: Floats
    scale: Floats
    angle: Floats
    turned: Flags

    def __len__(self) -> int:
        return len(self.codes)


def pack(found: Keypoints, count: int, reduced: Floats, turned: Flags, most: int = COARSE) -> bytes:
    """Pack the features of an image: of those that come first `most` at most, and all others.

    Parameters
    ----------
    count : of those that come first, of which the ones of strongest contrast are kept
    reduced : (F, `VALUES`)
    turned : (F,), as in `Parts`
    """
    strongest = np.argsort(-found.contrast[:count], kind="stable")[:most]
    rows = _packed(found, reduced, turned)
    return rows[strongest].tobytes() + rows[count:].tobytes()


def _packed(found: Keypoints, reduced: Floats, turned: Flags) -> Bytes:
    rows = np.empty((len(found), FEATURE_BYTES), np.uint8)
    steps = np.rint(reduced / np.float32(STEP))
    steps += _LEVELS // 2
    codes = np.clip(steps, 0, _LEVELS - 1, out=steps).astype(np.uint8)
    np.bitwise_or(codes[:, 0::2], codes[:, 1::2] << 4, out=rows[:, :_CODE_BYTES])
    octaves = np.log2(found.scale / np.float32(_FINEST))
    places = np.stack([found.x * _PLACES, found.y * _PLACES, octaves * _SCALES])
    rows[:, _CODE_BYTES:-1] = np.clip(np.rint(places), 0, _PLACES).T
    turns = np.rint(found.angle * (_TURNS / (2 * np.pi))).astype(np.int64) % _TURNS
    rows[:, -1] = turns << 1 | turned
    return rows


def unpack(packed: bytes) -> Parts:
    """Unpack the features of one image, or of several one after the other."""
    rows = np.frombuffer(packed, np.uint8)
    rows = rows[: len(rows) // FEATURE_BYTES * FEATURE_BYTES].reshape(-1, FEATURE_BYTES)
    return Parts(*(column[:] for column in _columns(rows)))


class Column:
    """What is kept of features, unpacked where it is asked for.

    Parameters
    ----------
    rows : (F, …) bytes
    unpacked : gives the values of some rows
    """

    def __init__(self, rows: Bytes, unpacked: Callable[[Bytes], npt.NDArray[Any]]) -> None:
        self._rows, self._unpacked = rows, unpacked

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, chosen: Any) -> npt.NDArray[Any]:
        return self._unpacked(self._rows[chosen])


class _Codes(Column):
    """The codes of features, of which whole rows are taken: a quarter of the time."""

    def __getitem__(self, chosen: Any) -> npt.NDArray[Any]:
        if isinstance(chosen, np.ndarray) and chosen.dtype.kind == "i":
            return self._unpacked(self._rows.take(chosen, axis=0))
        return self._unpacked(self._rows[chosen])


def _columns(rows: Bytes) -> list[Column]:
    x, y, scale, turns = rows[:, _CODE_BYTES:].T
    return [
        _Codes(rows, _codes),
        Column(x, _share),
        Column(y, _share),
        Column(scale, _octaves),
        Column(turns, _radians),
        Column(turns, _side),
    ]


def _codes(rows: Bytes) -> Bytes:
    both = rows[:, :_CODE_BYTES].astype("<u2")  # a third of the time of writing every other byte
    both |= both << 4
    both &= 0x0F0F
    return both.view(np.uint8)


def _share(places: Bytes) -> Floats:
    return places.astype(np.float32) / np.float32(_PLACES)


def _octaves(scale: Bytes) -> Floats:
    return scale.astype(np.float32) / np.float32(_SCALES) + np.float32(np.log2(_FINEST))


def _radians(turns: Bytes) -> Floats:
    return (turns >> 1).astype(np.float32) * np.float32(2 * np.pi / _TURNS)


def _side(turns: Bytes) -> Flags:
    return (turns & 1).astype(np.bool_)


def columns(packed: Sequence[bytes | None]) -> list[Column]:
    """Give the columns of `Parts` of many images, of which nothing is unpacked; None has none."""
    whole = ((one or b"")[: len(one or b"") // FEATURE_BYTES * FEATURE_BYTES] for one in packed)
    return _columns(np.frombuffer(b"".join(whole), np.uint8).reshape(-1, FEATURE_BYTES))
