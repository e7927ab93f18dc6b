"""From images to what the network takes; the trainer and the head both use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

MEAN = STD = (0.5, 0.5, 0.5)


def prepared(views: Pixels, device: torch.device) -> torch.Tensor:
    """Normalise (B, H, W, 3) uint8 to (B, 3, H, W) in channels_last order."""
    return normalised(torch.from_numpy(views).to(device).permute(0, 3, 1, 2).float(), 255)


def normalised(images: torch.Tensor, white: int) -> torch.Tensor:
    """Bring (B, 3, H, W) in [0, white] to what the network takes."""
    mean, std = (
        torch.tensor(values, device=images.device).view(1, 3, 1, 1) * white
        for values in (MEAN, STD)
    )
    return (images - mean) / std
