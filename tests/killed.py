"""Acting in a process of its own that ends at a chosen step."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

# Ends the process, as a kill does, just before the Nth call that changes the file system.
KILLED = """
import os, sys
from dedup.actions import carry, journal, moves, steps, system, trash, undo
from dedup.collection import Collection

store, what, plan, left = *sys.argv[1:4], int(sys.argv[4])

def killed(module, name):
    real = getattr(module, name)
    def call(*arguments, **named):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return real(*arguments, **named)
    setattr(module, name, call)

with Collection.open(store) as collection:
    for name in ("rename", "unlink", "fsync", "write", "link", "symlink", "makedirs", "utime"):
        killed(os, name)
    for module in (carry, moves, steps, system, undo):
        for name in ("rename_exclusive", "exchange", "copy_whole", "write_new"):
            if hasattr(module, name):
                killed(module, name)
    if what.startswith("apply"):
        collection.apply(plan, carry_metadata=what.endswith("carry"))
    else:
        collection.undo(what.partition(" of ")[2] or None)
"""


def run_killed(store: Path, what: str, plan: Path, after: int) -> int:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, store, what, plan, str(after)],
        env={**os.environ, "PYTHONPATH": os.fspath(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 9), done.stderr
    return done.returncode
