"""The space that the images of a collection are compared in.

A `Space` holds everything that decides what a similarity is and what it is worth: the named parts
of an image and their weights, the transform of a calibrated collection, and the thresholds. Two
kinds of rows go through it. *Raw* rows are the fused parts; candidates for a proof are proposed by
them, at floors that were measured on them. *Vectors* are raw rows after the collection's transform;
every similarity that is reported or compared with a threshold is one of vectors. Without a
calibration both are the same.
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Self

import numpy as np

from dedup.errors import DamagedError, SearchError
from dedup.space.curve import Calibration
from dedup.space.fusion import fuse
from dedup.space.thresholds import default_threshold, near_floors, pixels_floor
from dedup.space.whitening import Transform
from dedup.store.gallery import read_ids, read_vectors, read_vectors_of
from dedup.store.pairs import read_calibration
from dedup.store.vectors import as_stored

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from dedup.fingerprint import Fingerprint
    from dedup.space.fusion import Rows
    from dedup.store.catalog import Catalog


class Space:
    """What the rows of one fingerprint are compared by.

    Parameters
    ----------
    fingerprint : its `compared` mapping names the parts and their weights, however many there are
    transform : None leaves raw rows as they are
    calibration : None leaves the default threshold of the model

    Notes
    -----
    A space does not change. After a calibration, ask for another one.
    """

    def __init__(
        self,
        fingerprint: Fingerprint,
        transform: Transform | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self.fingerprint = fingerprint
        self._transform: Callable[[], Transform | None] = lambda: transform
        self._calibration: Callable[[], Calibration | None] = lambda: calibration
        self._count: Callable[[], int | None] = lambda: None

    @classmethod
    def of(cls, catalog: Catalog) -> Self:
        """Return the space of a collection. What it needs is read at first use, and then kept."""
        space = cls(catalog.fingerprint)
        space._transform = cache(partial(_read_transform, catalog))
        space._calibration = cache(partial(_read_curve, catalog))
        space._count = lambda: len(read_ids(catalog))
        return space

    @property
    def transform(self) -> Transform | None:
        """What raw rows go through; None where they stay as they are.

        Raises
        ------
        DamagedError : what is stored cannot be read.
        """
        return self._transform()

    @property
    def calibration(self) -> Calibration | None:
        """The curve of the collection; None before calibration.

        Raises
        ------
        DamagedError : what is stored cannot be read.
        """
        return self._calibration()

    # -- rows ------------------------------------------------------------------------------------

    def fuse(self, parts: Mapping[str, npt.NDArray[np.floating]]) -> Rows:
        """Join the parts of images to raw rows, as `fusion.fuse`.

        Parameters
        ----------
        parts : per compared name (N, D_name), of any length; other names are ignored
        """
        return fuse(self.fingerprint.compared, parts)

    def fuse_fresh(self, parts: Mapping[str, Rows]) -> Rows:
        """Join fresh embeddings to raw rows that are rounded as stored ones are."""
        return self.fuse({name: as_stored(name, parts[name]) for name in self.fingerprint.compared})

    def rows(self, catalog: Catalog, count: int) -> Rows:
        """Read all live images as raw rows, in the order of `read_images`.

        Parameters
        ----------
        count : N, the number of live images

        Raises
        ------
        DamagedError : as `read_vectors`.
        """
        if not count:
            return np.empty((0, 0), np.float32)
        return self._read(lambda name: read_vectors(catalog, name, count))

    def rows_of(self, catalog: Catalog, images: npt.NDArray[np.int64]) -> Rows:
        """Read chosen images as raw rows.

        Parameters
        ----------
        images : (P,) ids, rising, none twice; P at least 1

        Raises
        ------
        DamagedError : as `read_vectors`.
        """
        return self._read(lambda name: read_vectors_of(catalog, name, images))

    def _read(self, read: Callable[[str], Rows]) -> Rows:
        return self.joined({name: read(name) for name in self.fingerprint.compared})

    def joined(self, parts: dict[str, Rows]) -> Rows:
        """Join the parts of images, as unit rows of the compared names alone, to raw rows."""
        # A single part is unit rows already.
        return next(iter(parts.values())) if len(parts) == 1 else self.fuse(parts)

    def vectors(self, raw: Rows) -> Rows:
        """Turn raw rows (N, D) into the unit rows that are compared, (N, D).

        Raises
        ------
        DamagedError : the stored transform cannot be read.
        """
        transform = self.transform if len(raw) else None
        return raw if transform is None else transform.apply(raw)

    # -- thresholds ------------------------------------------------------------------------------

    def threshold(
        self,
        asked: float | None = None,
        precision: float | None = None,
        count: int | None = None,
    ) -> float:
        """Settle the lowest similarity of the tier `similar`, inclusive.

        Parameters
        ----------
        asked : a cosine in [-1, 1]; None: the one for `precision`, else the calibration's default,
            else the model's
        precision : in (0, 1)
        count : images that are compared; None: those of the collection now, or, without one, as
            many as were calibrated

        Raises
        ------
        SearchError : a precision without a calibration.
        DedupError : no threshold has that precision.
        """
        if asked is not None:
            if not -1 <= asked <= 1:
                raise ValueError(f"a threshold is a cosine in [-1, 1], got {asked}")
            return asked
        calibration = self.calibration
        if calibration is not None:
            count = self._count() if count is None else count
            if precision is None:
                return calibration.default_threshold(count)
            return calibration.threshold_for(precision, count)
        if precision is None:
            return default_threshold(self.fingerprint)
        raise SearchError(
            "a precision can only be asked for after a calibration. Run: dedup calibrate"
        )

    @property
    def near_floors(self) -> tuple[float, float]:
        """Similarities of raw rows from which a pair is worth a proof: as they are, and centred."""
        return near_floors(self.fingerprint)

    @property
    def pixels_floor(self) -> float:
        """Similarity of raw rows from which images of equal size are compared pixel by pixel."""
        return pixels_floor(self.fingerprint)


def _read_curve(catalog: Catalog) -> Calibration | None:
    stored = read_calibration(catalog)
    if stored is None:
        return None
    try:
        return Calibration.from_json(stored[0])
    except ValueError as error:
        raise _damaged(catalog) from error


def _read_transform(catalog: Catalog) -> Transform | None:
    stored = read_calibration(catalog)
    if stored is None or stored[1] is None:
        return None
    try:
        return Transform.from_bytes(stored[1])
    except ValueError as error:
        raise _damaged(catalog) from error


def _damaged(catalog: Catalog) -> DamagedError:
    return DamagedError(catalog.store, "the calibration cannot be read. Run: dedup calibrate")
