"""From duplicate groups to a plan: what may go, what stays all the same, and why."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from stat import S_ISREG
from typing import TYPE_CHECKING

from dedup.actions.checks import acted_roots, is_below, not_plain, root_of
from dedup.actions.lacks import Lacks
from dedup.actions.plan_file import LINKS, LeftOut, Plan, PlanEntry, certificate
from dedup.actions.system import Facts, RefusedError, digest_of
from dedup.actions.told import Told, names_beyond
from dedup.images.companions import companions, is_raw_name, may_be_sidecar
from dedup.images.scan import matcher
from dedup.policy import INFORMATION, KeepPolicy
from dedup.results import Tier
from dedup.store.acted import contents_by_path, name_of, plan_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dedup.results import Duplicate, Group
    from dedup.store.acted import Content
    from dedup.store.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person asked for.

    Parameters
    ----------
    action : as in `PlanEntry`
    tiers : that may go
    keep : terms of the policy
    folders : absolute; only what is below one of them may go; none means all
    protect : patterns of what stays, by gitignore's rules, relative to the indexed folder
    reference : absolute folders of which everything stays
    max_bytes : that may go in all
    chosen : keepers that a person chose, whatever the policy says
    """

    action: str
    tiers: frozenset[Tier]
    keep: tuple[str, ...] = (INFORMATION,)
    folders: tuple[str, ...] = ()
    protect: tuple[str, ...] = ()
    reference: tuple[str, ...] = ()
    max_bytes: int | None = None
    chosen: frozenset[str] = frozenset()
    verb: str = field(init=False)

    @property
    def keep_terms(self) -> list[str]:
        """The policy, by which files of reference folders are keepers before others."""
        return [*(f"under:{folder}" for folder in self.reference), *self.keep]

    def __post_init__(self) -> None:
        object.__setattr__(self, "verb", self.action.partition(":")[0])


def make_plan(
    catalog: Catalog,
    groups: Sequence[Group],
    wishes: Wishes,
    version: str,
    notes: Iterable[str],
    videos: Mapping[bytes, Content] | None = None,
) -> Plan:
    """Plan what is to become of the duplicates in groups that cover.

    Parameters
    ----------
    groups : each duplicate is proven against its keeper
    version : of dedup
    videos : what is known of the videos in the groups, by path
    """
    key = plan_key(catalog, make=True)
    assert key is not None  # noqa: S101 - for mypy
    planner = _Planner(catalog, groups, wishes, key, videos or {})
    for group in groups:
        for duplicate in group.duplicates:
            planner.take(group, duplicate)
    planner.take_sidecars()
    return Plan(
        collection=os.path.realpath(catalog.store),
        identity=name_of(key),
        dedup=version,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        roots=tuple(planner.roots),
        keep=wishes.keep,
        tiers=tuple(tier.value for tier in Tier if tier in wishes.tiers),
        action=wishes.action,
        entries=tuple(sorted(planner.entries.values(), key=lambda one: os.fsencode(one.path))),
        left_out=tuple(sorted(planner.left_out, key=lambda one: os.fsencode(one.path))),
        notes=(*notes, *planner.idle_wishes()),
    )


class _Planner:
    """Collects entries, and what is left out."""

    def __init__(
        self,
        catalog: Catalog,
        groups: Sequence[Group],
        wishes: Wishes,
        key: bytes,
        videos: Mapping[bytes, Content],
    ) -> None:
        self._wishes = wishes
        self._key = key
        names = {os.fsencode(path) for group in groups for path in group.paths}
        self._known = {**contents_by_path(catalog, names), **videos}
        self._told = Told(catalog, self._images_not_exact(groups))
        self._keepers = {group.keeper for group in groups}
        self._protects = matcher(wishes.protect)
        self._places: dict[str, tuple[str | None, str]] = {}
        self._beside: dict[str, dict[bytes, tuple[bytes, ...]]] = {}
        self._owners: dict[bytes, list[bytes]] = defaultdict(list)
        self._bytes = 0
        self._roots = catalog.roots()
        self.roots = acted_roots(self._roots)
        self.entries: dict[str, PlanEntry] = {}
        self.left_out: list[LeftOut] = []

    def _images_not_exact(self, groups: Sequence[Group]) -> set[int]:
        """List the images of pairs whose files may say different things inside."""
        paths = {
            path
            for group in groups
            for duplicate in group.duplicates
            if duplicate.tier is not Tier.EXACT
            for path in (group.keeper, duplicate.path)
        }
        found = (self._known.get(os.fsencode(path)) for path in paths)
        return {known.image for known in found if known}

    def idle_wishes(self) -> list[str]:
        """Name the patterns and folders that none of the files in groups is of, as if misspelt."""
        files = [*self.entries, *(one.path for one in self.left_out), *self._keepers]
        paths = [os.fsencode(path) for path in files]
        names = [
            os.fsencode(os.path.relpath(path, root))
            for path in files
            if (root := self._place(path)[0]) is not None
        ]
        protects = [
            f"--protect {pattern!r} fits no file of any group"
            for pattern in self._wishes.protect
            if not any(map(matcher((pattern,)), names))
        ]
        folders = [term for term in KeepPolicy.of(self._wishes.keep).terms if term.folder]
        return protects + [
            f"--keep under:{term.folder}: no file of any group is below it"
            for term in folders
            if not any(map(term.holds, paths))
        ]

    def take(self, group: Group, duplicate: Duplicate) -> None:
        """Plan for one duplicate, or say why it stays."""
        try:
            self.entries[duplicate.path] = self._entry(group, duplicate)
        except RefusedError as error:
            self.left_out.append(LeftOut(duplicate.path, duplicate.bytes, str(error)))
        else:
            self._bytes += duplicate.bytes

    def _entry(self, group: Group, duplicate: Duplicate) -> PlanEntry:
        path, keeper = duplicate.path, group.keeper
        self._check_wishes(duplicate)
        known, found = self._look(path, "it")
        kept, there = self._look(keeper, "its keeper")
        if (found.st_dev, found.st_ino) == (there.st_dev, there.st_ino):
            raise RefusedError("a hard link to its keeper, so it would free nothing")
        if found.st_nlink > 1:
            raise RefusedError("has another hard link, so it would free nothing")
        self._check_pair(duplicate, keeper, known, kept)
        self._check_action(duplicate, found, there)
        sha256, keeper_sha256 = known.digest.hex(), kept.digest.hex()
        return PlanEntry(
            path=path,
            kind="image",
            action=self._wishes.action,
            tier=duplicate.tier,
            why=group.kept_because,
            evidence=duplicate.evidence,
            keeper=keeper,
            bytes=found.st_size,
            sha256=sha256,
            stat=Facts.of(found),
            keeper_sha256=keeper_sha256,
            keeper_stat=Facts.of(there),
            keeper_lacks=self._lacks(path, keeper, known, kept),
            certificate=certificate(self._key, sha256, keeper_sha256, duplicate.tier.value),
        )

    def _check_wishes(self, duplicate: Duplicate) -> None:
        path, wishes = duplicate.path, self._wishes
        if not duplicate.bytes:
            raise RefusedError("a name and no file")
        if apart := not_plain(path, self._roots):
            raise RefusedError(apart)
        root, _ = self._place(path)
        if root is None:
            raise RefusedError("outside the indexed folders")
        if duplicate.tier not in wishes.tiers:
            raise RefusedError(f"of the tier {duplicate.tier.value}, which was not asked for")
        if wishes.folders and not any(is_below(path, folder) for folder in wishes.folders):
            raise RefusedError("outside the folders that were named")
        if any(is_below(path, folder) for folder in wishes.reference):
            raise RefusedError("in a reference folder")
        if self._is_protected(path, root):
            raise RefusedError("protected by a pattern")
        if path in self._keepers:
            raise RefusedError("the keeper of other files")
        if wishes.max_bytes is not None and self._bytes + duplicate.bytes > wishes.max_bytes:
            raise RefusedError("over the --max-bytes limit")

    def _is_protected(self, path: str, root: str) -> bool:
        return bool(self._wishes.protect) and self._protects(
            os.fsencode(os.path.relpath(path, root))
        )

    def _look(self, path: str, name: str) -> tuple[Content, os.stat_result]:
        known = self._known.get(os.fsencode(path))
        if apart := not_plain(path, self._roots):
            raise RefusedError(f"{name} is {apart}")
        try:
            found = os.lstat(path)
        except OSError:
            raise RefusedError(f"{name} is gone") from None
        if (
            known is None
            or not S_ISREG(found.st_mode)
            or (found.st_size, found.st_mtime_ns) != (known.size, known.mtime_ns)
        ):
            raise RefusedError(f"{name} has changed since it was indexed")
        return known, found

    def _check_pair(self, duplicate: Duplicate, keeper: str, known: Content, kept: Content) -> None:
        """See that a keeper is as good as what goes for it."""
        if (duplicate.tier is Tier.EXACT) != (known.digest == kept.digest):
            raise RefusedError("the catalog changed meanwhile; make the plan again")
        if is_raw_name(os.fsencode(duplicate.path)) and not is_raw_name(os.fsencode(keeper)):
            raise RefusedError("a raw image, and its keeper is not")
        if duplicate.is_original:
            raise RefusedError("its keeper was made from it")
        wishes = self._wishes
        if (
            known.pixels > kept.pixels
            and (wishes.keep[0] != INFORMATION or wishes.reference or keeper in wishes.chosen)
            and duplicate.tier is not Tier.SIMILAR
        ):
            raise RefusedError("has more pixels than its keeper")

    def _check_action(
        self, duplicate: Duplicate, found: os.stat_result, there: os.stat_result
    ) -> None:
        verb = self._wishes.verb
        if verb in LINKS and duplicate.tier is not Tier.EXACT:
            raise RefusedError(
                f"not the same bytes as its keeper: {verb} would change what it holds"
            )
        if verb in ("hardlink", "reflink") and found.st_dev != there.st_dev:
            raise RefusedError(f"on a different drive from its keeper: {verb} is not possible")
        if duplicate.path in self._films_of_images(os.path.dirname(duplicate.path)):
            raise RefusedError("the film of a live photo, with which it goes")
        if verb == "delete" and self._sidecars_of(duplicate.path):
            raise RefusedError("has sidecars, which have no other copy: use trash or move")

    def _lacks(self, path: str, keeper: str, known: Content, kept: Content) -> Lacks:
        _, album = self._place(path)
        if album == self._place(keeper)[1]:
            album = ""
        sidecars = self._sidecars_of(path)
        if not sidecars and known.digest == kept.digest:  # the same inside, and nothing beside it
            return Lacks(album=album)
        beside = self._sidecars_of(keeper)
        told = self._told.beyond((path, keeper), (known, kept), (sidecars, beside))
        return Lacks(told, names_beyond(sidecars, beside), album)

    def _place(self, path: str) -> tuple[str | None, str]:
        """Give the indexed folder that a file is below, and its own folder relative to that."""
        folder = os.path.dirname(path)
        found = self._places.get(folder)
        if found is None:
            root = root_of(path, self.roots)
            below = os.path.relpath(folder, root or "/")
            found = self._places[folder] = (root, "" if below == "." else below)
        return found

    def _sidecars_of(self, path: str) -> tuple[bytes, ...]:
        return self._companions_in(os.path.dirname(path)).get(os.fsencode(path), ())

    def _films_of_images(self, folder: str) -> set[str]:
        beside = self._companions_in(folder).values()
        return {os.fsdecode(name) for names in beside for name in names}

    def _companions_in(self, folder: str) -> dict[bytes, tuple[bytes, ...]]:
        found = self._beside.get(folder)
        if found is None:
            top = os.fsencode(folder)
            try:
                names = os.listdir(top)
            except OSError:
                names = []
            several = any(map(may_be_sidecar, names))
            found = companions(os.path.join(top, name) for name in names if several).sidecars
            self._beside[folder] = found
            for image, sidecars in found.items():
                for sidecar in sidecars:
                    self._owners[sidecar].append(image)
        return found

    def take_sidecars(self) -> None:
        """Let the files that belong to images go with them, unless an image that stays has them."""
        if self._wishes.verb in LINKS:
            return
        images: dict[str, list[str]] = defaultdict(list)
        for path in self.entries:
            for sidecar in self._sidecars_of(path):
                images[os.fsdecode(sidecar)].append(path)
        for path in sorted(images, key=os.fsencode):
            owners = [os.fsdecode(one) for one in self._owners[os.fsencode(path)]]
            stays = sorted(set(owners) - self.entries.keys())
            try:
                if stays:
                    raise RefusedError(f"a sidecar of {stays[0]} as well, which stays")  # noqa: TRY301
                self.entries[path] = self._sidecar(path, tuple(sorted(owners)))
            except RefusedError as error:
                self.left_out.append(LeftOut(path, 0, str(error)))

    def _sidecar(self, path: str, owners: tuple[str, ...]) -> PlanEntry:
        root = root_of(path, self.roots)
        if root is None or self._is_protected(path, root):
            raise RefusedError("protected by a pattern")
        try:
            found = os.lstat(path)
        except OSError:
            raise RefusedError("it is gone") from None
        if not S_ISREG(found.st_mode) or found.st_nlink > 1:
            raise RefusedError("is a hard link or not a regular file")
        sha256, read = digest_of(path)
        return PlanEntry(
            path=path,
            kind="sidecar",
            action=self._wishes.action,
            tier=None,
            why="",
            evidence="goes with its image",
            keeper=None,
            bytes=read.st_size,
            sha256=sha256,
            stat=Facts.of(read),
            of=owners,
        )
