"""The command line on a terminal of its own, as a person sees it."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from contextlib import suppress

_QUESTION = b"[y/N]: "


def on_terminal(arguments: list[object], *, width: int = 0, answer: str = "") -> tuple[int, str]:
    """Run the command line on a terminal; gives its exit code and all that was shown.

    Parameters
    ----------
    width : columns; 0: as the system has it
    answer : to its questions
    """
    ours, theirs = pty.openpty()
    if width:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    child = subprocess.Popen(
        [sys.executable, "-m", "dedup", *map(str, arguments)],
        stdin=theirs, stdout=theirs, stderr=theirs,
        env={key: value for key, value in os.environ.items() if key != "COLUMNS"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # its end
        while part := os.read(ours, 1 << 12):
            shown += part
            if shown.endswith(_QUESTION):
                os.write(ours, answer.encode())
    os.close(ours)
    return child.wait(), shown.decode().replace("\r\n", "\n")
