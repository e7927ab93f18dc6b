"""Embeddings of files, as they are exported."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """Embeddings of M files; `table[layer]` gives one layer. Iterates over `paths`.

    Parameters
    ----------
    paths : absolute
    digests : SHA-256 of each file, hexadecimal
    width, height : (M,) int32, upright, pixels
    embeddings : per layer (M, D) float32, as the extractor gave them (kept as fp16)
    """

    paths: list[str]
    digests: list[str]
    width: npt.NDArray[np.int32]
    height: npt.NDArray[np.int32]
    embeddings: dict[str, npt.NDArray[np.float32]]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __getitem__(self, layer: str) -> npt.NDArray[np.float32]:
        return self.embeddings[layer]

    def to_arrow(self) -> Any:
        """Give a `pyarrow.Table`, as `export` writes it to Parquet; extra ``parquet``."""
        return import_module("dedup.report.forms").arrow_table(self)  # which knows this class
