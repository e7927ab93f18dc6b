"""Converted models, kept in the user's cache folder so that a later start needs no torch.

One file for each: what was converted, and the graph; and beside it the graph as OpenVINO compiled
it for this very CPU, which spares a start another tenth of a second. A file is named after
everything that went into it and sealed with a checksum; what is missing, damaged or half written
counts as absent. Nothing in here matters for an answer: without the cache, starts are slower.
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

_RULES: Final = 2
"""Of converting and of the file: to be raised when either changes."""

_MAGIC: Final = b"dedupgr1"
_HEAD: Final = struct.Struct("<8sQQ")  # magic, bytes of facts, bytes of the graph's description
_CHECKSUM: Final = 16  # XXH3-128 of all bytes before
_KEPT: Final = 12
"""Files of a kind; those of models and versions that are not used any more make room."""


@dataclass(frozen=True, slots=True)
class Graph:
    """An extractor in the form of one of the engines.

    Attributes
    ----------
    dimensions : layer, as it was asked for -> D; their outputs follow those of the prediction
    prediction : its form, see `dedup.runtimes.export.form_of`
    input_hw : height and width of the pictures
    description, weights : OpenVINO's IR; of ONNX all is in `weights`
    engine : "openvino" or "onnxruntime"
    bf16 : whether embeddings keep their cosine in bf16; None: made on a CPU that cannot tell
    """

    dimensions: dict[str, int]
    prediction: Any
    input_hw: tuple[int, int]
    description: bytes
    weights: npt.NDArray[np.uint8]
    engine: str
    bf16: bool | None = None


@dataclass(frozen=True, slots=True)
class NoGraph:
    """A model that does not convert, and why."""

    reason: str


def graph_path(fingerprint: Fingerprint, kind: str = "auto") -> Path:
    """Name the file for what a collection pins, with the versions that are installed.

    Parameters
    ----------
    kind : "auto" for the engine that was found to be fastest, or the engine that was asked for
    """
    import platformdirs

    pinned = [
        fingerprint.model,
        fingerprint.weights_digest,
        fingerprint.layers,
        fingerprint.height,
        fingerprint.width,
        kind,
        *(version(package) for package in ("openvino", "onnxruntime", "timm")),
        _RULES,
    ]
    key = hashlib.sha256(json.dumps(pinned).encode()).hexdigest()[:32]
    folder: Path = platformdirs.user_cache_path("dedup", appauthor=False)
    return folder / "models" / f"{key}.graph"


def read_graph(path: Path) -> Graph | NoGraph | None:
    """Read what `write_graph` wrote; None when it is missing or not whole."""
    body = _read_sealed(path)
    if body is None or len(body) < _HEAD.size:
        return None
    magic, facts_size, described_size = _HEAD.unpack(body[: _HEAD.size].tobytes())
    if magic != _MAGIC:
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
        facts["engine"],
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
            "engine": graph.engine,
            "bf16": graph.bf16,
        }
        described, weights = graph.description, graph.weights
    facts = json.dumps(known).encode()
    head = _HEAD.pack(_MAGIC, len(facts), len(described))
    _write_sealed(path, [head, facts, described, weights.data])


def compiled_path(graph: Path, circumstances: list[str]) -> Path:
    """Name the file for a graph that OpenVINO has compiled.

    Parameters
    ----------
    graph : as `graph_path` gave it
    circumstances : all that compiling depends on beside the graph, such as the CPU's name
    """
    key = hashlib.sha256(json.dumps(circumstances).encode()).hexdigest()[:16]
    return graph.with_name(f"{graph.stem}-{key}.compiled")


def read_compiled(path: Path) -> bytes | None:
    """Read what `write_compiled` wrote; None when it is missing or not whole."""
    body = _read_sealed(path)
    return None if body is None else body.tobytes()


def write_compiled(path: Path, compiled: bytes) -> None:
    """Write a compiled graph in one step; where that cannot be done, nothing happens."""
    _write_sealed(path, [compiled])


def _read_sealed(path: Path) -> npt.NDArray[np.uint8] | None:
    try:
        content = np.fromfile(path, np.uint8)
    except OSError:
        return None
    body, checksum = content[:-_CHECKSUM], content[-_CHECKSUM:].tobytes()
    return body if xxhash.xxh3_128_digest(body.data) == checksum else None


def _write_sealed(path: Path, parts: list[Any]) -> None:
    # Any, because a memoryview is a buffer for type checkers from Python 3.12 on.
    checksum = xxhash.xxh3_128()
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                for part in parts:
                    checksum.update(part)
                    file.write(part)
                file.write(checksum.digest())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        files = path.parent.glob(f"*{path.suffix}")
        for old in sorted(files, key=lambda one: -one.stat().st_mtime_ns)[_KEPT:]:
            old.unlink(missing_ok=True)
    except OSError:  # a full disk, a folder that cannot be written
        return
