"""Which folders are inside others, as far as bytes and proofs tell."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dedup.arguments import COPY_TIERS, callback_of, path_of, paths_of, tiers_of
from dedup.errors import DedupError
from dedup.freshness import Lookout
from dedup.policy import INFORMATION, KeepPolicy
from dedup.results import Tier
from dedup.verbs.pairs import indexed_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dedup.answer import Progress
    from dedup.duplicates.gallery import Gallery
    from dedup.duplicates.inside import Copies, Held
    from dedup.duplicates.relate import Related
    from dedup.report.folders import FolderOverlap, FoldersAnswer
    from dedup.results import Group
    from dedup.session import Session

    AnyPath = str | os.PathLike[str]
    Paths = AnyPath | Iterable[AnyPath]


class FolderVerbs:
    """The verbs of a collection that are about what folders have in common."""

    _session: Session

    def contains(
        self,
        folder: AnyPath,
        inside: AnyPath,
        *,
        tier: str | Iterable[str] = COPY_TIERS,
        offline: bool = False,
        progress: Progress | None = None,
    ) -> FolderOverlap:
        """Say how much of one folder is inside another, and what is not.

        An image is inside where a file there has the same bytes or pixels, or is directly proven
        against it and no lesser version: not smaller, more compressed, without the camera's data or
        damaged.

        Parameters
        ----------
        folder, inside : indexed folders, of which the first is not in the second
        tier : the tiers that count; "near" counts edited versions, too
        offline : as in `duplicates`

        Raises
        ------
        CollectionError : nothing below one of them was ever indexed.
        DedupError : the first is in the second by its path.
        """
        looked = _look(self._session, tier, progress, offline=offline)
        paths = path_of(folder, "folder"), path_of(inside, "inside")
        one, two = (indexed_folder(self._session.catalog, path) for path in paths)
        return self._session.noted(looked.contains(one, two))

    def folders(
        self,
        *,
        tier: str | Iterable[str] = COPY_TIERS,
        under: Paths = (),
        offline: bool = False,
        progress: Progress | None = None,
    ) -> FoldersAnswer:
        """Find folders of which at least half is inside another one.

        Each goes with the folder that has most of it. Left out are folders in one that is inside
        another as a whole.

        Parameters
        ----------
        tier, offline : as in `contains`
        under : only folders below one of these, or these themselves; the others may be anywhere
        """
        from dedup.report.folders import FoldersAnswer

        catalog = self._session.catalog
        tops = [indexed_folder(catalog, one) for one in paths_of(under, "under")]
        looked = _look(self._session, tier, progress, offline=offline)
        found, notes = looked.overlaps(tops)
        return self._session.noted(FoldersAnswer(tuple(found), tuple(notes)))


def groups_inside(
    session: Session,
    folders: Sequence[str],
    inside: str,
    tier: Any,
    keep: Any,
    min_bytes: int,
    progress: Any,
) -> tuple[list[Group], list[str]]:
    """Group the files of folders that are inside another one by the files there; for a plan."""
    looked = _look(session, tier, progress, keep=keep, plain=True)
    tops = [indexed_folder(session.catalog, one) for one in folders]
    return looked.groups(tops, indexed_folder(session.catalog, inside), min_bytes)


def _look(
    session: Session,
    tier: Any,
    progress: Any,
    *,
    keep: Any = INFORMATION,
    offline: bool = False,
    plain: bool = False,
) -> _Looked:
    from dedup.duplicates.gallery import read_gallery
    from dedup.duplicates.inside import Copies
    from dedup.duplicates.relate import relate

    tiers, report = tiers_of(tier), callback_of(progress)
    if Tier.SIMILAR in tiers:
        raise ValueError(
            "the tier similar proves nothing: it cannot show that a folder is inside another"
        )
    catalog = session.computing(decodes=False)
    space = session.space()
    gallery = read_gallery(catalog, space)
    related = relate(gallery, tiers, space.threshold(), report, KeepPolicy.of(keep))
    lookout = Lookout(catalog.roots(), offline=offline, plain=plain)
    files = [file for file in related.order.files if lookout.shows(gallery.files.facts(file))]
    row_of, path = gallery.files.row.tolist(), gallery.files.path
    relations, position = related.relations, related.order.position
    copies = Copies(gallery.images, files, row_of, path, relations, position, tiers)
    return _Looked(gallery, related, copies, lookout, report)


@dataclass(frozen=True, slots=True)
class _Looked:
    """The relations of a collection, as they are now."""

    gallery: Gallery
    related: Related
    copies: Copies
    lookout: Lookout
    report: Any

    def _notes(self) -> tuple[str, ...]:
        return (*self.related.relations.table.notes, *self.lookout.notes())

    def _sides(self, folders: Sequence[bytes], inside: bytes) -> tuple[list[int], list[int]]:
        """List the files of folders that are not in the other one, and those of the other one."""
        for folder in folders:
            if (folder + b"/").startswith(inside.rstrip(b"/") + b"/"):
                one, two = os.fsdecode(inside), os.fsdecode(folder)
                how = "is named twice" if one == two else f"contains {two}"
                raise DedupError(f"{one} {how}; name two separate folders")
        tops = tuple(folder.rstrip(b"/") + b"/" for folder in folders)
        other, path = inside.rstrip(b"/") + b"/", self.copies.path
        there = [file for file in self.copies.files if path[file].startswith(other)]
        apart = set(there)
        here = [
            file for file in self.copies.files if path[file].startswith(tops) and file not in apart
        ]
        return here, there

    def contains(self, folder: bytes, inside: bytes) -> FolderOverlap:
        from dedup.duplicates.inside import held

        here, there = self._sides([folder], inside)
        found, worse = held(self.copies, here, there)
        exact = [one.file for one in found if one.tier is Tier.EXACT]
        proven = [one.file for one in found if one.tier is not Tier.EXACT]
        missing = set(here) - {one.file for one in found}
        top, other = folder.rstrip(b"/") + b"/", inside.rstrip(b"/") + b"/"
        skipped = [
            path
            for path, _ in self.gallery.catalog.skips()
            if path.startswith(top) and not path.startswith(other)
        ]
        answer = self._overlap(folder, inside, exact, proven, missing, skipped)
        edited = self._edited_note(missing.difference(worse), there)
        return replace(answer, notes=(*_worse_note(len(worse)), *edited, *self._notes()))

    def _edited_note(self, missing: Iterable[int], there: Iterable[int]) -> tuple[str, ...]:
        """Say of how many files the other folder has edited versions, where these do not count."""
        if Tier.NEAR in self.copies.tiers:
            return ()
        rows = {self.copies.row_of[file] for file in there}
        edited = sum(self.copies.is_edited(file, rows) for file in missing)
        if not edited:
            return ()
        have = "1 of the rest has an edited version"
        if edited > 1:
            have = f"{edited:,} of the rest have edited versions"
        return (f"{have} there; to count these, add the tier near",)

    def _overlap(
        self,
        folder: bytes,
        inside: bytes,
        exact: list[int],
        proven: list[int],
        missing: Iterable[int],
        skipped: Sequence[bytes],
    ) -> FolderOverlap:
        from dedup.report.folders import FolderOverlap

        only = sorted([*(self.copies.path[file] for file in missing), *skipped])
        there = len(exact) + len(proven)
        files = there + len(only)
        return FolderOverlap(
            folder=os.fsdecode(folder),
            inside=os.fsdecode(inside),
            files=files,
            exact=len(exact),
            proven=len(proven),
            share=there / files if files else 0.0,
            bytes=sum(int(self.gallery.files.size[file]) for file in (*exact, *proven)),
            only=tuple(map(os.fsdecode, only)),
        )

    def overlaps(self, tops: Sequence[bytes]) -> tuple[list[FolderOverlap], list[str]]:
        from dedup.duplicates.inside import MOST_FOLDERS, Overlaps

        catalog = self.gallery.catalog
        roots = [root.path for root in catalog.roots()]
        overlaps = Overlaps(self.copies, roots, [path for path, _ in catalog.skips()])
        within = tuple(top.rstrip(b"/") + b"/" for top in tops)
        found = [
            self._overlap(*one)
            for one in overlaps
            if not within or (one.folder + b"/").startswith(within)
        ]
        found.sort(key=lambda one: (-one.exact - one.proven, -one.share, os.fsencode(one.folder)))
        notes = list(self._notes())
        if overlaps.crowded:
            notes.append(
                f"{overlaps.crowded:,} images are in more than {MOST_FOLDERS} folders each; the "
                f"best {MOST_FOLDERS} of those were looked at"
            )
        return found, notes

    def groups(
        self, folders: Sequence[bytes], inside: bytes, min_bytes: int
    ) -> tuple[list[Group], list[str]]:
        from dedup.duplicates.find import described
        from dedup.duplicates.groups import FileGroup, Member
        from dedup.duplicates.inside import held

        here, there = self._sides(folders, inside)
        found, worse = held(self.copies, here, there)
        sizes = self.gallery.files.size
        by_keeper: dict[int, list[Held]] = {}
        for one in found:
            if sizes[one.file] >= min_bytes:
                by_keeper.setdefault(one.keeper, []).append(one)
        groups = [
            FileGroup(keeper, tuple(Member(one.file, one.tier, one.similarity) for one in members))
            for keeper, members in by_keeper.items()
        ]
        because = f"in {os.fsdecode(inside)}"
        note = f"{len(found):,} of {len(here):,} images are inside {os.fsdecode(inside)}"
        return (
            [
                replace(group, kept_because=because)
                for group in described(groups, self.gallery, self.related, self.lookout)
            ],
            [note, *_worse_note(len(worse)), *self._notes()],
        )


def _worse_note(count: int) -> tuple[str, ...]:
    if not count:
        return ()
    images = "1 image is" if count == 1 else f"{count:,} images are"
    lesser = "smaller, more compressed, without the camera's data or damaged"
    return (f"{images} there only as a lesser version ({lesser}), and counted as missing",)
