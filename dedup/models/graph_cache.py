"""Converted models, kept in the user's cache folder so that a later start needs no torch.

One file for each: what was converted, and the graph. A file is named after everything that went
into it and sealed with a checksum; what is missing, damaged or half written counts as absent.
Nothing in here matters for an answer: without the cache, starts are slower.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xxhash

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from dedup.fingerprint import Fingerprint

_RULES: Final = 1
"""Of converting and of the file: to be raised when either changes."""

_MAGIC: Final = b"dedupgr1"
_HEAD: Final = struct.Struct("<8sQQ")  # magic, bytes of facts, bytes of the graph's description
_CHECKSUM: Final = 16  # XXH3-128 of all bytes before
_KEPT: Final = 12  # files; those of models and versions that are not used any more make room


@dataclass(frozen=True, slots=True)
class Graph:
    """An extractor in OpenVINO's form.

    Attributes
    ----------
    dimensions : layer, as it was asked for -> D; their outputs follow those of the prediction
    prediction : its form, see `dedup.models.conversion.form_of`
    input_hw : height and width of the pictures
    description, weights : OpenVINO's IR
    bf16 : whether embeddings keep their cosine in bf16; None: made on a CPU that cannot tell
    """

    dimensions: dict[str, int]
    prediction: Any
    input_hw: tuple[int, int]
    description: bytes
    weights: npt.NDArray[np.uint8]
    bf16: bool | None = None


@dataclass(frozen=True, slots=True)
class NoGraph:
    """A model that does not convert, and why."""

    reason: str


def graph_path(fingerprint: Fingerprint) -> Path:
    """Name the file for what a collection pins, with the versions that are installed."""
    import platformdirs

    pinned = [
        fingerprint.model,
        fingerprint.weights_digest,
        fingerprint.layers,
        fingerprint.height,
        fingerprint.width,
        *(version(package) for package in ("openvino", "timm")),
        _RULES,
    ]
    key = hashlib.sha256(json.dumps(pinned).encode()).hexdigest()[:32]
    folder: Path = platformdirs.user_cache_path("dedup", appauthor=False)
    return folder / "models" / f"{key}.graph"


def read_graph(path: Path) -> Graph | NoGraph | None:
    """Read what `write_graph` wrote; None when it is missing or not whole."""
    try:
        content = np.fromfile(path, np.uint8)
        body = content[:-_CHECKSUM]
        magic, facts_size, described_size = _HEAD.unpack(body[: _HEAD.size].tobytes())
    except (OSError, struct.error):
        return None
    checksum = content[-_CHECKSUM:].tobytes()
    if magic != _MAGIC or xxhash.xxh3_128_digest(body.data) != checksum:
        return None
    described_at = _HEAD.size + facts_size
    weights_at = described_at + described_size
    facts = json.loads(body[_HEAD.size : described_at].tobytes())
    if "reason" in facts:
        return NoGraph(**facts)
    return Graph(
        facts["dimensions"],
        facts["prediction"],
        (facts["height"], facts["width"]),
        body[described_at:weights_at].tobytes(),
        body[weights_at:],
        facts["bf16"],
    )


def write_graph(path: Path, graph: Graph | NoGraph) -> None:
    """Write a graph in one step; where that cannot be done, nothing happens."""
    if isinstance(graph, NoGraph):
        known: dict[str, Any] = {"reason": graph.reason}
        described, weights = b"", np.empty(0, np.uint8)
    else:
        height, width = graph.input_hw
        known = {
            "dimensions": graph.dimensions,
            "prediction": graph.prediction,
            "height": height,
            "width": width,
            "bf16": graph.bf16,
        }
        described, weights = graph.description, graph.weights
    facts = json.dumps(known).encode()
    # Any, because a memoryview is a buffer for type checkers from Python 3.12 on.
    parts: list[Any] = [_HEAD.pack(_MAGIC, len(facts), len(described)), facts, described]
    checksum = xxhash.xxh3_128()
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                for part in (*parts, weights.data):
                    checksum.update(part)
                    file.write(part)
                file.write(checksum.digest())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        files = sorted(path.parent.glob("*.graph"), key=lambda one: -one.stat().st_mtime_ns)
        for old in files[_KEPT:]:
            old.unlink(missing_ok=True)
    except OSError:  # a full disk, a folder that cannot be written
        return
