"""Taking a run back, the newest file first; what is in the way is never overwritten."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from dedup.actions import carry, steps
from dedup.actions.again import act_again
from dedup.actions.journal import (
    DONE,
    STAYS,
    UNDO,
    UNDONE,
    Journal,
    find_run,
    find_undo,
    read_history,
    runs_of,
)
from dedup.actions.moves import copy_whole, exchange, move_whole, rename_exclusive
from dedup.actions.outcomes import Acted, ActedFile, Run, RunsAnswer
from dedup.actions.plan_file import LINKS
from dedup.actions.recover import finish, follow
from dedup.actions.system import (
    RefusedError,
    digest_of,
    facts_at,
    in_words,
    is_there,
    remove,
    restore_facts,
)
from dedup.actions.trash import remove_note
from dedup.errors import DedupError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dedup.actions.journal import History, Item
    from dedup.answer import Progress
    from dedup.store.catalog import Catalog


BATCH_FILES: Final = 256
"""Of which the journal says at once that they are about to come back."""


def undo(catalog: Catalog, run: str | None, report: Progress, *, dry_run: bool = False) -> Acted:
    """Bring back the files of a run; the caller holds the writer's lock.

    Parameters
    ----------
    run : its name, where that of an undo has the run carried out again; None: the newest of which
        anything can be brought back

    Raises
    ------
    DedupError : there is no such run, or nothing to bring back.
    """
    taken_back = None if run is None else find_undo(catalog.store, run)
    if taken_back is not None and run is not None:
        return act_again(taken_back, run, catalog, report, dry_run=dry_run)
    folder = _newest(catalog.store) if run is None else find_run(catalog.store, run)
    with Journal(folder) as journal:
        items = [item for item in journal.history.items.values() if item.state == DONE]
        items.sort(key=lambda item: item.number, reverse=True)
        if not items:
            raise DedupError(f"the run {journal.run} has nothing to bring back")
        if dry_run:
            return Acted(journal.run, tuple(_looked_at(item) for item in items))
        name = journal.begin_undo()
        try:
            files = _undo_all(items, journal, report)
            follow(journal.history, catalog)
            journal.write("end")
        except BaseException as error:
            with suppress(DedupError, OSError):  # the next command tries again
                finish(journal, catalog)
            if isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt(_so_far(items, journal)) from error
            raise
    is_any = any(file.outcome == "undone" for file in files)
    return Acted(name if is_any else "", tuple(files))


def _so_far(items: list[Item], journal: Journal) -> str:
    """Say how far an undo came, and what next."""
    history = journal.history.items
    left = sum(history[item.number].state == DONE for item in items)
    words = f"{len(items) - left:,} of {len(items):,} files brought back"
    return f"{words}; for the others: dedup undo {journal.run}" if left else words


def _newest(store: Path) -> Path:
    for folder in runs_of(store):
        if any(item.state == DONE for item in read_history(folder).items.values()):
            return folder
    raise DedupError(f"{store}: there is nothing to undo")


def _looked_at(item: Item) -> ActedFile:
    try:
        _check(item)
    except RefusedError as error:
        return ActedFile(item.path, item.action, "refused", item.bytes, item.to, str(error))
    return ActedFile(item.path, item.action, "planned", item.bytes, item.to)


def _check(item: Item) -> None:
    """See whether a file can be brought back; it is read only where its time is not as before.

    Raises
    ------
    RefusedError
    """
    if steps.is_swapped(item):
        _check_swapped(item)
        return
    if is_there(item.path):
        raise RefusedError("there is another file at its path now")
    if item.action == "delete":
        if item.about["keeper_sha256"] != item.about["sha256"]:
            raise RefusedError("it was deleted, and no file with its bytes is known")
        _check_bytes(item, item.about["keeper"], item.about["keeper_stat"], "its keeper")
        return
    if not is_there(item.to):
        where = "the trash" if item.action == "trash" else item.to
        raise RefusedError(f"it is no longer in {where}")
    _check_bytes(item, item.to, item.about["stat"], item.to)


def _check_bytes(item: Item, path: str, kept: dict[str, int], name: str) -> None:
    """See that a file has the bytes that are to come back; read only where its time is another.

    A copy's time may be: exFAT and others keep it in steps of their own.
    """
    try:
        found = os.lstat(path)
    except OSError:
        raise RefusedError(f"{name} is gone") from None
    same = found.st_size == kept["size"]
    if same and found.st_mtime_ns != kept["mtime_ns"]:
        same = digest_of(path)[0] == item.about["sha256"]
    if not same:
        raise RefusedError(f"{name} is another file now")


def _check_swapped(item: Item) -> None:
    what = "the metadata beside its keeper" if item.action == "carry" else "the link"
    if item.facts is None or not is_there(item.path):
        raise RefusedError(f"{what} is gone")
    now = facts_at(item.path)
    if now["inode"] != item.facts["inode"]:
        raise RefusedError(f"{what} was replaced by another file")
    if item.action == "carry" and now["mtime_ns"] != item.facts["mtime_ns"]:
        raise RefusedError(f"{what} was changed since")
    if item.action in LINKS:
        _check_bytes(item, _source_of(item), item.about["keeper_stat"], "its keeper")


def _undo_all(items: list[Item], journal: Journal, report: Progress) -> list[ActedFile]:
    files: list[ActedFile] = []
    for start in range(0, len(items), BATCH_FILES):
        batch = items[start : start + BATCH_FILES]
        reasons = {item.number: _write_ahead(item, journal) for item in batch}
        journal.sync()
        for item in batch:
            reason = reasons[item.number] or _undo_one(item, journal)
            outcome = "refused" if reason else "undone"
            files.append(ActedFile(item.path, item.action, outcome, item.bytes, "", reason))
            report("Undoing", len(files), len(items))
    return files


def _write_ahead(item: Item, journal: Journal) -> str:
    try:
        _check(item)
    except RefusedError as error:
        return str(error)
    journal.write(UNDO, item.number, sync=False)
    return ""


def _undo_one(item: Item, journal: Journal) -> str:
    """Bring back one file; gives why that was not possible, or ""."""
    facts = item.facts
    part = steps.part_of(item.path, journal.run, item.number)
    try:
        os.makedirs(os.path.dirname(item.path), exist_ok=True)
        if item.about.get("before", "") is None:
            _take_away(item, part)
        elif steps.is_swapped(item):
            _swap_link(item, part)
        elif item.action == "delete":
            _copy_of_keeper(item, part)
            rename_exclusive(part, item.path)
        else:
            if digest_of(item.to)[0] != item.about["sha256"]:
                raise RefusedError(f"the bytes of {item.to} have changed")  # noqa: TRY301
            move_whole(item.to, item.path, part, item.about["sha256"], item.about["stat"])
            if item.about.get("note"):
                remove_note(item.about["note"], item.path)
    except (OSError, RefusedError) as error:
        remove(part)
        reason = in_words(error)
        journal.write(STAYS, item.number, sync=False, facts=facts, reason=reason)
        return reason
    kept = item.about["keeper"]
    keeper = facts_at(kept) if item.action == "hardlink" and is_there(kept) else None
    now = facts_at(item.path) if is_there(item.path) else None
    journal.write(UNDONE, item.number, sync=False, facts=now, keeper_facts=keeper)
    return ""


def _swap_link(item: Item, part: str) -> None:
    """Put what was there before in the place of the link, in one step."""
    swap = steps.swap_of(part)
    (carry.write_before if item.action == "carry" else _copy_of_keeper)(item, part)
    rename_exclusive(part, swap)
    try:
        exchange(swap, item.path)
    except OSError:
        remove(swap)
        raise
    if steps.is_link(item, swap):
        os.unlink(swap)  # a name of the keeper, or what leads to it
        return
    exchange(swap, item.path)
    steps.put_away(item, swap)
    raise RefusedError("the link was replaced by another file just now")


def _take_away(item: Item, part: str) -> None:
    """Remove a file that was not there before, unless it has changed."""
    swap = steps.swap_of(part)
    os.rename(item.path, swap)
    with suppress(RefusedError):
        if digest_of(swap, quiet=True)[0] == item.about["new"]:
            os.unlink(swap)
            return
    steps.put_beside(item, swap)
    raise RefusedError("the metadata beside its keeper was changed just now")


def _source_of(item: Item) -> str:
    """Name a file with the bytes that a deleted or linked one had.

    A hard link has them itself, wherever its keeper was renamed to.
    """
    return item.path if item.action in ("hardlink", "reflink") else item.about["keeper"] or ""


def _copy_of_keeper(item: Item, part: str) -> None:
    """Make the file again from the bytes of its keeper, which are the same.

    Raises
    ------
    RefusedError, OSError
    """
    keeper, sha256 = _source_of(item), item.about["sha256"]
    if not keeper or item.about["keeper_sha256"] != sha256:
        raise RefusedError("it was deleted, and no file with its bytes is known")
    try:
        copy_whole(keeper, part, sha256)
        restore_facts(part, item.about["stat"])
    except (OSError, RefusedError) as error:
        remove(part)
        words = in_words(error)
        raise RefusedError(f"its bytes cannot be had from {keeper}: {words}") from error


def list_runs(store: Path) -> RunsAnswer:
    """List all runs, the newest first."""
    histories = [read_history(folder) for folder in runs_of(store)]
    runs = [_summed_up(one) for one in histories if one.items]
    runs += [run for one in histories for run in _undos(one)]
    return RunsAnswer(tuple(sorted(runs, key=lambda run: run.run, reverse=True)))


def _summed_up(history: History) -> Run:
    items = list(history.items.values())
    states = [item.state for item in items]
    return Run(
        run=history.run,
        started=history.started,
        done=states.count(DONE),
        undone=states.count(UNDONE),
        refused=sum(item.outcome == "refused" for item in items),
        bytes=sum(item.bytes for item in items if item.state == DONE),
        action=", ".join(sorted({item.action for item in items})),
    )


def _undos(history: History) -> Iterator[Run]:
    for name, started in history.undos.items():
        sizes = [item.bytes for item in history.undone_by(name)]
        if sizes:
            yield Run(name, started, 0, len(sizes), 0, sum(sizes), history.run, "undo")


def show_run(store: Path, name: str) -> Acted:
    """Say what became of each file of a run, or which ones an undo brought back.

    Raises
    ------
    DedupError : there is no such run.
    """
    taken_back = find_undo(store, name)
    if taken_back is None:
        items = list(read_history(find_run(store, name)).items.values())
    else:
        items = sorted(taken_back.undone_by(name), key=lambda item: item.number, reverse=True)
    return Acted(
        name,
        tuple(
            ActedFile(
                item.path,
                item.action,
                item.outcome,
                item.bytes,
                item.to if item.state == DONE else "",
                item.reason,
            )
            for item in items
        ),
    )
