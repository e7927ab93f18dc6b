"""Duplicate groups as a page to look through, to send, and to choose in: `dedup report`.

A page is one file that needs no network and no other file. Its parts are in `dedup/report/page`:
an HTML skeleton, a style, and ES modules, which are joined to one script. What differs from report
to report is data: one block of JSON in ASCII without `<`, `>` and `&`, which no name of a file can
leave, and a block of base64 for each thumbnail. The page's policy allows its own script and style,
by their hashes, and nothing else. Beyond `IMAGES_PER_FILE` there are several pages, and an index.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple
from urllib.parse import quote

from dedup.answer import Answer
from dedup.errors import DedupError
from dedup.files import output_file
from dedup.report.summary import by_folder
from dedup.report.thumbnails import Thumbnail, read_thumbnails
from dedup.results import Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from dedup.answer import Progress
    from dedup.results import Group
    from dedup.store.acted import Content

IMAGES_PER_FILE: Final = 5000

_MODULES: Final = (
    "words", "text", "data", "rules", "choices", "group", "compare", "summary", "keys", "main"
)  # fmt: skip
_IMPORT: Final = re.compile(r"^import .*?;\n", re.MULTILINE | re.DOTALL)
_UNSAFE: Final = {ord(one): f"\\u{ord(one):04x}" for one in "<>&"}
_FOLDERS_SHOWN: Final = 200


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


def check_report(path: Path) -> None:
    """Check where a report is to be written, before any work is done.

    Raises
    ------
    DedupError : the name does not end in .html, or its folder is not there.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise DedupError(f"{path}: a report is a page; let the name end in .html")
    if not path.parent.is_dir():
        raise DedupError(f"{path}: there is no folder {path.parent}")


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
    index = {**source.facts, **_sums(source.groups), "shown": [], "parts": rows}
    _write(path, index, [])
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
        **_sums(groups),
        **more,
        "shown": [page.group(group) for group in groups],
        "plan": {"head": page.choosable.head, "sidecars": page.choosable.sidecars},
    }
    _write(path, data, page.images)
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


def _sums(groups: Sequence[Group]) -> dict[str, Any]:
    """Add up duplicates by tier and by folder."""
    found = [one for group in groups for one in group.duplicates]
    tiers = [
        [tier, len(sizes), sum(sizes)]
        for tier in Tier
        if (sizes := [one.bytes for one in found if one.tier is tier])
    ]
    folders = [
        [one.folder, one.count, one.reclaimable_bytes] for one in by_folder(groups)[:_FOLDERS_SHOWN]
    ]
    return {"tiers": tiers, "folders": folders}


def _write(path: Path, data: Mapping[str, Any], images: Sequence[bytes]) -> None:
    style, script = _text("style.css"), _script()
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )
    filled = {
        "policy": policy,
        "style": style,
        "data": json.dumps(data).translate(_UNSAFE),
        "script": script,
    }
    with output_file(path) as file:
        for piece in re.split(r"(\{\{\w+\}\})", _text("page.html")):
            name = piece.strip("{}") if piece.startswith("{{") else ""
            if name == "images":
                file.writelines(_blocks(images))
            else:
                file.write(filled.get(name, piece).encode())


def _blocks(images: Sequence[bytes]) -> Iterator[bytes]:
    for number, image in enumerate(images):
        text = base64.b64encode(image)
        yield b'<script type="text/plain" id="i%d">%s</script>\n' % (number, text)


def _script() -> str:
    """Join the modules, which name each other by their files, to one."""
    texts = (_text(f"{name}.js") for name in _MODULES)
    return "\n".join(_IMPORT.sub("", text).replace("\nexport ", "\n") for text in texts)


def _text(name: str) -> str:
    return resources.files("dedup.report").joinpath("page", name).read_text("utf-8")


def _hash(text: str) -> str:
    """Name a text in a Content-Security-Policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
