"""When folders change: bursts of events, each of which is one run of indexing.

Events only say that it is time to look; what changed is found by the scan, as at any other time. So
an event may be lost or come twice without harm. A scan comes first, once events are being received,
again whenever that had to begin anew, and now and then for what gives no events (network drives).
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from dedup.errors import DedupError
from dedup.images.formats import listed_extensions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_QUIET_MS: Final = 500
"""A burst ends when nothing has happened for so long."""
_LONGEST_MS: Final = 30_000
"""What has come in is looked at after so long, however long a copy goes on."""
_RESCAN_SECONDS: Final = 600.0
_WAIT_SECONDS: Final = 1.0  # for folders that are not there


def bursts(folders: Sequence[str], store: str) -> Iterator[bool]:
    """Say about twice a second whether it is time to look at folders; True to begin with.

    Parameters
    ----------
    folders : absolute; they may be missing and come back
    store : the collection's own folder, in which nothing matters

    Raises
    ------
    DedupError : the system has no room for so many folders to watch.
    """
    looked = time.monotonic()
    while True:
        for changed in _events(folders, store):
            due = time.monotonic() - looked > _RESCAN_SECONDS
            if changed or due:
                looked = time.monotonic()
            yield changed or due


def _events(folders: Sequence[str], store: str) -> Iterator[bool]:
    """Receive events until other folders are there than when it began, or a name is not UTF-8."""
    from watchfiles import watch
    from watchfiles._rust_notify import WatchfilesRustInternalError

    there = _identities(folders)
    if not there:
        time.sleep(_WAIT_SECONDS)
        yield False
        return
    events = watch(
        *there,
        watch_filter=None,
        debounce=_LONGEST_MS,
        step=_QUIET_MS,
        rust_timeout=_QUIET_MS,
        yield_on_timeout=True,
        ignore_permission_denied=True,
    )
    first = True
    try:
        for changes in events:
            yield first or any(_matters(path, folders, store) for _, path in changes)
            first = False
            if _identities(folders) != there:
                return
    except WatchfilesRustInternalError:
        return  # it can tell nothing of a name that is not UTF-8, and no more after it
    except FileNotFoundError:
        return  # unplugged just now
    except OSError as error:
        raise DedupError(
            f"cannot watch so many folders ({error}): let the system watch more, by its setting "
            "fs.inotify.max_user_watches"
        ) from error


def _identities(folders: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Say which folders are there, and whether they are the same ones as before."""
    found = {}
    for folder in folders:
        try:
            facts = os.stat(folder)
        except OSError:
            continue
        found[folder] = facts.st_dev, facts.st_ino
    return found


def _matters(path: str, folders: Sequence[str], store: str) -> bool:
    """Say whether a change can be one of images: not of hidden files, nor of other kinds."""
    if path == store or path.startswith(store + os.sep):
        return False
    inner = max((folder for folder in folders if path.startswith(folder)), key=len, default="")
    parts = path.removeprefix(inner).split(os.sep)
    if any(part.startswith(".") for part in parts):
        return False
    extension = os.path.splitext(path)[1].removeprefix(".").lower()
    known = not extension or os.fsencode(extension) in listed_extensions()
    return known or not os.path.isfile(path)  # a folder, or gone
