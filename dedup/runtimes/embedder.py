"""What indexing and queries need of a model that is ready to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt


class Embedder(Protocol):
    """What turns images into embeddings of their content. Two threads may call at a time."""

    @property
    def batch_size(self) -> int:
        """Images per call that run best."""
        ...

    def embed(self, batch: npt.NDArray[np.uint8]) -> Mapping[str, npt.NDArray[np.float32]]:
        """Map each layer to (B, D) float32 for (B, H, W, 3) uint8 RGB."""
        ...

    def close(self) -> None:
        """Release the model."""
        ...
