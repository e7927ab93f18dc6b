"""The desk at which a person reviews: choosing, and acting on what was chosen; asked by `app`.

A plan is made and carried out by `dedup.actions`, as `dedup plan` and `dedup apply` do; what was
looked at is what is applied, or nothing is.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from dedup.duplicates.tiers import COPIES
from dedup.errors import DedupError
from dedup.review.board import Board, Looked
from dedup.review.jobs import Done
from dedup.review.listing import Filter, missing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dedup.actions.outcomes import Acted
    from dedup.answer import Progress

ROWS_SHOWN: Final = 500
"""Of a plan; the rest is counted."""
UNDO_WORD: Final = "undo"
_CHANGED: Final = "what was chosen has changed since (in another tab?); look at the plan again"


class Desk(Board):
    """One review of a collection."""

    # -- choices ---------------------------------------------------------------------------------

    def choose(self, files: Iterable[int], *, goes: bool) -> list[str]:
        """Let duplicates go, or not; says why some cannot.

        Raises
        ------
        UnknownError
        DedupError : the choice cannot be kept.
        """
        with self._lock:
            wanted = [self.file(number) for number in files]
            return self._choose((file.path for file in wanted), goes=goes)

    def _choose(self, paths: Iterable[str], *, goes: bool) -> list[str]:
        chosen, refused = {}, []
        for path in paths:
            known = self._listing.contents[path]
            reason = ""
            if goes:
                is_duplicate = self._listing.duplicate(path) is not None
                reason = missing(path, known) if is_duplicate else "it is a keeper"
            if reason:
                refused.append(f"{path}: {reason}")
            else:
                chosen[path] = known.digest.hex()
        self.choices.set_going(chosen, goes=goes)
        if goes:
            self._together(chosen)
        self._changed()
        return refused

    def _together(self, paths: Iterable[str]) -> None:
        """Take back that files are no duplicates, since they go as such."""
        for path in paths:
            keeper = self._listing.group_of(path).keeper
            if (keeper, path) in self._apart:
                self.collection.unignore(keeper, path)
                self._apart.discard((keeper, path))

    def choose_shown(self, wanted: Filter, *, goes: bool) -> int:
        """Let the copies that are shown go, or not; edited versions are chosen one by one.

        Returns
        -------
        How many of them cannot be chosen.
        """
        with self._lock:
            rows = self._listing.select(wanted, self._state_of)
            paths = [
                one.path
                for group, matching in rows
                for one in matching
                if one.tier in COPIES and (group.keeper, one.path) not in self._apart
            ]
            return len(self._choose(paths, goes=goes))

    def choose_folder(self, file: int, *, goes: bool) -> int:
        """Let all copies in the folder of a file go, or not; as `choose_shown`."""
        folder = os.path.dirname(self.file(file).path)
        return self.choose_shown(Filter(folder=folder), goes=goes)

    def keep_apart(self, file: int, *, apart: bool) -> None:
        """Remember that a duplicate and its keeper are not the same image, or take that back.

        Raises
        ------
        UnknownError
        DedupError : one of them is not what was indexed; they have the same bytes.
        """
        with self._lock:
            path, known = self.file(file)
            keeper = self._listing.group_of(path).keeper
            if reason := missing(path, known) or missing(keeper, self._listing.contents[keeper]):
                raise DedupError(f"{path}: it or its keeper is {reason}")
            (self.collection.ignore if apart else self.collection.unignore)(keeper, path)
            if apart:
                self.choices.set_going({path: known.digest.hex()}, goes=False)
                self._apart.add((keeper, path))
            else:
                self._apart.discard((keeper, path))
            self._changed()

    def keep_instead(self, file: int) -> None:
        """Make a file the keeper of its group.

        Raises
        ------
        UnknownError
        DedupError : it is gone, or nothing is proven against it.
        """
        path, known = self.file(file)
        if reason := missing(path, known):
            raise DedupError(f"{path}: {reason}")
        with self._lock:
            listed, group = self.listed, self._listing.group_of(path)
            first = self._listing.found[group.number]
        if path == group.keeper:
            return
        changed = first if path == first.keeper else self.collection.kept_instead(first, path)
        with self._lock:
            if self.listed != listed:
                raise DedupError("the groups were listed anew meanwhile; choose again")
            self._change(changed)
            others = {
                one: self._listing.contents[one].digest.hex()
                for one in first.paths
                if one in self._listing.contents
            }
            self.choices.set_keepers(others, on=False)
            if path != first.keeper:
                self.choices.set_keepers({path: others[path]}, on=True)
            plan = self.collection.plan_of([changed], chosen=self.choices.keepers)
            may_go = {one.path for one in plan}
            stay = {one: sha256 for one, sha256 in others.items() if one not in may_go}
            self.choices.set_going(stay, goes=False)
            self._changed()

    def clear(self) -> None:
        """Let nothing go; keepers and decisions stay."""
        with self._lock:
            self.choices.set_going(dict(self.choices.going), goes=False)
            self._changed()

    # -- acting ----------------------------------------------------------------------------------

    def look_at_plan(self) -> dict[str, Any]:
        """Make the plan of what was chosen, and say what it would do."""
        with self._lock:
            state, chosen = (self.revision, self.listed), self._chosen()
            keepers = frozenset(self.choices.keepers)
        plan = self.collection.plan_of(chosen, chosen=keepers)
        with self._lock:
            self._plan = Looked(state, plan)
        return {
            "files": len(plan),
            "bytes": plan.bytes,
            "confirm": str(len(plan)),
            "entries": [
                {
                    "path": one.path,
                    "bytes": one.bytes,
                    "tier": one.tier or one.kind,
                    "keeper": one.keeper or "",
                }
                for one in plan[:ROWS_SHOWN]
            ],
            "left": [
                {"path": one.path, "reason": one.reason} for one in plan.left_out[:ROWS_SHOWN]
            ],
            "left_files": len(plan.left_out),
        }

    def apply(self, confirmed: str) -> None:
        """Carry out the plan that was looked at.

        Parameters
        ----------
        confirmed : what the person typed: the number of files

        Raises
        ------
        DedupError : it is another number; or the plan is not of what is chosen now.
        BusyError
        """
        with self._lock:
            looked = self._plan
            if looked is None or looked.state != (self.revision, self.listed):
                raise DedupError(_CHANGED)
            if confirmed.strip() != str(len(looked.plan)) or not len(looked.plan):
                raise DedupError(f"to apply the plan, type the number of files: {len(looked.plan)}")

            def work(report: Progress) -> Done:
                return self._after(self.collection.apply(looked.plan, progress=report))

            self.jobs.start("apply", work)
            self._plan = None

    def _after(self, acted: Acted) -> Done:
        """Let the groups follow what was done; says what that was."""
        done = {one.path for one in acted if one.outcome == "done"}
        with self._lock:
            gone = {
                path: self._listing.contents[path].digest.hex()
                for path in done
                if path in self._listing.contents
            }
            self._replace(self._listing.without(done))
            self.choices.set_going(gone, goes=False)
            self._changed()
        return _done(acted, "done")

    def undo(self, run: str, confirmed: str) -> None:
        """Take a run back, then list the groups anew.

        Parameters
        ----------
        confirmed : what the person typed: `UNDO_WORD`

        Raises
        ------
        DedupError : it is another word; there is no such run.
        BusyError
        """
        if confirmed.strip().lower() != UNDO_WORD:
            raise DedupError(f"to take the run back, type: {UNDO_WORD}")
        if run not in {one.run for one in self.collection.runs() if one.done}:
            raise DedupError("there is no such run, or nothing of it can be brought back")

        def work(report: Progress) -> Done:
            acted = self.collection.undo(run, progress=report)
            self._list(self._task, report)
            return _done(acted, "undone")

        self.jobs.start("undo", work)

    def runs(self) -> list[dict[str, Any]]:
        """List the newest runs of which files can be brought back."""
        return [
            {"run": one.run, "started": one.started, "files": one.done, "bytes": one.bytes}
            for one in self.collection.runs()[:50]
            if one.done
        ]


def _done(acted: Acted, outcome: str) -> Done:
    refused = [f"{one.path}: {one.reason}" for one in acted if one.outcome == "refused"]
    lines = (*refused[:ROWS_SHOWN], *acted.notes)
    return Done(acted.count(outcome), acted.bytes_of(outcome), lines)
