"""Duplicate groups as a page to look through, to send, and to choose in: `dedup report`.

Beyond `IMAGES_PER_FILE` there are several pages, and an index.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple
from urllib.parse import quote

from dedup.answer import Answer
from dedup.report.pages import Kind, write_page
from dedup.report.summary import sums
from dedup.report.thumbnails import Thumbnail, read_thumbnails

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from dedup.answer import Progress
    from dedup.results import Group
    from dedup.store.acted import Content

IMAGES_PER_FILE: Final = 5000

REPORT: Final = Kind(
    "Duplicate images",
    "report.html",
    ("style.css",),
    (
        "words", "text", "data", "folders", "rules", "views", "choices", "group", "compare",
        "summary", "keys", "main",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReportAnswer(Answer[str]):
    """A report. Iterates over the files that were written; the first is the one to open.

    Parameters
    ----------
    groups, images : that are shown
    bytes : of the files together
    """

    rows_in: ClassVar[str] = "files"
    files: tuple[str, ...]
    groups: int
    images: int
    bytes: int
    notes: tuple[str, ...] = ()


class Choosable(NamedTuple):
    """What of some groups may be chosen to go.

    Parameters
    ----------
    head : what stands above the files of a plan, as JSON by key
    lines : of a plan, as JSON by path
    stays : why a file cannot be chosen, by path
    sidecars : files that go when all their images go: these images, bytes, line of a plan
    """

    head: Mapping[str, str]
    lines: Mapping[str, str]
    stays: Mapping[str, str]
    sidecars: Sequence[tuple[Sequence[str], int, str]]


class Source(NamedTuple):
    """What a report is made of.

    Parameters
    ----------
    contents : what is known of the files, by path
    choosable : says what may be chosen of some groups, at the moment when it is called
    facts : of the report itself: "version", "made", "collection", "notes", "groups" (how many
        there are, shown or not)
    """

    groups: Sequence[Group]
    contents: Mapping[bytes, Content]
    choosable: Callable[[Sequence[Group]], Choosable]
    facts: Mapping[str, Any]


def write_report(source: Source, path: Path, report: Progress) -> tuple[list[Path], int]:
    """Write a report; gives the files, and how many images are shown.

    Raises
    ------
    DedupError : a file cannot be written.
    """
    parts = _parts(source.groups, IMAGES_PER_FILE)
    if len(parts) <= 1:
        return [path], _write_page(source, source.groups, path, {}, report)
    files, images, rows = [path], 0, []
    for number, groups in enumerate(parts, 1):
        file = path.with_name(f"{path.stem}-{number}{path.suffix}")
        part = {"part": {"number": number, "of": len(parts), "index": _link(path)}}
        images += _write_page(source, groups, file, part, report)
        files.append(file)
        copies = [one for group in groups for one in group.duplicates]
        freed = sum(group.reclaimable_bytes for group in groups)
        rows.append([_link(file), file.name, len(groups), len(copies), freed])
    index = {**source.facts, **sums(source.groups), "shown": [], "parts": rows}
    write_page(REPORT, path, index, [])
    return files, images


def _parts(groups: Sequence[Group], images: int) -> list[list[Group]]:
    """Divide groups so that no page has more images, unless one group has."""
    parts: list[list[Group]] = []
    room = 0
    for group in groups:
        size = 1 + len(group.duplicates)
        if size > room:
            parts.append([])
            room = images
        parts[-1].append(group)
        room -= size
    return parts


def _link(path: Path) -> str:
    return f"./{quote(os.fsencode(path.name))}"


def _write_page(
    source: Source,
    groups: Sequence[Group],
    path: Path,
    more: Mapping[str, Any],
    report: Progress,
) -> int:
    """Write one page; gives how many images it shows."""
    paths: dict[bytes, list[bytes]] = {}
    for group in groups:
        for name in group.paths:
            known = source.contents.get(os.fsencode(name))
            if known is not None:
                paths.setdefault(known.digest, []).append(os.fsencode(name))
    thumbnails = read_thumbnails(paths, report)
    page = _Page(source, source.choosable(groups), thumbnails)
    data = {
        **source.facts,
        **sums(groups),
        **more,
        "shown": [page.group(group) for group in groups],
        "plan": {"head": page.choosable.head, "sidecars": page.choosable.sidecars},
    }
    write_page(REPORT, path, data, page.images)
    return sum(1 + len(group.duplicates) for group in groups)


class _Page:
    """Turns groups into the objects of a page, and numbers the thumbnails that it needs."""

    def __init__(
        self,
        source: Source,
        choosable: Choosable,
        thumbnails: Mapping[bytes, Thumbnail | str],
    ) -> None:
        self.choosable = choosable
        self.images: list[bytes] = []
        self._contents = source.contents
        self._thumbnails = thumbnails
        self._numbers: dict[bytes, int] = {}

    def group(self, group: Group) -> dict[str, Any]:
        """Describe a group; what cannot be chosen has a reason, and no line of a plan."""
        lines, stays = self.choosable.lines, self.choosable.stays
        return {
            "number": group.number,
            "tier": group.tier,
            "why": group.kept_because,
            "freed": group.reclaimable_bytes,
            "keeper": self._file(group.keeper),
            "duplicates": [
                {
                    **self._file(one.path),
                    "tier": one.tier,
                    "similarity": round(one.similarity, 4),
                    "evidence": one.evidence,
                    "line": lines.get(one.path),
                    "stays": stays.get(one.path, ""),
                }
                for one in group.duplicates
            ],
        }

    def _file(self, path: str) -> dict[str, Any]:
        known = self._contents.get(os.fsencode(path))
        if known is None:
            return {"path": path, "missing": "not in the catalog any more"}
        file = {
            "path": path,
            "bytes": known.size,
            "modified": known.mtime_ns // 1_000_000,
            "sha256": known.digest.hex(),
        }
        made = self._thumbnails[known.digest]
        if isinstance(made, str):
            return {**file, "missing": made}
        number = self._numbers.setdefault(known.digest, len(self.images))
        if number == len(self.images):
            self.images.append(made.webp)
        return {
            **file,
            "image": number,
            "width": made.width,
            "height": made.height,
            "format": made.format,
        }
