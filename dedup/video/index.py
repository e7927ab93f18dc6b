"""Bring what is kept of videos up to date with folders: read, embed key frames, keep."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dedup.freshness import is_offline
from dedup.mounts import keeps_inodes
from dedup.preparation import embed, preparation
from dedup.records import is_unchanged
from dedup.results import Skip
from dedup.space.space import Space
from dedup.video.prove import Digested, Failed, Read, run_all, workers
from dedup.video.shelf import Row, Shelf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dedup.images.scan import FilmsSeen
    from dedup.records import Root
    from dedup.runtimes.embedder import Embedder
    from dedup.space.fusion import Rows
    from dedup.store.catalog import Catalog
    from dedup.video.prove import Done
    from dedup.video.sample import Sampled

_log = logging.getLogger(__name__)

_BATCH: Final = 32  # key frames per forward pass


class Updated(NamedTuple):
    """What a run came to.

    Parameters
    ----------
    skips : videos that could not be read now
    still_skipped : those that could not be read before and are unchanged, not tried again
    """

    skips: list[Skip]
    notes: list[str]
    still_skipped: int = 0


def update(
    catalog: Catalog,
    seen: Sequence[tuple[Root, FilmsSeen]],
    embedder: Callable[[], Embedder],
    report: Callable[[str, int, int], None],
) -> Updated:
    """Read the videos that are new or have changed; the caller holds the writer's lock.

    Parameters
    ----------
    seen : what walks found
    """
    shelf = Shelf(catalog)
    known = shelf.contents()
    rows, work, still = _compared(shelf, seen, known)
    roots = {root.id for root in catalog.roots()}
    rows = [row for row in rows if row.root in roots]
    if not work:
        shelf.put_rows(rows)
        return Updated([], [], still)
    wanted, space, skips = preparation(catalog), Space.of(catalog), []
    done = 0
    with workers() as ready:
        for some in _rounds(work):
            items = [
                Read(os.path.join(root.path, row.entry.path), wanted, known) for root, row in some
            ]
            for (_, row), item, found in zip(some, items, run_all(items, ready), strict=True):
                new, sampled = _outcome(row, found)
                if sampled is not None:
                    key_rows = _embedded(catalog, space, sampled, embedder)
                    shelf.put(new.digest, sampled.film._replace(rows=key_rows))
                    known |= {new.digest}
                if new.reason:
                    skips.append(Skip(os.fsdecode(item.path), new.reason))
                    _log.warning("skipped %r: %s", skips[-1].path, new.reason)
                rows.append(new)
                done += 1
                report("Reading videos", done, len(work))
    shelf.put_rows(rows)
    read = len(work) - len(skips)
    notes = [f"{read:,} {'video' if read == 1 else 'videos'} read"] if read else []
    return Updated(skips, notes, still)


def _compared(
    shelf: Shelf, seen: Iterable[tuple[Root, FilmsSeen]], known: frozenset[str]
) -> tuple[list[Row], list[tuple[Root, Row]], int]:
    """Sort files into those that stay as they are known, and those that are to be read.

    Returns
    -------
    And how many of those that were seen stay skipped.
    """
    still = 0
    kept = {(row.root, row.entry.path): row for row in shelf.rows}
    work = []
    for root, films in seen:
        if not films.files and is_offline(root.path):
            continue
        prefix = films.within + b"/" if films.within else b""
        keeps = keeps_inodes(root.path)
        before = {
            key: kept.pop(key) for key in [*kept] if key[0] == root.id and key[1].startswith(prefix)
        }
        for entry in films.files:
            key = root.id, entry.path
            row = before.pop(key, None)
            unchanged = row is not None and is_unchanged(entry, row.entry, keeps_inodes=keeps)
            if (
                row is not None
                and unchanged
                and not row.transient
                and (row.reason or row.digest in known)
            ):
                kept[key] = row
                still += bool(row.reason)
            else:
                work.append((root, Row(root.id, entry)))
        if not films.entire:
            kept |= before
    return [*kept.values()], work, still


def _rounds(work: list[tuple[Root, Row]]) -> list[list[tuple[Root, Row]]]:
    """Put files off whose size another one has: of copies, one is read."""
    first: dict[int, tuple[Root, Row]] = {}
    others = [one for one in work if first.setdefault(one[1].entry.size, one) is not one]
    return [[*first.values()], others]


def _outcome(row: Row, found: Done) -> tuple[Row, Sampled | None]:
    """Give what is to be kept of a file."""
    if isinstance(found, Failed):
        return row._replace(reason=found.reason, transient=found.transient), None
    if not isinstance(found, Digested):
        raise TypeError(f"reading a video gave {type(found).__name__}")
    return row._replace(digest=found.digest), found.sampled


def _embedded(
    catalog: Catalog, space: Space, sampled: Sampled, embedder: Callable[[], Embedder]
) -> Rows:
    """Embed key frames."""
    inputs = sampled.inputs
    rows = [
        space.fuse_fresh(embed(catalog.fingerprint, embedder, inputs[start : start + _BATCH]))
        for start in range(0, len(inputs), _BATCH)
    ]
    return np.nan_to_num(np.concatenate(rows)) if rows else np.empty((0, 0), np.float32)
