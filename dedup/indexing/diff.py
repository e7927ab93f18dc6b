"""What there is to do: the folders as they are now, against the catalog.

A file whose path, size and time are known is not read. A file that is missing under a folder that
is there is gone; a folder that is missing, or empty where images were, is an unplugged drive,
and everything under it is kept. A folder belongs to the innermost root that holds it.
"""

from __future__ import annotations

import gc
import os
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from dedup.errors import DISTRIBUTION, CollectionError, DedupError
from dedup.images.formats import missing_extra, reads_videos
from dedup.images.header import read_epoch
from dedup.images.scan import FilmsSeen, walk
from dedup.indexing.moved import follow_moved
from dedup.indexing.sources import compare as compare_source
from dedup.indexing.sources import count as count_elsewhere
from dedup.indexing.sources import (
    drop_covered,
    everything,
    follow_store,
    record_roots,
    sort_out,
)
from dedup.indexing.worklist import WorkList
from dedup.records import INODE_BITS, Kind, Settled
from dedup.results import Skip
from dedup.store.roots import set_exclude

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dedup.images.scan import Listing
    from dedup.records import FileEntry, Root
    from dedup.store.catalog import Catalog
    from dedup.store.changes import Differences


@dataclass(slots=True)
class Changes:
    """What a scan found.

    Parameters
    ----------
    work : files to read, by root, then path
    gone : ids of files that are no longer there
    unreadable : folders that could not be listed
    seconds : what looking took
    passed_over : as `Listing.passed_over`
    films : the videos of each root; none where they cannot be read
    undated : as in `Batch`
    not_readable : indexed files that are there, by the extra that would read them and was removed
    looks : what to settle once the work is done, of roots that were seen as a whole and that
        nothing outside them bears upon; without the work
    """

    work: WorkList = field(default_factory=WorkList)
    gone: list[int] = field(default_factory=list)
    unreadable: list[Skip] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    looks: dict[Root, Settled] = field(default_factory=dict)
    unchanged: int = 0
    still_skipped: int = 0
    hard_links: int = 0
    seconds: float = 0.0
    passed_over: Counter[str] = field(default_factory=Counter)
    films: list[tuple[Root, FilmsSeen]] = field(default_factory=list)
    undated: list[tuple[int, int]] = field(default_factory=list)
    not_readable: Counter[str] = field(default_factory=Counter)


class _Scope(NamedTuple):
    """A part of the file system to look at: `within` is relative to the root, b"" for all of it."""

    root: bytes
    within: bytes


def find_changes(
    catalog: Catalog,
    paths: Iterable[str | os.PathLike[str]],
    exclude: Sequence[str] | None = None,
    files: Iterable[str] = (),
) -> Changes:
    """Scan folders and other sources and compare them with the catalog, recording new roots.

    Parameters
    ----------
    paths : folders, archives, files and URLs; none, and no files, means every root
    files : as in `sort_out`
    exclude : patterns of what to leave out, which are kept with the roots and take the place of
        those from before; None: those from before

    Raises
    ------
    CollectionError : a folder is missing and was never indexed, or cannot be listed.
    SourceError : an archive or a URL that is new cannot be read.
    """
    started = time.perf_counter()
    changes = Changes()
    follow_store(catalog)
    known = catalog.roots()
    asked = sort_out([os.fspath(path) for path in paths], files, known)
    folders, whole = asked.folders, not asked
    if whole:
        asked = everything(known)
    changes.notes += follow_moved(catalog, [_real(path) for path in folders])
    scopes = _scopes(catalog, folders, changes) if folders or whole else []
    record_roots(catalog, asked)
    roots = _roots(catalog, scopes, exclude, {*asked.others, *asked.named})
    drop_covered(catalog, asked)
    linked: set[tuple[int, int]] = set()
    with _uncollected():
        for scope in scopes:
            _compare(catalog, roots, scope, linked, changes)
    for path in (*asked.others, *asked.named):
        _compare_source(catalog, roots, path, asked.named.get(path), changes)
    changes.unreadable += asked.skips
    changes.notes += [
        f"{count:,} indexed {'file is' if count == 1 else 'files are'} not readable now: "
        f"pip install '{DISTRIBUTION}[{extra}]'"
        for extra, count in sorted(changes.not_readable.items())
        if count
    ]
    changes.seconds = time.perf_counter() - started
    return changes


def _compare_source(
    catalog: Catalog,
    roots: dict[bytes, Root],
    path: bytes,
    names: set[bytes] | None,
    changes: Changes,
) -> None:
    """Add what differs of a root that is no folder."""
    root = roots[path]
    inner = [one for one in roots.values() if one.kind is Kind.REMOTE and one.path != path]
    found = compare_source(catalog, root, names, inner, changes.work)
    changes.gone += found.gone
    changes.unchanged += found.unchanged
    changes.still_skipped += found.still_skipped
    changes.unreadable += found.problems
    changes.notes += found.notes
    if found.settled is not None:
        changes.looks[root] = found.settled


def _roots(
    catalog: Catalog, scopes: list[_Scope], exclude: Sequence[str] | None, others: set[bytes]
) -> dict[bytes, Root]:
    """Give the roots by path, new ones and new patterns recorded."""
    roots = {root.path: root for root in catalog.roots()}
    new = [scope.root for scope in scopes if scope.root not in roots]
    if new:
        roots = {root.path: root for root in catalog.add_roots(new)}
    if exclude is not None:
        asked = {scope.root for scope in scopes} | others
        set_exclude(catalog, {roots[path] for path in asked}, exclude)
        roots = {root.path: root for root in catalog.roots()}
    return roots


@contextmanager
def _uncollected() -> Iterator[None]:
    """Put Python's search for cycles off: here are none, among hundreds of thousands of tuples."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _scopes(catalog: Catalog, paths: list[str], changes: Changes) -> list[_Scope]:
    known = [root.path for root in catalog.roots() if root.is_folder]
    if not paths:
        missing = [path for path in known if not os.path.isdir(path)]
        changes.notes += [_kept(path) for path in missing]
        return [_Scope(path, b"") for path in known if path not in missing]
    scopes: set[_Scope] = set()
    asked = sorted({_folder(path, known) for path in paths})
    for path in asked:
        if any(_inside(path, other) for other in asked) and path not in known:
            continue  # covered by the other one
        holders = [root for root in known if root == path or _inside(path, root)]
        root = max(holders, key=len, default=path)
        if b"/." not in path[len(root) :]:
            scopes.add(_Scope(root, os.path.relpath(path, root) if path != root else b""))
        else:  # hidden in its root, which is looked through without it
            scopes.add(_Scope(path, b""))
        scopes |= {_Scope(root, b"") for root in known if _inside(root, path)}
    present = []
    for scope in sorted(scopes):
        if os.path.isdir(scope.root):
            present.append(scope)
        else:
            changes.notes.append(_kept(scope.root))
    return present


def _folder(path: str, known: list[bytes]) -> bytes:
    real = _real(path)
    if os.path.isdir(real) or real in known:
        return real
    if os.path.exists(real):
        raise CollectionError(path, "is neither a folder nor a file")
    if any(_inside(real, root) and not os.path.isdir(root) for root in known):
        raise CollectionError(path, "is on a folder that is not there now; nothing was changed")
    raise CollectionError(path, "there is no such folder")


def _real(path: str) -> bytes:
    return os.path.realpath(os.fsencode(path))


def _inside(path: bytes, folder: bytes) -> bool:
    return path != folder and path.startswith(folder.rstrip(b"/") + b"/")


def _kept(root: bytes) -> str:
    return (
        f"{os.fsdecode(root)} is not there (an unplugged drive?): its images are kept in the "
        "collection"
    )


def _compare(
    catalog: Catalog,
    roots: dict[bytes, Root],
    scope: _Scope,
    linked: set[tuple[int, int]],
    changes: Changes,
) -> None:
    root = roots[scope.root]
    nested = {path for path in roots if _inside(path, scope.root)}
    listing = walk(
        scope.root,
        within=scope.within,
        exclude={*nested, os.path.realpath(os.fsencode(catalog.store))},
        patterns=root.exclude,
    )
    changes.passed_over += listing.passed_over
    if reads_videos():
        films = FilmsSeen(listing.films, scope.within, not listing.unreadable)
        changes.films.append((root, films))
    digest = f"{read_epoch()} {listing.digest()}"
    entire = bool(listing.paths) and not scope.within and not listing.unreadable
    settled = catalog.settled(root) if entire else None
    if settled is not None and settled.digest == digest:
        # The usual case, which is not to take longer than looking.
        changes.unchanged += settled.unchanged
        changes.still_skipped += settled.still_skipped
        changes.hard_links += settled.hard_links
        return
    for folder, reason in sorted(listing.unreadable):
        whole = os.fsdecode(os.path.join(scope.root, folder))
        if folder in (b"", scope.within):
            raise CollectionError(whole, f"cannot be listed: {reason}")
        changes.unreadable.append(Skip(whole, reason))
    if not listing.paths and not scope.within and _was_emptied(catalog, root):
        changes.notes.append(_kept(scope.root))
        return
    unreadable = changes.not_readable.total()
    counts, named_elsewhere = _compare_files(catalog, root, scope, listing, linked, changes)
    entire = entire and changes.not_readable.total() == unreadable  # to be said at every run
    changes.unchanged += counts.unchanged
    changes.still_skipped += counts.still_skipped
    further = len(listing.paths) - counts.found
    changes.hard_links += further + named_elsewhere
    if entire and not named_elsewhere:  # which would depend on more than this root
        changes.looks[root] = Settled(digest, counts.unchanged, counts.still_skipped, further)


def _compare_files(
    catalog: Catalog,
    root: Root,
    scope: _Scope,
    listing: Listing,
    linked: set[tuple[int, int]],
    changes: Changes,
) -> tuple[Differences, int]:
    """Add what differs to the changes; gives the counts, and files named under another root."""
    unseen = tuple(folder + b"/" for folder, _ in listing.unreadable)
    prefix = scope.within + b"/" if scope.within else b""
    named_elsewhere = 0
    differences = catalog.diff(
        root, listing.files(), read_epoch(), keeps_inodes=listing.keeps_inodes
    )
    for entry, known in differences:
        if entry is not None:
            if entry.links == 1 or not _is_further_name(catalog, root, entry, linked):
                changes.work.append(root, entry)
                continue
            named_elsewhere += 1
        if (
            known is not None
            and known.state != "gone"
            and known.path.startswith(prefix)
            and not known.path.startswith(unseen)
        ):
            extra = missing_extra(known.path)
            if extra and os.path.lexists(os.path.join(root.path, known.path)):
                changes.not_readable[extra] += known.state == "indexed"
            else:
                changes.gone.append(known.id)
    changes.undated += differences.undated
    return differences, named_elsewhere


def _was_emptied(catalog: Catalog, root: Root) -> bool:
    """Tell an empty mount point from a folder whose images were deleted: it holds nothing."""
    if not any(file.state == "indexed" for file in catalog.known_files(root)):
        return False
    try:
        return not os.listdir(root.path)
    except OSError as error:
        raise CollectionError(
            os.fsdecode(root.path), f"cannot be listed: {error.strerror}"
        ) from error


def _is_further_name(
    catalog: Catalog, root: Root, file: FileEntry, linked: set[tuple[int, int]]
) -> bool:
    """Find out whether a file with several links is known under another root's name."""
    key = file.device, file.inode
    if key in linked:
        return True
    linked.add(key)
    for other, path in catalog.files_with_inode(file.inode):
        if other.id == root.id:
            continue  # the scan of this root has settled which of its names counts
        try:
            there = os.stat(os.path.join(other.path, path), follow_symlinks=False)
        except OSError:
            continue
        if (there.st_dev, there.st_ino & INODE_BITS) == key:
            return True
    return False


def require_images(
    catalog: Catalog, changes: Changes, paths: Iterable[str | os.PathLike[str]]
) -> None:
    """Refuse a first run that found nothing at all.

    Raises
    ------
    DedupError : no file with the look of an image, and none known from before.
    """
    films = any(seen.files for _, seen in changes.films)
    if not changes.work and not films and not catalog.has_files():
        raise _no_images(paths)


def count_images(paths: Iterable[str | os.PathLike[str]], files: Iterable[str] = ()) -> int:
    """Count what looks like an image in folders and other sources that are in no collection yet.

    For a look before a model is loaded and a collection made. Parameters as in `sort_out`.

    Raises
    ------
    CollectionError : a folder is missing or cannot be listed.
    SourceError : an archive or a URL cannot be read.
    DedupError : there are no images.
    """
    paths = list(paths)
    asked = sort_out([os.fspath(path) for path in paths], files, [])
    count = count_elsewhere(asked)
    for folder in {_folder(path, []) for path in asked.folders}:
        found = walk(folder)
        count += len(found.paths) + len(found.films)
        for unreadable, reason in found.unreadable:
            if unreadable == b"":
                raise CollectionError(os.fsdecode(folder), f"cannot be listed: {reason}")
    if not count:
        raise _no_images(paths or ("the files that were named",))
    return count


def _no_images(paths: Iterable[str | os.PathLike[str]]) -> DedupError:
    places = ", ".join(os.fspath(path) for path in paths) or "the folders of this collection"
    return DedupError(f"no images in {places}: looked for files such as .jpg, .png and .webp")
