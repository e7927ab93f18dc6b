"""From a catalog to its calibration: sample, edit, embed, pair, prove, count."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dedup.calibration.edited_copies import EDIT_MIX, NO_COPIES, Copies, Source, measure_copies
from dedup.calibration.pair_sampling import KnownPairs, PairSampler, SampledPairs
from dedup.duplicates.candidates import group_identical_inputs
from dedup.errors import DedupError
from dedup.proof import VERIFIER
from dedup.proof.prover import Prover
from dedup.space.bounds import Counts, Events, Tail
from dedup.space.curve import Calibration, Recall
from dedup.space.space import Space
from dedup.store.gallery import leaving_out, read_files, read_images
from dedup.store.pairs import read_decisions, write_calibration

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from dedup.runtimes.embedder import Embedder
    from dedup.store.catalog import Catalog
    from dedup.store.gallery import GalleryFiles, GalleryImages

MIN_IMAGES = 50
"""Images that a calibration needs: 1,225 pairs, of which the highest fifty fit the tail."""

_CURVE_STEPS = 400  # thresholds of a curve, evenly from the lowest listed pair to 1
_LAST_STEPS = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
"""Further thresholds below 1, where most copies are, as fractions of one step."""


def calibrate(
    catalog: Catalog,
    embedder: Callable[[], Embedder],
    report: Callable[[str, int, int], None],
    *,
    seed: int = 0,
    samples: int = 300,
    known: KnownPairs | None = None,
) -> Calibration:
    """Measure how well similarity tells copies in a collection, and store the answer with it.

    Parameters
    ----------
    embedder : returns the collection's own model; called once per batch
    report : called with what is being done, how much of it is done, and how much there is
    seed : equal seeds give equal calibrations of equal collections
    samples : how many images to edit; vectors of the user's own have no edited copies
    known : pairs that need no proof

    Raises
    ------
    DedupError : too few images, or too few that can be read; names of which nothing is known.
    """
    with catalog.snapshot():
        images, files, raw = leaving_out(catalog, lambda: _read(catalog))
        decisions = read_decisions(catalog)
    kept = np.array([members[0] for members in group_identical_inputs(images)], np.int64)
    _require(catalog, len(kept))
    # As they were embedded: a calibration says what similarities are worth, and moves none.
    space = Space(catalog.fingerprint)
    rows = space.vectors(raw[kept])
    contents = [images.digest[row] for row in kept.tolist()]
    paths: dict[int, list[bytes]] = {}
    for row, path in zip(files.row.tolist(), files.path, strict=True):
        paths.setdefault(row, []).append(path)
    sources = [
        Source(number, images.digest[row], paths[row]) for number, row in enumerate(kept.tolist())
    ]
    names = frozenset(images.digest[row] for row in np.flatnonzero(images.is_name).tolist())
    known = replace(known or KnownPairs(), names=names)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(sources)).tolist()
    copies = NO_COPIES
    if not catalog.fingerprint.own_width:
        copies = measure_copies(
            catalog, space, [sources[number] for number in order], rows, embedder, report,
            seed=seed, samples=samples,
        )  # fmt: skip
        _require(catalog, copies.edited, len(kept))
    with Prover(catalog, {source.content: source.paths for source in sources}, report) as prover:
        found = PairSampler(rows, contents, decisions, prover, known).sample(rng, report)
    if catalog.fingerprint.own_width and not found.checked:
        raise DedupError(
            f"{os.fspath(catalog.store)}: names have no images to prove pairs on. Say which of "
            "them are the same: dedup calibrate --truth FILE"
        )
    calibration = curve(len(kept), copies, found, seed)
    write_calibration(catalog, calibration.to_json(), None)
    return calibration


def _read(catalog: Catalog) -> tuple[GalleryImages, GalleryFiles, npt.NDArray[np.float32]]:
    images = read_images(catalog)
    files = read_files(catalog, images.ids)
    return images, files, Space(catalog.fingerprint).rows(catalog, len(images))


def _require(catalog: Catalog, count: int, of: int | None = None) -> None:
    if count >= MIN_IMAGES:
        return
    have = f"{count:,}" if of is None else f"{count:,} of {of:,} that can be read"
    raise DedupError(
        f"{os.fspath(catalog.store)}: a calibration needs at least {MIN_IMAGES} different images "
        f"that are not blank or tiny; this collection has {have}. Until then the model's default "
        "threshold is used"
    )


def curve(count: int, copies: Copies, found: SampledPairs, seed: int) -> Calibration:
    """Turn what was measured into numbers per threshold.

    Parameters
    ----------
    count : N, the images that were paired
    """
    step = (1 - found.lowest) / _CURVE_STEPS
    thresholds = np.concatenate(
        [found.lowest + step * np.arange(_CURVE_STEPS), 1 - step * np.array(_LAST_STEPS), [1.0]]
    )
    # Rounded as similarities are, so that a pair at a threshold is at it everywhere.
    thresholds = np.unique(np.round(thresholds, 6))
    false, true = _false(found.false, thresholds), found.true.at(thresholds)
    recall = {}
    for number, name in enumerate(EDIT_MIX if copies.edited else ()):
        similarity = copies.similarity[copies.way == number].astype(np.float64)
        above = (similarity[:, None] >= thresholds - 5e-7).sum(axis=0)
        recall[name] = Recall(tuple(above.tolist()), len(similarity))
    return Calibration(
        images=count,
        edited=copies.edited,
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
    """Count false pairs per threshold: as seen, and by their tail where few were seen."""
    seen = events.at(thresholds)
    if not len(events):
        return seen
    tail = Tail.fitted(events)
    beyond = thresholds >= tail.start
    extrapolated = tail.at(thresholds)
    # Where more were seen than the tail predicts, what was seen counts.
    expected = np.where(beyond, np.maximum(seen.expected, extrapolated.expected), seen.expected)
    return Counts(expected, np.where(beyond, extrapolated.spread, seen.spread))


def _listed(values: npt.NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in values.tolist())
