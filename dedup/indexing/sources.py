"""Roots that are no folders: archives, files named one by one, folders of servers.

They are listed here and compared with the catalog as folders are: what is unchanged is not read. A
file belongs to the root that holds it, and to its name alone only where there is none.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from dedup.errors import CollectionError, SourceError
from dedup.images.header import holds_image, read_epoch
from dedup.images.passed_over import is_listed
from dedup.images.scan import matcher
from dedup.records import FileEntry, Kind, Root, Settled, is_url
from dedup.results import Skip
from dedup.sources import archives, remote
from dedup.sources.opening import entry_from, entry_of
from dedup.store.roots import drop_below, forget_root, move_root

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dedup.indexing.worklist import WorkList
    from dedup.store.catalog import Catalog

_HERE = b"/"  # the root of files of this computer that are named one by one


@dataclass(slots=True)
class Asked:
    """What a run is asked to look at.

    Parameters
    ----------
    folders : of this computer, as they were given
    others : roots that are listed whole, with their kinds
    named : names of files, relative to the root that each is below
    skips : names that lead to nothing
    """

    folders: list[str] = field(default_factory=list)
    others: dict[bytes, Kind] = field(default_factory=dict)
    named: dict[bytes, set[bytes]] = field(default_factory=dict)
    skips: list[Skip] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.folders or self.others or self.named or self.skips)


class Found(NamedTuple):
    """What comparing a root gave.

    Parameters
    ----------
    gone : ids of files
    """

    gone: list[int]
    unchanged: int = 0
    still_skipped: int = 0
    settled: Settled | None = None
    problems: Sequence[Skip] = ()
    notes: Sequence[str] = ()


def sort_out(paths: Iterable[str], files: Iterable[str], known: Sequence[Root]) -> Asked:
    """Tell folders, archives, files and URLs apart.

    Parameters
    ----------
    paths : each of which has to be there
    files : names of files and URLs of files; what is not there is one skipped row
    known : the roots that there are

    Raises
    ------
    SourceError : a URL leads nowhere.
    """
    asked = Asked()
    for path in paths:
        if is_url(os.fsencode(path)):
            _sort_url(asked, path, known)
        else:
            real = os.path.realpath(os.fsencode(path))
            kind = next((root.kind for root in known if root.path == real), None)
            if kind is Kind.ARCHIVE or os.path.isfile(real):
                _sort_file(asked, real, known)
            else:
                asked.folders.append(path)
    for path in files:
        name = os.fsencode(path)
        if is_url(name):
            _name(asked, remote.canonical(path), known)
        elif os.path.isfile(real := os.path.realpath(name)):
            _sort_file(asked, real, known)
        else:
            is_folder = os.path.isdir(real)
            reason = "is a folder, not a file" if is_folder else "there is no such file"
            asked.skips.append(Skip(path, reason))
    return asked


def _sort_url(asked: Asked, url: str, known: Sequence[Root]) -> None:
    named = remote.look_at(url)
    if named.name is not None:
        _name(asked, os.path.join(named.root, named.name), known)
    else:
        holder = _holder(named.root, known)
        asked.others[named.root if holder is None else holder.path] = Kind.REMOTE


def _sort_file(asked: Asked, real: bytes, known: Sequence[Root]) -> None:
    if archives.is_archive(real):
        asked.others[real] = Kind.ARCHIVE
    else:
        _name(asked, real, known)


def _name(asked: Asked, path: bytes, known: Sequence[Root]) -> None:
    """Add a file: below the root that holds it, else by its name."""
    holder = _holder(path, known)
    if holder is None:
        root, name = remote.split(path) if is_url(path) else (_HERE, path[1:])
        asked.named.setdefault(root, set()).add(name or b"")
    elif holder.is_folder:
        asked.folders.append(os.fsdecode(os.path.dirname(path)))
    else:
        asked.others[holder.path] = holder.kind


def _holder(path: bytes, known: Sequence[Root]) -> Root | None:
    roots = [root for root in known if root.kind is not Kind.FILES]
    holding = [root for root in roots if root.path == path or root.holds(path)]
    return max(holding, key=lambda root: len(root.path), default=None)


def everything(known: Sequence[Root]) -> Asked:
    """Ask for all roots that are no folders."""
    asked = Asked()
    for root in known:
        if root.kind is Kind.FILES:
            asked.named[root.path] = set()  # all that are known
        elif not root.is_folder:
            asked.others[root.path] = root.kind
    return asked


def count(asked: Asked) -> int:
    """Count what looks like an image in sources that are in no collection yet.

    Raises
    ------
    SourceError : one of them cannot be read, or has images under names that are refused alone.
    """
    found = sum(
        is_url(root) or is_listed(os.path.basename(name)) or holds_image(os.path.join(root, name))
        for root, names in asked.named.items()
        for name in names
    )
    for path, kind in asked.others.items():
        if kind is Kind.ARCHIVE:
            contents = archives.contents(path)
            listed = sum(map(is_listed, contents.members))
            if not listed and (problems := _of_images(contents)):
                name, reason = problems[0]
                raise SourceError(
                    f"none of the images in {os.fsdecode(path)} is read: {name!r} is {reason}"
                )
            found += listed
        else:
            found += sum(is_listed(entry.path) for entry in remote.listed(path))
    return found


def images_in(path: str) -> list[str] | None:
    """List the images of an archive or of a folder of a server; None: it is a file.

    Raises
    ------
    SourceError : it cannot be read.
    """
    name = os.fsencode(path)
    if is_url(name):
        named = remote.look_at(path) if path.endswith("/") else None
        if named is None or named.name is not None:
            return None
        root, found = named.root, [entry.path for entry in remote.listed(named.root)]
    elif archives.is_archive(name) and os.path.isfile(name):
        root, found = name, sorted(archives.contents(name).members)
    else:
        return None
    return [os.fsdecode(os.path.join(root, one)) for one in found if is_listed(one)]


def record_roots(catalog: Catalog, asked: Asked) -> dict[bytes, Root]:
    """Record roots that are new, once they were found to be readable; gives all by path.

    Raises
    ------
    SourceError : one of them cannot be read.
    """
    known = {root.path: root for root in catalog.roots()}
    new_ones = {path: kind for path, kind in asked.others.items() if path not in known}
    for path, kind in new_ones.items():
        if kind is Kind.ARCHIVE:
            archives.contents(path)
        else:
            remote.reach(path)
    for path, kind in new_ones.items():
        catalog.add_roots([path], kind)
    if new := [path for path in asked.named if path not in known]:
        catalog.add_roots(new, Kind.FILES)
    return {root.path: root for root in catalog.roots()}


def follow_store(catalog: Catalog) -> None:
    """Let images that are kept in the collection's own folder move with it."""
    store = os.path.realpath(os.fsencode(catalog.store))
    for root in catalog.roots():
        here = os.path.join(store, *root.path.rsplit(b"/", 2)[1:])
        if root.kind is Kind.KEPT and root.path != here and os.path.isdir(here):
            move_root(catalog, root, here)


def drop_covered(catalog: Catalog, asked: Asked) -> None:
    """Leave files that were named one by one to the roots that hold them by now."""
    roots = catalog.roots()
    for root in roots:
        if root.kind is Kind.FILES:
            for other in roots:
                if other.kind is not Kind.FILES and root.holds(other.path):
                    drop_below(catalog, root, other.path)
            if root.path not in asked.named and not catalog.files_by_state(root):
                forget_root(catalog, root)


def compare(
    catalog: Catalog, root: Root, names: set[bytes] | None, inner: Sequence[Root], work: WorkList
) -> Found:
    """Compare a root that is no folder with the catalog.

    Parameters
    ----------
    names : of a root of files, those to look at; none of them: all that are known
    inner : other roots, whose files are left to them
    work : gets the files to read
    """
    if root.kind is Kind.FILES:
        return _compare_files(catalog, root, names or set(), work)
    if root.kind is Kind.ARCHIVE:
        return _compare_archive(catalog, root, work)
    try:
        listed = remote.listed(root.path)
    except SourceError as error:
        if not any(True for _ in catalog.known_files(root)):
            raise
        return Found([], problems=[Skip(os.fsdecode(root.path), str(error))])
    nested = [one for one in inner if root.holds(one.path)]
    entries = [
        entry
        for entry in listed
        if not any(one.holds(os.path.join(root.path, entry.path)) for one in nested)
    ]
    found = _diff(catalog, root, _wanted(root, entries), None, work)
    if not entries and found.gone:
        return Found([], notes=[f"{os.fsdecode(root.path)} lists nothing: its images are kept"])
    return found


def _compare_files(catalog: Catalog, root: Root, names: set[bytes], work: WorkList) -> Found:
    looked = sorted(
        names or {file.path for file in catalog.known_files(root) if file.state != "gone"}
    )
    paths = [os.path.join(root.path, name) for name in looked]
    if is_url(root.path):
        try:
            entries = remote.asked_for(root.path, looked)
        except SourceError as error:
            return Found([], problems=[Skip(os.fsdecode(root.path), str(error))])
    else:
        entries = [entry_of(path) for path in paths]
    known = {file.path for file in catalog.known_files(root) if file.state != "gone"}
    there: list[FileEntry] = []
    problems, away = [], set()
    for name, path, entry in zip(looked, paths, entries, strict=True):
        if entry is not None:
            there.append(entry._replace(path=name, links=1))
        elif name not in known:
            problems.append(Skip(os.fsdecode(path), "there is no such file"))
        elif not is_url(path) and not os.path.isdir(os.path.dirname(path)):
            away.add(name)
    notes = []
    if away:
        files = "1 file is" if len(away) == 1 else f"{len(away):,} files are"
        notes = [f"{files} not there, nor their folders (an unplugged drive?): kept"]
    found = _diff(catalog, root, there, set(looked) - away, work)
    return found._replace(problems=problems, notes=notes)


def _compare_archive(catalog: Catalog, root: Root, work: WorkList) -> Found:
    name = os.fsdecode(root.path)
    try:
        facts = os.stat(root.path)
    except OSError:
        return Found([], notes=[f"{name} is not there (an unplugged drive?): its images are kept"])
    state = facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, root.exclude
    digest = f"{read_epoch()} {hashlib.sha256(repr(state).encode()).hexdigest()}"
    settled = catalog.settled(root)
    if settled is not None and settled.digest == digest:
        return Found([], settled.unchanged, settled.still_skipped)
    try:
        contents = archives.contents(root.path)
    except (SourceError, OSError) as error:
        if not any(True for _ in catalog.known_files(root)):
            raise _unreadable(root, error) from error
        return Found([], problems=[Skip(name, str(error))])
    archive = entry_from(b"", facts)
    entries = [
        archive._replace(path=path, size=member.size, links=1)
        for path, member in sorted(contents.members.items())
    ]
    cut_off = any(not where for where, _ in contents.problems)
    found = _diff(catalog, root, _wanted(root, entries), set() if cut_off else None, work)
    problems = [
        Skip(f"{name}/{where}" if where else name, reason)
        for where, reason in [
            *(problem for problem in contents.problems if not problem[0]),
            *_of_images(contents),
        ]
    ]
    if not problems:
        found = found._replace(settled=Settled(digest, found.unchanged, found.still_skipped, 0))
    return found._replace(problems=problems)


def _of_images(contents: archives.Contents) -> list[tuple[str, str]]:
    """Name members that look like images and have no place here, with the reasons."""
    return [
        (where, reason)
        for where, reason in contents.problems
        if is_listed(os.fsencode(where).lstrip(b"/."))
    ]


def _unreadable(root: Root, error: Exception) -> Exception:
    if isinstance(error, OSError):
        return CollectionError(os.fsdecode(root.path), f"cannot be read: {error.strerror}")
    return error


def _diff(
    catalog: Catalog,
    root: Root,
    entries: Sequence[FileEntry],
    looked: set[bytes] | None,
    work: WorkList,
) -> Found:
    """Add what is new or changed to the work.

    Parameters
    ----------
    entries : by path
    looked : the names of which it is known whether they are there; None: all of them
    """
    differences = catalog.diff(root, entries, read_epoch(), keeps_inodes=not is_url(root.path))
    gone = []
    for entry, known in differences:
        if entry is not None:
            work.append(root, entry)
        elif (
            known is not None and known.state != "gone" and (looked is None or known.path in looked)
        ):
            gone.append(known.id)
    return Found(gone, differences.unchanged, differences.still_skipped)


def _wanted(root: Root, entries: Iterable[FileEntry]) -> list[FileEntry]:
    """Keep what has an image's name and is not left out."""
    excluded = matcher(root.exclude)
    return [
        entry
        for entry in entries
        if is_listed(entry.path) and not (root.exclude and excluded(entry.path))
    ]
