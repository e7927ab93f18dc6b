"""Pages for a browser, each one file that needs no network and no other file.

Their parts are in `dedup/report/page`: HTML skeletons, styles, and ES modules, which are joined to
one script. What differs from page to page is data: one block of JSON in ASCII without `<`, `>` and
`&`, which no name of a file can leave, and a block of base64 for each image. The policy of a page
allows its own script and style, by their hashes, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dedup.errors import DedupError
from dedup.files import check_folder, output_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

PAGES: Final = (".html", ".htm")

_IMPORT: Final = re.compile(r"^import .*?;\n", re.MULTILINE | re.DOTALL)
_UNSAFE: Final = {ord(one): f"\\u{ord(one):04x}" for one in "<>&"}


class Kind(NamedTuple):
    """What pages of one kind are made of, by the names of files in `dedup/report/page`.

    Parameters
    ----------
    skeleton : of the body
    modules : in the order in which they are joined; each after those that it imports
    """

    title: str
    skeleton: str
    styles: Sequence[str]
    modules: Sequence[str]


def check_page(path: Path) -> None:
    """Check where a page is to be written, before any work is done.

    Raises
    ------
    DedupError : the name does not end in .html, or its folder is not there.
    """
    if path.suffix.lower() not in PAGES:
        raise DedupError(f"{path}: this is a page; let the name end in .html")
    check_folder(path)


def write_page(kind: Kind, path: Path, data: Mapping[str, Any], images: Sequence[bytes]) -> None:
    """Write a page.

    Parameters
    ----------
    data : what is turned into JSON
    images : WebP files; the page's script knows them by their numbers

    Raises
    ------
    DedupError : the file cannot be written.
    """
    style, script = "".join(map(_text, kind.styles)), _script(kind.modules)
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )
    filled = {
        "policy": policy,
        "title": kind.title,
        "style": style,
        "data": json.dumps(data).translate(_UNSAFE),
        "script": script,
    }
    with output_file(path) as file:
        for piece in re.split(r"(\{\{\w+\}\})", _text("head.html") + _text(kind.skeleton)):
            name = piece.strip("{}") if piece.startswith("{{") else ""
            if name == "images":
                file.writelines(_blocks(images))
            else:
                file.write(filled.get(name, piece).encode())


def _blocks(images: Sequence[bytes]) -> Iterator[bytes]:
    for number, image in enumerate(images):
        text = base64.b64encode(image)
        yield b'<script type="text/plain" id="i%d">%s</script>\n' % (number, text)


def _script(modules: Sequence[str]) -> str:
    """Join modules, which name each other by their files, to one."""
    texts = (_text(f"{name}.js") for name in modules)
    return "\n".join(_IMPORT.sub("", text).replace("\nexport ", "\n") for text in texts)


def _text(name: str) -> str:
    return resources.files("dedup.report").joinpath("page", name).read_text("utf-8")


def _hash(text: str) -> str:
    """Name a text in a Content-Security-Policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
