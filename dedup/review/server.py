"""The server: at a port of this host only, until Ctrl-C; and the browser that it opens."""

from __future__ import annotations

import os
import socket
import sys
import webbrowser
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from dedup.errors import DedupError
from dedup.review.app import Routes
from dedup.review.desk import Desk
from dedup.review.guard import MOST_HEADER_BYTES, SECONDS, Guard, Secrets

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

    from dedup.collection import Collection
    from dedup.review.worker import Task

HOST: Final = "127.0.0.1"
MOST_CONNECTIONS: Final = 64
_KEEPS_ALIVE: Final = 5  # seconds
_LEAVES: Final = 2  # seconds that pages which listen have to go


class Patient(H11Protocol):
    """HTTP/1.1, with an end to patience: headers have to have come in so many seconds."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait on where headers are not whole."""
        super().data_received(data)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._end_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._end_waiting()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(SECONDS, self.transport.close)

    def _end_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def on_response_complete(self) -> None:
        """Leave what comes next to the time for which a connection is kept."""
        super().on_response_complete()
        self._end_waiting()


class Review:
    """A server that runs.

    Attributes
    ----------
    url : to open
    once : the same, good for one time
    """

    def __init__(self, server: uvicorn.Server, listener: socket.socket, known: Secrets) -> None:
        port = listener.getsockname()[1]
        self._server, self._listener = server, listener
        self.url, self.once = (
            f"http://{HOST}:{port}/open/{token}" for token in (known.token, known.once)
        )

    def run(self) -> None:
        """Answer until it is stopped, or Ctrl-C."""
        self._server.run(sockets=[self._listener])

    def stop(self) -> None:
        """End `run`, from another thread."""
        self._server.should_exit = True


@contextmanager
def reviewing(
    collection: Collection, task: Task, port: int, started: Callable[[], Any] = lambda: None
) -> Iterator[Review]:
    """Prepare a server, and begin to list the groups.

    Parameters
    ----------
    port : 0: any that is free
    started : called once it answers

    Raises
    ------
    DedupError : the port is taken.
    """
    with closing(_listening(port)) as listener, closing(Desk(collection, task)) as desk:
        known = Secrets()
        routes = Routes(desk, known)
        with closing(routes):
            guard = Guard(routes.app(), listener.getsockname()[1], known)
            config = uvicorn.Config(
                guard, http=Patient, ws="none", lifespan="off", log_level="error",
                access_log=False, proxy_headers=False, server_header=False, date_header=False,
                limit_concurrency=MOST_CONNECTIONS, timeout_keep_alive=_KEEPS_ALIVE,
                timeout_graceful_shutdown=_LEAVES, h11_max_incomplete_event_size=MOST_HEADER_BYTES,
            )  # fmt: skip
            server = _Server(config, started, routes.end_streams)
            desk.refresh(indexes=False)
            yield Review(server, listener, known)


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, started: Callable[[], Any], ends: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._tell, self._end = started, ends

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._end()
        await super().shutdown(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell()


def _listening(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise DedupError(
            f"port {port} cannot be had ({(error.strerror or '').lower()}); for any that is free: "
            "dedup review --port 0"
        ) from error
    return listener


def open_browser(url: str) -> bool:
    """Open a page in a browser with a window; False where there is none."""
    has_windows = sys.platform == "darwin" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
    try:
        return has_windows and webbrowser.open(url)
    except (webbrowser.Error, OSError):
        return False
