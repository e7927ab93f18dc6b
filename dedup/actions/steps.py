"""The steps for one file: look, take aside, look again, act; and how they are taken back.

A file is renamed into a folder of quarantine beside it, on the same file system, where nobody else
looks for it, and is hashed there: what another program saved in between is seen, and put back. A
link takes a file's place by a swap, so that the path is never missing.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dedup.actions.moves import (
    clone,
    exchange,
    free_name,
    move_whole,
    numbered,
    rename_exclusive,
)
from dedup.actions.plan_file import LINKS, object_of
from dedup.actions.system import (
    Facts,
    RefusedError,
    attributes_of,
    digest_of,
    facts_at,
    is_same,
    is_there,
    look_at,
    remove,
    restore_facts,
    same_inode,
)
from dedup.actions.trash import remove_note, write_note

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dedup.actions.journal import Item, Journal
    from dedup.actions.plan_file import PlanEntry
    from dedup.actions.trash import Trashes

QUARANTINE = ".dedup-quarantine-"


def check_before(entry: PlanEntry, real: set[str]) -> os.stat_result:
    """See that a file and its keeper are what was planned, on their bytes.

    Parameters
    ----------
    real : as in `look_at`

    Raises
    ------
    RefusedError
    """
    found = look_at(entry.path, entry.stat, "the file", real)
    if found.st_nlink > 1:
        raise RefusedError("the file has another hard link now, so it would free nothing")
    if entry.keeper is not None and same_inode(entry.keeper, entry.path):
        raise RefusedError("the file and its keeper are one file")
    check_keeper(entry, real)
    if digest_of(entry.path)[0] != entry.sha256:
        raise RefusedError("the file's bytes have changed since the plan was made")
    return found


def check_keeper(entry: PlanEntry, real: set[str]) -> None:
    """See that the file that stays is there, on its bytes.

    Raises
    ------
    RefusedError
    """
    if entry.keeper is None or entry.keeper_stat is None:
        return
    there = look_at(entry.keeper, entry.keeper_stat, "its keeper", real)
    try:
        digest, read = digest_of(entry.keeper)
    except RefusedError as error:
        raise RefusedError(f"its keeper {error}") from error
    if digest != entry.keeper_sha256 or (there.st_dev, there.st_ino) != (read.st_dev, read.st_ino):
        raise RefusedError("its keeper's bytes have changed since the plan was made")


def sync_keeper(entry: PlanEntry) -> None:
    """Have the system write the file that stays, before the last other copy of it goes."""
    descriptor = os.open(str(entry.keeper), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def written_ahead(entry: PlanEntry, found: os.stat_result, run: str, number: int) -> dict[str, Any]:
    """Give what the journal says of a file before it is touched."""
    folder = os.path.dirname(entry.path)
    return {
        **object_of(entry),
        "action": entry.verb,
        "folder": entry.folder,
        "quarantine": os.path.join(folder, QUARANTINE + run, str(number)),
        "stat": facts_ahead(entry.path, found),
    }


def facts_ahead(path: str, found: os.stat_result) -> dict[str, Any]:
    """Give what `restore_facts` needs to make a file again."""
    return {
        **Facts.of(found)._asdict(),
        "ctime_ns": found.st_ctime_ns,
        "atime_ns": found.st_atime_ns,
        "mode": stat.S_IMODE(found.st_mode),
        "uid": found.st_uid,
        "gid": found.st_gid,
        "attributes": attributes_of(path),
    }


def part_of(path: str, run: str, number: int) -> str:
    """Name what is not complete yet, in the folder of what it will be."""
    return os.path.join(os.path.dirname(path), f".dedup-{run}-{number}.part")


def swap_of(part: str) -> str:
    """Name what is complete, and about to be swapped with a link."""
    return part.removesuffix(".part") + ".swap"


def put_away(item: Item, swap: str) -> None:
    """Remove a link or a copy of the keeper; what another program wrote goes beside the file."""
    ours = is_link(item, swap)
    if not ours:
        with suppress(OSError, RefusedError):
            ours = digest_of(swap)[0] == item.about["sha256"]
    if ours:
        os.unlink(swap)
    else:
        put_beside(item, swap)


def put_beside(item: Item, swap: str) -> None:
    """Rename what another program wrote to where the file was, or beside it."""
    for name in numbered(item.path):
        try:
            rename_exclusive(swap, name)
        except FileExistsError:
            continue
        return


def take_aside(item: Item) -> os.stat_result:
    """Rename a file into quarantine, and see that it is the one that was looked at."""
    aside, path = item.about["quarantine"], item.path
    with suppress(FileExistsError):
        os.mkdir(os.path.dirname(aside), 0o700)
    if is_there(aside):
        raise RefusedError("its place in quarantine is taken")
    os.rename(path, aside)
    return check_aside(item)


def check_aside(item: Item) -> os.stat_result:
    """Hash a file in quarantine; gives what it was when it was read.

    Raises
    ------
    RefusedError
    """
    aside = item.about["quarantine"]
    if not is_same(os.lstat(aside), item.about["stat"], aside):
        raise RefusedError("the file was replaced by another one just now")
    try:
        digest, read = digest_of(aside, quiet=True)
    except RefusedError as error:
        raise RefusedError(f"the file {error}") from error
    if digest != item.about["sha256"]:
        raise RefusedError("the file was changed just now")
    return read


def put_back(item: Item) -> tuple[str, dict[str, int]]:
    """Rename a file from quarantine to where it was, or beside what is there now.

    Returns
    -------
    Where it is, and what the catalog keeps of it.
    """
    aside = item.about["quarantine"]
    os.makedirs(os.path.dirname(item.path), exist_ok=True)
    if same_inode(aside, item.path):  # killed between its two names
        os.unlink(aside)
        return item.path, facts_at(item.path)
    for name in numbered(item.path):
        try:
            rename_exclusive(aside, name)
        except FileExistsError:
            continue
        return name, facts_at(name)
    raise RefusedError("no name is free beside it")


def act(item: Item, entry: PlanEntry, journal: Journal, trashes: Trashes, below: str) -> None:
    """Send a file from quarantine where it is to go.

    Parameters
    ----------
    below : its path relative to its root
    """
    if entry.verb == "trash":
        _trash(item, journal, trashes)
    elif entry.verb == "move":
        _move(item, journal, os.path.join(entry.folder, below))
    else:
        os.unlink(item.about["quarantine"])


def choose_place(entry: PlanEntry, trashes: Trashes, below: str) -> dict[str, str]:
    """Choose where a file is to go: `to`, and `note` in the trash."""
    if entry.verb == "trash":
        to, note = trashes.of(entry.path).place(entry.path)
        return {"to": to, "note": note}
    if entry.verb == "move":
        return {"to": free_name(os.path.join(entry.folder, below)), "note": ""}
    return {}


def _trash(item: Item, journal: Journal, trashes: Trashes) -> None:
    trash = trashes.of(item.path)
    while True:
        note = item.about["note"]
        try:
            write_note(note, trash.note(item.path))
            try:
                rename_exclusive(item.about["quarantine"], item.to)
            except BaseException:
                remove(note)
                raise
        except FileExistsError:  # another program was quicker
            to, note = trash.place(item.path)
            journal.write("to", item.number, to=to, note=note)
        else:
            return


def _move(item: Item, journal: Journal, wanted: str) -> None:
    while True:
        to = item.to
        os.makedirs(os.path.dirname(to), exist_ok=True)
        part = part_of(to, journal.run, item.number)
        try:
            move_whole(item.about["quarantine"], to, part, item.about["sha256"])
        except FileExistsError:
            journal.write("to", item.number, to=free_name(wanted), note="")
        else:
            return


def make_link(item: Item) -> os.stat_result:
    """Put a link to the keeper in the place of a file, which is then in quarantine.

    Raises
    ------
    RefusedError, OSError : the file is where it was.
    """
    aside, path, keeper = item.about["quarantine"], item.path, item.about["keeper"]
    os.makedirs(os.path.dirname(aside), mode=0o700, exist_ok=True)
    if item.action == "hardlink":
        os.link(keeper, aside, follow_symlinks=False)
    elif item.action == "symlink":
        os.symlink(os.path.relpath(keeper, os.path.dirname(path)), aside)
    else:
        clone(keeper, aside)
        restore_facts(aside, item.about["stat"])
    if item.action != "symlink" and digest_of(aside)[0] != item.about["sha256"]:
        raise RefusedError("its keeper was changed just now")
    exchange(aside, path)
    return check_aside(item)


def unlink_aside(item: Item) -> None:
    """Undo `make_link`, however far it came; the file is where it was, or beside it."""
    aside, path = item.about["quarantine"], item.path
    if not is_there(aside):
        return
    if _is_untouched(item, path) or (is_link(item, aside) and not _was_there(item, aside)):
        os.unlink(aside)  # not swapped yet: what is aside is ours, and perhaps not complete
        return
    if item.about.get("before", "") is None:
        os.unlink(aside)  # there was no file, and this one was not renamed yet
        return
    if is_link(item, path):
        exchange(aside, path)
        if is_link(item, aside):
            os.unlink(aside)
            return
        exchange(aside, path)  # a program has saved a file of its own there
    put_back(item)


def is_original(item: Item, path: str) -> bool:
    """Say whether a path is of the file that was to go, unchanged.

    Its number alone does not tell: that of a file which is gone is soon another one's.
    """
    found = _lstat(path)
    kept = item.about.get("stat")
    return (
        found is not None
        and kept is not None
        and is_same(found, kept, path)
        and (found.st_size, found.st_mtime_ns) == (kept["size"], kept["mtime_ns"])
    )


def _is_untouched(item: Item, path: str) -> bool:
    """Say whether a path is of the file that was to go, and was of it all the time."""
    found = _lstat(path)
    return (
        found is not None
        and is_original(item, path)
        and found.st_ctime_ns == item.about["stat"]["ctime_ns"]
    )


def _was_there(item: Item, path: str) -> bool:
    """Say whether a path may be of the file that was to go, even if it was changed."""
    found, kept = _lstat(path), item.about.get("stat")
    return found is not None and kept is not None and is_same(found, kept, path)


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None


def is_link(item: Item, path: str) -> bool:
    """Say whether a path is the link, or the text, that was made in a file's place."""
    keeper = item.about["keeper"]
    try:
        if item.action == "carry":
            return bool(digest_of(path)[0] == item.about["new"])
        if item.action == "symlink":
            return os.readlink(path) == os.path.relpath(keeper, os.path.dirname(item.path))
        if item.action == "hardlink":
            if is_there(keeper):
                return same_inode(path, keeper)
            same = is_same(os.lstat(path), item.about["keeper_stat"], path)
            return same and digest_of(path)[0] == item.about["sha256"]
        return not _was_there(item, path) and digest_of(path)[0] == item.about["sha256"]
    except (OSError, RefusedError):
        return False


def clear_place(item: Item, run: str) -> None:
    """Remove what is left of an attempt: a copy that is not complete, a note without its file."""
    if item.to:
        remove(part_of(item.to, run, item.number))
        if item.about.get("note") and not is_there(item.to):
            remove_note(item.about["note"], item.path)


def clear_quarantine(items: Iterable[Item]) -> None:
    """Remove the folders of quarantine in which nothing is."""
    places = (item.about["quarantine"] for item in items if "quarantine" in item.about)
    for folder in {os.path.dirname(place) for place in places}:
        with suppress(OSError):
            os.rmdir(folder)


def is_swapped(item: Item) -> bool:
    """Say whether something else takes the place of the file: a link, or a new text."""
    return item.action in LINKS or item.action == "carry"
