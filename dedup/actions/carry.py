"""Writing what a keeper lacks into an XMP file beside it, and taking that back.

The file is written anew in quarantine and swapped with the one that was there, which is compared
once more when nobody can reach it. What it held is in the journal, so that undo restores it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dedup.actions.moves import exchange, rename_exclusive
from dedup.actions.steps import QUARANTINE, check_aside, facts_ahead
from dedup.actions.system import (
    RefusedError,
    check_quiet,
    in_words,
    read_regular,
    restore_facts,
    write_new,
)
from dedup.files import sync_folder
from dedup.images.companions import companions
from dedup.images.metadata import MAX_XMP_BYTES, Metadata, joined, merged_xmp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dedup.actions.journal import Item
    from dedup.actions.plan_file import PlanEntry


def what_keepers_lack(entries: Iterable[PlanEntry]) -> dict[str, Metadata]:
    """Put together what the files of a plan have that their keepers lack."""
    found: dict[str, Metadata] = {}
    for entry in entries:
        told = entry.keeper_lacks.told
        if entry.keeper is not None and told != Metadata():
            found[entry.keeper] = joined((found.get(entry.keeper, Metadata()), told))
    return found


def written_ahead(
    keeper: str, more: Metadata, run: str, number: int
) -> tuple[dict[str, Any], bytes] | None:
    """Give what the journal says before a file of XMP is written, and its new text.

    Returns
    -------
    None where the keeper lacks nothing.

    Raises
    ------
    RefusedError : the file that is there cannot be read, or is no XMP.
    """
    path, is_new = _xmp_of(keeper)
    try:
        before = None if is_new else read_regular(path, MAX_XMP_BYTES)
        text = merged_xmp(before or b"", more)
    except (OSError, ValueError) as error:
        reason = in_words(error)
        raise RefusedError(f"{path} cannot be added to: {reason}") from error
    if text == before:
        return None
    ahead: dict[str, Any] = {
        "path": path,
        "kind": "metadata",
        "action": "carry",
        "sha256": "" if before is None else hashlib.sha256(before).hexdigest(),
        "new": hashlib.sha256(text).hexdigest(),
        "before": None if before is None else base64.b64encode(before).decode(),
        "keeper": keeper,
        "quarantine": os.path.join(os.path.dirname(path), QUARANTINE + run, str(number)),
    }
    if before is not None:
        ahead["stat"] = facts_ahead(path, os.lstat(path))
    return ahead, text


def _xmp_of(image: str) -> tuple[str, bool]:
    """Find the file of XMP that belongs to an image, or name the one to be made."""
    folder, name = os.path.split(os.fsencode(image))
    stem = os.path.splitext(name)[0].lower()
    names = [one for one in os.listdir(folder) if one.lower().startswith(stem)]
    own = companions(os.path.join(folder, one) for one in names).sidecars
    found = [one for one in own.get(os.fsencode(image), ()) if one.lower().endswith(b".xmp")]
    # Of a raw image and its JPEG `a.xmp` is that of both; `a.jpg.xmp` is of one alone.
    found.sort(key=len, reverse=True)
    return (os.fsdecode(found[0]), False) if found else (f"{image}.xmp", True)


def write(item: Item, text: bytes) -> None:
    """Put the new text in its place.

    Raises
    ------
    RefusedError, OSError : what was there is there, or in quarantine.
    """
    aside, path = item.about["quarantine"], item.path
    os.makedirs(os.path.dirname(aside), mode=0o700, exist_ok=True)
    write_new(aside, text)
    if item.about["before"] is None:
        found = os.stat(item.about["keeper"])
        with suppress(OSError):
            os.chown(aside, found.st_uid, found.st_gid)
        os.chmod(aside, stat.S_IMODE(found.st_mode) & 0o666)
        try:
            rename_exclusive(aside, path)
        except FileExistsError as error:
            raise RefusedError(f"{path} was made just now") from error
    else:
        restore_facts(aside, item.about["stat"])
        os.utime(aside)
        exchange(aside, path)
        check_quiet(aside, check_aside(item))
        os.unlink(aside)
    sync_folder(os.path.dirname(path))


def write_before(item: Item, part: str) -> None:
    """Write the text that was there before."""
    write_new(part, base64.b64decode(item.about["before"]))
    restore_facts(part, item.about["stat"])
