"""Groups of videos: the best file not yet taken keeps what is directly proven against it."""

from __future__ import annotations

import os
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from dedup.duplicates.tiers import reclaimable
from dedup.policy import INFORMATION
from dedup.results import Duplicate, Group, Tier
from dedup.store.acted import Content
from dedup.store.pairs import content_pair
from dedup.video.wording import Shared, evidence, frame_evidence, is_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dedup.duplicates.gallery import Gallery
    from dedup.duplicates.select import Wanted
    from dedup.freshness import Lookout
    from dedup.policy import KeepPolicy
    from dedup.records import IndexedFile
    from dedup.video.sample import Film


class Asked(NamedTuple):
    """What is asked for.

    Parameters
    ----------
    tiers : `exact` and `video` count
    whole : only duplicates that all of their keeper is, in no lower resolution; no photos
    """

    tiers: frozenset[Tier]
    policy: KeepPolicy
    wanted: Wanted
    whole: bool = False


class Walk:
    """Walks through videos from the one most worth keeping down.

    Parameters
    ----------
    files : with their contents
    films : by content; those that are not sound are missing
    proofs : as `Shelf.proofs`
    """

    def __init__(
        self,
        files: Sequence[tuple[str, IndexedFile]],
        films: Mapping[str, Film],
        proofs: Mapping[str, Any],
        gallery: Gallery,
        asked: Asked,
        lookout: Lookout,
    ) -> None:
        self._films = films
        self._most: dict[bytes, tuple[int, ...]] = {}
        self._asked = asked
        self._files: dict[str, list[IndexedFile]] = defaultdict(list)
        self._order = sorted(files, key=self._rank)
        self._digests = {file.path: digest for digest, file in files}
        self._place = {file.path: place for place, (_, file) in enumerate(self._order)}
        for digest, file in self._order:
            self._files[digest].append(file)
        self._related: dict[str, dict[str, Shared]] = defaultdict(dict)
        self._photos: dict[str, list[tuple[IndexedFile, float, float]]] = defaultdict(list)
        if Tier.VIDEO in asked.tiers:
            self._relate(proofs["videos"], gallery)
            if not asked.whole:
                self._find_photos(proofs["photos"], gallery, lookout)

    def _rank(self, one: tuple[str, IndexedFile]) -> tuple[Any, ...]:
        digest, file = one
        film, entry, path = self._films.get(digest), file.entry, file.path
        facts = film.facts if film else None
        size = -entry.size
        pixels = -facts.pixels if facts else 0
        most = (-round(facts.seconds), not facts.sound, pixels, size) if facts else (0, True, 0, 0)
        self._most[path] = most
        terms = {
            "information": most,
            "pixels": pixels,
            "bytes": size,
            "oldest": entry.mtime_ns,
            "newest": -entry.mtime_ns,
            "shortest": len(path),
        }
        return (
            *(
                not term.holds(path) if term.name == "under" else terms[term.name]
                for term in self._asked.policy.terms
            ),
            most,
            entry.mtime_ns,
            path,
        )

    def _relate(self, proofs: Mapping[str, Any], gallery: Gallery) -> None:
        for name, held in proofs.items():
            one, two = name.split()
            if {one, two} <= self._films.keys() and not _ignored(gallery, one, two):
                found = Shared(*held)
                self._related[one][two] = found
                self._related[two][one] = found.turned()

    def _find_photos(self, proofs: Mapping[str, Any], gallery: Gallery, lookout: Lookout) -> None:
        files: dict[str, list[IndexedFile]] = defaultdict(list)
        for place, row in enumerate(gallery.files.row.tolist()):
            files[gallery.images.digest[row].hex()].append(gallery.files.facts(place))
        for name, held in proofs.items():
            photo, video = name.split()
            if held is not None and not _ignored(gallery, photo, video):
                shown = filter(lookout.shows, files.get(photo, ()))
                self._photos[video] += [(file, *held) for file in shown]

    def groups(self) -> list[Group]:
        """Form groups, by the rank of their keepers."""
        groups: list[Group] = []
        taken: set[bytes] = set()
        for digest, file in self._order:
            if file.path in taken:
                continue
            found = [
                (other, one)
                for other, one in self._members(digest)
                if other.path not in taken and other.path != file.path
            ]
            found.sort(key=lambda one: self._place[one[0].path])
            videos = [file, *(other for other, _ in found)]
            taken |= {one.path for one in videos}
            for photo, one in self._photos_of(videos):
                if photo.path not in taken:
                    taken.add(photo.path)
                    found.append((photo, one))
            takes = self._asked.wanted.takes
            members = tuple(one for other, one in found if takes(other.path, one.bytes))
            if members:
                groups.append(
                    Group(
                        number=len(groups) + 1,
                        tier=max((one.tier for one in members), key=lambda tier: tier.looseness),
                        keeper=os.fsdecode(file.path),
                        min_similarity=min(one.similarity for one in members),
                        reclaimable_bytes=reclaimable(members),
                        duplicates=members,
                        kept_because=self._why(file, videos[1:]),
                    )
                )
        return groups

    def _why(self, kept: IndexedFile, others: Sequence[IndexedFile]) -> str:
        """Say by what a video comes before others."""
        if self._asked.policy.terms[0].name != INFORMATION:
            return "as --keep says"
        names = ("longest", "has sound", "most pixels", "largest file")
        ranks = [self._most[other.path] for other in others]
        for place, name in enumerate(names):
            if ranks and self._most[kept.path][: place + 1] < min(ranks)[: place + 1]:
                return name
        return "oldest, or first by name" if ranks else "photos are parts of it"

    def _members(self, digest: str) -> Iterator[tuple[IndexedFile, Duplicate]]:
        if Tier.EXACT in self._asked.tiers:
            for file in self._files[digest]:
                yield file, _duplicate(file, Tier.EXACT, 1.0, "same bytes")
        for other, found in self._related[digest].items():
            kept, film = self._films[digest], self._films[other]
            if self._asked.whole and not _may_go(found, kept, film):
                continue
            words = evidence(found, kept, film)
            for file in self._files[other]:
                yield file, _duplicate(file, Tier.VIDEO, found.similarity, words)

    def _photos_of(self, videos: Sequence[IndexedFile]) -> Iterator[tuple[IndexedFile, Duplicate]]:
        """List the photos that are frames of some videos, of the first ones first."""
        for video in videos:
            name = os.fsdecode(os.path.basename(video.path))
            for photo, at, similarity in self._photos[self._digests[video.path]]:
                words = frame_evidence(name, at)
                yield photo, _duplicate(photo, Tier.VIDEO, similarity, words)

    def content(self, digest: str, file: IndexedFile) -> Content:
        """Give what a plan wants to know of a file."""
        film, entry = self._films.get(digest), file.entry
        width, height = (film.facts.width, film.facts.height) if film else (0, 0)
        sha256 = bytes.fromhex(digest)
        return Content(0, entry.size, entry.mtime_ns, 0, sha256, Tier.VIDEO, width, height, "")


def _ignored(gallery: Gallery, one: str, two: str) -> bool:
    said = gallery.decisions.get(content_pair(bytes.fromhex(one), bytes.fromhex(two)))
    return said is not None and not said.duplicate


def _may_go(found: Shared, kept: Film, other: Film) -> bool:
    """Tell whether nothing is lost with a video that is the whole of another one."""
    return is_whole(found, kept, other) and kept.facts.pixels >= other.facts.pixels


def _duplicate(file: IndexedFile, tier: Tier, similarity: float, words: str) -> Duplicate:
    size = file.entry.size
    return Duplicate(os.fsdecode(file.path), tier, min(1.0, similarity), size, words)
