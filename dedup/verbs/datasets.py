"""Questions of people with data sets: what deserves a look, splits, samples, classes that leak."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dedup.arguments import (
    DEFAULT_TIERS,
    callback_of,
    count_of,
    one_of,
    paths_of,
    ratios_of,
    strings_of,
    threshold_of,
    tiers_of,
)
from dedup.datasets.labels import COLUMN, FOLDERS, Source, read_labels, source_of
from dedup.errors import SearchError
from dedup.freshness import Lookout
from dedup.policy import INFORMATION, KeepPolicy
from dedup.verbs.pairs import compare_new

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from dedup.answer import Progress
    from dedup.datasets.classes import ClassesAnswer
    from dedup.datasets.issues import CheckAnswer
    from dedup.datasets.labels import Label, Labels
    from dedup.datasets.leaks import LeaksAnswer
    from dedup.datasets.sample import SampleAnswer
    from dedup.datasets.split import SplitAnswer
    from dedup.datasets.together import Together
    from dedup.session import Session

    AnyPath = str | os.PathLike[str]
    Paths = AnyPath | Iterable[AnyPath]

STRATIFY_LABELS = "labels"
_UNMEASURED = "pixels"  # a policy by which no image has to be looked at


class DataSetVerbs:
    """The verbs of a collection that are for people with data sets."""

    _session: Session

    def check(
        self,
        *,
        labels: Source | None = None,
        column: str = COLUMN,
        issues: str | Iterable[str] = (),
        tier: str | Iterable[str] = DEFAULT_TIERS,
        progress: Progress | None = None,
    ) -> CheckAnswer:
        """Find the images that deserve a look.

        Label conflicts and labels that the others contradict; blank, blurry, dark and bright
        images, those of little information, of an odd size or aspect, and outliers.

        Parameters
        ----------
        labels : what images are: "folders", each one's own; a file whose ending says what it is,
            .csv, .tsv and .parquet with the columns `path` and `column`, .json of COCO, .yaml of
            YOLO; a mapping from paths to labels; None: nothing is said of labels
        column : of `labels`, where that is a table
        issues : the kinds that are looked for, see `dedup.datasets.issues.ISSUES`; none: all
        tier : the tiers of images that have to agree in their labels

        Raises
        ------
        DedupError : labels cannot be read, or are needed for `issues`.
        SearchError : the collection is empty.
        """
        from dedup.datasets.check import Labelled, check
        from dedup.datasets.issues import ISSUES, OF_LABELS
        from dedup.report.map import read_points

        chosen = frozenset(one_of(one, ISSUES, "issues") for one in strings_of(issues, "issues"))
        source, (named,) = (
            None if labels is None else source_of(labels),
            strings_of(column, "column"),
        )
        tiers, report = tiers_of(tier), callback_of(progress)
        if source is None and chosen & {*OF_LABELS}:
            raise ValueError(f"labels are needed to find {', '.join(OF_LABELS)}")
        wanted = chosen or frozenset(ISSUES) - (frozenset(OF_LABELS) if source is None else set())
        catalog = self._session.computing(decodes=False)
        lookout = Lookout(catalog.roots())
        points = read_points(catalog, lookout)
        self._require(points.paths, lookout)
        labelled, notes = None, lookout.notes()
        if source is not None:
            known = read_labels(source, named, points.paths, _roots(self._session))
            together = None
            if wanted & {*OF_LABELS}:
                sides = dict(zip(points.paths, known.of, strict=True))
                together = self._together(tiers, _UNMEASURED, report, lookout, sides=sides)
            labelled, notes = Labelled(known, together), (*known.notes, *lookout.notes())
            notes += together.notes if together is not None else ()
        found = check(catalog, points, wanted, labelled, report)
        return self._session.noted(replace(found, notes=(*notes, *found.notes)))

    def split(
        self,
        ratios: Iterable[float],
        *,
        names: str | Iterable[str] = (),
        stratify: str | None = None,
        labels: Source = FOLDERS,
        column: str = COLUMN,
        tier: str | Iterable[str] = DEFAULT_TIERS,
        threshold: float | None = None,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> SplitAnswer:
        """Place every file in a subset such as train, val and test, so that no image is in two.

        Parameters
        ----------
        ratios : of the subsets, that add up to 1
        names : of the subsets; none: train and test, or train, val and test, or subset-1 …
        stratify : what every subset is to have the same shares of: "labels", or a column of
            `labels`; None: nothing
        labels, column, threshold : as in `check` and `duplicates`
        tier : the tiers of images that stay together, over however many steps. What may be in
            one of them by a first look stays together as well, without proof, as long as no share
            is the further off for it
        seed : equal seeds give equal subsets of equal collections

        Raises
        ------
        DedupError : labels cannot be read; there are no images.
        """
        from dedup.datasets.split import hindered, split, wanted_subsets

        wanted = wanted_subsets(ratios_of(ratios), strings_of(names, "names"))
        source, (named,) = source_of(labels), strings_of(column, "column")
        if stratify is None and source != FOLDERS:
            raise ValueError("labels need stratify: 'labels', or the column of them to stratify by")
        if stratify not in (None, STRATIFY_LABELS):
            (named,) = strings_of(stratify, "stratify")
        seed, tiers, report = count_of(seed, "seed", 0), tiers_of(tier), callback_of(progress)
        known: dict[int, Label] | None = None
        notes: tuple[str, ...] = ()

        def placed(together: Together) -> SplitAnswer:
            nonlocal known, notes
            if stratify is not None and known is None:
                paths = [together.path(file) for file in together.files]
                read = read_labels(source, named, paths, _roots(self._session))
                known, notes = dict(zip(together.files, read.of, strict=True)), read.notes
            return split(together, known, wanted, seed)

        together = self._together(
            tiers,
            _UNMEASURED,
            report,
            threshold=threshold,
            hindered=lambda one: hindered(placed(one), one, known),
        )
        found = placed(together)
        return self._session.noted(replace(found, notes=(*notes, *found.notes)))

    def leaks(
        self,
        given: AnyPath,
        *,
        tier: str | Iterable[str] = DEFAULT_TIERS,
        threshold: float | None = None,
        progress: Progress | None = None,
    ) -> LeaksAnswer:
        """Find the images that are in two subsets of a split.

        Parameters
        ----------
        given : the split: a table (.csv, .tsv, .parquet), columns `path` and `subset` or `split`;
            or "folders": the outermost one called train, val, test or the like
        tier, threshold : as in `duplicates`

        Raises
        ------
        DedupError : the table cannot be read, or there are fewer than two subsets.
        """
        from dedup.datasets.leaks import find_leaks, read_subsets
        from dedup.report.map import read_points

        tiers, report = tiers_of(tier), callback_of(progress)
        catalog = self._session.computing(decodes=False)
        lookout = Lookout(catalog.roots())
        paths = read_points(catalog, lookout).paths
        self._require(paths, lookout)
        subsets, notes = read_subsets(given, paths, _roots(self._session))
        together = self._together(
            tiers, _UNMEASURED, report, lookout, threshold=threshold, sides=subsets
        )
        found = find_leaks(together, subsets)
        return self._session.noted(replace(found, notes=(*notes, *found.notes)))

    def sample(
        self,
        n: int,
        *,
        tier: str | Iterable[str] = DEFAULT_TIERS,
        threshold: float | None = None,
        keep: str | Iterable[str] = INFORMATION,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> SampleAnswer:
        """Take images that stand for all, no two of which belong together.

        Parameters
        ----------
        n : how many
        tier : the tiers of images of which one at most is taken, the keeper
        threshold, keep : as in `duplicates`
        seed : draws the first image

        Raises
        ------
        DedupError : there are not so many different images.
        """
        from dedup.datasets.sample import sample

        count, seed = count_of(n, "n", 1), count_of(seed, "seed", 0)
        tiers, report = tiers_of(tier), callback_of(progress)
        together = self._together(tiers, keep, report, threshold=threshold)
        found = sample(together, together.gallery.vectors, count, seed, report)
        return self._session.noted(found)

    def compare_classes(
        self,
        new: Paths,
        against: AnyPath | None = None,
        *,
        labels: Source = FOLDERS,
        column: str = COLUMN,
        tier: str | Iterable[str] = DEFAULT_TIERS,
        threshold: float | None = None,
        offline: bool = False,
        parts: bool = True,
        progress: Progress | None = None,
    ) -> ClassesAnswer:
        """Find out which of some images are in the collection already, class by class.

        Parameters
        ----------
        labels, column : what the new images are, as in `check`
        new, against, tier, threshold, offline, parts : as in `compare`
        """
        from dedup.datasets.classes import ClassesAnswer, by_class
        from dedup.query import expand

        source, (named,) = source_of(labels), strings_of(column, "column")
        given = paths_of(new, "new")
        paths = expand(given)
        found = compare_new(
            self._session, given, against, tier, threshold, progress, offline=offline, parts=parts
        )
        tops = [os.path.realpath(one) for one in given if os.path.isdir(one)]
        real = [os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
                for path in paths]  # fmt: skip
        known: Labels = read_labels(source, named, real, [*tops, *_roots(self._session)])
        unread = {skip.path for skip in found.skipped}
        of = {
            path: label for path, label in zip(paths, known.of, strict=True) if path not in unread
        }
        notes = (*known.notes, *found.notes)
        return ClassesAnswer(by_class(of, found), found, found.skipped, notes)

    def _together(
        self,
        tiers: Any,
        policy: str | Iterable[str],
        report: Any,
        lookout: Lookout | None = None,
        *,
        threshold: Any = None,
        hindered: Callable[[Together], Iterable[int]] | None = None,
        sides: Mapping[str, Hashable] | None = None,
    ) -> Together:
        """Find what belongs together; a raw image and what was developed from it do, too.

        Parameters
        ----------
        sides : as in `find_together`
        hindered : as in `find_unproven`; given, what may belong together is enough, where that can
            be told without proofs
        """
        from dedup.datasets.together import find_together, find_unproven
        from dedup.duplicates.gallery import read_gallery

        lowest = threshold_of(threshold)
        catalog = self._session.computing(decodes=False)
        space = self._session.space()
        gallery = read_gallery(catalog, space, companions=True)
        lookout = lookout or Lookout(catalog.roots())
        lowest = space.threshold(lowest)
        keep, found = KeepPolicy.of(policy), None
        if hindered is not None:
            found = find_unproven(gallery, tiers, lowest, keep, lookout, report, hindered)
        if found is None:
            found = find_together(gallery, tiers, lowest, keep, lookout, report, sides)
        self._require(found.files, lookout)
        return found

    def _require(self, files: Sequence[object], lookout: Lookout) -> None:
        if not files:
            empty = f"{self._session.path}: there are no images here; index a folder first"
            raise SearchError(". ".join((empty, *lookout.notes())))


def _roots(session: Session) -> list[str]:
    return [os.fsdecode(root.path) for root in session.catalog.roots()]
