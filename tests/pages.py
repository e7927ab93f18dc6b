"""Reads a report back: its policy, its data, its thumbnails."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Page:
    """What a browser finds in a report.

    Parameters
    ----------
    tags : name and attributes of every element
    inside : the text of each <script> and <style>, by its id or name
    """

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    inside: dict[str, str] = field(default_factory=dict)

    @property
    def policy(self) -> str:
        return next(
            str(attributes["content"])
            for tag, attributes in self.tags
            if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
        )

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.inside["data"])
        return found

    @property
    def thumbnails(self) -> list[bytes]:
        names = sorted((name for name in self.inside if re.fullmatch(r"i\d+", name)), key=len)
        return [base64.b64decode(self.inside[name], validate=True) for name in names]

    @property
    def duplicates(self) -> dict[str, dict[str, Any]]:
        return {one["path"]: one for group in self.data["shown"] for one in group["duplicates"]}

    def plan(self, *paths: str) -> str:
        """Write the plan that the page's script does, as docs/report.md says."""
        plan = self.data["plan"]
        lines = [self.duplicates[path]["line"] for path in paths]
        lines += [line for of, _, line in plan["sidecars"] if set(of) <= set(paths)]
        head = "".join(f'"{key}": {text},\n' for key, text in plan["head"].items())
        files = ",\n".join(lines)
        return f'{{\n{head}"files": [\n{files}\n]\n}}\n'


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._name = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.page.tags.append((tag, attributes))
        if tag in {"script", "style"}:
            self._name = attributes.get("id") or tag
            self.page.inside[self._name] = ""

    def handle_endtag(self, _: str) -> None:
        self._name = ""

    def handle_data(self, data: str) -> None:
        if self._name:
            self.page.inside[self._name] += data


def read_page(path: Path) -> Page:
    parser = _Parser()
    parser.feed(path.read_text("utf-8"))
    return parser.page
