"""Whether the head of a Ray cluster still answers.

Ray itself says nothing for a minute, while any question to it waits, and then ends the process.
"""

from __future__ import annotations

import socket
import sys
import threading
from typing import Final

KNOCK_SECONDS: Final = 10.0
_LOST_AFTER: Final = 2  # knocks that nobody answers


def knock(address: str) -> None:
    """Reach the door of a cluster, at which Ray would wait for many minutes.

    Parameters
    ----------
    address : "HOST:PORT"; others are believed

    Raises
    ------
    OSError : nobody is there.
    """
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_SECONDS).close()


class Watch(threading.Thread):
    """Says on stderr that a head is lost, since Ray ends the process without a word of what next.

    Parameters
    ----------
    address : as for `knock`
    """

    def __init__(self, address: str) -> None:
        super().__init__(name="head of Ray", daemon=True)
        self._address = address
        self._ended = threading.Event()

    def run(self) -> None:
        """Knock until `end`, or until the head is lost."""
        missed = 0
        while missed < _LOST_AFTER:
            if self._ended.wait(KNOCK_SECONDS):
                return
            try:
                knock(self._address)
                missed = 0
            except OSError:
                missed += 1
        sys.stderr.write(
            f"The head of the Ray cluster at {self._address} does not answer. Unless it is back "
            "within a minute, Ray ends this program: start the cluster again, and run the same "
            "command again. What was committed is kept, and not done twice.\n"
        )
        sys.stderr.flush()

    def end(self) -> None:
        """Knock no more."""
        self._ended.set()
