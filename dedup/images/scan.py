"""Find the image files under a folder, with what their directory entries say.

Names decide here (known extensions in any case), and for files without an extension their first
bytes; nothing else is opened. Symbolic links are not followed, special files are left alone,
hidden files and folders are left out, and several hard links of one file count once. What a file
really holds is left to `dedup.images.header`. What a person may expect and does not get is counted.
"""

from __future__ import annotations

import errno
import hashlib
import os
from array import array
from collections import Counter
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from dedup.errors import DedupError
from dedup.images.companions import companions
from dedup.images.formats import SIGNATURE_BYTES, listed_extensions, reads_videos, sniff
from dedup.images.passed_over import LINKS, PATTERNS, VIDEOS, default_exclude, kind_of
from dedup.mounts import keeps_inodes
from dedup.records import INODE_BITS, FileEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from pathspec import GitIgnoreSpec

_DOT = ord(".")
_SEPARATOR = os.fsencode(os.sep)
_REASONS = {
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENOENT: "no such folder",
    errno.ENOTDIR: "not a folder",
    errno.ENAMETOOLONG: "path too long for the system",
}
# A fifo that takes a file's place after it was listed must not block, nor a link be followed.
_PEEK_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


class Scan(NamedTuple):
    """What a folder holds."""

    files: list[FileEntry]
    """sorted by path bytes"""
    unreadable: list[tuple[bytes, str]]
    """folders relative to the root that could not be listed, each with a human reason, sorted"""
    hard_links: int
    """further names of files that are already listed, left out"""
    passed_over: Counter[str]
    """as `Listing.passed_over`"""


class FilmsSeen(NamedTuple):
    """The videos that a walk saw.

    Parameters
    ----------
    files : those without another name there
    within : the folder that was walked, relative to the root; b"" for all of it
    entire : whether all of it could be listed
    """

    files: list[FileEntry]
    within: bytes
    entire: bool


class Listing:
    """What a walk saw, column by column: 100,000 tuples would take as long as the walk itself.

    Attributes
    ----------
    paths : as `FileEntry.path`, in the order of the file system
    unreadable : as `Scan.unreadable`, unsorted
    passed_over : what was not listed although a person may expect it, counted by kind, in words:
        videos, formats that are not read, symbolic links, and what was excluded (a folder counts
        once)
    films : videos, where they can be read, in the order of the file system; several names of one
        file count once
    keeps_inodes : whether inodes below this root say which file is which
    """

    def __init__(self, *, keeps_inodes: bool = True) -> None:
        self.keeps_inodes = keeps_inodes
        self.paths: list[bytes] = []
        self.unreadable: list[tuple[bytes, str]] = []
        self.passed_over: Counter[str] = Counter()
        self._facts = array("q")  # size, time and time of change of each
        self._names = array("Q")  # inode, device and number of names of each
        self.films: list[FileEntry] = []
        self._films: list[os.DirEntry[bytes]] = []  # of the folder in hand
        self._film_names: set[tuple[int, int]] = set()

    def digest(self) -> str:
        """Sum up paths, sizes, times and inodes, and which paths are one file.

        Notes
        -----
        It depends on the order in which the file system lists: nearly all keep to theirs while a
        folder is as it was. Numbers of devices count only where files have several names, since
        they are given anew at every mount.
        """
        state = hashlib.sha256(b"\0".join(self.paths))
        state.update(self._facts)
        if max(self._names[2::3], default=1) > 1:
            state.update(self._names)
        elif self.keeps_inodes:
            state.update(self._names[::3])
        return state.hexdigest()

    def files(self) -> Iterator[FileEntry]:
        """Give the files by path, one after the other, those with several names once."""
        paths, facts, names = self.paths, self._facts, self._names
        named: set[tuple[int, int]] = set()
        for row in sorted(range(len(paths)), key=paths.__getitem__):
            inode, device, links = names[3 * row : 3 * row + 3]
            if links > 1:
                if (device, inode) in named:
                    continue
                named.add((device, inode))
            size, mtime_ns, ctime_ns = facts[3 * row : 3 * row + 3]
            yield FileEntry(paths[row], size, mtime_ns, device, inode & INODE_BITS, links, ctime_ns)

    def add(
        self, top: bytes, folder: bytes, excluded: frozenset[bytes], spec: GitIgnoreSpec | None
    ) -> list[bytes]:
        """Add one folder's images and return the folders in it."""
        prefix = folder + _SEPARATOR if folder else b""
        folders = []
        add_path, add_facts, add_names = self.paths.append, self._facts.extend, self._names.extend
        suffixes = _suffixes()
        first, self._films = len(self.paths), []
        with os.scandir(os.path.join(top, folder)) as entries:
            for entry in entries:
                name = entry.name
                if name[0] == _DOT:
                    continue
                try:
                    if entry.is_file(follow_symlinks=False):
                        if name[name.rfind(b".") :] in suffixes or self._is_image(entry):
                            if spec is not None and spec.match_file(os.fsdecode(prefix + name)):
                                self.passed_over[PATTERNS] += 1
                                continue
                            found = entry.stat(follow_symlinks=False)
                            add_facts((found.st_size, found.st_mtime_ns, found.st_ctime_ns))
                            add_names((found.st_ino, found.st_dev, found.st_nlink))
                            add_path(prefix + name)
                    elif self._is_inner(entry, prefix, excluded, spec):
                        folders.append(prefix + name)
                except OSError:
                    continue  # vanished between being listed and being looked at
        if self._films:
            if reads_videos():
                self._take_films(prefix, spec)
            else:
                self._count_films([os.path.basename(path) for path in self.paths[first:]])
        return folders

    def _take_films(self, prefix: bytes, spec: GitIgnoreSpec | None) -> None:
        """Add the films of a folder."""
        for entry in sorted(self._films, key=lambda one: one.name):
            path = prefix + entry.name
            if spec is not None and spec.match_file(os.fsdecode(path)):
                self.passed_over[PATTERNS] += 1
                continue
            with suppress(OSError):  # vanished
                found = entry.stat(follow_symlinks=False)
                key = found.st_dev, found.st_ino
                if found.st_nlink > 1 and key in self._film_names:
                    continue
                self._film_names.add(key)
                self.films.append(
                    FileEntry(
                        path, found.st_size, found.st_mtime_ns, found.st_dev,
                        found.st_ino & INODE_BITS, found.st_nlink, found.st_ctime_ns,
                    )
                )  # fmt: skip

    def _count_films(self, images: list[bytes]) -> None:
        """Count the films of a folder as passed over, except those of live photos."""
        films = {entry.name for entry in self._films}
        belonging = set().union(*companions([*images, *films]).sidecars.values())
        if alone := len(films - belonging):
            self.passed_over[VIDEOS] += alone

    def _is_inner(
        self,
        entry: os.DirEntry[bytes],
        prefix: bytes,
        excluded: frozenset[bytes],
        spec: GitIgnoreSpec | None,
    ) -> bool:
        """Say whether something that is no file is a folder to look into."""
        if not entry.is_dir(follow_symlinks=False):
            if entry.is_symlink() and _concerns(entry):
                self.passed_over[LINKS] += 1
            return False
        if entry.path in excluded:
            return False
        kind = _excluded(entry.name, prefix, spec)
        if kind is not None:
            self.passed_over[kind] += 1
        return kind is None

    def _is_image(self, entry: os.DirEntry[bytes]) -> bool:
        """Judge a name that has none of the known extensions in its two usual spellings."""
        stem, _, extension = entry.name.rpartition(b".")
        if stem and extension:
            if extension.lower() in listed_extensions():
                return True
            kind = kind_of(entry.name)
            if kind == VIDEOS:
                self._films.append(entry)
            elif kind is not None:
                self.passed_over[kind] += 1
            return False
        descriptor = os.open(entry.path, _PEEK_FLAGS)
        try:
            return sniff(os.read(descriptor, SIGNATURE_BYTES)) is not None
        finally:
            os.close(descriptor)


@lru_cache(1)
def _suffixes() -> frozenset[bytes]:
    """Give the known extensions with their dots in their two usual spellings."""
    return frozenset(
        b"." + spelt for known in listed_extensions() for spelt in (known, known.upper())
    )


def _excluded(name: bytes, prefix: bytes, spec: GitIgnoreSpec | None) -> str | None:
    """Say as what a folder is left out; patterns, which come later, decide over the defaults."""
    default = default_exclude(name)
    if spec is None:
        return default
    asked = spec.check_file(os.fsdecode(prefix + name) + "/").include
    return default if asked is None else PATTERNS if asked else None


def _concerns(link: os.DirEntry[bytes]) -> bool:
    """Say whether a symbolic link leads to a folder or has an image's name."""
    extension = link.name[link.name.rfind(b".") + 1 :].lower()
    return extension in listed_extensions() or link.is_dir()


def walk(
    root: bytes | str | os.PathLike[str],
    *,
    within: bytes = b"",
    exclude: Collection[bytes] = (),
    patterns: Sequence[str] = (),
) -> Listing:
    """Walk through a folder and list its image files; parameters and errors as `scan`."""
    top = os.path.realpath(os.fsencode(root))
    start = within.strip(_SEPARATOR)
    if os.pardir.encode() in start.split(_SEPARATOR):
        raise ValueError(f"{within!r} leads out of the root")
    listing = Listing(keeps_inodes=keeps_inodes(top))
    excluded = frozenset(exclude)
    spec = _spec(patterns) if patterns else None
    pending = [start]
    while pending:
        folder = pending.pop()
        try:
            pending += listing.add(top, folder, excluded, spec)
        except OSError as error:
            vanished = isinstance(error, (FileNotFoundError, NotADirectoryError))
            if folder == start or not vanished:
                listing.unreadable.append((folder, _reason(error)))
    return listing


def scan(
    root: bytes | str | os.PathLike[str],
    *,
    within: bytes = b"",
    exclude: Collection[bytes] = (),
    patterns: Sequence[str] = (),
) -> Scan:
    """List the image files under a folder.

    Parameters
    ----------
    root : a folder; itself it may be hidden or a symbolic link
    within : a folder relative to the root, to list that part alone; paths stay relative to root
    exclude : real absolute paths of folders not to descend into
    patterns : of files and folders to leave out, by the rules of gitignore, relative to the root;
        they are applied after those of `dedup.images.passed_over.DEFAULT_EXCLUDES`, so that
        "!@eaDir/" takes such folders in

    Raises
    ------
    ValueError : `within` leads out of the root, or a pattern makes no sense

    Returns
    -------
    Every file once. Of several hard links the first by path bytes stays. A root that is missing
    or cannot be listed is the one entry of `unreadable`. What vanishes meanwhile is left out.
    """
    listing = walk(root, within=within, exclude=exclude, patterns=patterns)
    files = list(listing.files())
    further = len(listing.paths) - len(files)
    return Scan(files, sorted(listing.unreadable), further, listing.passed_over)


def check_patterns(patterns: Sequence[str]) -> None:
    """Refuse patterns that make no sense.

    Raises
    ------
    DedupError
    """
    try:
        _spec(patterns)
    except ValueError as error:
        raise DedupError(f"a pattern of files to leave out makes no sense: {error}") from error


def matcher(patterns: Sequence[str]) -> Callable[[bytes], bool]:
    """Give what says whether a path relative to its root fits patterns, by gitignore's rules."""
    spec = _spec(patterns)
    return lambda path: spec.match_file(os.fsdecode(path))


def _spec(patterns: Sequence[str]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(patterns)


def _reason(error: OSError) -> str:
    known = _REASONS.get(error.errno or 0)
    return known or (error.strerror or "cannot be listed").lower()
