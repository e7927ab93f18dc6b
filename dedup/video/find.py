"""From what is kept of videos to groups: videos of one film, and photos that are frames of it.

Candidates are cheap: looks for two videos, embeddings of key frames for a photo. Each is proven on
the frames, once in the life of a collection.
"""

from __future__ import annotations

import hashlib
from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np

from dedup.images.companions import companions
from dedup.images.formats import reads_videos
from dedup.results import Tier
from dedup.video import Found
from dedup.video.align import find_spans
from dedup.video.groups import Walk
from dedup.video.prove import Compared, Failed, Moments, Still, run_all
from dedup.video.sample import TICKS, unit_looks
from dedup.video.shelf import Shelf
from dedup.video.wording import shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy.typing as npt

    from dedup.duplicates.gallery import Gallery
    from dedup.freshness import Lookout
    from dedup.records import IndexedFile
    from dedup.video.align import Span
    from dedup.video.groups import Asked
    from dedup.video.prove import Done, Item
    from dedup.video.sample import Film

    Report = Callable[[str, int, int], None]

MOMENTS: Final = 8
"""That are compared of two videos; one a second of shorter ones, and at least three."""
_VIDEOS_OF_A_PHOTO: Final = 3
_PHOTOS_AT_ONCE: Final = 1024


class _Videos:
    """The videos of a collection that may be shown, and what is proven of them.

    Attributes
    ----------
    films : by content
    failed : comparisons that came to nothing
    """

    def __init__(self, shelf: Shelf, files: Iterable[tuple[str, IndexedFile]]) -> None:
        self._proofs, self._keep = shelf.proofs, shelf.put_proofs
        self._paths: dict[str, bytes] = {}
        for digest, file in files:
            self._paths.setdefault(digest, file.path)
        read = ((digest, shelf.film(digest)) for digest in sorted(self._paths))
        self.films = {digest: film for digest, film in read if film is not None}
        self.lost = len(self._paths) - len(self.films)
        self.failed = 0

    def prove_videos(self, report: Report) -> None:
        """Compare the videos that were not compared with each other before."""
        digests, before = [*self.films], set(self._proofs["compared"])
        new = [digest not in before for digest in digests]
        if not any(new):
            return
        report("Aligning videos", 0, 1)
        spans = find_spans([*self.films.values()], new)
        pairs = [(digests[first], digests[second]) for first, second in spans]
        moments = [
            moments_of(span, self.films[one])
            for span, (one, _) in zip(spans.values(), pairs, strict=True)
        ]
        items: list[Item] = [
            Moments(self._paths[one], self._paths[two], at)
            for (one, two), at in zip(pairs, moments, strict=True)
        ]
        lost: set[str] = set()
        for pair, span, item, done in zip(
            pairs, spans.values(), moments, self._run(items, report), strict=True
        ):
            if not isinstance(done, Compared):
                lost |= {*pair}
            elif found := shared(span, done.moments, len(item)):
                self._proofs["videos"][" ".join(pair)] = found
        self._proofs["compared"] = sorted({*before, *digests} - lost)
        self._keep()

    def prove_photos(self, gallery: Gallery, floor: float, report: Report) -> None:
        """Look for photos that are frames."""
        seen = repr((gallery.images.digest, [*self.films])).encode()
        state = hashlib.sha256(seen).hexdigest()
        if self._proofs["looked for"] == state:
            return
        paths = dict(zip(gallery.files.row.tolist(), gallery.files.path, strict=True))
        items: dict[str, Item] = {}
        for row, video, key in chain(self._live(gallery), self._alike(gallery, floor)):
            content = gallery.images.digest[row]
            name = f"{content.hex()} {video}"
            if name not in self._proofs["photos"] and row in paths:
                film = self.films[video]
                looks, start = (film.looks, 0) if key is None else _around(film, key)
                items[name] = Still(paths[row], content, self._paths[video], looks, start)
        for name, done in zip(items, self._run([*items.values()], report), strict=True):
            if isinstance(done, Compared):
                (moment,) = done.moments
                found = [moment.second, moment.similarity] if moment.proven else None
                self._proofs["photos"][name] = found
        self._proofs["looked for"] = "" if self.failed else state
        self._keep()

    def _live(self, gallery: Gallery) -> Iterator[tuple[int, str, None]]:
        """Propose the film of each live photo, known by its name."""
        videos = {path: digest for digest, path in self._paths.items() if digest in self.films}
        photos = gallery.files.path
        beside = companions([*photos, *videos]).sidecars
        for path, row in zip(photos, gallery.files.row.tolist(), strict=True):
            for other in beside.get(path, ()):
                if other in videos:
                    yield row, videos[other], None

    def _alike(self, gallery: Gallery, floor: float) -> Iterator[tuple[int, str, int]]:
        """Propose photos, the videos that may show them, and the key frame most like each."""
        films = [(digest, film) for digest, film in self.films.items() if len(film.rows)]
        for start in range(0, len(gallery.raw) if films else 0, _PHOTOS_AT_ONCE):
            block = gallery.raw[start : start + _PHOTOS_AT_ONCE]
            alike = [block @ film.rows.T for _, film in films]
            best = np.stack([each.max(axis=1) for each in alike])
            keys = np.stack([each.argmax(axis=1) for each in alike])
            order = np.argsort(-best, axis=0, kind="stable")[:_VIDEOS_OF_A_PHOTO]
            for column, places in enumerate(order.T.tolist()):
                row = start + column
                for place in places:
                    if best[place, column] >= floor and not gallery.images.trivial[row]:
                        yield row, films[place][0], int(keys[place, column])

    def _run(self, items: list[Item], report: Report) -> Iterator[Done]:
        for done, found in enumerate(run_all(items), 1):
            self.failed += isinstance(found, Failed)
            yield found
            report("Comparing frames", done, len(items))


def moments_of(span: Span, film: Film) -> tuple[tuple[float, float], ...]:
    """Spread moments over what two videos share, where there is something to see."""
    looks = film.looks[span.first : span.first + span.ticks]
    shown = np.flatnonzero(unit_looks(looks).any(axis=1))
    count = min(MOMENTS, max(3, span.ticks // TICKS))
    places = np.linspace(0, len(shown) - 1, count + 2).round().astype(int)[1:-1]
    return tuple(
        ((span.first + tick) / TICKS, (span.second + tick) / TICKS)
        for tick in np.unique(shown[places]).tolist()
    )


def _around(film: Film, key: int) -> tuple[npt.NDArray[np.uint8], int]:
    """Give the looks from the key frame before one to the one after it, and their first tick."""
    ticks = [0, *(film.times * TICKS).astype(int).tolist(), len(film.looks)]
    start, end = ticks[key], min(ticks[key + 2] + 1, len(film.looks))
    return film.looks[start:end], start


def find_videos(
    gallery: Gallery,
    floor: float,
    asked: Asked,
    lookout: Lookout,
    report: Report,
) -> Found:
    """Find groups of videos.

    Parameters
    ----------
    gallery : the photos
    floor : similarity of raw rows from which a photo may be a key frame, edited
    """
    shelf = Shelf(gallery.catalog)
    files = [(row.digest, file) for row, file in shelf.files() if lookout.shows(file)]
    if not files:
        return Found([], [], {})
    videos, notes = _Videos(shelf, files), list[str]()
    if Tier.VIDEO in asked.tiers and reads_videos():
        videos.prove_videos(report)
        if not asked.whole:
            videos.prove_photos(gallery, floor, report)
    if videos.failed:
        notes.append(f"{videos.failed:,} comparisons with videos that cannot be read now")
    if videos.lost:
        notes.append(f"{videos.lost:,} videos have to be read again; run: dedup index")
    walk = Walk(files, videos.films, shelf.proofs, gallery, asked, lookout)
    contents = {file.path: walk.content(digest, file) for digest, file in files}
    return Found(walk.groups(), notes, contents)
