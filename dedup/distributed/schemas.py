"""The objects of a collection in object storage: stages, their shards, and their columns.

    meta.json                       what the collection was made with
    list/G-…                        generation G of the listing (`listing.Generation`), its shards
                                    (`chunks.TO_READ`), ids gone, and all that is known
    weights/…                       weights and graph of a model that is not bundled
    embed/SHARD                     one row a file: facts, vectors, parts; or the reason it has none
    J/fold/RANGE                    which files are one image, and which images one class
    J/divide/0                      centres of cells, mean, overlap, recall
    J/assign/SHARD                  the classes of a shard, each in its cells, with its vector
    J/pair/BUCKET…                  pairs of classes within a cell
    J/best/RANGE                    the best pairs of each class
    J/votes/0                       pairs of classes of which one shows a part of the other
    J/family/0                      which images candidates join, and the pairs to look at
    prove/CHUNK                     verdicts, pixel digests and traits, keyed by content
    J/group/CHUNK                   groups of files

J is "join/" and a digest of what the join depends on: the listing's generation and the settings
that decide which pairs are looked at. Everything is read through commits (`commits`).

A file's id is its shard's number times 2^20 plus its row there: int64 throughout. An *image* is
named by the lowest id of the files with its content, a *class* by the lowest image with its input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence

ROW_BITS: Final = 20
"""Bits of an id that number the row in its shard."""

MAX_SHARD: Final = 1 << ROW_BITS

NO_CLASS: Final = -1
"""The class of blank and tiny images, which are compared with nothing."""


def file_id(shard: int, row: int) -> int:
    """Give the id of a file."""
    return shard << ROW_BITS | row


def shard_name(shard: int) -> str:
    """Write the number of a shard as commits name it."""
    return f"{shard:06d}"


LISTED: Final = pa.schema(
    [
        ("root", pa.string()),  # URL of the folder that was listed
        ("key", pa.string()),  # below it
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("etag", pa.string()),
        ("version", pa.string()),
    ]
)

FACTS: Final = pa.schema(
    [
        ("id", pa.int64()),
        *LISTED,
        ("reason", pa.string()),  # null where it is indexed; the columns below are null elsewhere
        ("transient", pa.bool_()),  # of a reason: worth another try
        ("digest", pa.binary(32)),
        ("format", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("frames", pa.int32()),
        ("trivial", pa.bool_()),
        ("input_digest", pa.binary(16)),
        ("damaged", pa.bool_()),
        ("remark", pa.string()),
        ("parts", pa.binary()),  # packed local features of version PARTS_VERSION
    ]
)


def embed_schema(stored: Sequence[str]) -> pa.Schema:
    """Give the columns of an embed shard.

    Parameters
    ----------
    stored : `Fingerprint.stored`; each has a vector, as `store.vectors.pack` writes it, and a norm
    """
    columns = list(FACTS)
    for name in stored:
        columns += [
            pa.field(f"vector.{name}", pa.binary()),
            pa.field(f"norm.{name}", pa.float64()),
        ]
    return pa.schema(columns)


FOLD: Final = pa.schema(
    [
        ("id", pa.int64()),  # every live indexed file
        ("image", pa.int64()),
        ("class", pa.int64()),  # or NO_CLASS
    ]
)

ASSIGN: Final = pa.schema(
    [
        ("class", pa.int64()),
        ("cell", pa.int32()),  # one row for each cell of a class, by rising bucket, then cell
        ("cells", pa.list_(pa.int32())),  # all of the class
        ("vector", pa.binary()),  # fp16, centred, of unit length
    ]
)

PAIRS: Final = pa.schema(
    [
        ("first", pa.int64()),  # classes, first < second
        ("second", pa.int64()),
        ("similarity", pa.float32()),
    ]
)

VERDICTS: Final = pa.schema(
    [
        ("first", pa.binary(32)),  # SHA-256, first < second
        ("second", pa.binary(32)),
        ("verifier", pa.string()),
        ("tier", pa.string()),  # null where refuted
        ("derived", pa.int8()),
        ("evidence", pa.string()),
        ("backwards", pa.string()),
    ]
)

MEASURED: Final = pa.schema(
    [
        ("digest", pa.binary(32)),
        ("pixel_digest", pa.binary()),  # null where nobody looked, b"" where there is none
        ("traits_version", pa.string()),
        ("traits", pa.string()),
    ]
)

GROUPS: Final = pa.schema(
    [
        ("family", pa.binary(32)),  # digest of what the group was made from
        ("group", pa.int32()),  # within the family
        ("keeper", pa.int64()),  # files
        ("member", pa.int64()),
        ("tier", pa.string()),
        ("similarity", pa.float32()),
        ("evidence", pa.string()),
        ("is_original", pa.bool_()),
        ("bytes", pa.int64()),
        ("kept_because", pa.string()),
        ("min_similarity", pa.float32()),
    ]
)
