"""What makes two embeddings of a collection comparable, and from where on they are alike.

Before calibration vectors are compared as they are, and the model's default threshold serves;
afterwards the collection's own transform and curve do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dedup.errors import SearchError
from dedup.space.thresholds import default_threshold
from dedup.store.gallery import read_ids
from dedup.store.pairs import read_calibration

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from dedup.store.catalog import Catalog


def project(catalog: Catalog, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Turn stored unit rows (N, D) into the unit rows that are compared."""
    if not len(rows) or read_calibration(catalog) is None:
        return rows
    from dedup.calibration import load_transform

    transform = load_transform(catalog)
    return rows if transform is None else transform.apply(rows)


def settle_threshold(
    catalog: Catalog, asked: float | None, precision: float | None = None
) -> float:
    """Settle the lowest similarity of the tier `similar`.

    Parameters
    ----------
    asked : a cosine in [-1, 1]; None: the one for `precision`, else the calibration's default,
        else the model's

    Raises
    ------
    SearchError : a precision without a calibration.
    DedupError : no threshold promises so much.
    """
    if asked is not None:
        if not -1 <= asked <= 1:
            raise ValueError(f"a threshold is a cosine in [-1, 1], got {asked}")
        return asked
    if read_calibration(catalog) is None:
        if precision is None:
            return default_threshold(catalog.fingerprint)
        raise SearchError(
            f"{catalog.store}: a precision is promised after a calibration. Run: dedup calibrate"
        )
    from dedup.calibration import load_calibration

    calibration = load_calibration(catalog)
    if calibration is None:
        raise SearchError(f"{catalog.store}: the calibration is gone. Run: dedup calibrate")
    count = len(read_ids(catalog))
    if precision is None:
        return calibration.default_threshold(count)
    return calibration.threshold_for(precision, count)
