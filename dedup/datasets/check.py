"""What deserves a look in a data set: scores of every image, and the files below a threshold."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dedup.datasets.conflicts import conflicts
from dedup.datasets.issues import (
    BLANK,
    BLURRY,
    BRIGHT,
    CONFLICT,
    DARK,
    ISSUES,
    MISLABELLED,
    ODD_ASPECT,
    ODD_SIZE,
    OF_PIXELS,
    OUTLIER,
    PLAIN,
    CheckAnswer,
    Issue,
    aspect_scores,
    size_scores,
    threshold_of,
)
from dedup.datasets.labels import text_of
from dedup.datasets.measures import read_quality
from dedup.datasets.mislabelled import (
    LEAST_MEMBERS,
    NEIGHBOURS,
    centred,
    judge,
    nearest_others,
    remoteness,
)
from dedup.images.quality import Quality
from dedup.results import Skip
from dedup.store.gallery import read_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from dedup.answer import Progress
    from dedup.datasets.labels import Label, Labels
    from dedup.datasets.mislabelled import Judged, Near
    from dedup.datasets.together import Together
    from dedup.report.map import Points
    from dedup.store.catalog import Catalog

    Scores = npt.NDArray[np.float64]
    Numbers = npt.NDArray[np.int64]

_MEASURES = {BLANK: "variety", BLURRY: "sharpness", DARK: "light", BRIGHT: "dark",
             PLAIN: "information"}  # fmt: skip


class Labelled(NamedTuple):
    """The labels of a data set, and which of its files belong together; None: not looked at."""

    labels: Labels
    together: Together | None


def check(
    catalog: Catalog,
    points: Points,
    wanted: frozenset[str],
    labelled: Labelled | None,
    report: Progress,
) -> CheckAnswer:
    """Score every image, and list what is below the thresholds.

    Parameters
    ----------
    points : the files that are here
    wanted : the kinds of issues
    labelled : None where there are no labels
    """
    return _Check(catalog, points, labelled, report).answer(wanted)


class _Check:
    def __init__(
        self, catalog: Catalog, points: Points, labelled: Labelled | None, report: Progress
    ) -> None:
        self._points, self._labelled, self._report = points, labelled, report
        images = read_images(catalog)
        at = np.minimum(np.searchsorted(images.ids, points.ids), max(0, len(images) - 1))
        self._width, self._height = images.width[at], images.height[at]
        self._files: dict[int, list[int]] = defaultdict(list)
        for file, row in enumerate(points.row.tolist()):
            self._files[row].append(file)
        self._labels: list[Label] = labelled.labels.of if labelled else [None] * len(points.paths)
        self._skipped: tuple[Skip, ...] = ()
        self._blank = images.trivial[at]

    def answer(self, wanted: frozenset[str]) -> CheckAnswer:
        found: dict[str, list[Issue]] = {}
        notes: list[str] = []
        if wanted & {*OF_PIXELS}:
            found |= self._of_pixels(wanted)
        if wanted & {ODD_SIZE, ODD_ASPECT}:
            found |= self._of_headers()
        if wanted & {OUTLIER, MISLABELLED}:
            found |= self._of_neighbours(wanted, notes)
        together = self._labelled.together if self._labelled else None
        if CONFLICT in wanted and together is not None:
            file_of = {path: file for file, path in enumerate(self._points.paths)}
            labels = {
                file: self._labels[file_of[path]]
                for file in together.files
                if (path := together.path(file)) in file_of
            }
            found[CONFLICT] = list(conflicts(together, labels))
        rows = [
            one
            for issue in ISSUES
            if issue in wanted
            for one in sorted(
                found.get(issue, ()), key=lambda one: (one.score, os.fsencode(one.path))
            )
        ]
        return CheckAnswer(tuple(rows), len(self._points.paths), self._skipped, tuple(notes))

    def _issues(self, issue: str, scores: Scores, words: Callable[[int], str]) -> Iterator[Issue]:
        """Give an issue for each file of each image whose score is below the threshold."""
        threshold = threshold_of(issue, scores)
        for row in np.flatnonzero(scores < threshold).tolist():
            for file in self._files[row]:
                yield Issue(
                    self._points.paths[file], issue, float(scores[row]), threshold,
                    text_of(self._labels[file]), evidence=words(row),
                )  # fmt: skip

    def _of_pixels(self, wanted: frozenset[str]) -> dict[str, list[Issue]]:
        paths = [os.fsencode(path) for path in self._points.paths]
        contents = {
            self._points.digests[row]: [paths[file] for file in files]
            for row, files in self._files.items()
        }
        measured = read_quality(contents, self._report)
        values = [measured[digest] for digest in self._points.digests]
        self._skipped = tuple(
            Skip(self._points.paths[self._files[row][0]], value)
            for row, value in enumerate(values)
            if not isinstance(value, Quality)
        )
        nothing = Quality(*(float("nan"),) * 5)
        table = [value if isinstance(value, Quality) else nothing for value in values]
        scores = {
            issue: np.array([getattr(one, name) for one in table], np.float64)
            for issue, name in _MEASURES.items()
        }
        self._blank = self._blank | (scores[BLANK] < threshold_of(BLANK, scores[BLANK]))
        found = {}
        for issue in OF_PIXELS:
            if issue in wanted:
                judged = scores[issue]
                if issue != BLANK:  # of which the others say nothing more
                    judged = np.where(self._blank, np.nan, judged)
                found[issue] = list(self._issues(issue, judged, _words(issue, judged)))
        return found

    def _of_headers(self) -> dict[str, list[Issue]]:
        size = size_scores(self._width, self._height)
        middle = round(float(np.median(np.sqrt(self._width.astype(float) * self._height))))

        def shape(row: int) -> str:
            return f"{self._width[row]}×{self._height[row]} pixels"

        def against(row: int) -> str:
            return f"{shape(row)}, usually about {middle}×{middle}"

        aspect = aspect_scores(self._width, self._height)
        return {
            ODD_SIZE: list(self._issues(ODD_SIZE, size, against)),
            ODD_ASPECT: list(self._issues(ODD_ASPECT, aspect, shape)),
        }

    def _of_neighbours(self, wanted: frozenset[str], notes: list[str]) -> dict[str, list[Issue]]:
        found = {}
        copies = self._copies()
        self._report("Comparing neighbours", 0, 1)
        rows = centred(self._points.vectors)
        near = nearest_others(rows, copies)
        if OUTLIER in wanted:
            remote = np.where(self._blank, np.nan, remoteness(near))
            usual = float(np.nanmedian(remote)) if np.isfinite(remote).any() else 0.0

            def words(row: int) -> str:
                return (
                    f"similarity {remote[row]:.2f} to its {NEIGHBOURS} nearest, usually {usual:.2f}"
                )

            found[OUTLIER] = list(self._issues(OUTLIER, remote, words))
        if MISLABELLED in wanted and self._labelled is not None:
            names, classes = self._classes(notes)
            judged = judge(rows, near, classes, copies)
            found[MISLABELLED] = list(self._contradicted(near, classes, judged, names))
        self._report("Comparing neighbours", 1, 1)
        return found

    def _copies(self) -> Numbers:
        """Give images numbers, copies of each other the same."""
        copies = np.arange(len(self._points.ids))
        together = self._labelled.together if self._labelled else None
        if together is not None:
            row_of = dict(zip(self._points.paths, self._points.row.tolist(), strict=True))
            first: dict[int, int] = {}
            for file, group in together.group.items():
                row = row_of.get(together.path(file))
                if row is not None:
                    copies[row] = first.setdefault(group, row)
        return copies

    def _classes(self, notes: list[str]) -> tuple[list[str], Numbers]:
        """Give labels numbers; -1 where an image has not one label that all its files share."""
        of: list[str | None] = []
        several = 0
        for row in range(len(self._points.ids)):
            labels = {self._labels[file] for file in self._files[row]} - {None}
            one = labels.pop() if len(labels) == 1 else None
            several += one is not None and len(one) > 1
            of.append(one[0] if one is not None and len(one) == 1 else None)
        names = sorted({label for label in of if label is not None})
        number = {name: at for at, name in enumerate(names)}
        classes = np.array([-1 if one is None else number[one] for one in of], np.int64)
        classes[self._blank] = -1
        small = np.bincount(classes[classes >= 0], minlength=len(names)) < LEAST_MEMBERS
        if several:
            notes.append(f"Labels of {several:,} images with several were not judged by neighbours")
        if small.any():
            few = "1 class has" if small.sum() == 1 else f"{small.sum():,} classes have"
            notes.append(
                f"{few} fewer than {LEAST_MEMBERS} images: whether their labels are right was not "
                "judged"
            )
        return names, classes

    def _contradicted(
        self, near: Near, classes: Numbers, judged: Judged, names: Sequence[str]
    ) -> Iterator[Issue]:
        row_of = dict(zip(self._points.paths, self._points.row.tolist(), strict=True))
        for one in self._issues(MISLABELLED, judged.agreement, lambda _: ""):
            row = row_of[one.path]
            other = int(judged.other[row])
            neighbours = [place for place in near.rows[row].tolist() if place >= 0]
            like = [place for place in neighbours if classes[place] == other]
            words = f"{len(like)} of its {len(neighbours)} nearest are {names[other]!r}"
            match = self._points.paths[self._files[like[0]][0]] if like else ""
            yield replace(one, other=names[other], match=match, evidence=words)


def _words(issue: str, scores: Scores) -> Callable[[int], str]:
    """Give what says in words why an image has an issue of its pixels."""
    known = scores[~np.isnan(scores)]
    usual = float(np.median(known)) if len(known) else 0.0
    return {
        BLANK: lambda row: f"{1 - scores[row]:.1%} of it is one colour",
        BLURRY: lambda row: f"blurring takes {scores[row]:.0%} of its edges, usually {usual:.0%}",
        DARK: lambda row: f"nearly all of it is below {scores[row]:.0%} of white",
        BRIGHT: lambda row: f"nearly all of it is above {1 - scores[row]:.0%} of white",
        PLAIN: lambda row: f"{8 * scores[row]:.1f} bits of light a pixel, usually {8 * usual:.1f}",
    }[issue]
