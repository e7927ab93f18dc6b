"""What lies on the desk: groups as they are now, what was chosen of them, and what runs.

Files are named by their ids in the catalog, and only those in a group are known. Every question may
come from any thread.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dedup.errors import DedupError
from dedup.review.choices import FILE, Choices
from dedup.review.jobs import Done, Jobs
from dedup.review.listing import Listing
from dedup.review.worker import found

if TYPE_CHECKING:
    import subprocess

    from dedup.actions.plan_file import Plan
    from dedup.answer import Progress
    from dedup.collection import Collection
    from dedup.results import Duplicate, Group
    from dedup.review.listing import Filter
    from dedup.review.worker import Task
    from dedup.store.acted import Content

PAGE_GROUPS: Final = 20


class UnknownError(DedupError):
    """An id that no group has."""


class File(NamedTuple):
    """A file that is in a group."""

    path: str
    known: Content


class Looked(NamedTuple):
    """A plan that was looked at, and the state that it was made in."""

    state: tuple[int, int]
    plan: Plan


class Board:
    """The state of one review of a collection.

    Parameters
    ----------
    task : how groups are listed
    """

    def __init__(self, collection: Collection, task: Task) -> None:
        self.collection = collection
        self.jobs = Jobs()
        self.choices = Choices(collection.path / FILE)
        self._task = task
        self._lock = threading.RLock()
        self._listing = Listing()
        self._apart: set[tuple[str, str]] = set()  # keeper, duplicate
        self._plan: Looked | None = None
        self._counted: tuple[tuple[int, int], dict[str, int]] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.revision = 0
        self.listed = 0

    # -- what runs -------------------------------------------------------------------------------

    def refresh(self, *, indexes: bool) -> None:
        """List the groups anew, with or without a run of indexing first.

        Raises
        ------
        BusyError
        """
        task = self._task._replace(indexes=indexes)

        def work(report: Progress) -> Done:
            self._list(task, report)
            return Done()

        self.jobs.start("index" if indexes else "list", work)

    def _list(self, task: Task, report: Progress) -> None:
        result = found(task, report, self._begun)
        with self._lock:
            self._replace(Listing(*result))
        self._keep_instead(report)

    def _begun(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def _replace(self, listing: Listing) -> None:
        self._listing = listing
        self._apart = set()
        self._plan = None
        self.listed += 1
        self.__dict__.pop("sums", None)

    def _keep_instead(self, report: Progress) -> None:
        """Take up the keepers that were chosen before."""
        for path, sha256 in list(self.choices.keepers.items()):
            known = self._listing.contents.get(path)
            if known is not None and known.digest.hex() == sha256:
                group = self._listing.group_of(path)
                if group.keeper != path:
                    try:
                        changed = self.collection.kept_instead(group, path, progress=report)
                    except DedupError:
                        continue  # it is shown as it was found
                    self._change(changed)
        with self._lock:
            self._changed()

    def close(self) -> None:
        """End what only looks, and wait for what acts."""
        if self._process is not None:
            self._process.terminate()
        self.jobs.wait()
        self.choices.close()

    # -- questions -------------------------------------------------------------------------------

    @cached_property
    def sums(self) -> dict[str, Any]:
        """What the listing comes to."""
        return self._listing.sums()

    def file(self, number: int) -> File:
        """Find a file by its id.

        Raises
        ------
        UnknownError
        """
        with self._lock:
            path = self._listing.path(number)
            if path is None:
                raise UnknownError("there is no such file in a group; load the page again")
            return File(path, self._listing.contents[path])

    def pair(self, first: int, second: int) -> tuple[File, File]:
        """Find two files of one group.

        Raises
        ------
        UnknownError
        """
        one, two = self.file(first), self.file(second)
        with self._lock:
            if self._listing.group_of(one.path).number != self._listing.group_of(two.path).number:
                raise UnknownError("these two are not in one group")
        return one, two

    def page(self, wanted: Filter, number: int) -> dict[str, Any]:
        """Describe a page of the groups that are shown, numbered from 0."""
        with self._lock:
            rows = self._listing.select(wanted, self._state_of)
            last = max(0, (len(rows) - 1) // PAGE_GROUPS)
            number = min(number, last)
            groups = [group for group, _ in rows[number * PAGE_GROUPS :][:PAGE_GROUPS]]
            return {
                **self.state(),
                "page": number,
                "pages": last + 1,
                "matching": len(rows),
                "groups": self._rows(groups),
            }

    def folder(self, number: int) -> str:
        """Give the folder that `sums` names by its place."""
        folders: list[list[Any]] = self.sums["folders"]
        if not 0 <= number < len(folders):
            raise UnknownError("there is no such folder; load the page again")
        return str(folders[number][0])

    def _rows(self, groups: list[Group]) -> list[dict[str, Any]]:
        plan = self.collection.plan_of(groups, chosen=self.choices.keepers)
        lines = {one.path: "" for one in plan} | {one.path: one.reason for one in plan.left_out}
        rows = [self._listing.row(group, lines) for group in groups]
        for group, row in zip(groups, rows, strict=True):
            for one, shown in zip(group.duplicates, row["duplicates"], strict=True):
                shown["state"] = self._state_of(group, one)
        return rows

    def _state_of(self, group: Group, one: Duplicate) -> str:
        if (group.keeper, one.path) in self._apart:
            return "apart"
        return "going" if self._goes(one.path) else "open"

    def _goes(self, path: str) -> bool:
        known = self._listing.contents.get(path)
        return known is not None and self.choices.going.get(path) == known.digest.hex()

    def state(self) -> dict[str, Any]:
        """Say what was chosen, and what runs."""
        with self._lock:
            of = self.revision, self.listed
            if self._counted is None or self._counted[0] != of:
                sizes = [one.bytes for group in self._chosen() for one in group.duplicates]
                chosen = {"files": len(sizes), "bytes": sum(sizes), "apart": len(self._apart)}
                self._counted = of, chosen
            return {
                "revision": self.revision,
                "listed": self.listed,
                "chosen": self._counted[1],
                "job": self.jobs.now.as_json(),
            }

    def _chosen(self) -> list[Group]:
        """Give the groups with those duplicates that go."""
        places = {
            self._listing.group_of(path).number: self._listing.group_of(path)
            for path in self.choices.going
            if path in self._listing.contents
        }
        groups = [
            replace(
                group, duplicates=tuple(one for one in group.duplicates if self._goes(one.path))
            )
            for _, group in sorted(places.items())
        ]
        return [group for group in groups if group.duplicates]

    def _change(self, group: Group) -> None:
        with self._lock:
            self._listing.change(group)
            self._apart = {pair for pair in self._apart if pair[0] not in group.paths}

    def _changed(self) -> None:
        self.revision += 1
        self._plan = None
