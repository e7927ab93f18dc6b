"""Exported models, kept in the user's cache folder so that later starts need no torch.

Each is one plain ONNX file whose metadata hold what else a runtime has to know. Its name says what
it was made of and the digest of its content: a file that is missing, damaged or half written
counts as absent. Nothing in here matters for an answer; without the cache, starts are slower.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import xxhash

from dedup.files import atomic_write, remove_leftovers
from dedup.models.registry import BUNDLED, WEIGHTS

if TYPE_CHECKING:
    from pathlib import Path

    from dedup.fingerprint import Fingerprint

METADATA_KEY: Final = "dedup"
"""Of the entry in an ONNX file's metadata that holds `Facts` as JSON."""

_RULES_VERSION: Final = 3
"""Of exporting and of what the metadata mean: to be raised when either changes."""

_KEPT_FILES: Final = 12
"""The oldest of more are deleted: those of models and versions that are not used any more."""

_METADATA_FIELD: Final = (
    14  # of onnx.ModelProto; https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
)
_VARINT, _BYTES = 0, 2  # wire types of Protocol Buffers


@dataclass(frozen=True, slots=True)
class Facts:
    """What a runtime has to know of an exported model besides its graph.

    Attributes
    ----------
    dimensions : layer, as it was asked for -> D; their outputs follow those of the prediction
    prediction : its form, see `dedup.runtimes.export.form_of`
    height, width : of the images, pixels
    bf16 : whether embeddings in bf16 keep a cosine of 0.999 to those in fp32; None: not measured,
        on a CPU that does not compute in bf16
    weights_digest : of the weights that are in it, as in the fingerprint
    failure : why the model cannot be exported, in a few words; "" where it can
    """

    dimensions: dict[str, int]
    prediction: Any
    height: int
    width: int
    bf16: bool | None = None
    weights_digest: str = ""
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """An exported model: pixels in; tensors of the prediction, then embeddings of each layer out.

    Attributes
    ----------
    content : the ONNX file; of a failure it holds nothing but metadata
    """

    content: bytes
    facts: Facts

    @classmethod
    def failed(cls, reason: str) -> Graph:
        """Make what is remembered of a model that cannot be exported."""
        return cls(b"", Facts({}, None, 0, 0, failure=reason))


def stored_graph(fingerprint: Fingerprint, engine: str) -> Graph | None:
    """Find the graph of what a collection pins: shipped with the package, or in the cache.

    Parameters
    ----------
    engine : the one that it is to be proven in; a shipped graph is, in both
    """
    return _bundled(fingerprint) or read_graph(cache_folder(), _key(fingerprint, engine))


def keep_graph(fingerprint: Fingerprint, engine: str, graph: Graph) -> None:
    """Put a graph into the cache; where that cannot be done, nothing happens."""
    write_graph(cache_folder(), _key(fingerprint, engine), graph)


def graph_name(fingerprint: Fingerprint, engine: str) -> str:
    """Name the graph of what a collection pins, the same everywhere; "" of a shipped one."""
    return "" if _bundled(fingerprint) else _key(fingerprint, engine)


def graph_bytes(name: str) -> bytes | None:
    """Give the graph of a name as a file, for other machines; None where there is none here."""
    graph = read_graph(cache_folder(), name)
    return None if graph is None else graph.content


def keep_bytes(name: str, content: bytes) -> None:
    """Put what `graph_bytes` gave into the cache of this machine, if it is whole."""
    if parse_graph(content) is not None:
        _write_file(cache_folder(), name, content)


def cache_folder() -> Path:
    """Name the folder of exported models, below the user's cache folder."""
    import platformdirs

    folder: Path = platformdirs.user_cache_path("dedup", appauthor=False)
    return folder / "models"


def read_graph(folder: Path, key: str) -> Graph | None:
    """Read what `write_graph` wrote; None when it is missing or not whole."""
    for path in folder.glob(f"{key}-*.onnx"):
        try:
            content = path.read_bytes()
        except OSError:
            continue
        if path.stem == f"{key}-{_digest(content)}":
            return parse_graph(content)
    return None


def write_graph(folder: Path, key: str, graph: Graph) -> None:
    """Write a graph with its facts in one step; where that cannot be done, nothing happens."""
    _write_file(folder, key, graph_file(graph))


def _write_file(folder: Path, key: str, content: bytes) -> None:
    path = folder / f"{key}-{_digest(content)}.onnx"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        with atomic_write(path) as file:
            file.write(content)
        for other in folder.glob(f"{key}-*.onnx"):
            if other != path:
                other.unlink(missing_ok=True)
        files = folder.glob("*.onnx")
        for old in sorted(files, key=lambda one: -one.stat().st_mtime_ns)[_KEPT_FILES:]:
            old.unlink(missing_ok=True)
    except OSError:  # a full disk, a folder that cannot be written
        return


def graph_file(graph: Graph) -> bytes:
    """Give the bytes of an ONNX file that holds a graph and its facts."""
    import onnx

    entry = onnx.StringStringEntryProto(key=METADATA_KEY, value=json.dumps(asdict(graph.facts)))
    # Messages of Protocol Buffers are merged by appending one to the other.
    appended: bytes = onnx.ModelProto(metadata_props=[entry]).SerializeToString()
    return graph.content + appended


def parse_graph(content: bytes) -> Graph | None:
    """Read an ONNX file with its facts; None when they are not in it, or not as now."""
    try:
        facts = Facts(**json.loads(_metadata(content)[METADATA_KEY]))
    except (ValueError, KeyError, TypeError, IndexError):
        return None
    return Graph(content, facts)


def _bundled(fingerprint: Fingerprint) -> Graph | None:
    known = BUNDLED.get(fingerprint.model) if fingerprint.weights == "bundled" else None
    if known is None or known.digest != fingerprint.weights_digest:
        return None
    try:
        content = (WEIGHTS / known.graph).read_bytes()
    except OSError:
        return None
    graph = parse_graph(content) if _sha256(content) == known.graph_digest else None
    if graph is None or graph.facts.weights_digest != known.digest:
        return None
    size = graph.facts.height, graph.facts.width
    same = (*graph.facts.dimensions,) == fingerprint.layers
    return graph if same and size == (fingerprint.height, fingerprint.width) else None


def _key(fingerprint: Fingerprint, engine: str) -> str:
    """Derive a file's name from what a collection pins and the versions that are installed."""
    pinned = [
        fingerprint.model,
        fingerprint.weights_digest,
        fingerprint.layers,
        fingerprint.height,
        fingerprint.width,
        engine,
        *(version(package) for package in (engine, "timm")),
        _RULES_VERSION,
        *fingerprint.mean,
        *fingerprint.std,
    ]
    return _sha256(json.dumps(pinned).encode())[:32]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest(content: bytes) -> str:
    return xxhash.xxh3_128_hexdigest(content)


def _metadata(content: bytes) -> dict[str, str]:
    """Read the metadata of an ONNX file without parsing its graph, or importing `onnx`.

    Raises
    ------
    ValueError, IndexError : not an ONNX file.
    """
    entries = [
        dict(_fields(content, start, end))
        for field, (start, end) in _fields(content, 0, len(content))
        if field == _METADATA_FIELD
    ]
    return {
        content[slice(*entry[1])].decode(): content[slice(*entry[2])].decode() for entry in entries
    }


def _fields(content: bytes, at: int, end: int) -> list[tuple[int, tuple[int, int]]]:
    """List the fields of a Protocol Buffers message: number, and where its content lies."""
    found = []
    while at < end:
        tag, start = _varint(content, at)
        if tag & 7 not in (_VARINT, _BYTES):  # onnx.ModelProto has no others
            raise ValueError("not an ONNX file")
        value, after = _varint(content, start)
        if tag & 7 == _BYTES:
            start, after = after, after + value
        found.append((tag >> 3, (start, after)))
        at = after
    return found


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """Read an integer of variable length; gives it and where it ends."""
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004 - the format's mark for "more follows"
            return value, at
