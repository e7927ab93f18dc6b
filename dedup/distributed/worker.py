"""A process that does one task after another, for engines.

`python -m dedup.distributed.worker FD` takes tasks from a connection, and ends with it.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import sys
import threading
import traceback
from functools import cache
from importlib.abc import MetaPathFinder
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from dedup.distributed.engine import EngineError
from dedup.errors import DedupError
from dedup.parallel.workers import end_with, use_cores

if TYPE_CHECKING:
    from collections.abc import Callable


def packed(function: Callable[..., Any], arguments: tuple[Any, ...]) -> bytes:
    """Write down a call; what is called is named, not sent."""
    return pickle.dumps((function, arguments))


def attempt(call: bytes, seconds: float = 0.0) -> bytes:
    """Do what was written down, and write down what came of it.

    Parameters
    ----------
    call : by `packed`
    seconds : after which this process ends itself, even within a decoder's loop; 0: never
    """
    use_cores(1)
    without_pandas()
    if seconds:
        faulthandler.dump_traceback_later(seconds, exit=True, file=_nowhere())
    try:
        function, arguments = pickle.loads(call)  # noqa: S301 - of the driver, which may do all
        return pickle.dumps((True, function(*arguments)))
    except Exception as error:  # noqa: BLE001 - whoever waits decides
        return pickle.dumps((False, _portable(error)))
    finally:
        if seconds:
            faulthandler.cancel_dump_traceback_later()


@cache
def without_pandas() -> None:
    """Keep Arrow from importing pandas in this process, where nobody hands any of its columns over.

    It does so for the first list that it is given, where pandas is installed: for .3 seconds of
    the processor and 42 MB of a process that has no use for it.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(finder)


class _NoPandas(MetaPathFinder):
    """Says that pandas is not there, for a moment; Arrow asks once, and others may later."""

    def find_spec(self, name: str, *_: object) -> None:
        """Refuse to find it."""
        if name == "pandas":
            raise ModuleNotFoundError(name)


def outcome(answer: bytes) -> Any:
    """Read what a task returned, or the exception that it raised."""
    return pickle.loads(answer)[1]  # noqa: S301 - of a process of this run


def _portable(error: Exception) -> Exception:
    """Give an exception that can be sent, with the place where it was raised."""
    if not isinstance(error, DedupError):
        error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301
    except Exception:  # noqa: BLE001 - whatever an exception of another library does there
        return EngineError(f"{type(error).__name__}: {error}")
    return error


@cache
def _nowhere() -> Any:
    """Open what has to stay open for as long as the watch may write to it."""
    return open(os.devnull, "w", encoding="utf-8")


def main() -> None:
    """Work until the connection ends, or the one who started this process does."""
    connection = Connection(int(sys.argv[1]))
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    while True:
        try:
            call = connection.recv_bytes()
        except (EOFError, OSError):
            return
        connection.send_bytes(attempt(call))


if __name__ == "__main__":
    main()
