"""What a kill left: runs whose journal has no end are rolled back or finished, file by file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dedup.actions import steps
from dedup.actions.journal import (
    ABOUT,
    BACK,
    DONE,
    INTERRUPTED,
    LOST,
    STAYS,
    UNDO,
    UNDONE,
    Journal,
    unfinished,
)
from dedup.actions.system import (
    RefusedError,
    digest_of,
    facts_at,
    in_words,
    is_there,
    remove,
    same_inode,
)
from dedup.actions.trash import remove_note
from dedup.errors import DedupError
from dedup.store.acted import Back, record_acted

if TYPE_CHECKING:
    from dedup.actions.journal import History, Item
    from dedup.store.catalog import Catalog


def recover(catalog: Catalog) -> list[str]:
    """Bring every run to an end that was killed; the caller holds the writer's lock.

    Returns
    -------
    One note a run.
    """
    notes = []
    for folder in unfinished(catalog.store):
        with Journal(folder) as journal:
            notes += finish(journal, catalog)
    return notes


def finish(journal: Journal, catalog: Catalog) -> list[str]:
    """Roll back or finish what is open in one run, let the catalog follow, and end the journal."""
    settled = {DONE: 0, BACK: 0, UNDONE: 0, STAYS: 0, LOST: 0}
    for item in list(journal.history.items.values()):
        if item.state in (ABOUT, UNDO):
            try:
                step = (_finish_apply if item.state == ABOUT else _finish_undo)(item, journal)
            except (OSError, RefusedError) as error:
                reason = in_words(error)
                raise DedupError(
                    f"{item.path}: the run {journal.run} was interrupted, and cannot be brought "
                    f"to an end: {reason}. The file is there, or at "
                    f"{item.about['quarantine']}, or at {item.to or 'no other place'}"
                ) from error
            settled[step] += 1
    for start in journal.history.trials:
        remove(start + "1")
        remove(start + "2")
    steps.clear_quarantine(journal.history.items.values())
    follow(journal.history, catalog)
    journal.write("end")
    words = {
        DONE: "finished",
        BACK: "rolled back",
        UNDONE: "undone",
        STAYS: "left as it was",
        LOST: "not found anywhere (removed by another program)",
    }
    told = ", ".join(f"{count:,} {words[step]}" for step, count in settled.items() if count)
    done = sum(item.state == DONE for item in journal.history.items.values())
    back = f"; {done:,} done, to take back: dedup undo {journal.run}" if done else ""
    return [f"The run {journal.run} was interrupted: {told or 'no file was half done'}{back}"]


def _finish_apply(item: Item, journal: Journal) -> str:
    if steps.is_swapped(item):
        step = _finish_link(item)
    elif is_there(item.about["quarantine"]):
        step = _finish_aside(item)
    elif steps.is_original(item, item.path):
        step = BACK
    elif is_there(item.path):
        # Saved anew before it was its turn; or gone, and another one is at its path now.
        step = DONE if item.to and _is_copy(item, item.to) else BACK
    else:
        step = DONE if is_there(item.to) or item.action == "delete" else LOST
    steps.clear_place(item, journal.run)
    facts = keeper = None
    if step == BACK and steps.is_original(item, item.path):
        facts = facts_at(item.path)
    elif step == DONE and steps.is_swapped(item):
        facts = facts_at(item.path)
        keeper = facts_at(item.about["keeper"]) if item.action != "carry" else None
    journal.write(step, item.number, facts=facts, keeper_facts=keeper, reason=INTERRUPTED)
    return step


def _finish_link(item: Item) -> str:
    if is_there(item.about["quarantine"]):
        steps.unlink_aside(item)
        return BACK
    if steps.is_original(item, item.path) or not steps.is_link(item, item.path):
        return BACK
    return DONE


def _finish_aside(item: Item) -> str:
    aside = item.about["quarantine"]
    # Renamed by two names, or copied to another file system and not removed here yet.
    if item.to and (same_inode(aside, item.to) or _is_copy(item, item.to)):
        os.unlink(aside)
        return DONE
    steps.put_back(item)
    return BACK


def _is_copy(item: Item, path: str) -> bool:
    """Say whether a file has the bytes that were to come there.

    Its time may be another one: exFAT and others keep it in steps of their own.
    """
    try:
        return bool(digest_of(path)[0] == item.about["sha256"])
    except (OSError, RefusedError):
        return False


def _finish_undo(item: Item, journal: Journal) -> str:
    part = steps.part_of(item.path, journal.run, item.number)
    if steps.is_swapped(item):
        step = _finish_unlink(item, part)
    elif item.action == "delete":
        step = UNDONE if _is_copy(item, item.path) else STAYS
    elif _is_copy(item, item.path):
        if is_there(item.to) and (same_inode(item.to, item.path) or _is_copy(item, item.to)):
            os.unlink(item.to)
        step = UNDONE
    else:
        step = STAYS if is_there(item.to) else LOST
    remove(part)
    if step == UNDONE and item.about.get("note"):
        remove_note(item.about["note"], item.path)
    facts = facts_at(item.path) if step == UNDONE and is_there(item.path) else None
    journal.write(step, item.number, facts=facts)
    return step


def _finish_unlink(item: Item, part: str) -> str:
    """Find out whether a copy was swapped for the link, and put away what was swapped out."""
    swap = steps.swap_of(part)
    if item.about.get("before", "") is None:
        if is_there(swap):
            steps.put_away(item, swap)
        return STAYS if is_there(item.path) else UNDONE
    inode = -1 if item.facts is None else item.facts["inode"]
    swapped = is_there(item.path) and facts_at(item.path)["inode"] != inode
    if is_there(swap):
        steps.put_away(item, swap)
    return UNDONE if swapped and _is_copy(item, item.path) else STAYS


def follow(history: History, catalog: Catalog) -> None:
    """Let the rows of the catalog follow what a run, or its last undo, did.

    It may be told more than once. What other runs did since to other files of this one is theirs.
    """
    gone: list[bytes] = []
    back: list[Back] = []
    keepers: dict[bytes, Back] = {}
    for item in history.items.values():
        if item.action == "carry" or item.undo != history.undo:  # no image, or told before
            continue
        path = os.fsencode(item.path)
        if item.state == DONE and item.action != "reflink":
            gone.append(path)
        elif item.state in (DONE, BACK, UNDONE) and item.facts:
            back.append(_back(path, item.about["sha256"], item.facts))
        if item.keeper_facts and item.action == "hardlink":
            # Its time of change moves with every link that is made or removed: the last counts.
            keeper = os.fsencode(item.about["keeper"])
            facts = _back(keeper, item.about["keeper_sha256"], item.keeper_facts)
            if keeper not in keepers or keepers[keeper].ctime_ns < facts.ctime_ns:
                keepers[keeper] = facts
    record_acted(catalog, gone, [*back, *keepers.values()])


def _back(path: bytes, sha256: str, facts: dict[str, int]) -> Back:
    return Back(path, bytes.fromhex(sha256), **facts)
