"""Acting on duplicates, and taking it back."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from dedup.actions import apply as applying
from dedup.actions import journal, plan_file, undo
from dedup.actions.checks import check_target
from dedup.actions.plan import Wishes, make_plan
from dedup.actions.recover import recover
from dedup.arguments import (
    COPY_TIERS,
    callback_of,
    count_of,
    path_of,
    paths_of,
    strings_of,
    tiers_of,
)
from dedup.errors import DISTRIBUTION, CollectionError
from dedup.images.scan import check_patterns
from dedup.policy import INFORMATION, KeepPolicy
from dedup.results import Grouping
from dedup.store.lock import writer_lock
from dedup.verbs import pairs
from dedup.verbs.folders import groups_inside
from dedup.verbs.videos import NOTHING, films_to_go

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dedup.actions.outcomes import Acted, RunsAnswer
    from dedup.actions.plan_file import Plan
    from dedup.answer import Progress
    from dedup.results import Group
    from dedup.session import Session

    AnyPath = str | os.PathLike[str]
    Paths = AnyPath | Iterable[AnyPath]


class ActingVerbs:
    """The verbs of a collection that act on files, each of which can be taken back."""

    _session: Session

    def plan(
        self,
        folders: Paths = (),
        *,
        tier: str | Iterable[str] = COPY_TIERS,
        action: str = "trash",
        keep: str | Iterable[str] = INFORMATION,
        protect: str | Iterable[str] = (),
        reference: Paths = (),
        into: AnyPath | None = None,
        min_bytes: int = 0,
        max_bytes: int | None = None,
        progress: Progress | None = None,
    ) -> Plan:
        """Plan which duplicates are to go; nothing is touched.

        Parameters
        ----------
        folders : only files below one of them may go; none means all
        tier : the tiers that may go; "near", "similar" and "video" only when they are named, and
            of "video" only what is the whole of its keeper
        action : "trash", "move:FOLDER", "delete", or, of files of the same bytes, "hardlink",
            "reflink" or "symlink" to the keeper
        keep : as in `duplicates`
        protect : patterns of files that stay, by gitignore's rules
        reference : folders of which everything stays; their files are keepers before others
        into : only files of `folders` that are inside this one go, as `contains` says; everything
            in it stays
        min_bytes : as in `duplicates`
        max_bytes : that may go in all

        Raises
        ------
        PlanError : the folder of "move" is inside an indexed one.
        """
        kept = [*paths_of(reference, "reference"), *([] if into is None else [into])]
        wishes = self._wishes(folders, tier, action, keep, protect, kept, max_bytes)
        if into is not None and not wishes.folders:
            raise ValueError("into needs folders whose files may go")
        catalog = self._session.catalog
        notes = []
        if journal.unfinished(self._session.path):
            notes = self.recover()
        if wishes.action.startswith("move:"):
            folder = wishes.action.removeprefix("move:")
            check_target(folder, catalog.roots(), os.path.realpath(self._session.path))
        groups, more = self._planned(wishes, into, min_bytes, progress)
        films = NOTHING
        if into is None:
            films = films_to_go(
                self._session, wishes, count_of(min_bytes, "min_bytes", 0), progress
            )
        plan = make_plan(
            catalog, [*groups, *films.groups], wishes, version(DISTRIBUTION),
            [*notes, *more, *films.notes], films.contents,
        )  # fmt: skip
        return replace(plan, applier=self.apply)

    def plan_of(self, groups: Sequence[Group], *, chosen: Iterable[str] = ()) -> Plan:
        """Plan that the duplicates of some groups go to the trash; nothing is touched.

        Parameters
        ----------
        groups : of `duplicates` or `kept_instead`, with the duplicates that are to go
        chosen : keepers that a person chose: files with more pixels than these stay

        Returns
        -------
        What stays all the same, and why, is in `left_out`.
        """
        tiers = frozenset(one.tier for group in groups for one in group.duplicates)
        wishes = Wishes("trash", tiers, chosen=frozenset(chosen))
        plan = make_plan(self._session.catalog, groups, wishes, version(DISTRIBUTION), ())
        return replace(plan, applier=self.apply)

    def _planned(
        self, wishes: Wishes, into: AnyPath | None, min_bytes: int, progress: Progress | None
    ) -> tuple[Sequence[Group], Sequence[str]]:
        """Find the groups whose duplicates may go, with notes."""
        if into is not None:
            return groups_inside(
                self._session, wishes.folders, path_of(into, "into"), wishes.tiers, wishes.keep,
                count_of(min_bytes, "min_bytes", 0), progress,
            )  # fmt: skip
        answer = pairs.duplicates(
            self._session, wishes.tiers, None, None, Grouping.COVER, "auto", progress,
            keep=wishes.keep_terms, min_bytes=min_bytes, plain=True, videos=False,
        )  # fmt: skip
        return answer.groups, answer.notes

    def _wishes(
        self,
        folders: Any,
        tier: Any,
        action: Any,
        keep: Any,
        protect: Any,
        reference: Any,
        max_bytes: Any,
    ) -> Wishes:
        tiers, patterns = tiers_of(tier), strings_of(protect, "protect")
        check_patterns(patterns)
        if not isinstance(action, str):
            raise TypeError(f"action is a str, not {type(action).__name__}")
        return Wishes(
            action=plan_file.action_of(action, tiers),
            tiers=tiers,
            keep=KeepPolicy.of(keep).texts,
            folders=_folders(folders, "folders"),
            protect=patterns,
            reference=_folders(reference, "reference"),
            max_bytes=None if max_bytes is None else count_of(max_bytes, "max_bytes", 0),
        )

    def apply(
        self,
        plan: Plan | AnyPath,
        *,
        dry_run: bool = False,
        carry_metadata: bool = False,
        progress: Progress | None = None,
    ) -> Acted:
        """Carry out a plan. What has changed since is refused, file by file.

        Parameters
        ----------
        plan : what `plan` gave, or a file that was written of it
        dry_run : check every file, and touch none
        carry_metadata : write date, place, rating and keywords that a keeper lacks into an XMP file
            beside it, before files go for it; what is in such a file stays

        Raises
        ------
        PlanError : it is no plan of this collection, or an entry makes no sense; nothing was done.
        LockedError : another process is writing.
        """
        report, catalog = callback_of(progress), self._session.catalog
        if not isinstance(plan, plan_file.Plan):
            plan = plan_file.read_plan(path_of(plan, "plan"))
        with writer_lock(self._session.path):
            notes = recover(catalog)
            acted = applying.apply(
                plan, catalog, report, dry_run=dry_run, carry_metadata=carry_metadata
            )
        return replace(acted, notes=(*notes, *acted.notes))

    def undo(
        self,
        run: str | None = None,
        *,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> Acted:
        """Bring back what a run took away: path, bytes, times and mode; never overwrites.

        Parameters
        ----------
        run : its name, see `runs`; that of an undo: what it brought back goes again, as `apply`
            does it; None: the newest of which something can be brought back
        dry_run : only say what can be done

        Raises
        ------
        DedupError : there is no such run, or nothing to bring back.
        LockedError : another process is writing.
        """
        report, catalog = callback_of(progress), self._session.catalog
        with writer_lock(self._session.path):
            notes = recover(catalog)
            acted = undo.undo(catalog, run, report, dry_run=dry_run)
        return replace(acted, notes=(*notes, *acted.notes))

    def recover(self) -> list[str]:
        """Bring runs to an end that were killed; gives one note a run.

        `index`, `plan`, `apply` and `undo` do so by themselves.

        Raises
        ------
        LockedError : another process is writing, perhaps the run itself.
        """
        with writer_lock(self._session.path):
            return recover(self._session.catalog)

    def runs(self) -> RunsAnswer:
        """List the runs of `apply` and `undo`, the newest first."""
        return undo.list_runs(self._session.catalog.store)

    def run(self, name: str) -> Acted:
        """Say what became of each file of a run.

        Raises
        ------
        DedupError : there is no such run.
        """
        return undo.show_run(self._session.catalog.store, name)


def _folders(value: Any, name: str) -> tuple[str, ...]:
    folders = [os.path.realpath(path) for path in paths_of(value, name)]
    for folder in folders:
        if not os.path.isdir(folder):
            raise CollectionError(folder, "there is no such folder")
    return tuple(folders)
