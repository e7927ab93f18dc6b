"""From a catalog to its calibration: sample, edit, embed, pair, check, count."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from dedup.calibration.edited_copies import MIX, Copies, Source, measure_copies
from dedup.calibration.pair_sampling import Census, Judged
from dedup.duplicates.candidates import group_identical_inputs
from dedup.errors import DamagedError, DedupError
from dedup.preparation import read_rows
from dedup.proof import VERIFIER
from dedup.proof.prover import Prover
from dedup.space.bounds import Counts, Events, Tail
from dedup.space.curve import Calibration, Recall
from dedup.space.whitening import Transform, fit_transform
from dedup.store.gallery import read_files, read_images
from dedup.store.pairs import read_calibration, read_decisions, write_calibration

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from dedup.runtimes.embedder import Embedder
    from dedup.store.catalog import Catalog

NEEDED = 50
"""Images that a calibration takes: 1,225 pairs, of which the highest fifty tell the tail."""

_STEPS = 400  # thresholds of a curve, evenly from the lowest pair that was looked at to 1
_LAST_STEPS = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)  # of one step, before 1: there most copies are


def calibrate(
    catalog: Catalog,
    embedder: Callable[[], Embedder],
    report: Callable[[str, int, int], None],
    *,
    seed: int = 0,
    samples: int = 300,
) -> Calibration:
    """Measure how similarity tells copies in a collection, and keep the answer with it.

    Parameters
    ----------
    embedder : gives the collection's own model; asked once per batch
    report : told what is being done, how much of it is done, and how much there is
    seed : equal seeds give equal calibrations of equal collections
    samples : how many pictures to edit

    Raises
    ------
    DedupError : too few images, or too few that can be read.
    """
    with catalog.snapshot():
        images = read_images(catalog)
        files = read_files(catalog, images.ids)
        vectors = read_rows(catalog, len(images))
        decisions = read_decisions(catalog)
    kept = np.array([members[0] for members in group_identical_inputs(images)], np.int64)
    _require(catalog, len(kept))
    transform = fit_transform(vectors[kept])
    rows = transform.apply(vectors[kept])
    contents = [images.digest[row] for row in kept.tolist()]
    paths: dict[int, list[bytes]] = {}
    for row, path in zip(files.row.tolist(), files.path, strict=True):
        paths.setdefault(row, []).append(path)
    sources = [
        Source(place, images.digest[row], paths[row]) for place, row in enumerate(kept.tolist())
    ]
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(sources)).tolist()
    copies = measure_copies(
        catalog, [sources[place] for place in order], rows, transform, embedder, report,
        seed=seed, samples=samples,
    )  # fmt: skip
    _require(catalog, copies.pictures, len(kept))
    with Prover(catalog, {source.content: source.paths for source in sources}, report) as prover:
        found = Census(rows, contents, decisions, prover).take(rng, report)
    calibration = curve(len(kept), copies, found, seed)
    write_calibration(
        catalog, calibration.to_json(), None if transform.is_identity else transform.to_bytes()
    )
    return calibration


def load_calibration(catalog: Catalog) -> Calibration | None:
    """Read a collection's calibration; None when it has none, or one of another version.

    Raises
    ------
    DamagedError : what is stored is not whole.
    """
    stored = read_calibration(catalog)
    if stored is None:
        return None
    try:
        return Calibration.from_json(stored[0])
    except ValueError as error:
        raise _damaged(catalog) from error


def load_transform(catalog: Catalog) -> Transform | None:
    """Read what a collection's embeddings go through; None when they stay as they are.

    Raises
    ------
    DamagedError : what is stored is not whole.
    """
    stored = read_calibration(catalog)
    if stored is None or stored[1] is None:
        return None
    try:
        return Transform.from_bytes(stored[1])
    except ValueError as error:
        raise _damaged(catalog) from error


def _damaged(catalog: Catalog) -> DamagedError:
    return DamagedError(catalog.store, "the calibration cannot be read. Run: dedup calibrate")


def _require(catalog: Catalog, count: int, of: int | None = None) -> None:
    if count >= NEEDED:
        return
    have = f"{count:,}" if of is None else f"{count:,} of {of:,} that can be read"
    raise DedupError(
        f"{os.fspath(catalog.store)}: a calibration needs at least {NEEDED} different pictures "
        f"that are not blank or tiny; this collection has {have}. Until then the model's default "
        "threshold serves"
    )


def curve(count: int, copies: Copies, found: Judged, seed: int) -> Calibration:
    """Put what was measured into numbers per threshold.

    Parameters
    ----------
    count : N, the images that were paired
    """
    step = (1 - found.lowest) / _STEPS
    thresholds = np.concatenate(
        [found.lowest + step * np.arange(_STEPS), 1 - step * np.array(_LAST_STEPS), [1.0]]
    )
    # As similarities are rounded, so that a pair at a threshold is above it or not, for all.
    thresholds = np.unique(np.round(thresholds, 6))
    false, true = _false(found.false, thresholds), found.true.at(thresholds)
    recall = {}
    for number, name in enumerate(MIX):
        similarity = copies.similarity[copies.way == number].astype(np.float64)
        above = (similarity[:, None] >= thresholds - 5e-7).sum(axis=0)
        recall[name] = Recall(tuple(above.tolist()), len(similarity))
    return Calibration(
        images=count,
        pictures=copies.pictures,
        checked=found.checked,
        seed=seed,
        verifier=VERIFIER,
        thresholds=tuple(thresholds.tolist()),
        false_pairs=_listed(false.expected),
        false_spread=_listed(false.spread),
        true_pairs=_listed(true.expected),
        true_spread=_listed(true.spread),
        recall=recall,
    )


def _false(events: Events, thresholds: npt.NDArray[np.float64]) -> Counts:
    """Count false pairs per threshold: as seen, and where few were seen by their tail."""
    seen = events.at(thresholds)
    if not len(events):
        return seen
    tail = Tail.fitted(events)
    beyond = thresholds >= tail.start
    extrapolated = tail.at(thresholds)
    # Where more was seen than the tail expects, what was seen counts.
    expected = np.where(beyond, np.maximum(seen.expected, extrapolated.expected), seen.expected)
    return Counts(expected, np.where(beyond, extrapolated.spread, seen.spread))


def _listed(values: npt.NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in values.tolist())
