"""A review that runs in a thread, and a plain client of it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dedup.review.server import HOST, Review, reviewing
from dedup.review.worker import Task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dedup.collection import Collection

PROVEN = ("exact", "pixels", "resaved", "near")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Client:
    """A browser that opened the printed URL."""

    url: str
    cookie: str = ""
    base: str = ""
    csrf: str = ""
    port: int = field(init=False)

    def __post_init__(self) -> None:
        self.port = int(self.url.split(":")[2].partition("/")[0])

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            named.setdefault("Cookie", self.cookie)
        try:
            whole = path if path.startswith("/open/") else self.base + path
            connection.request(method, whole, body, named)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def open(self) -> Client:
        entry = self.ask("GET", "/open/" + self.url.rpartition("/")[2])
        assert entry.status == 200, entry.body
        self.cookie, path, *_ = entry.headers["set-cookie"].split("; ")
        self.base = path.removeprefix("Path=").rstrip("/")
        self.csrf = self.get("/api/start")["csrf"]
        return self

    def get(self, path: str) -> dict[str, Any]:
        answer = self.ask("GET", path)
        assert answer.status == 200, answer.body
        return answer.json

    def try_post(self, name: str, **body: Any) -> Answer:
        return self.ask(
            "POST",
            f"/api/{name}",
            json.dumps(body).encode(),
            Origin=f"http://{HOST}:{self.port}",
            Content_Type="application/json",
            X_CSRF_Token=self.csrf,
        )

    def post(self, name: str, **body: Any) -> dict[str, Any]:
        answer = self.try_post(name, **body)
        assert answer.status == 200, answer.body
        return answer.json

    def groups(self, query: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(f"/api/groups?{query}")["groups"]
        return found

    def duplicates(self, query: str = "") -> dict[str, dict[str, Any]]:
        """Map the names of files to duplicates, each with its group's keeper."""
        return {
            one["path"].rpartition("/")[2]: {**one, "keeper": group["keeper"]}
            for group in self.groups(query)
            for one in group["duplicates"]
        }

    def wait(self) -> dict[str, Any]:
        """Wait for what runs, and give what came of it."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            state = self.get("/api/start")
            if not state["job"]["runs"] and state["listed"]:
                job: dict[str, Any] = state["job"]
                return job
            time.sleep(0.02)
        raise TimeoutError

    @contextmanager
    def events(self) -> Iterator[Iterator[dict[str, Any]]]:
        """Listen to what the page is told."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        connection.request("GET", f"{self.base}/api/events", headers={"Cookie": self.cookie})
        answer = connection.getresponse()
        assert answer.status == 200
        lines = (line.removeprefix(b"data: ") for line in answer if line.startswith(b"data: "))
        try:
            yield map(json.loads, lines)
        finally:
            answer.close()
            connection.close()


@contextmanager
def served(
    collection: Collection, *, tier: tuple[str, ...] = PROVEN, port: int = 0
) -> Iterator[Review]:
    """Run a review in a thread."""
    ready = threading.Event()
    task = Task(collection.path, False, tier, ("information",), (), 0)
    with reviewing(collection, task, port, ready.set) as review:
        thread = threading.Thread(target=review.run)
        thread.start()
        assert ready.wait(30)
        try:
            yield review
        finally:
            review.stop()
            thread.join(30)
            assert not thread.is_alive()


@contextmanager
def browsing(collection: Collection, **options: Any) -> Iterator[Client]:
    """Run a review, open it, and wait for its groups."""
    with served(collection, **options) as review:
        client = Client(review.url).open()
        client.wait()
        yield client
