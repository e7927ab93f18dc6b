"""The trash of the desktop, by the specification of freedesktop.org.

A file is renamed into it, never copied, so that only a trash on the file's own file system serves:
that of the home folder, or one at the top of the drive. Files come here from quarantine; the note
beside each names the place that it had before, so that a desktop restores it there, too.
"""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote_from_bytes

from dedup.actions.moves import MAX_NAME_BYTES, numbered
from dedup.actions.system import RefusedError, is_there, remove
from dedup.mounts import mount_point

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


_NOTE: Final = ".trashinfo"


@dataclass(frozen=True, slots=True)
class Trash:
    """A folder of the trash, and what paths in its notes are relative to: "" for none."""

    folder: str
    top: str
    _names: dict[str, Iterator[str]] = field(default_factory=dict)

    def place(self, path: str) -> tuple[str, str]:
        """Find free names for a file and its note, each time others."""
        wanted = os.path.basename(path)
        names = self._names.setdefault(wanted, numbered(wanted, MAX_NAME_BYTES - len(_NOTE)))
        for name in names:
            file = os.path.join(self.folder, "files", name)
            note = os.path.join(self.folder, "info", f"{name}{_NOTE}")
            if not is_there(file) and not is_there(note):
                return file, note
        raise RefusedError("no name is free in the trash")

    def note(self, path: str) -> bytes:
        """Write the note that goes with a file."""
        name = os.path.relpath(path, self.top) if self.top else path
        when = datetime.now().astimezone().strftime("%Y-%m-%dT%H:%M:%S")
        quoted = quote_from_bytes(os.fsencode(name))
        return f"[Trash Info]\nPath={quoted}\nDeletionDate={when}\n".encode()


class Trashes:
    """Finds the trash for each file, and remembers it by folder and by what is mounted there.

    Parameters
    ----------
    make : whether folders that are missing are made; otherwise it is only seen that they can be
    """

    def __init__(self, *, make: bool = True) -> None:
        self._make = make
        self._found: dict[tuple[int, str], Trash | str] = {}
        self._by_folder: dict[str, Trash | str] = {}

    def of(self, path: str) -> Trash:
        """Give the trash for a file.

        Raises
        ------
        RefusedError : there is none.
        """
        folder = os.path.dirname(path)
        found = self._by_folder.get(folder)
        if found is None:
            found = self._by_folder[folder] = self._of_folder(folder)
        if isinstance(found, str):
            raise RefusedError(f"no trash for {path}: {found}")
        return found

    def _of_folder(self, folder: str) -> Trash | str:
        mount = os.lstat(folder).st_dev, _mount_of(folder)
        found = self._found.get(mount)
        if found is None:
            try:
                found = _find(*mount, make=self._make)
            except OSError as error:
                found = f"cannot be written: {error.strerror}"
            self._found[mount] = found
        return found

    def check(self, paths: Iterable[str]) -> None:
        """See that there is a trash for every file, before the first is touched.

        Raises
        ------
        RefusedError
        """
        for path in paths:
            if os.path.isdir(os.path.dirname(path)):
                self.of(path)


def _mount_of(folder: str) -> str:
    found = mount_point(os.fsencode(os.path.realpath(folder)))
    if found is not None:
        return os.fsdecode(found)
    while not os.path.ismount(folder):
        folder = os.path.dirname(folder)
    return folder


def _find(device: int, top: str, *, make: bool) -> Trash | str:
    """Find the trash for what is on one device, mounted at one folder."""
    if sys.platform == "darwin":
        return "the trash of this system is not supported"
    home = os.environ.get("XDG_DATA_HOME") or os.path.join(Path.home(), ".local", "share")
    if os.path.isabs(home) and _device_of(home) == device and _mount_of(home) == top:
        return _made(Trash(os.path.join(os.path.realpath(home), "Trash"), ""), device, make=make)
    shared = os.path.join(top, ".Trash")
    user = str(os.getuid())
    try:
        found = os.lstat(shared)
    except OSError:
        pass
    else:
        if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX:
            return _made(Trash(os.path.join(shared, user), top), device, make=make)
    return _made(Trash(os.path.join(top, f".Trash-{user}"), top), device, make=make)


def _device_of(folder: str) -> int | None:
    """Give the file system of a folder that need not exist yet."""
    try:
        return os.stat(_existing(folder)).st_dev
    except OSError:
        return None


def _existing(folder: str) -> str:
    """Give a folder, or the nearest one above it that exists."""
    while not is_there(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return folder


def _made(trash: Trash, device: int, *, make: bool) -> Trash | str:
    for name in ("files", "info"):
        folder = os.path.join(trash.folder, name)
        if make:
            os.makedirs(folder, mode=0o700, exist_ok=True)
        folder = _existing(folder)
        found = os.lstat(folder)
        if not stat.S_ISDIR(found.st_mode) or found.st_dev != device:
            return f"{folder} is on another drive"
        effective = os.access in os.supports_effective_ids
        if not os.access(folder, os.W_OK | os.X_OK, effective_ids=effective):
            return f"{folder} cannot be written"
    if is_there(trash.folder) and os.lstat(trash.folder).st_uid != os.geteuid():
        return f"{trash.folder} is another user's"
    return trash


def write_note(path: str, text: bytes) -> None:
    """Write the note of a file that is about to come.

    It is not synced: the journal knows the place that the file had, too.

    Raises
    ------
    FileExistsError : the name was taken meanwhile.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, text)
    finally:
        os.close(descriptor)


def remove_note(note: str, path: str) -> None:
    """Remove the note of a file that is not in the trash, if it is about that file."""
    try:
        with open(note, "rb") as file:
            text = file.read(1 << 16)
    except OSError:
        return
    name = quote_from_bytes(os.fsencode(path))
    lines = text.split(b"\n")
    written = lines[1].removeprefix(b"Path=").decode("ascii", "replace") if len(lines) > 1 else ""
    if not text or (written and (written == name or name.endswith(f"/{written}"))):
        remove(note)
