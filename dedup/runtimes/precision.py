"""When computing in bf16 is faster, and how far it moves embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch.nn import functional

from dedup.parallel.hardware import AMPERE

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

AGREEMENT: Final = 0.999
"""Lowest cosine that two runtimes of the same weights may have, as a collection relies on."""

SAME: Final = 0.99999
"""Lowest cosine where nothing but rounding in fp32 differs."""


def computes_in_bf16(device: torch.device) -> bool:
    """Tell whether the hardware itself computes in bf16; emulation is slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= AMPERE
    # Torch has no public way to ask that all the versions allowed here share.
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())  # noqa: SLF001


def synthetic_images(height: int, width: int) -> npt.NDArray[np.uint8]:
    """Draw images on which rounding shows: smooth ones above all, and one with hard edges.

    Lowest cosine of MobileNetV2 (batch norms folded) in bf16 to fp32: .988 on the smooth ones,
    .998 with edges, .9998 on noise, .997 on 160 photographs.

    Returns
    -------
    (4, H, W, 3) uint8, always the same.
    """
    generator = torch.Generator().manual_seed(0)
    coarse = [torch.rand(1, 3, cells, cells, generator=generator) for cells in (4, 4, 16, 8)]
    modes = ("bicubic", "bicubic", "bicubic", "nearest")
    images = [
        functional.interpolate(grid, (height, width), mode=mode)
        for grid, mode in zip(coarse, modes, strict=True)
    ]
    scaled = torch.cat(images).clamp(0, 1).mul(255).round().to(torch.uint8)
    array: npt.NDArray[np.uint8] = scaled.permute(0, 2, 3, 1).contiguous().numpy()
    return array


def agreement(
    one: Mapping[str, npt.NDArray[np.float32]], other: Mapping[str, npt.NDArray[np.float32]]
) -> float:
    """Find the lowest cosine between the rows of two runs, over all layers; 1 without rows.

    Rows that are zero in both agree; values that are not finite never do.
    """
    lowest = 1.0
    for layer, first in one.items():
        second = other[layer]
        norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
        dots = np.einsum("bd,bd->b", first, second)
        both_zero = ~first.any(axis=1) & ~second.any(axis=1)
        cosines = np.where(both_zero, 1.0, dots / np.where(norms > 0, norms, 1.0))
        lowest = min(lowest, *np.nan_to_num(cosines, nan=-1.0).tolist())
    return lowest


def not_finite(layer: str) -> str:
    """Say that a model's weights, or the layer, cannot be used."""
    return (
        f"layer {layer!r} gave values that are not finite: "
        "the weights are damaged, or another layer has to be chosen."
    )
