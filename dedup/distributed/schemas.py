"""The objects of a collection in object storage: stages, their shards, and their columns.

    meta.json                       what the collection was made with
    list/G-…                        generation G of the listing (`listing.Generation`), its shards
                                    (`chunks.TO_READ`), ids gone, and all that is known
    weights/…                       weights and graph of a model that is not bundled
    embed/SHARD                     one row a file: facts, vectors, parts; or the reason it has none
    keys/SHARD                      what says which files are one image, in pieces by range
    J/fold/RANGE                    the live files, their images and classes
    J/reps/RANGE                    one file of each class that is compared, in pieces by shard
    J/former/RANGE                  the same of classes of which no file is there any more
    D/sample/SHARD                  the sum of vectors, and some of them
    D/centres/0                     centres of cells, and the mean
    D/exact/SHARD                   the nearest rows of a shard to some rows, and their cells
    D/divided/0                     in how many cells a class is, and what that finds
    D/coder/0                       what short codes of vectors stand for, and the centres again
    D/assign/SHARD                  the classes of a shard, each in its cells, in pieces by group:
                                    those of it as their nearest cell (even numbers), and others
    D/served/G-…                    classes by their nearest cell, as queries read them
    D/places/G                      where these are, of each cell
    D/pair/…                        pairs of classes within cells, in pieces by range
    J/best/RANGE                    the best pairs of each class, worth a proof
    J/reach/RANGE                   pairs of classes that reach the threshold of the tier similar
    J/matched/0                     what local features found, for those that come later
    J/votes/0                       pairs of classes of which one shows a part of the other
    J/asked/BLOCK                   pairs of families too large for a task, that are to be sifted
    J/wanted/PART                   the blocks of these that want the parts of each file, by id
    J/parted/PART-SHARD             these parts, in pieces by block
    J/sifted/BLOCK                  which of the pairs are refuted
    J/edges/BLOCK                   the pairs to look at, by chunk: a task's worth of families
    J/placed/PART                   the chunk and the family of each file in a family, by id
    J/chunks/0                      the name of each chunk
    J/rounds-A/ROUND                chunks whose rows are gathered together
    J/gather-A/ROUND-PART-SHARD     the rows of their files, in pieces by chunk
    verdicts/A-DIGEST               what was proven of pairs, by content
    measured/A-DIGEST               pixel digests and traits, by content
    groups/A/DIGEST                 groups of files, by chunk

J is "join/" and a digest of what the join depends on: the listing's generation and the settings
that decide which pairs are looked at (`settings`); A is a digest of the settings that decide what
becomes of pairs. A family that did not change since the last join of the same settings stays in its
chunk, which keeps its name and its groups; those of families that it has no more are left out when
they are read (`cutting`). D is "division/" and a number: a division into cells serves many
generations, until there are twice as many classes. Everything is read through commits (`commits`),
some of it in pieces (`pieces`), whose places are in the commit, or at the end of the object.

A file's id is its shard's number times 2^20 plus its row there: int64 throughout. An *image* is
named by the lowest id that ever had its content, a *class* by the lowest image that ever had its
input, whether these files are still there or not: names never change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    import numpy.typing as npt

ROW_BITS: Final = 20
"""Bits of an id that number the row in its shard."""

MAX_SHARD: Final = 1 << ROW_BITS


def file_id(shard: int, row: int) -> int:
    """Give the id of a file."""
    return shard << ROW_BITS | row


def row_of(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Give the rows of files in their shards."""
    return ids & (MAX_SHARD - 1)


def shard_name(shard: int) -> str:
    """Write the number of a shard as commits name it."""
    return f"{shard:06d}"


def rows_by_shard(ids: Iterable[int]) -> dict[str, list[int]]:
    """Give the rows of files in each of their shards."""
    found: dict[str, list[int]] = {}
    for one in ids:
        found.setdefault(shard_name(one >> ROW_BITS), []).append(one & (MAX_SHARD - 1))
    return found


RANGES: Final = 256
"""Pieces of each shard of keys; a range of `fold` is one or more of them."""

ROWS_OF_RANGE: Final = 4_000_000
"""Files that one task of `fold` takes, in some 1 GB."""


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
        ("class", pa.int64()),  # the lowest image with its decoded input
        ("trivial", pa.bool_()),  # blank or tiny: compared with nothing but equal inputs
    ]
)

KEYS: Final = pa.schema(
    [
        ("id", pa.int64()),
        ("digest", pa.binary(32)),
        ("input_digest", pa.binary(16)),
        ("trivial", pa.bool_()),
    ]
)


def assign_schema(compared: Sequence[str]) -> pa.Schema:
    """Give the columns of `assign`: a row for each cell of a class.

    Parameters
    ----------
    compared : `Fingerprint.compared`; the vectors are as the embed stage stores them
    """
    return pa.schema(
        [
            pa.field("class", pa.int64()),
            pa.field("cell", pa.int32()),
            pa.field("cells", pa.list_(pa.int32())),  # all of the class
            *(pa.field(f"vector.{name}", pa.binary()) for name in compared),
        ]
    )


PLACES: Final = pa.schema(
    [
        ("cell", pa.int32()),
        ("start", pa.int64()),  # byte of the object
        ("rows", pa.int32()),
        ("key", pa.string()),
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

ASKED: Final = pa.schema([("chunk", pa.int32()), ("first", pa.int64()), ("second", pa.int64())])

SIFTED: Final = pa.schema(
    [
        ("first", pa.int64()),  # files, each the first of its class
        ("second", pa.int64()),
        ("refuted", pa.bool_()),
        ("one", pa.binary(32)),  # their SHA-256, one < two
        ("two", pa.binary(32)),
    ]
)

CHUNKS: Final = pa.schema([("chunk", pa.int32()), ("digest", pa.string())])

WANTED: Final = pa.schema([("id", pa.int64()), ("chunk", pa.int32())])

PLACED: Final = pa.schema(
    [
        ("id", pa.int64()),
        ("chunk", pa.int32()),
        ("family", pa.int64()),  # a digest of its files and pairs
    ]
)

NEAR, SIMILAR, PARTS = 0, 1, 2
"""Kinds of edges: worth a proof, at least as similar as the threshold, sharing a part."""

EDGES: Final = pa.schema(
    [
        ("chunk", pa.int32()),
        ("kind", pa.int8()),
        ("first", pa.int64()),  # classes
        ("second", pa.int64()),
        ("similarity", pa.float32()),
    ]
)

GROUPS: Final = pa.schema(
    [
        ("group", pa.int32()),  # within the chunk; a row for each duplicate
        ("family", pa.int64()),  # as `PLACED`; it counts while a join has it in this chunk
        # What the family is sorted by among all: what `ranking.rank_files` sorts its best file by.
        ("damaged", pa.bool_()),
        ("pixels", pa.int64()),
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("path", pa.binary()),
        ("keeper", pa.string()),  # URLs, with odd bytes as Python escapes them
        ("keeper_etag", pa.string()),
        ("kept_because", pa.string()),
        ("min_similarity", pa.float64()),
        ("member", pa.string()),
        ("member_etag", pa.string()),
        ("member_version", pa.string()),
        ("member_mtime_ns", pa.int64()),
        ("tier", pa.string()),
        ("similarity", pa.float64()),
        ("bytes", pa.int64()),
        ("evidence", pa.string()),
        ("is_original", pa.bool_()),
    ]
)
