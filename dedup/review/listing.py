"""The groups as they were listed last: by catalog id, filtered, in order, and as rows of a page."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dedup.duplicates.tiers import reclaimable
from dedup.records import is_url
from dedup.report.summary import sums
from dedup.sources.opening import entry_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from dedup.results import Duplicate, Group
    from dedup.store.acted import Content

ORDERS: Final[dict[str, Callable[[Group], Any]]] = {
    "bytes": lambda group: group.number,
    "count": lambda group: (-len(group.duplicates), group.number),
    "path": lambda group: os.fsencode(group.keeper),
}


class Filter(NamedTuple):
    """Which groups are shown: those with a duplicate of which all of this is true.

    Parameters
    ----------
    words : each in a name or the evidence of the group, in small letters
    tiers : None: all
    folder : that it lies in itself; None: any
    state : "", "open", "going" or "apart"
    order : a key of `ORDERS`
    """

    words: tuple[str, ...] = ()
    tiers: frozenset[str] | None = None
    folder: str | None = None
    state: str = ""
    order: str = "bytes"


class Listing:
    """Groups, what is known of their files, and what was changed about them since.

    Parameters
    ----------
    groups : those that free most first
    contents : by path; files without are not shown
    """

    def __init__(
        self,
        groups: Iterable[Group] = (),
        contents: Mapping[str, Content] | None = None,
        roots: Sequence[str] = (),
        notes: Sequence[str] = (),
    ) -> None:
        self.contents = dict(contents or {})
        self.groups = list(groups)
        self.found = {group.number: group for group in self.groups}
        self.roots, self.notes = list(roots), list(notes)
        self._ids = {known.file: path for path, known in self.contents.items()}
        self._places = {
            path: place for place, group in enumerate(self.groups) for path in group.paths
        }
        self._texts: list[str | None] = [None] * len(self.groups)

    def path(self, file: int) -> str | None:
        """Give the path of a file by its id; None where no group has it."""
        return self._ids.get(file)

    def group_of(self, path: str) -> Group:
        """Give the group that a file is in."""
        return self.groups[self._places[path]]

    def duplicate(self, path: str) -> Duplicate | None:
        """Give a file as a duplicate; None where it is the keeper, or not proven against it."""
        return next((one for one in self.group_of(path).duplicates if one.path == path), None)

    def change(self, group: Group) -> None:
        """Put a group in the place of the one of its number."""
        place = self._places[group.keeper]
        self.groups[place] = group
        self._texts[place] = None

    def without(self, gone: set[str]) -> Listing:
        """Give the groups without files that went."""
        kept = []
        for group in self.groups:
            left = tuple(one for one in group.duplicates if one.path not in gone)
            if left and group.keeper not in gone:
                freed = reclaimable(left)
                kept.append(replace(group, duplicates=left, reclaimable_bytes=freed))
        paths = {path for group in kept for path in group.paths}
        there = {path: known for path, known in self.contents.items() if path in paths}
        return Listing(kept, there, self.roots, self.notes)

    def select(
        self, wanted: Filter, state_of: Callable[[Group, Duplicate], str]
    ) -> list[tuple[Group, list[Duplicate]]]:
        """List the groups that are shown, each with its duplicates for which it is."""
        result = []
        for place, group in enumerate(self.groups):
            if wanted.words and not self._has(place, wanted.words):
                continue
            matching = [
                one
                for one in group.duplicates
                if (wanted.tiers is None or one.tier in wanted.tiers)
                and (wanted.folder is None or os.path.dirname(one.path) == wanted.folder)
                and (not wanted.state or wanted.state == state_of(group, one))
            ]
            if matching:
                result.append((group, matching))
        if wanted.order != "bytes":
            result.sort(key=lambda row: ORDERS[wanted.order](row[0]))
        return result

    def _has(self, place: int, words: Iterable[str]) -> bool:
        text = self._texts[place]
        if text is None:
            group = self.groups[place]
            said = (group.kept_because, *(one.evidence for one in group.duplicates))
            text = self._texts[place] = "\n".join((*group.paths, *said)).lower()
        return all(word in text for word in words)

    def sums(self) -> dict[str, Any]:
        """Add up duplicates by tier and by folder, as a report does."""
        return {
            **sums(self.found.values()),
            "groups": len(self.found),
            "base": _common(path for group in self.found.values() for path in group.paths),
            "roots": self.roots,
            "notes": self.notes,
        }

    def row(self, group: Group, lines: Mapping[str, str]) -> dict[str, Any]:
        """Describe a group for the page.

        Parameters
        ----------
        lines : why duplicates cannot be chosen, by path; "" of those that can
        """
        first = self.found[group.number]
        return {
            "number": group.number,
            "tier": group.tier,
            "why": group.kept_because,
            "freed": group.reclaimable_bytes,
            "keeper": self.file(group.keeper),
            "changed": group.keeper != first.keeper,
            "left": [self.file(path) for path in first.paths if path not in group.paths],
            "duplicates": [
                {
                    **self.file(one.path),
                    "tier": one.tier,
                    "similarity": round(one.similarity, 4),
                    "evidence": one.evidence,
                    "line": not lines.get(one.path, "not indexed any more"),
                    "stays": lines.get(one.path, "not indexed any more"),
                }
                for one in group.duplicates
            ],
        }

    def file(self, path: str) -> dict[str, Any]:
        """Describe a file; one that cannot be shown has a reason, and no image."""
        known = self.contents.get(path)
        if known is None:
            return {"path": path, "missing": "not indexed any more"}
        shown = {
            "id": known.file,
            "path": path,
            "bytes": known.size,
            "modified": known.mtime_ns // 1_000_000,
            "sha256": known.digest.hex(),
            "width": known.width,
            "height": known.height,
            "format": known.format,
        }
        reason = missing(path, known)
        return {**shown, "missing": reason} if reason else {**shown, "image": known.file}


def missing(path: str, known: Content) -> str:
    """Say why a file is not what was indexed; "" where it is."""
    if is_url(os.fsencode(path)):
        return ""  # a server is not asked
    found = entry_of(os.fsencode(path))
    if found is None:
        return "gone since it was indexed"
    same = (found.size, found.mtime_ns) == (known.size, known.mtime_ns)
    return "" if same else "changed since it was indexed"


def _common(paths: Iterator[str]) -> str:
    """Give the longest folder that holds all of some files; "" where there are none."""
    folders = {os.path.dirname(path) for path in paths}
    return os.path.commonpath(folders) if folders else ""
