"""The migration from format 1 to format 2.

A migration is frozen: it holds its own copies of what it reads and writes, and never imports what
may change.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Final

import numpy as np
import xxhash

if TYPE_CHECKING:
    import sqlite3

    import numpy.typing as npt

_ROWS_PER_STEP: Final = 1000

_TABLES = {
    "verdicts": """
CREATE TABLE verdicts (                        -- proofs on pairs of images; first < second
    first BLOB NOT NULL,                       -- SHA-256 of the file
    second BLOB NOT NULL,
    verifier TEXT NOT NULL,                    -- the version of the check that said so
    near INTEGER NOT NULL,                     -- 1: the same photograph, edited
    evidence TEXT NOT NULL,
    PRIMARY KEY (first, second)
) STRICT, WITHOUT ROWID
""",
    "decisions": """
CREATE TABLE decisions (                       -- what a person said of a pair; first < second
    first BLOB NOT NULL,                       -- SHA-256 of the file
    second BLOB NOT NULL,
    duplicate INTEGER NOT NULL,                -- 0: "not a duplicate"
    decided TEXT NOT NULL,                     -- ISO 8601 in UTC
    PRIMARY KEY (first, second)
) STRICT, WITHOUT ROWID
""",
    "calibration": """
CREATE TABLE calibration (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    curve TEXT NOT NULL,                       -- JSON
    transform BLOB                             -- what embeddings go through before comparison
) STRICT
""",
}


def to_2(connection: sqlite3.Connection) -> None:
    """Give every catalog of format 1 the same tables and the same bytes.

    Format 1 was written in several states: at first without `verdicts`, `decisions` and
    `calibration`; for a while with details of one byte a value; with `settled` of three fields.
    Its transforms were in a format of their own.
    """
    tables = {
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    }
    for name, statement in _TABLES.items():
        if name not in tables:
            connection.execute(statement)
    row = connection.execute("SELECT transform FROM calibration").fetchone()
    if row is not None and row[0] is not None:
        connection.execute("UPDATE calibration SET transform = ?", (_as_safetensors(row[0]),))
    # Written anew by the next run of indexing, which compares with the folders once in full.
    connection.execute("DELETE FROM meta WHERE key GLOB 'settled *'")
    if _has_whole_bytes(connection):
        _halve_details(connection)


_HEAD = struct.Struct("<8sII")  # magic, D, K
_CHECKSUM = struct.Struct("<Q")


def _as_safetensors(data: bytes) -> bytes:
    """Rewrite a transform as safetensors, every number as it was.

    What is damaged is left as it is, to be reported by the command that reads it.
    """
    from safetensors.numpy import save

    if len(data) < _HEAD.size + _CHECKSUM.size or not data.startswith(b"dedupwh1"):
        return data
    payload = data[: -_CHECKSUM.size]
    (checksum,) = _CHECKSUM.unpack(data[-_CHECKSUM.size :])
    _, dimension, count = _HEAD.unpack_from(payload)
    if checksum != xxhash.xxh3_64_intdigest(payload):
        return data
    values = np.frombuffer(payload, "<f4", offset=_HEAD.size)
    if len(values) != dimension * (count + 1) + count:
        return data
    mean, directions, gains = np.split(values, [dimension, dimension * (count + 1)])
    tensors = {"mean": mean}
    if count:
        tensors |= {"directions": directions.reshape(count, dimension), "gains": gains}
    state = xxhash.xxh3_64()
    for name in sorted(tensors):
        state.update(name.encode())
        state.update(tensors[name].tobytes())
    metadata = {"format": "dedup-transform-1", "xxh3_64": state.hexdigest()}
    return bytes(save(tensors, metadata))


_VOCABULARY_OF_BYTES = "12fcccde2dfe6e4d9b218a996f53d0f9a740ec14e1e1321c379bfa22fd20296e"
"""Of the only details that were stored in one byte a value: 512 of them."""


def _has_whole_bytes(connection: sqlite3.Connection) -> bool:
    row = connection.execute("SELECT value FROM meta WHERE key = 'fingerprint'").fetchone()
    fingerprint = json.loads(row[0]) if row else {}
    return bool(fingerprint.get("details_digest") == _VOCABULARY_OF_BYTES)


def _halve_details(connection: sqlite3.Connection) -> None:
    """Store details in half a byte a value; vectors that were damaged stay recognisable."""
    last = 0
    while rows := connection.execute(
        "SELECT id, vector, checksum FROM embeddings WHERE layer = 'details' AND id > ?"
        " ORDER BY id LIMIT ?",
        (last, _ROWS_PER_STEP),
    ).fetchall():
        last = rows[-1][0]
        new = [(_half_bytes(vector), vector, checksum, number) for number, vector, checksum in rows]
        connection.executemany(
            "UPDATE embeddings SET vector = ?, checksum = ? WHERE id = ?",
            [
                (
                    packed,
                    xxhash.xxh32_intdigest(packed)
                    if xxhash.xxh32_intdigest(vector) == checksum
                    else checksum,
                    number,
                )
                for packed, vector, checksum, number in new
            ],
        )
    # Indexes hold the old vectors.
    connection.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'version'")


def _half_bytes(vector: bytes) -> bytes:
    """Round int8 to steps of 3 / 7 standard deviations, the first of two in the lower half."""
    values: npt.NDArray[np.float32] = np.frombuffer(vector, np.int8).astype(np.float32)
    step = np.float32(3 / 7) * values.std()
    steps = np.clip(np.rint(values / (step if step > 0 else np.float32(1))), -7, 7)
    steps_up = steps.astype(np.int16) + 8
    return np.asarray(steps_up[0::2] | steps_up[1::2] << 4, np.uint8).tobytes()
