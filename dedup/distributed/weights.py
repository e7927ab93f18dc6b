"""Weights and graphs of models that are not bundled: put into the store, read by each node once.

A graph that was exported once spares nodes that export: a gigabyte and half a minute in each
process that starts.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dedup.distributed.storage import MissingObjectError, Storage
from dedup.errors import WeightsError
from dedup.files import atomic_write
from dedup.models.weights import weights_file_digest
from dedup.runtimes.cache import graph_bytes, graph_name, keep_bytes
from dedup.runtimes.select import engine_for

if TYPE_CHECKING:
    from dedup.distributed.run import Run
    from dedup.fingerprint import Fingerprint


def weights_url(storage: Storage, path: Path) -> str:
    """Say where a weights file is put in the store."""
    return f"{storage.url}/{_key(path)}"


def put_weights(storage: Storage, path: Path) -> None:
    """Put a weights file into the store."""
    storage.put_new(_key(path), path.read_bytes())


def _key(path: Path) -> str:
    return f"weights/{weights_file_digest(path)}/{path.name}"


def weights_file(run: Run) -> Path | None:
    """Give the weights file of a collection on this node; None where its model needs none.

    Raises
    ------
    WeightsError : it is not the one that the collection was made with.
    """
    url = run.meta.weights
    if not url:
        return None
    import platformdirs

    folder, _, name = url.rpartition("/")
    digest = run.meta.pinned.weights_digest
    path = Path(platformdirs.user_cache_path("dedup", appauthor=False), "weights", digest, name)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(Storage.at(folder).get(name).data)
    if weights_file_digest(path) != digest:
        path.unlink()
        raise WeightsError(
            f"{url}: not the weights that this collection was made with (SHA-256 {digest[:12]}…)"
        )
    return path


def fetch_graph(run: Run) -> bool:
    """Bring the graph of a collection's model to this node; whether there is one here now."""
    name = _graph_name(run.meta.pinned)
    if not name or graph_bytes(name) is not None:
        return True
    try:
        keep_bytes(name, run.storage.get(f"weights/{name}.onnx").data)
    except MissingObjectError:
        return False
    return True


def put_graph(run: Run) -> None:
    """Put the graph of a collection's model into the store, where this node has made one."""
    name = _graph_name(run.meta.pinned)
    content = graph_bytes(name) if name else None
    if content is not None:
        run.storage.put_new(f"weights/{name}.onnx", content)


def _graph_name(pinned: Fingerprint) -> str:
    """Name the graph; "" where none is needed: it is shipped, or torch runs it, or no model."""
    engine = engine_for(pinned, "auto", "auto") if pinned.model else ""
    return graph_name(pinned, engine) if engine else ""
