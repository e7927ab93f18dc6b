"""An image that Pillow does not decode, to be treated like those that it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt


class LateImage(Image.Image):
    """Has a size and a mode at once, and pixels when they are asked for.

    Parameters
    ----------
    size : width and height
    decode : gives (H, W, 3) or (H, W) uint8 of that size, or raises what decoders raise
    """

    def __init__(
        self, size: tuple[int, int], mode: str, decode: Callable[[], npt.NDArray[np.uint8]]
    ) -> None:
        super().__init__()
        self._size = size
        self._mode = mode
        self._decode: Callable[[], npt.NDArray[np.uint8]] | None = decode

    def load(self) -> Any:
        """Decode, once."""
        if self._decode is not None:
            decode, self._decode = self._decode, None
            found = Image.fromarray(decode())
            if (found.size, found.mode) != (self._size, self._mode):
                raise ValueError("decoded to something else than it announced")
            self.im = found.im
        return super().load()
