"""Where one image lies in the other, from their local features alone.

Every match proposes a similarity of its own, by the place, size and direction of its two
features; the best supported ones are refined to an affinity and then to a homography. There is
no chance in it, so threads and repeats agree. Mirrored images are matched by mirrored
descriptors, which costs a second product and no second description.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from dedup.proof.description import Features

    Floats = npt.NDArray[np.float32]
    Doubles = npt.NDArray[np.float64]

# A looser ratio than Lowe's .8: the geometry weeds better than the ratio does
MAX_MATCH_RATIO = 0.85
_MAX_MATCHES = 260  # most matches weighed
_MAX_PROPOSING = 100  # surest matches that may propose; the table of proposals is the cost
_PROPOSAL_TOLERANCE = 0.06  # a proposal's tolerance, as a share of the longest side
_MAX_TURN_RADIANS = np.deg2rad(30)  # SIFT's direction scatters by some 10° under edits
_MAX_LOG_GROWTH = np.log(1.5)  # and its size by some 20 %
_MAX_TRIES = 4
_MIN_WHOLE_CORRELATION = 0.9
_COLLAPSED = 1e-6  # determinant, at which next to nothing is left of the plane
MIN_PLACING_INLIERS = 7


@dataclass(frozen=True, slots=True)
class Fit:
    """A placing of the second image in the first.

    Parameters
    ----------
    matrix : (3, 3) float64, the second's (x, y, 1) to the first's
    inliers : matches that follow it within 3 pixels, counted once per place
    mirrored : the matrix turns the image over
    fewest : how many inliers such a placing needs
    """

    matrix: Doubles
    inliers: int
    mirrored: bool
    fewest: int = MIN_PLACING_INLIERS

    def reversed(self) -> Fit:
        """Give the placing of the first image in the second."""
        back = np.linalg.inv(self.matrix)
        return Fit(back / back[2, 2], self.inliers, self.mirrored, self.fewest)


def placings(first: Features, second: Features) -> Iterator[Fit]:
    """Yield the plain placing, then the mirrored one, where `MIN_PLACING_INLIERS` matches agree."""
    for mirrored in (False, True):
        fit = _fit(first, second, mirrored=mirrored)
        if fit is not None:
            yield fit


def upright(first: Features, second: Features) -> Iterator[Fit]:
    """Yield the likeliest whole-frame placing of two images too smooth for local features.

    All eight turns and mirror images of a 32 x 32 reduction are compared; below a correlation of
    `_MIN_WHOLE_CORRELATION` nothing is yielded.
    """
    reduced = [_reduced(features.grey) for features in (first, second)]
    height, width = second.grey.shape
    tall, wide = first.grey.shape
    ends = np.array([[0, 0], [1, 0], [0, 1]], np.float64)
    best, pose = _MIN_WHOLE_CORRELATION, None
    for mirrored in (False, True):
        for turns in range(4):
            view = np.rot90(reduced[1][:, ::-1] if mirrored else reduced[1], turns)
            likeness = float((reduced[0] * view).sum())
            if likeness > best:
                best, pose = likeness, (mirrored, turns)
    if pose is None:
        return
    mirrored, turns = pose
    placed = ends.copy()
    if mirrored:
        placed[:, 0] = 1 - placed[:, 0]
    for _ in range(turns):  # rot90 takes (x, y) to (y, 1 - x)
        placed = np.stack([placed[:, 1], 1 - placed[:, 0]], 1)
    source = np.column_stack([ends * (width, height) - 0.5, np.ones(3)])
    target = np.column_stack([placed * (wide, tall) - 0.5, np.ones(3)])
    yield Fit(np.linalg.solve(source, target).T, 0, mirrored, 0)


def _reduced(grey: npt.NDArray[np.uint8]) -> Floats:
    small = cv2.resize(grey.astype(np.float32), (32, 32), interpolation=cv2.INTER_AREA)
    small = small - small.mean()
    return np.asarray(small / max(float(np.linalg.norm(small)), 1e-6), np.float32)


def _matches(first: Floats, second: Floats) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Index pairs that pass the ratio test from either side, surest first."""
    likeness = first @ second.T
    found = []
    for table, turned in ((likeness, False), (likeness.T, True)):
        rows = np.arange(len(table))
        nearest = table.argmax(axis=1)
        top = table[rows, nearest]
        table[rows, nearest] = -1
        runner = table.max(axis=1)
        table[rows, nearest] = top
        ratio = np.sqrt(np.maximum(1 - top, 1e-6) / np.maximum(1 - runner, 1e-6))
        kept = np.flatnonzero(ratio < MAX_MATCH_RATIO)
        pair = (nearest[kept], kept) if turned else (kept, nearest[kept])
        found.append((*pair, ratio[kept]))
    one, two, ratio = (np.concatenate(parts) for parts in zip(*found, strict=True))
    _, once = np.unique(one * len(second) + two, return_index=True)
    order = once[np.argsort(ratio[once], kind="stable")][:_MAX_MATCHES]
    return one[order], two[order]


def _fit(first: Features, second: Features, *, mirrored: bool) -> Fit | None:
    if min(len(first.points), len(second.points)) < MIN_PLACING_INLIERS:
        return None
    one, two = _matches(first.unit, second.mirrored if mirrored else second.unit)
    if len(one) < MIN_PLACING_INLIERS:
        return None
    a, b = first.points[one], second.points[two].copy()
    span = float(max(first.grey.shape))
    if mirrored:
        b[:, 0] = -b[:, 0]
        b[:, 3] = np.pi - b[:, 3]
    votes = _votes(a, b, _PROPOSAL_TOLERANCE * span)
    best: tuple[int, Doubles] | None = None
    for _ in range(_MAX_TRIES):
        leader = int(votes.sum(axis=1).argmax())
        members = votes[leader]
        if members.sum() < MIN_PLACING_INLIERS:
            break
        fitted = _refine(a[:, :2], b[:, :2], members, span)
        if fitted is not None and (best is None or fitted[0] > best[0]):
            best = fitted
        votes = votes & ~members[None, :]
    if best is None or best[0] < MIN_PLACING_INLIERS:
        return None
    matrix = best[1] @ np.diag((-1.0, 1.0, 1.0)) if mirrored else best[1]
    return Fit(matrix / matrix[2, 2], best[0], mirrored)


def _votes(a: Floats, b: Floats, wide: float) -> npt.NDArray[np.bool_]:
    """(L, M): whether match j follows the similarity that match i proposes."""
    lead = slice(_MAX_PROPOSING)
    growth = np.log(a[:, 2] / b[:, 2])
    turn = a[:, 3] - b[:, 3]
    scale = np.exp(growth[lead, None])
    cos, sin = scale * np.cos(turn[lead, None]), scale * np.sin(turn[lead, None])
    across, down = b[:, 0] - b[lead, None, 0], b[:, 1] - b[lead, None, 1]
    x = cos * across - sin * down - (a[:, 0] - a[lead, None, 0])
    y = sin * across + cos * down - (a[:, 1] - a[lead, None, 1])
    near = x * x + y * y < wide * wide
    off = np.abs(turn - turn[lead, None])
    near &= np.abs((off + np.pi) % (2 * np.pi) - np.pi) < _MAX_TURN_RADIANS
    near &= np.abs(growth - growth[lead, None]) < _MAX_LOG_GROWTH
    return np.asarray(near)


def _refine(
    a: Floats, b: Floats, members: npt.NDArray[np.bool_], span: float
) -> tuple[int, Doubles] | None:
    """Affinity, then homography, on a shrinking band; (places that follow, matrix)."""
    matrix: Doubles | None = None
    for band, projective in ((0.05, 0), (0.025, 0), (0.012, 1), (0.0075, 1)):
        if members.sum() < MIN_PLACING_INLIERS:
            return None
        wide = projective and members.sum() >= 12  # noqa: PLR2004 -- 8 unknowns on 24 equations
        matrix = homography(a[members], b[members]) if wide else _affinity(a[members], b[members])
        if matrix is None:
            return None
        off = project(matrix, b) - a
        members = np.einsum("ij,ij->i", off, off) < (band * span) ** 2
    # One place with two directions, or a cluster on one spot, is no more than one witness.
    places = len(np.unique(np.round(a[members] / 4).astype(np.int64), axis=0))
    twins = len(np.unique(np.round(b[members] / 4).astype(np.int64), axis=0))
    return (min(places, twins), matrix) if matrix is not None else None


def _affinity(a: Floats, b: Floats) -> Doubles | None:
    middle = b.mean(axis=0)
    system = np.column_stack([b - middle, np.ones(len(b))]).astype(np.float64)
    if np.linalg.svd(system, compute_uv=False)[-2] < 1:  # all on one line
        return None
    solved = np.linalg.lstsq(system, a.astype(np.float64), rcond=None)[0]
    matrix = np.eye(3)
    matrix[:2, :2] = solved[:2].T
    matrix[:2, 2] = solved[2] - matrix[:2, :2] @ middle
    return matrix if np.linalg.det(matrix[:2, :2]) > 1e-4 else None  # noqa: PLR2004 -- collapsed


def homography(
    a: npt.NDArray[np.floating],
    b: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating] | None = None,
) -> Doubles | None:
    """Fit a homography from b to a by least squares; rows (N, 2), N at least 4.

    Coordinates are normalised first (Hartley 1997), and the two projective terms are held
    towards zero: without evidence for a perspective there is none.
    """
    to_a, to_b = _normaliser(a), _normaliser(b)
    count = len(a)
    u, v = project(to_a, a).T
    x, y = project(to_b, b).T
    system = np.zeros((2 * count, 8))
    top, low = system[:count], system[count:]
    top[:, 0] = low[:, 3] = x
    top[:, 1] = low[:, 4] = y
    top[:, 2] = low[:, 5] = 1
    top[:, 6], top[:, 7] = -u * x, -u * y
    low[:, 6], low[:, 7] = -v * x, -v * y
    wanted = np.concatenate([u, v])
    if weights is not None:
        root = np.sqrt(np.concatenate([weights, weights]))
        system, wanted = system * root[:, None], wanted * root
    normal = system.T @ system
    normal[np.arange(8), np.arange(8)] += 1e-9 * len(x)
    normal[[6, 7], [6, 7]] += 1e-3 * len(x)
    solved = np.linalg.solve(normal, system.T @ wanted)
    matrix = np.linalg.inv(to_a) @ np.append(solved, 1).reshape(3, 3) @ to_b
    if abs(matrix[2, 2]) <= 1e-6:  # noqa: PLR2004 -- at infinity
        return None
    matrix /= matrix[2, 2]
    # What is laid on one line cannot be placed back.
    whole, inner = np.linalg.det(matrix), np.linalg.det(matrix[:2, :2])
    return matrix if abs(whole) > _COLLAPSED and inner != 0 else None


def _normaliser(points: npt.NDArray[np.floating]) -> Doubles:
    middle = points.sum(axis=0) / len(points)
    spread = max(float(np.abs(points - middle).sum()) / points.size, 1e-6)
    x, y = middle / spread
    return np.array([[1 / spread, 0, -x], [0, 1 / spread, -y], [0, 0, 1]])


def project(matrix: Doubles, points: npt.NDArray[np.floating]) -> Doubles:
    """Map (N, 2) points."""
    mapped = points @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray(mapped[:, :2] / mapped[:, 2:], np.float64)
