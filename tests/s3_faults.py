"""A proxy before an S3 endpoint that does what networks and servers do on bad days."""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOP: Final = {"connection", "transfer-encoding", "content-length", "keep-alive", "server", "date"}
_RESET: Final = struct.pack("ii", 1, 0)  # close() then sends RST instead of FIN
_ERROR: Final = "<Error><Code>{}</Code><Message>{}</Message></Error>"


@dataclass
class Faults:
    """What goes wrong: shares of all calls in [0, 1]; may be changed while the proxy runs.

    Parameters
    ----------
    slow_down : answered 503 SlowDown, and not passed on
    lost : passed on, and the answer lost: the connection is reset before its first byte
    reset : the connection is reset in the middle of the answer's body
    cut : the body is shorter than the object, and the length of the answer says so too
    stall : nothing comes for `stall_seconds`
    forbidden : the code with which everything is refused, such as AccessDenied
    upload_seconds : that long no byte is taken of a body above a mebibyte
    ignore_conditions : pass no If-None-Match and If-Match on
    """

    slow_down: float = 0.0
    lost: float = 0.0
    reset: float = 0.0
    cut: float = 0.0
    stall: float = 0.0
    stall_seconds: float = 30.0
    forbidden: str = ""
    upload_seconds: float = 0.0
    ignore_conditions: bool = False


class Proxy(ThreadingHTTPServer):
    """A proxy that listens on a free port of this machine; counts what it is asked.

    Attributes
    ----------
    asked : requests that came, by method and path, the query left out
    done : faults that happened, by name
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, target: str, faults: Faults, seed: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(target).netloc
        self.faults = faults
        self.asked: Counter[tuple[str, str]] = Counter()
        self.done: Counter[str] = Counter()
        self.endpoint = f"http://127.0.0.1:{self.server_address[1]}"
        self._random = random.Random(seed)  # noqa: S311 - to be repeated
        self._lock = threading.Lock()

    def draw(self, method: str, path: str) -> str:
        """Count a request, and choose what happens to it; "" for nothing."""
        with self._lock:
            self.asked[method, urlsplit(path).path] += 1
            chosen = self._random.random()
            for name in ("slow_down", "lost", "reset", "cut", "stall"):
                chosen -= getattr(self.faults, name)
                if chosen < 0:
                    break
            else:
                name = ""
            if self.faults.forbidden:
                name = "forbidden"
            if name in {"reset", "cut"} and method != "GET":
                name = ""
            if name:
                self.done[name] += 1
            return name

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that go away are what this is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        length = int(self.headers.get("Content-Length") or 0)
        if length > 1 << 20:
            time.sleep(self.server.faults.upload_seconds)
        body = self.rfile.read(length)
        fault = self.server.draw(self.command, self.path)
        if fault == "stall":
            time.sleep(self.server.faults.stall_seconds)
        if fault == "slow_down":
            self._answer(503, {}, _ERROR.format("SlowDown", "Please reduce your rate.").encode())
        elif fault == "forbidden":
            self._answer(403, {}, _ERROR.format(self.server.faults.forbidden, "No").encode())
        else:
            self._pass_on(body, fault)

    def _pass_on(self, body: bytes, fault: str) -> None:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        if self.server.faults.ignore_conditions:
            headers = {
                name: value
                for name, value in headers.items()
                if name.lower() not in {"if-none-match", "if-match"}
            }
        connection = http.client.HTTPConnection(self.server.target, timeout=120)
        with contextlib.closing(connection):
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
        if fault == "lost":
            self._reset()
            return
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
        if self.command == "HEAD":
            kept["Content-Length"] = answer.getheader("Content-Length") or "0"
            self._answer(answer.status, kept, b"")
        elif fault == "cut":
            self._answer(answer.status, kept, data[: len(data) // 2])
        elif fault == "reset" and data:
            self._answer(answer.status, kept, data, sent=len(data) // 2)
            self._reset()
        else:
            self._answer(answer.status, kept, data)

    def _answer(
        self, status: int, headers: dict[str, str], data: bytes, sent: int | None = None
    ) -> None:
        self.send_response_only(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data[:sent])
        self.wfile.flush()

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close_connection = True


@contextlib.contextmanager
def proxied(target: str, faults: Faults, seed: int = 0) -> Iterator[Proxy]:
    """Run a proxy before an endpoint."""
    with Proxy(target, faults, seed) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
