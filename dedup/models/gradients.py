"""How a prediction follows what layers put out, from the graph that one pass left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch

from dedup.errors import LayerError
from dedup.models.layers import first_tensor

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from dedup.models.features import FloatArray

_SIDES: Final = 2  # of a prediction with a score for each target


class Graph:
    """The graph of one pass; held, and its memory with it, as long as the features are.

    Parameters
    ----------
    prediction : of the model
    outputs : of layers, as they are in the graph
    turned : the layers whose outputs have the images on side 1
    """

    def __init__(
        self, prediction: Any, outputs: Mapping[str, torch.Tensor], turned: Collection[str] = ()
    ) -> None:
        self._prediction = first_tensor(prediction)
        self._outputs = outputs
        self._turned = turned

    def __call__(
        self, layer: str, target: int | Sequence[int] | None
    ) -> tuple[FloatArray, FloatArray]:
        """Give a layer's output, and the slope of the targets' scores at it.

        Raises
        ------
        LayerError : what enters a layer was asked for; or the prediction does not follow from it.
        ValueError : the prediction has no scores, or not of this target.
        """
        output = self._outputs.get(layer)
        if output is None:
            raise LayerError(f"{layer!r} is what enters a layer; slopes are of what one puts out")
        scores = self._prediction
        if scores is None or scores.ndim != _SIDES:
            raise ValueError("the prediction is not one score for each target: (B, targets)")
        with torch.inference_mode(mode=False), torch.enable_grad():
            best = scores.argmax(dim=1) if target is None else torch.as_tensor(target)
            chosen = best.to(scores.device).expand(len(scores))
            if not ((chosen >= 0) & (chosen < scores.shape[1])).all():
                raise ValueError(f"target is from 0 to {scores.shape[1] - 1}, not {target}")
            wanted = scores.gather(1, chosen[:, None]).sum()
            slopes = None
            if output.requires_grad:
                (slopes,) = torch.autograd.grad(
                    wanted, output, retain_graph=True, allow_unused=True
                )
        if slopes is None:
            raise LayerError(f"the prediction does not follow from layer {layer!r}")
        if layer in self._turned:
            output, slopes = output.transpose(0, 1), slopes.transpose(0, 1)
        return _on_host(output), _on_host(slopes)


def _on_host(tensor: torch.Tensor) -> FloatArray:
    array: FloatArray = tensor.detach().to("cpu", torch.float32).numpy()
    return array
