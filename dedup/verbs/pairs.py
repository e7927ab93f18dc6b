"""Which images are the same: within a collection, against it, and any two files."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dedup.arguments import (
    callback_of,
    count_of,
    one_of,
    path_of,
    paths_of,
    precision_of,
    threshold_of,
    tiers_of,
)
from dedup.errors import CollectionError, FingerprintError, ModelError
from dedup.freshness import Lookout
from dedup.images.passed_over import is_video_name
from dedup.policy import INFORMATION, KeepPolicy
from dedup.query import embed_queries, expand, similarity_of
from dedup.results import Comparison, DuplicatesAnswer, Explanation, Grouping, Tier
from dedup.store.pairs import content_pair, has_verdicts, proven_with, read_verdict, write_verdicts
from dedup.verbs.decisions import is_ignored
from dedup.verbs.drawings import Drawings
from dedup.verbs.given import as_files
from dedup.verbs.own import asked_with
from dedup.verbs.videos import NOTHING, explained_videos, films_of

if TYPE_CHECKING:
    from dedup.records import Root
    from dedup.report.pairs import PairsAnswer
    from dedup.session import Session
    from dedup.store.catalog import Catalog
    from dedup.store.pairs import StoredVerdict


def duplicates(
    session: Session,
    tier: Any,
    threshold: Any,
    precision: Any,
    group: Any,
    join: Any,
    progress: Any,
    *,
    offline: bool = False,
    companions: bool = False,
    keep: Any = INFORMATION,
    parts: bool = True,
    under: Any = (),
    min_bytes: Any = 0,
    sort: Any = "size",
    plain: bool = False,
    videos: bool = True,
) -> DuplicatesAnswer:
    """Find the duplicate groups.

    Parameters
    ----------
    plain : of files that may be acted on alone
    videos : whether groups of videos come after those of images, by size
    """
    from dedup.duplicates.find import find_groups
    from dedup.duplicates.gallery import read_gallery
    from dedup.duplicates.select import SORTS, Wanted, in_order
    from dedup.search.join import JOINS

    tiers, how = tiers_of(tier), Grouping(one_of(group, Grouping, "group"))
    threshold, precision = threshold_of(threshold), precision_of(precision)
    if threshold is not None and precision is not None:
        raise ValueError("threshold and precision exclude each other")
    join, report = one_of(join, JOINS, "join"), callback_of(progress)
    policy, sort = KeepPolicy.of(keep), one_of(sort, SORTS, "sort")
    catalog = session.computing(decodes=False)
    folders = tuple(indexed_folder(catalog, one) for one in paths_of(under, "under"))
    wanted = Wanted(folders, count_of(min_bytes, "min_bytes", 0))
    space = session.space()
    lowest = space.threshold(threshold, precision)
    gallery = read_gallery(catalog, space, join, companions=companions, parts=parts)
    lookout = Lookout(catalog.roots(), offline=offline, plain=plain)
    images = tiers - {Tier.VIDEO}
    films = NOTHING
    if videos:
        films = films_of(gallery, space, tiers, lookout, policy, wanted, report)
    found = find_groups(gallery, images, lowest, how, report, lookout, policy, wanted)
    groups = in_order([*found.groups, *films.groups], sort)
    notes = (*films.notes, *found.notes)
    return session.noted(DuplicatesAnswer(tuple(groups), lowest, notes))


def all_pairs(
    session: Session,
    tier: Any,
    threshold: Any,
    progress: Any,
    *,
    offline: bool = False,
    keep: Any = INFORMATION,
    companions: bool = False,
    parts: bool = True,
) -> PairsAnswer:
    """List every pair of the tiers asked for."""
    from dedup.duplicates.gallery import read_gallery
    from dedup.duplicates.listing import best_pairs
    from dedup.report.pairs import Pair, PairsAnswer

    tiers, threshold = tiers_of(tier) - {Tier.VIDEO}, threshold_of(threshold)
    report, policy = callback_of(progress), KeepPolicy.of(keep)
    catalog = session.computing(decodes=False)
    space = session.space()
    lowest = space.threshold(threshold)
    lookout = Lookout(catalog.roots(), offline=offline)
    gallery = read_gallery(catalog, space, companions=companions, parts=parts)
    found, notes = best_pairs(gallery, tiers, lowest, report, lookout, policy)
    return session.noted(PairsAnswer(tuple(Pair(*one) for one in found), lowest, tuple(notes)))


def compare_new(
    session: Session,
    new: Any,
    against: Any,
    tier: Any,
    threshold: Any,
    progress: Any,
    *,
    vectors: Any = None,
    offline: bool = False,
    parts: bool = True,
) -> Comparison:
    """Find which new images, or vectors with their ids, are there already."""
    from dedup.duplicates.compare import NewImages, compare, sureness
    from dedup.duplicates.gallery import read_gallery

    tiers, threshold, report = tiers_of(tier), threshold_of(threshold), callback_of(progress)
    folder = None if against is None else path_of(against, "against")
    catalog = session.computing()
    within = None if folder is None else indexed_folder(catalog, folder)
    space = session.space()
    if vectors is not None and not catalog.fingerprint.own_width:
        raise CollectionError(
            session.path, "it embeds images itself: compare images with it, not vectors"
        )
    with as_files(new if vectors is None else paths_of(new, "new"), None, "new") as given:
        if vectors is None:
            paths = expand(given.paths)
            queries = embed_queries(catalog, space, paths, session.embedder, report)
        else:
            queries = asked_with(session, space, given.paths, vectors, read=True)
        images = NewImages(
            queries.paths, queries.facts, queries.raw, space.vectors(queries.raw), queries.parts
        )
        gallery = read_gallery(catalog, space, parts=parts)
        lowest = space.threshold(threshold)
        lookout = Lookout(catalog.roots(), offline=offline, asked=within)
        matches, notes = compare(gallery, within, images, tiers, lowest, report, lookout)
    named = (replace(one, path=given.names.get(one.path, one.path)) for one in matches)
    skipped = given.named(queries).skipped
    found = tuple(sorted(named, key=sureness))
    return session.noted(Comparison(found, len(queries.paths), tuple(skipped), tuple(notes)))


def indexed_folder(catalog: Catalog, folder: str) -> bytes:
    """Give the absolute path of a folder, or an archive, of which something was indexed.

    Raises
    ------
    CollectionError : nothing below it was ever indexed, or it is a file.
    """
    path, roots = os.path.realpath(os.fsencode(folder)), catalog.roots()
    if os.path.isfile(path) and path not in {root.path for root in roots}:
        raise CollectionError(folder, "is a file; name a folder")
    for root in roots:
        outer, inner = sorted((path, root.path), key=len)
        if inner == outer or inner.startswith(outer.rstrip(b"/") + b"/"):
            if not os.path.lexists(path) and not _was_there(catalog, root, path):
                raise CollectionError(folder, "there is no such folder")
            return path
    raise CollectionError(folder, f"is not indexed in {catalog.store}; index it first")


def _was_there(catalog: Catalog, root: Root, folder: bytes) -> bool:
    """Tell whether files of a root are known below a folder that is not there."""
    below = folder.rstrip(b"/") + b"/"
    return any(
        os.path.join(root.path, file.path).startswith(below) for file in catalog.known_files(root)
    )


def explain_pair(session: Session, first: Any, second: Any, image: Any, page: Any) -> Explanation:
    """Say in which tier two files are; without a similarity where the model cannot be loaded."""
    from dedup.duplicates.explain import explain

    names = path_of(first, "first"), path_of(second, "second")
    drawings = Drawings.asked(image, page)
    if any(is_video_name(os.fsencode(name)) for name in names):
        return explained_videos(*names, drawings)
    catalog = session.computing(decodes=False)
    space = session.space()
    similarity: float | None = None
    notes: tuple[str, ...] = ()
    news: list[str] = []
    try:
        session.computing()
        queries = embed_queries(catalog, space, [*names], session.embedder)
        similarity = similarity_of(queries, space)
    except (ModelError, FingerprintError) as error:
        notes = (f"Similarity not known: {error}",)
    explanation = explain(
        *names,
        similarity,
        space.threshold(),
        ignored=is_ignored(catalog, *names),
        look=drawings.look,
        keep=lambda *found: news.extend(_remember(catalog, *found)),
    )
    notes += tuple(f"{one}; it counts them from now on" for one in news)
    explanation = session.noted(replace(explanation, notes=(*explanation.notes, *notes)))
    drawings.write(explanation)
    return explanation


def _remember(
    catalog: Catalog, first: bytes, second: bytes, verdict: StoredVerdict
) -> tuple[str, ...]:
    """Keep a proof on two images that are indexed, so that `list` finds the pair.

    Returns
    -------
    Why a list before this one had not found it, where that is so.
    """
    from dedup.proof import VERIFIER

    if catalog.image_with(first) is None or catalog.image_with(second) is None:
        return ()
    pair = content_pair(first, second)
    known = read_verdict(catalog, VERIFIER, pair)
    if known is not None and known.tier is not None:
        return ()
    was_listed = has_verdicts(catalog, VERIFIER)
    beside = (proven_with(catalog, VERIFIER, content) for content in pair)
    told = not set.isdisjoint(*beside)  # by what either is to another, as groups show it
    with suppress(CollectionError):  # it cannot be written to now
        write_verdicts(catalog, VERIFIER, {pair: verdict if pair[0] == first else verdict.turned()})
    if known is not None:  # a first look refused what a closer one proves
        return (f"list had told these two apart at a first look ({known.evidence})",)
    if was_listed and not told:
        return ("list had not compared these two, which are not among each other's candidates",)
    return ()


def why(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    *,
    image: str | os.PathLike[str] | None = None,
    page: str | os.PathLike[str] | None = None,
) -> Explanation:
    """Say in which tier two files are, without a collection; see `Collection.why`.

    Two files that are only similar get no tier: that takes a model.

    Parameters
    ----------
    image : a .png to draw the alignment and the difference into
    page : an .html that shows both, what differs, and every figure

    Raises
    ------
    ImageError : one of them cannot be read as an image.
    """
    from dedup.duplicates.explain import explain

    drawings = Drawings.asked(image, page)
    names = path_of(first, "first"), path_of(second, "second")
    if any(is_video_name(os.fsencode(name)) for name in names):
        return explained_videos(*names, drawings)
    explanation = explain(*names, None, None, look=drawings.look)
    drawings.write(explanation)
    return explanation
