"""A prefix with very many keys is listed as it is read."""

from __future__ import annotations

import threading
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from dedup.distributed.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3_endpoint import S3

PAGE = 1000
_ENTRY = (
    "<Contents><Key>folder/{:012d}.jpg</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>"
    "<ETag>&quot;0123456789abcdef0123456789abcdef&quot;</ETag><Size>{}</Size>"
    "<StorageClass>STANDARD</StorageClass></Contents>"
)


class _Pages(BaseHTTPRequestHandler):
    """Answers listings with pages of keys that are nowhere kept."""

    pages = 0

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        page = int(query.get("continuation-token", ["0"])[0])
        more = page + 1 < self.pages
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            + "".join(_ENTRY.format(n, n) for n in range(page * PAGE, (page + 1) * PAGE))
            + (f"<NextContinuationToken>{page + 1}</NextContinuationToken>" if more else "")
            + "</ListBucketResult>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def endless(s3: S3) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Pages) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        with s3.reachable(f"http://127.0.0.1:{server.server_address[1]}"):
            yield
        server.shutdown()
        thread.join()


def peak(pages: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """List so many pages; gives the most bytes that were in use at a time."""
    monkeypatch.setattr(_Pages, "pages", pages)
    tracemalloc.start()
    try:
        count = 0
        for number, entry in enumerate(Storage.at("s3://many/folder").list()):
            assert entry.size == number
            count += 1
        assert entry.key == f"{count - 1:012d}.jpg"
        assert count == pages * PAGE
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("endless")
@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    few = peak(3, monkeypatch)
    many = peak(60, monkeypatch)
    assert many < 1.2 * few
    assert many < 32 << 20
