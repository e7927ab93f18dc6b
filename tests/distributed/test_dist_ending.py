"""Processes that have read tables end as they should, whatever Arrow's threads still do.

Python's lock is held on to for so long before the end that any thread which lets go of Python's
bytes late waits for it, and gets it when Python takes itself apart: that aborts the process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_BEGIN = """
import sys, time
import pyarrow as pa, pyarrow.parquet as pq
from dedup.distributed.commits import commit, parquet_bytes, read, table_of
from dedup.distributed.pieces import Pieces, commit_pieces, read_pieces
from dedup.distributed.storage import Storage
import dedup.cli

class Late:
    def __init__(self):
        self.sleep = time.sleep
    def __del__(self):
        self.sleep(0.2)

storage, late = Storage.at(sys.argv[1]), Late()
table = pa.table({"row": range(10_000), "text": [str(row) * 20 for row in range(10_000)]})
done = commit(storage, "stage", "0", table, rows_per_group=1000)
cut = commit_pieces(storage, "cut", "0", [(0, table), (0, table)])

def hold():
    end = time.perf_counter() + 0.2
    while time.perf_counter() < end:
        pass

sys.setswitchinterval(1000)
"""

_READ = """
assert read(storage, done) == table
assert read_pieces(storage, Pieces(storage, [cut]).of(0), table.schema).num_rows == 20_000
hold()
"""

_COMMAND = """
def command():
    pq.read_table(pa.BufferReader(parquet_bytes(table, 1000)))
    print("it is done", end="")
    hold()
    sys.exit(3)

dedup.cli.main = command
dedup.cli.program()
"""


@pytest.mark.parametrize(
    ("code", "status", "said"), [(_READ, 0, ""), (_COMMAND, 3, "it is done")], ids=["read", "any"]
)
def test_a_process_that_read_tables_ends_as_it_should(
    tmp_path: Path, code: str, status: int, said: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _BEGIN + code, f"file://{tmp_path}/store"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (status, said), ended.stderr
