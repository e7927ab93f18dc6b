"""Weights files of models that are not bundled: put into the store once, read by each node once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dedup.distributed.storage import Storage
from dedup.errors import WeightsError
from dedup.files import atomic_write
from dedup.models.weights import weights_file_digest

if TYPE_CHECKING:
    from dedup.distributed.run import Run


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
