"""Pages: duplicate groups to look through and to choose in, and a map of the collection."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from dedup.actions.plan import Wishes, make_plan
from dedup.actions.plan_file import entry_text, header_texts
from dedup.arguments import DEFAULT_TIERS, callback_of, count_of, path_of, strings_of, tiers_of
from dedup.datasets.labels import Source as Labelled
from dedup.datasets.labels import read_labels, source_of
from dedup.errors import DISTRIBUTION, DedupError
from dedup.freshness import Lookout
from dedup.policy import INFORMATION, KeepPolicy
from dedup.report.html import Choosable, ReportAnswer, Source, write_report
from dedup.report.pages import PAGES, check_page
from dedup.results import Grouping, Tier
from dedup.store.acted import contents_by_path
from dedup.verbs import pairs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dedup.answer import Progress
    from dedup.report.map import MapAnswer
    from dedup.results import Group
    from dedup.session import Session
    from dedup.store.catalog import Catalog

    AnyPath = str | os.PathLike[str]
    Paths = AnyPath | Iterable[AnyPath]


_SOON_COMPARED = 5_000  # files; a first list of more takes minutes
_NOT_COMPARED = (
    "the images have not all been compared: only files with the same bytes are marked as "
    "duplicates. To have all of them marked, run dedup list first"
)


class ReportVerbs:
    """The verbs of a collection that make pages."""

    _session: Session

    def report(
        self,
        output: AnyPath,
        *,
        tier: str | Iterable[str] = DEFAULT_TIERS,
        keep: str | Iterable[str] = INFORMATION,
        under: Paths = (),
        min_bytes: int = 0,
        limit: int | None = None,
        progress: Progress | None = None,
    ) -> ReportAnswer:
        """Write the duplicate groups to an HTML file, those that free most first.

        Whoever opens it can choose what is to go, and take a plan and decisions out of it. Of more
        than 5,000 images there are several files beside it, and it is their index.

        Parameters
        ----------
        output : a file ending in .html
        tier, keep, under, min_bytes : as in `duplicates`
        limit : how many groups are shown; None: all

        Raises
        ------
        DedupError : another ending, or the file cannot be written.
        """
        path = Path(path_of(output, "output"))
        tiers, terms = tiers_of(tier), KeepPolicy.of(keep).texts
        most = None if limit is None else count_of(limit, "limit", 1)
        report = callback_of(progress)
        check_page(path)
        answer = pairs.duplicates(
            self._session, tiers, None, None, Grouping.COVER, "auto", report,
            keep=terms, under=under, min_bytes=min_bytes, sort="bytes", videos=False,
        )  # fmt: skip
        catalog, groups = self._session.catalog, answer.groups[:most]
        names = {os.fsencode(name) for group in groups for name in group.paths}
        source = Source(
            groups,
            contents_by_path(catalog, names),
            lambda some: _choosable(catalog, some, Wishes("trash", tiers, terms)),
            {
                **_facts(catalog),
                "roots": [os.fsdecode(root.path) for root in catalog.roots()],
                "notes": answer.notes,
                "groups": len(answer.groups),
            },
        )
        files, images = write_report(source, path, report)
        size = sum(os.path.getsize(file) for file in files)
        done = ReportAnswer(tuple(map(os.fspath, files)), len(groups), images, size)
        return replace(done, notes=answer.notes)

    def map(
        self,
        output: AnyPath,
        *,
        labels: Labelled | None = None,
        column: str = "label",
        progress: Progress | None = None,
    ) -> MapAnswer:
        """Lay out all images in the plane, and write that map; equal collections have equal maps.

        By the first stored layer: principal components, then UMAP, and clusters by HDBSCAN; with
        the extra `map`. A page marks duplicate groups and outliers as well; of more than 5,000
        files that were not compared yet, only those of equal bytes.

        Parameters
        ----------
        output : a page (.html), an image (.png), or a table of id, path, x, y and cluster
            (.parquet)
        labels : what files are, as in `check`; None: their folders
        column : of `labels`, where that is a table

        Raises
        ------
        DedupError : another ending; fewer than 3 images; no such column; the file cannot be
            written.
        """
        from dedup.report.layout import lay_out
        from dedup.report.map import Shown, check_map, read_points, write_map

        path = Path(path_of(output, "output"))
        table = None if labels is None else source_of(labels)
        (named,), report = strings_of((column,), "column"), callback_of(progress)
        check_map(path)
        catalog = self._session.computing(decodes=False)
        lookout = Lookout(catalog.roots())
        points = read_points(catalog, lookout)
        read, notes = None, lookout.notes()
        if table is not None:
            roots = [os.fsdecode(root.path) for root in catalog.roots()]
            known = read_labels(table, named, points.paths, roots)
            read, notes = known.texts, notes + known.notes
        report("Laying out images", 0, 1)
        try:
            layout = lay_out(points.vectors)
        except DedupError as error:  # it may be for want of files that are not there now
            raise DedupError(". ".join((str(error), *lookout.notes()))) from error
        report("Laying out images", 1, 1)
        groups: tuple[Group, ...] = ()
        compared, pages = _compared(catalog, len(points.paths)), path.suffix.lower() in PAGES
        notes += (_NOT_COMPARED,) if pages and not compared else ()
        facts = {**_facts(catalog), "notes": notes}
        if pages:
            answer = pairs.duplicates(
                self._session, DEFAULT_TIERS if compared else frozenset({Tier.EXACT}), None, None,
                Grouping.COVER, "auto", report, videos=False,
            )  # fmt: skip
            groups, notes = answer.groups, tuple(dict.fromkeys((*notes, *answer.notes)))
        made = write_map(points, layout, Shown(groups, read, named, facts), path, report)
        return self._session.noted(replace(made, notes=(*notes, *made.notes)))


def _compared(catalog: Catalog, files: int) -> bool:
    """Tell whether lists are quick: a map is no reason to prove for minutes what a list proves."""
    from dedup.duplicates.relate import is_compared

    return files <= _SOON_COMPARED or is_compared(catalog)


def _facts(catalog: Catalog) -> dict[str, str]:
    return {
        "version": version(DISTRIBUTION),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "collection": os.path.realpath(catalog.store),
    }


def _choosable(catalog: Catalog, groups: Sequence[Group], wishes: Wishes) -> Choosable:
    """Plan for everything in some groups, so that a page can take from it what is chosen."""
    plan = make_plan(catalog, groups, wishes, version(DISTRIBUTION), ())
    return Choosable(
        header_texts(plan),
        {one.path: entry_text(one) for one in plan.entries if one.kind == "image"},
        {one.path: one.reason for one in plan.left_out},
        [(one.of, one.bytes, entry_text(one)) for one in plan.entries if one.kind == "sidecar"],
    )
