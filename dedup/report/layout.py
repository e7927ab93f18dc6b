"""Where images lie on a map: embeddings in, places in the plane, clusters and outliers out.

Embeddings are centred and reduced to their principal components, and UMAP lays them out by their
nearest neighbours, which are found exactly here (`search.structures`): its own search takes longer
than all else. HDBSCAN finds clusters in the plane, where they can be seen. All of it is seeded, and
runs on one thread where threads would change the answer. UMAP and scikit-learn are optional:
without them, the two first principal components are the map, and there are no clusters.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dedup.errors import DISTRIBUTION, DedupError
from dedup.search.similarity import unit_rows
from dedup.search.structures import FlatSearch, build, nearest

if TYPE_CHECKING:
    import numpy.typing as npt

    Rows = npt.NDArray[np.float32]

LEAST: Final = 3
"""Images of a map."""

_COMPONENTS: Final = 50
_NEIGHBOURS: Final = 15  # UMAP's own default; the image itself is one of them
_SEED: Final = 0
_JITTER: Final = 1e-4  # of the width
_TIGHTNESS: Final = 0.0
_MIN_SAMPLES: Final = 5
"""UMAP's min_dist, and HDBSCAN's min_samples. By their defaults the clusters of 2,578 photographs
run together to two; by these they share .34 of what their 115 folders say (adjusted mutual
information), and 16 % of the images are in none."""

_USUAL: Final = 99  # per cent
_BLOCK_ROWS: Final = 8192


class Layout(NamedTuple):
    """A map of N images.

    Parameters
    ----------
    places : (N, 2) float32, x and y
    cluster : (N,) int32, from 0 by falling size; -1 for images in none
    representatives : of each cluster the member nearest to the mean of its embeddings
    outliers : (N,) bool, the hundredth that is furthest from its nearest neighbours
    how : what laid it out
    notes : what is missing, and how to have it
    """

    places: Rows
    cluster: npt.NDArray[np.int32]
    representatives: tuple[int, ...]
    outliers: npt.NDArray[np.bool_]
    how: str
    notes: tuple[str, ...] = ()


def lay_out(vectors: Rows) -> Layout:
    """Lay out images in the plane.

    Parameters
    ----------
    vectors : (N, D) float32, an embedding an image

    Raises
    ------
    DedupError : fewer than `LEAST` images.
    """
    count = len(vectors)
    if count < LEAST:
        raise DedupError(f"a map takes at least {LEAST} images; there are {count}")
    reduced = principal_components(vectors)
    rows = unit_rows(reduced)
    found = build(rows, fp32=True)
    near = nearest(found.index, rows, min(_NEIGHBOURS, count), FlatSearch())
    distances = np.sqrt(np.maximum(2 - 2 * near[0], 0)).astype(np.float32)
    places = _by_umap(rows, reduced[:, :2], distances, near[1])
    cluster = None if places is None else _clusters(places)
    notes: tuple[str, ...] = ()
    if places is None or cluster is None:
        lacking = "UMAP" if places is None else "HDBSCAN"
        notes = (f"{lacking} is not installed: pip install '{DISTRIBUTION}[map]'",)
    how = "PCA, two components" if places is None else f"PCA, {rows.shape[1]} components, then UMAP"
    places = reduced[:, :2] if places is None else places
    cluster = np.full(count, -1, np.int32) if cluster is None else cluster
    return Layout(
        places, cluster, _representatives(rows, cluster), _outliers(distances), how, notes
    )


def principal_components(vectors: Rows) -> Rows:
    """Project embeddings on the directions in which they vary most.

    Returns
    -------
    (N, C) float32, C being 50, or fewer where there are no more; at least 2. The sign of a
    component is that of its largest weight.
    """
    centred = vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    scatter = np.zeros((vectors.shape[1],) * 2)
    for start in range(0, len(centred), _BLOCK_ROWS):
        block = centred[start : start + _BLOCK_ROWS]
        scatter += block.T @ block
    _, axes = np.linalg.eigh(scatter)
    axes = axes[:, ::-1][:, :_COMPONENTS]
    largest = np.abs(axes).argmax(axis=0)
    axes = axes * np.where(axes[largest, np.arange(axes.shape[1])] < 0, -1, 1)
    return np.asarray(centred @ axes.astype(np.float32))


def _by_umap(rows: Rows, start: Rows, distances: Rows, near: npt.NDArray[np.int64]) -> Rows | None:
    """Give the places; None without UMAP."""
    with warnings.catch_warnings():
        # That it cannot place new images, and which of its own options need more packages.
        warnings.simplefilter("ignore")
        try:
            from umap import UMAP
        except ImportError:
            return None
        # From the principal components: its own start, by eigenvectors of the graph, is slower,
        # and fails where images fall apart into many small sets of copies.
        # Jittered, since it gives NaN where all are in one place.
        jitter = np.random.default_rng(_SEED).normal(0, _JITTER, start.shape)
        start = (start / (float(np.abs(start).max()) or 1.0) + jitter).astype(np.float32)
        mapped = UMAP(
            n_neighbors=distances.shape[1],
            random_state=_SEED,
            n_jobs=1,
            min_dist=_TIGHTNESS,
            init=10 * start,
            precomputed_knn=(near, distances),
        ).fit_transform(rows)
    return np.ascontiguousarray(mapped, np.float32)


def _clusters(places: Rows) -> npt.NDArray[np.int32] | None:
    """Find clusters, numbered from 0 by falling size, then by their first image; None without."""
    try:
        from sklearn.cluster import HDBSCAN
    except ImportError:
        return None
    least = max(_MIN_SAMPLES, round(len(places) ** 0.5 / 3))
    if len(places) < 2 * least:
        return np.full(len(places), -1, np.int32)
    found = HDBSCAN(min_cluster_size=least, min_samples=_MIN_SAMPLES, copy=True).fit(places).labels_
    names, first, sizes = np.unique(found[found >= 0], return_index=True, return_counts=True)
    numbers = np.full(len(names) + 1, -1, np.int32)  # the last is that of -1
    numbers[names[np.lexsort((first, -sizes))]] = np.arange(len(names))
    return np.asarray(numbers[found], np.int32)


def _representatives(rows: Rows, cluster: npt.NDArray[np.int32]) -> tuple[int, ...]:
    chosen = []
    for number in range(int(cluster.max()) + 1):
        members = np.flatnonzero(cluster == number)
        off = np.linalg.norm(rows[members] - rows[members].mean(axis=0), axis=1)
        chosen.append(int(members[off.argmin()]))
    return tuple(chosen)


def _outliers(distances: Rows) -> npt.NDArray[np.bool_]:
    mean = distances.mean(axis=1)
    return np.asarray(mean > np.percentile(mean, _USUAL))
