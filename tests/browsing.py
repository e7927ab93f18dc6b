"""Pages opened from their files in Chromium."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def opened(chromium: Any, path: Path, **options: Any) -> Iterator[Any]:
    """Open a page; afterwards, errors, refused requests and requests of a network fail."""
    complaints: list[str] = []
    urls: list[str] = []

    def dismiss(dialog: Any) -> None:
        complaints.append(dialog.message)
        dialog.dismiss()

    context = chromium.new_context(viewport={"width": 1200, "height": 900}, **options)
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("dialog", dismiss)
    page.on("request", lambda request: urls.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]")
    yield page
    context.close()
    # Chromium says of its own drawing that it is slow without a GPU.
    assert [one for one in complaints if "GL Driver Message" not in one] == []
    assert {url.partition(":")[0] for url in urls} <= {"file", "data", "blob"}
