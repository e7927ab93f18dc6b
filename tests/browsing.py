"""Pages opened in Chromium, with what they complain of."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Watched(NamedTuple):
    """A browser of its own, what went wrong in it, and what it asked for."""

    context: Any
    complaints: list[str]
    urls: list[str]


@contextmanager
def watched(chromium: Any, **options: Any) -> Iterator[Watched]:
    """Give a browser of its own; closed at the end."""
    context = chromium.new_context(viewport={"width": 1200, "height": 900}, **options)
    found = Watched(context, [], [])

    def dismiss(dialog: Any) -> None:
        found.complaints.append(dialog.message)
        dialog.dismiss()

    def listen(page: Any) -> None:
        page.on("pageerror", lambda error: found.complaints.append(str(error)))
        page.on("console", lambda message: found.complaints.append(message.text))
        page.on("dialog", dismiss)
        page.on("request", lambda request: found.urls.append(request.url))

    context.on("page", listen)
    yield found
    context.close()


def opened(chromium: Any, path: Path, **options: Any) -> Iterator[Any]:
    """Open a page; afterwards, errors, refused requests and requests of a network fail."""
    with watched(chromium, **options) as found:
        page = found.context.new_page()
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]")
        yield page
    # Chromium says of its own drawing that it is slow without a GPU.
    assert [one for one in found.complaints if "GL Driver Message" not in one] == []
    assert {url.partition(":")[0] for url in found.urls} <= {"file", "data", "blob"}
