"""Carrying out a plan, file by file: what has changed since is refused, and the rest goes on."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Final

from dedup.actions import carry, steps
from dedup.actions.checks import (
    acted_roots,
    check_plan,
    check_trash,
    make_folders,
    root_of,
    try_links,
)
from dedup.actions.journal import BACK, DONE, Journal
from dedup.actions.outcomes import Acted, ActedFile
from dedup.actions.recover import finish, follow
from dedup.actions.system import RefusedError, check_quiet, facts_at, in_words, is_there, look_at
from dedup.actions.trash import Trashes
from dedup.errors import DedupError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dedup.actions.plan_file import Plan, PlanEntry
    from dedup.answer import Progress
    from dedup.images.metadata import Metadata
    from dedup.store.catalog import Catalog


BATCH_FILES: Final = 256
BATCH_BYTES: Final = 1 << 28
"""What is checked and written ahead at once: a fraction of a second's reading. Each file is hashed
once more when it is its turn."""


def apply(
    plan: Plan,
    catalog: Catalog,
    report: Progress,
    *,
    dry_run: bool = False,
    carry_metadata: bool = False,
) -> Acted:
    """Carry out a plan; the caller holds the writer's lock.

    Parameters
    ----------
    carry_metadata : write what keepers lack into XMP files beside them, before files go

    Raises
    ------
    PlanError : the plan cannot be carried out as it is written; nothing was done.
    CollectionError : the journal cannot be written; what was done before stays done.
    """
    check_plan(plan, catalog)
    trashes = Trashes(make=not dry_run)
    check_trash(plan, trashes)
    if dry_run:
        acted = _dry_run(plan, report)
        lacking = len(carry.what_keepers_lack(plan.entries)) if carry_metadata else 0
        words = f"Metadata would be written beside {lacking:,} of the keepers."
        return replace(acted, notes=(words,)) if lacking else acted
    make_folders(plan)
    if not plan.entries:
        return Acted("", ())
    run = _Applying(plan, catalog, trashes)
    if carry_metadata:
        run.to_carry = carry.what_keepers_lack(plan.entries)
    try:
        try_links(plan, run.journal)
        run.all(report)
    except BaseException as error:
        with suppress(DedupError, OSError):  # the next command tries again
            finish(run.journal, catalog)
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(_so_far(run.journal, len(plan.entries))) from error
        raise
    finally:
        run.journal.close()
    files = tuple(run.files)
    return Acted(run.journal.run, files, tuple(run.notes))


def _so_far(journal: Journal, count: int) -> str:
    """Say how far a run came, and what next."""
    done = [item for item in journal.history.items.values() if item.state == DONE]
    words = f"{sum(item.action != 'carry' for item in done):,} of {count:,} files done"
    back = f"to take them back: dedup undo {journal.run}; " if done else ""
    return f"{words}; {back}for the others: dedup plan, then dedup apply"


def _in_order(plan: Plan) -> list[PlanEntry]:
    """Put sidecars after the images that they go with."""
    return sorted(plan.entries, key=lambda entry: entry.kind == "sidecar")


def _dry_run(plan: Plan, report: Progress) -> Acted:
    files = []
    stay: set[str] = set()
    real: set[str] = set()
    for number, entry in enumerate(_in_order(plan), 1):
        outcome, reason = "planned", ""
        try:
            if stay.intersection(entry.of):
                raise RefusedError("its image stays")  # noqa: TRY301
            steps.check_before(entry, real)
        except RefusedError as error:
            outcome, reason = "refused", str(error)
            stay.add(entry.path)
        to = entry.folder
        files.append(ActedFile(entry.path, entry.verb, outcome, entry.bytes, to, reason))
        report("Checking", number, len(plan.entries))
    return Acted("", tuple(files))


class _Applying:
    """One run."""

    def __init__(self, plan: Plan, catalog: Catalog, trashes: Trashes) -> None:
        self._entries = _in_order(plan)
        self._catalog = catalog
        self._trashes = trashes
        self._roots = acted_roots(catalog.roots())
        self._stay: set[str] = set()
        self._real: set[str] = set()  # as in `look_at`
        self._further = count(len(plan.entries) + 1)
        self.to_carry: dict[str, Metadata] = {}
        self.files: list[ActedFile] = []
        self.notes: list[str] = []
        self.journal = Journal.begin(
            catalog.store, version=1, files=len(plan.entries), bytes=plan.bytes
        )

    def all(self, report: Progress) -> None:
        """Act on every file, then let the catalog follow."""
        total = len(self._entries)
        for batch in self._batches():
            self._real.clear()
            reasons = {number: self._write_ahead(number, entry) for number, entry in batch}
            self.journal.sync()
            for number, entry in batch:
                reason = reasons[number] or self._one(number, entry)
                self._record(number, entry, reason)
                report("Acting", number, total)
        steps.clear_quarantine(self.journal.history.items.values())
        follow(self.journal.history, self._catalog)
        self.journal.write("end")

    def _batches(self) -> Iterator[list[tuple[int, PlanEntry]]]:
        """Divide the files into those that are written ahead together.

        To have each on disk by itself takes longer than all else. A sidecar waits for what becomes
        of its images.
        """
        batch: list[tuple[int, PlanEntry]] = []
        size = 0
        for number, entry in enumerate(self._entries, 1):
            size += entry.bytes
            if batch and (
                len(batch) >= BATCH_FILES or size > BATCH_BYTES or entry.kind != batch[0][1].kind
            ):
                yield batch
                batch, size = [], entry.bytes
            batch.append((number, entry))
        if batch:
            yield batch

    def _record(self, number: int, entry: PlanEntry, reason: str) -> None:
        item = self.journal.history.items[number]
        done = item.state == DONE
        if not done:
            self._stay.add(entry.path)
        to, outcome = (item.to, "done") if done else ("", "refused")
        self.files.append(ActedFile(entry.path, entry.verb, outcome, entry.bytes, to, reason))

    def _write_ahead(self, number: int, entry: PlanEntry) -> str:
        """Check one file, and say in the journal what is about to happen; gives why not, or ""."""
        try:
            if self._stay.intersection(entry.of):
                raise RefusedError("its image stays")  # noqa: TRY301
            found = steps.check_before(entry, self._real)
            if entry.keeper in self.to_carry:
                self._carry(entry.keeper)
            ahead = steps.written_ahead(entry, found, self.journal.run, number)
            ahead |= steps.choose_place(entry, self._trashes, self._below(entry))
        except (RefusedError, OSError) as error:
            reason = in_words(error)
            self.journal.write(
                "refused", number, sync=False, path=entry.path, action=entry.verb, reason=reason
            )
            return reason
        self.journal.write("about", number, sync=False, **ahead)
        return ""

    def _one(self, number: int, entry: PlanEntry) -> str:
        """Act on one file; gives why it was refused, or ""."""
        try:
            self._act(number, entry)
        except (RefusedError, OSError) as error:
            return self._take_back(number, in_words(error))
        return ""

    def _carry(self, keeper: str) -> None:
        """Write what a keeper lacks beside it."""
        number = next(self._further)
        ahead = carry.written_ahead(keeper, self.to_carry[keeper], self.journal.run, number)
        if ahead is not None:
            about, text = ahead
            self.journal.write("about", number, **about)
            item = self.journal.history.items[number]
            try:
                carry.write(item, text)
            except (RefusedError, OSError) as error:
                reason = self._take_back(number, in_words(error))
                raise RefusedError(f"what its keeper lacks was not written: {reason}") from error
            self.journal.write(DONE, number, facts=facts_at(item.path))
            self.files.append(ActedFile(item.path, "carry", "done", len(text)))
        del self.to_carry[keeper]

    def _below(self, entry: PlanEntry) -> str:
        """Give the path below the indexed folder, where it is asked for."""
        root = root_of(entry.path, self._roots) if entry.verb == "move" else None
        return os.path.relpath(entry.path, root) if root else ""

    def _act(self, number: int, entry: PlanEntry) -> None:
        item = self.journal.history.items[number]
        aside = item.about["quarantine"]
        if steps.is_swapped(item):
            read = steps.make_link(item)
            steps.check_keeper(entry, self._real)
            steps.sync_keeper(entry)
            check_quiet(aside, read)
            os.unlink(aside)
            self.journal.write(
                DONE,
                number,
                sync=False,
                facts=facts_at(entry.path),
                keeper_facts=facts_at(str(entry.keeper)),
            )
            return
        read = steps.take_aside(item)
        if entry.verb == "delete":
            steps.check_keeper(entry, self._real)
            steps.sync_keeper(entry)
            check_quiet(aside, read)
        elif entry.keeper is not None and entry.keeper_stat is not None:
            look_at(entry.keeper, entry.keeper_stat, "its keeper", self._real)
        steps.act(item, entry, self.journal, self._trashes, self._below(entry))
        self.journal.write(DONE, number, sync=False)

    def _take_back(self, number: int, reason: str) -> str:
        item = self.journal.history.items[number]
        where = entry_path = item.path
        try:
            if steps.is_swapped(item):
                steps.unlink_aside(item)
            elif is_there(item.about["quarantine"]):
                where, _ = steps.put_back(item)
            steps.clear_place(item, self.journal.run)
        except (OSError, RefusedError) as error:
            words = in_words(error)
            self.notes.append(
                f"{entry_path}: could not be put back from {item.about['quarantine']}: {words}; "
                "to try again: dedup recover"
            )
            raise DedupError(self.notes[-1]) from error
        if where != entry_path:
            reason += f"; it is {where} now"
        facts = facts_at(entry_path) if steps.is_original(item, entry_path) else None
        self.journal.write(BACK, number, sync=False, reason=reason, facts=facts)
        return reason
