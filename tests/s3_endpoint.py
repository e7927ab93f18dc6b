"""An S3 endpoint on this machine, in a process of its own, with fresh buckets for tests."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

# Ends with the one who started it, however that one ends: its end of the pipe is closed then.
_SERVER: Final = """
import logging, sys, threading
from moto.server import DomainDispatcherApplication, ThreadedMotoServer
# One request at a time: of two puts at once that are to write where there is nothing, moto lets
# both through, which no storage does that this is for.
answer, lock = DomainDispatcherApplication.__call__, threading.Lock()
def alone(*arguments):
    with lock:
        return answer(*arguments)
DomainDispatcherApplication.__call__ = alone
logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""

_VERSIONED: Final = b"""<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
<Status>Enabled</Status></VersioningConfiguration>"""


class S3:
    """An endpoint.

    Parameters
    ----------
    endpoint : its URL
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._numbers = itertools.count()

    @property
    def environment(self) -> dict[str, str]:
        """What a process has to have in its environment to reach this and nothing else."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
        }

    @contextlib.contextmanager
    def reachable(self, proxy: str = "") -> Iterator[None]:
        """Have this process, and those that it starts, reach this endpoint, or one before it."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            if proxy:
                patch.setenv("AWS_ENDPOINT_URL", proxy)
            yield

    def bucket(self, *, versioned: bool = False) -> str:
        """Make a new bucket; gives its URL."""
        name = f"bucket-{os.getpid()}-{next(self._numbers)}"
        assert self.ask("PUT", f"/{name}")[0] == 200
        if versioned:
            assert self.ask("PUT", f"/{name}?versioning", _VERSIONED)[0] == 200
        return f"s3://{name}"

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Send a request that is not signed, with its path as it is; for what obstore cannot."""
        connection = http.client.HTTPConnection(urlsplit(self.endpoint).netloc, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()


@contextlib.contextmanager
def serving() -> Iterator[S3]:
    """Run an endpoint."""
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        assert port, "moto's server did not start"
        yield S3(f"http://127.0.0.1:{port}")
        server.terminate()
