"""What the verbs do with videos; what decodes them is imported where there are any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dedup.arguments import callback_of
from dedup.errors import DedupError
from dedup.freshness import Lookout
from dedup.policy import KeepPolicy
from dedup.results import Tier
from dedup.video import FOLDER, Found

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dedup.actions.plan import Wishes
    from dedup.answer import Progress
    from dedup.duplicates.gallery import Gallery
    from dedup.duplicates.select import Wanted
    from dedup.images.scan import FilmsSeen
    from dedup.records import Root
    from dedup.results import Explanation, Skip
    from dedup.runtimes.embedder import Embedder
    from dedup.session import Session
    from dedup.space.space import Space
    from dedup.store.catalog import Catalog
    from dedup.verbs.drawings import Drawings
    from dedup.video.index import Updated

NOTHING: Final = Found([], [], {})


def update(
    catalog: Catalog,
    seen: Sequence[tuple[Root, FilmsSeen]],
    embedder: Callable[[], Embedder],
    report: Progress,
) -> Updated:
    """Bring what is kept of videos up to date; see `dedup.video.index.update`."""
    from dedup.video.index import Updated
    from dedup.video.index import update as bring_up_to_date

    if not _has_videos(catalog) and not any(films.files for _, films in seen):
        return Updated([], [])
    return bring_up_to_date(catalog, seen, embedder, report)


def skipped(catalog: Catalog) -> list[Skip]:
    """List the videos that could not be read, by path."""
    if not _has_videos(catalog):
        return []
    from dedup.video.shelf import Shelf

    return Shelf(catalog).skipped()


def films_of(
    gallery: Gallery,
    space: Space,
    tiers: frozenset[Tier],
    lookout: Lookout,
    policy: KeepPolicy,
    wanted: Wanted,
    report: Progress,
    *,
    whole: bool = False,
) -> Found:
    """Find the groups of videos; parameters as in `find_videos` and `Asked`."""
    if not tiers & {Tier.EXACT, Tier.VIDEO} or not _has_videos(gallery.catalog):
        return NOTHING
    from dedup.video.find import find_videos
    from dedup.video.groups import Asked

    asked = Asked(tiers, policy, wanted, whole)
    return find_videos(gallery, space.near_floors[0], asked, lookout, report)


def films_to_go(
    session: Session, wishes: Wishes, min_bytes: int, progress: Progress | None
) -> Found:
    """Find the groups of videos of which nothing is lost with the duplicates."""
    from dedup.duplicates.gallery import read_gallery
    from dedup.duplicates.select import Wanted

    catalog = session.catalog
    if not _has_videos(catalog):
        return NOTHING
    space = session.space()
    policy, wanted = KeepPolicy.of(wishes.keep_terms), Wanted(min_bytes=min_bytes)
    lookout, gallery = Lookout(catalog.roots()), read_gallery(catalog, space)
    report = callback_of(progress)
    return films_of(gallery, space, wishes.tiers, lookout, policy, wanted, report, whole=True)


def explained_videos(first: str, second: str, drawings: Drawings) -> Explanation:
    """Compare two files, of which one at least is a video.

    Raises
    ------
    DedupError : a page is asked for.
    """
    from dedup.video.explain import explain_videos

    if drawings.page is not None:
        raise DedupError(f"{drawings.page}: videos have no page; to draw strips: -o strips.png")
    return explain_videos(first, second, drawings.image)


def _has_videos(catalog: Catalog) -> bool:
    return (catalog.store / FOLDER).is_dir()
