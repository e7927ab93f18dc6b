"""A forward pass compiled into few kernels: memory is gone through once, not by each operation.

The pass is traced to plain operations first, hooks and rules included, so that nothing of the
model's Python runs afterwards. EfficientNet-B0 in bf16 on an H200: 39,800 images/s against 20,700
eager, for 16 seconds of compiling (batches of 512).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.fx.experimental.proxy_tensor import make_fx

from dedup.runtimes.export import form_of
from dedup.runtimes.graph import shaped

if TYPE_CHECKING:
    from dedup.runtimes.cuda import Outputs, Pass


def fuse(forward: Pass, pixels: torch.Tensor) -> Pass:
    """Compile a forward pass for inputs of one shape.

    Parameters
    ----------
    forward : gives the prediction, and a tensor per layer
    pixels : an input of the shape, on the device

    Raises
    ------
    Exception : whatever stands in the way of it: no compiler for C on this machine, an operation
        that cannot be traced
    """
    form: Any = None
    layers: tuple[str, ...] = ()

    def flat(pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        nonlocal form, layers
        prediction, outputs = forward(pixels)
        form, leaves = form_of(prediction)
        layers = tuple(outputs)
        return (*leaves, *outputs.values())

    graph = make_fx(flat)(pixels)
    # Not torch.compile, whose guards would compile again for each thread's settings.
    compiled = torch._inductor.compile(graph, [pixels])  # noqa: SLF001 - documented by that name

    def fused(pixels: torch.Tensor) -> Outputs:
        outputs = compiled(pixels)
        leaves = len(outputs) - len(layers)
        prediction = shaped(form, iter(outputs[:leaves]))
        return prediction, dict(zip(layers, outputs[leaves:], strict=True))

    return fused
