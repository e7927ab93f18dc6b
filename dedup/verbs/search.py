"""Bringing a collection up to date, and searching in it."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from dedup.actions.recover import recover
from dedup.arguments import callback_of, count_of, paths_of, strings_of, threshold_of
from dedup.errors import CollectionError, SearchError
from dedup.files import remove_leftovers
from dedup.freshness import Lookout
from dedup.images.scan import check_patterns
from dedup.indexing import pipeline
from dedup.indexing.asked import unread
from dedup.indexing.diff import find_changes, require_images
from dedup.indexing.parts import describe_missing
from dedup.query import answer, embed_queries, expand, require_read
from dedup.store.gallery import leaving_out, read_indexed
from dedup.store.lock import writer_lock
from dedup.store.repair import COPY, heal
from dedup.verbs.decisions import content_of
from dedup.verbs.given import Given, as_files, is_image
from dedup.verbs.own import asked_with
from dedup.verbs.videos import skipped, update
from dedup.words import Words, ask, content_scan, content_space, content_width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dedup.query import QueryVectors
    from dedup.results import IndexSummary, QueryAnswer, Skip
    from dedup.search.index import VectorIndex
    from dedup.search.scan import Scan
    from dedup.session import Session
    from dedup.space.space import Space
    from dedup.store.catalog import Catalog
    from dedup.store.verify import Unsound


def index(
    session: Session, paths: Any, progress: Any, exclude: Any = None, files: Any = ()
) -> IndexSummary:
    """Bring the collection up to date with folders and other sources."""
    folders, report = paths_of(paths, "paths"), callback_of(progress)
    names = paths_of(files, "files")
    patterns = None if exclude is None else _patterns_of(exclude)
    catalog = session.computing()
    if catalog.fingerprint.own_width:
        raise CollectionError(
            session.path,
            "this collection holds vectors of your own and cannot embed images. Give vectors with "
            "their ids: dedup index --vectors FILE.npy --ids FILE.csv",
        )
    with writer_lock(session.path):
        remove_leftovers(session.path)
        recovered = recover(catalog)
        healed = heal(catalog)
        changes = find_changes(catalog, folders, patterns, names)
        if catalog.damage:  # met just now
            healed += heal(catalog)
            changes = find_changes(catalog, folders, patterns, names)
        notes = _healed_notes(healed)
        if len(notes) > 1 and not folders and not catalog.roots():
            raise CollectionError(session.path, notes[-1])
        require_images(catalog, changes, folders)
        summary = pipeline.run(
            catalog,
            changes,
            session.embedder,
            lambda done, total: report("Indexing", done, total),
        )
        described = describe_missing(
            catalog, lambda done, total: report("Describing parts", done, total)
        )
        videos = update(catalog, changes.films, session.embedder, report)
        new_skips = (*summary.new_skips, *videos.skips)
        summary = replace(
            summary,
            skipped=summary.skipped + len(videos.skips),
            still_skipped=summary.still_skipped + videos.still_skipped,
            new_skips=(*new_skips, *_named_in_vain(catalog, [*folders, *names], new_skips)),
            notes=(*summary.notes, *videos.notes),
        )
    if described:
        note = (
            f"{described:,} images that were indexed before were read again, for details and "
            "parts as this version describes them"
        )
        summary = replace(summary, notes=(*summary.notes, note))
    return session.noted(replace(summary, notes=(*summary.notes, *notes, *recovered)))


def _named_in_vain(catalog: Catalog, names: list[str], said: Iterable[Skip]) -> list[Skip]:
    """List the files that were asked for by name and are not indexed, but those that are said."""
    if all(map(os.path.isdir, names)):
        return []
    skips = dict(catalog.skips()) | {
        os.fsencode(skip.path): skip.reason for skip in skipped(catalog)
    }
    return unread(catalog, names, skips, said)


def _healed_notes(healed: list[Unsound]) -> list[str]:
    """Say what was dropped because it was damaged, and what of it indexing does not find again."""
    if not healed:
        return []
    count = "1 damaged row" if len(healed) == 1 else f"{len(healed):,} damaged rows"
    dropped = f"{count} of the catalog dropped, and the files read again; the catalog as it was is"
    return [
        f"{dropped} kept as {COPY}",
        *(lost_folder(os.fsdecode(one.path)) for one in healed if one.table == "roots"),
    ]


def lost_folder(path: str) -> str:
    """Say that the row of an indexed folder is lost."""
    return f"Lost: a folder's name ({path}); index that folder again"


def _patterns_of(exclude: Any) -> tuple[str, ...]:
    """Check patterns; empty ones, which only take back those from before, are left out."""
    patterns = (exclude,) if isinstance(exclude, str) else tuple(exclude)
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise TypeError(f"each of exclude is a pattern (str), not {type(pattern).__name__}")
        if len(pattern.splitlines()) > 1 or "\0" in pattern:
            raise ValueError(f"each of exclude is one line: {pattern!r}")
    found = tuple(filter(str.strip, patterns))
    check_patterns(found)
    return found


def query(
    session: Session,
    images: Any,
    k: Any,
    threshold: Any,
    progress: Any,
    crop: Any = None,
    *,
    text: Any = (),
    not_text: Any = (),
    vectors: Any = None,
    offline: bool = False,
) -> QueryAnswer:
    """Find the indexed images nearest to each query image or vector, or to words."""
    words = Words(strings_of(text, "text"), strings_of(not_text, "not_text"))
    if vectors is not None and (words or crop is not None):
        raise TypeError(f"give {'text' if words else 'crop'} or vectors, not both")
    k, threshold, report = count_of(k, "k", 1), threshold_of(threshold), callback_of(progress)
    catalog = session.computing()
    if vectors is not None:
        names = paths_of(images, "images")
        found = partial(
            _answered, session, lambda space: asked_with(session, space, names, vectors)
        )
        return session.noted(leaving_out(catalog, lambda: found(k, threshold, offline=offline)))
    is_path = isinstance(images, str | os.PathLike)
    single = not os.path.isdir(images) if is_path else is_image(images)
    with as_files(images, crop) as given:
        embedded = partial(_embedded, session, given, report, single=single)
        found = partial(_answered, session, embedded, tiers=True)
        if words:
            found = partial(_answered_in_words, session, words, embedded if given.paths else None)
        answer = leaving_out(catalog, lambda: found(k, threshold, offline=offline))
    if crop is not None and not words:
        answer = replace(answer, notes=(*answer.notes, *_wholes_missed(catalog, given, answer)))
    return session.noted(answer)


def _wholes_missed(catalog: Catalog, given: Given, answer: QueryAnswer) -> list[str]:
    """Say which indexed images are not found by a part of themselves.

    A similarity is one of whole images, and says little of a small part. What shows a part of
    another is for `compare` to prove.
    """
    rows = {(row.query, row.path) for row in answer}
    missed = []
    for name in dict.fromkeys(filter(os.path.isfile, given.names.values())):
        image = catalog.image_with(content_of(name))
        files = [] if image is None else read_indexed(catalog, [image])[image]
        if files and not any((name, os.fsdecode(file.path)) in rows for file in files):
            missed.append(
                f"{name} itself is not among these: so small a part is not similar to the whole. "
                "To find the images that contain it, save the part and run: dedup compare PART "
                "--against FOLDER"
            )
    return missed


def _embedded(
    session: Session, given: Given, report: Any, space: Space, *, single: bool
) -> QueryVectors:
    paths = expand(given.paths)
    asked = embed_queries(session.catalog, space, paths, session.embedder, report)
    queries = given.named(asked)
    if single and paths == given.paths:  # no archive, which holds several
        require_read(queries)
    return queries


def _answered(
    session: Session,
    asked: Callable[[Space], QueryVectors],
    k: int,
    threshold: float | None,
    *,
    offline: bool,
    tiers: bool = False,
) -> QueryAnswer:
    space = session.space()
    with session.searching(space) as ready:
        _require_images(session)
        queries = asked(space)
        return _nearest(
            session, space, ready(), queries, k, threshold, offline=offline, tiers=tiers
        )


def _answered_in_words(
    session: Session,
    words: Words,
    asked: Callable[[Space], QueryVectors] | None,
    k: int,
    threshold: float | None,
    *,
    offline: bool,
) -> QueryAnswer:
    catalog = session.catalog
    tower = session.text()  # whether it can be asked in words comes first
    with catalog.snapshot():
        _require_images(session)
        space = content_space(catalog)
        images = None if asked is None else asked(space)
        queries = ask(words, tower, images, content_width(catalog))
        index = content_scan(catalog)
        return _nearest(session, space, index, queries, k, threshold, offline=offline)


def _require_images(session: Session) -> None:
    if not session.catalog.has_images():
        raise SearchError(f"{session.path}: the collection is empty; index a folder first")


def _nearest(
    session: Session,
    space: Space,
    index: VectorIndex | Scan,
    queries: QueryVectors,
    k: int,
    threshold: float | None,
    *,
    offline: bool,
    tiers: bool = False,
) -> QueryAnswer:
    limit = k if threshold is None else None
    lookout = Lookout(session.catalog.roots(), offline=offline)
    return answer(session.catalog, space, index, queries, limit, threshold, lookout, tiers=tiers)
