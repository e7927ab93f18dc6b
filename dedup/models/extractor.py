"""The extractor: a network runs once, and any of its layers hand over what they saw.

`Extractor` hooks named layers of any `torch.nn.Module` and returns host arrays: the model's
prediction and one embedding per image and layer. The class states every rule by which an
output becomes an embedding. Finding layers by name is left to `dedup.models.layers`; images,
devices and number formats to `dedup.runtimes.torch_runtime`.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, Self, get_args

import torch
from torch import nn

from dedup.errors import LayerError
from dedup.models.batches import Batch, Intake, batches_of
from dedup.models.choice import chosen
from dedup.models.features import Features
from dedup.models.gradients import Graph
from dedup.models.layers import INPUT_MARK, PREDICTION, find_module, undisturbed, unwrap
from dedup.models.loading import LoadedModel
from dedup.models.run import collect
from dedup.models.stores import store_for
from dedup.models.taking import (
    Calls,
    InputHook,
    OutputHook,
    Part,
    Taken,
    Taking,
    UnsettledError,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from types import TracebackType

    from dedup.answer import Progress
    from dedup.models.batches import Transform
    from dedup.models.choice import Chosen, Layers
    from dedup.models.features import FloatArray

__all__ = ["Calls", "Extractor", "Features", "on_host"]

_BATCH_IMAGES: Final = 32
_FAILURES: Final = (RuntimeError, ValueError, TypeError, LookupError, AssertionError)
"""What models raise on a number of images that they do not take."""


class Extractor:
    """Run a model once per batch and keep what any of its layers put out.

    Parameters
    ----------
    model : any module, or what `dedup.models.loading.load_model` gives. It is used as it is: its
        device, its parameters and its training flags stay. What `torch.compile` and data-parallel
        wrappers hold is taken out and run as written, because compiled graphs and replicas pass
        hooks by.
    layers : each a dotted name as `named_modules` gives it, a module of the model, or a pattern
        whose stars stand for one part of a name (``blocks.*``), alone or with its rule:
        ``("norm", "cls")``. A mapping gives them names of your own: ``{"early": ("blocks.1",
        "mean"), "map": ("blocks.3", None)}``. Further names: ``blocks.-1``, counted from the end;
        ``global_pool`` and ``embedding`` (the pre-logits) wherever a timm model keeps them
        (`resolve_layer`); ``NAME:input`` for what enters a layer; ``prediction`` for the model's
        own output. A layer asked for twice by one rule counts once.
    reduce : one vector an image from layers without a rule: "mean"; False keeps them whole: None
    calls : which output counts where a layer runs several times in a pass: the last, the first,
        or the mean of all. Under a module's two names it is the same module, and the calls of
        both count.
    gradients : keep the graph of each pass, for `Features.cam`: the memory of training, as long
        as its features are there
    transform : one image (Pillow's, or (H, W, 3) uint8) -> (C, H, W); None: what the
        configuration of a timm model says, the whole image resized, nothing cropped

    Attributes
    ----------
    layers : the names under which they are handed over
    resolved : each of these -> the name hooked

    Raises
    ------
    LayerError : on construction, no such layer; on a call, a layer that did not run, put out
        no tensor, or did not put out one row per image.
    TypeError, ValueError : on construction, what is no layer or no rule.

    Notes
    -----
    *From output to embedding*. An output that is a tuple, list or mapping counts by the first
    tensor in it, depth first. A rule goes over the sides that are places; by the number of sides:

    - B x C has none, and B becomes B x 1;
    - B x N x C, tokens: N, class and register tokens included; what a convolution, batch norm or
      pooling put out is B x C x N: N as well;
    - B x C x H x W, and more sides: all sides after C;
    - B x H x W x C: H and W. A map counts as such when the images are square and H = W holds only
      when it is read so; for other images, when the module or the model says
      ``output_fmt == "NHWC"`` (timm's Swin).

    The rules: "mean", "max", "gem" (generalised mean, power 3), "cls" (the first token), "flatten"
    (every value), a function of the whole output, which gives a row for each image; None keeps it
    whole, in the layout it has.

    Side 0 must be the batch: windows of attention, B * windows x N x C, are refused, rather than
    taken for images; None keeps them. Sequences that come first, L x B x C, are turned. They are
    known by one more pass, over another number of images, once for a layer whose shape leaves it
    open: side 1 followed the number, side 0 did not. Quantised outputs are dequantised; complex
    ones need a function that makes real ones of them.

    *Values*. Float32, averaged in float32, whatever the model or autocast computes in. They are
    copied inside the hook, so that a following operation that works in place (``ReLU(inplace)``)
    cannot change them. Vectors move to the host after the pass, whole outputs inside the hook:
    nothing stays on the device between calls.

    *State*. A call runs in inference mode, or with gradients, and with every module in evaluation
    mode; each training flag is back afterwards, also after an exception. Several extractors may
    share a model. Hooks are removed by `close`, at the end of a ``with`` block, when construction
    fails, and when the extractor is garbage; a forward pass outside of a call leaves nothing in
    them. Until then the model cannot be pickled, which says so; a deep copy of it is free of them.

    *Threads*. Calls from several threads do not see each other's outputs. The training flags
    belong to the model: share one among threads only while it is in evaluation mode. Passes of
    a model with compiled parts run one at a time.
    """

    def __init__(
        self,
        model: nn.Module | LoadedModel,
        layers: Layers = ("global_pool",),
        *,
        reduce: bool = True,
        calls: Calls = "last",
        gradients: bool = False,
        transform: Transform | None = None,
    ) -> None:
        loaded = model if isinstance(model, LoadedModel) else None
        module = model.module if isinstance(model, LoadedModel) else model
        if not isinstance(module, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module, not {type(model).__name__}")
        if calls not in get_args(Calls):
            raise ValueError(f"calls must be one of {', '.join(get_args(Calls))}, not {calls!r}")
        if gradients and calls == "mean":
            raise ValueError('gradients are of one output: calls is "last" or "first"')
        self._model = unwrap(module)
        self._gradients = gradients
        self._chosen = chosen(self._model, layers, "mean" if reduce else None)
        self.layers = tuple(one.name for one in self._chosen)
        self.resolved = {one.name: ", ".join(one.places) for one in self._chosen}
        if isinstance(self._model, torch.jit.ScriptModule) and (
            set(self.resolved.values()) - {PREDICTION}
        ):
            raise LayerError(
                "a scripted or traced model runs outside Python, where hooks are not called; "
                "give the model it was made from"
            )
        self._intake = Intake(self._model, transform, loaded)
        self._taking = Taking(self._model, calls=calls, gradients=gradients, sides={})
        self._of_prediction: list[Part] = []
        with ExitStack() as hooks:
            for one in self._chosen:
                for number, place in enumerate(one.places):
                    self._hook(Part(one.name, number, one.rule), place, hooks)
            # Bound to the stack and not to `self`, so that an extractor can become garbage.
            self._unhook = weakref.finalize(self, hooks.pop_all().close)

    def _hook(self, part: Part, place: str, hooks: ExitStack) -> None:
        if place == PREDICTION:
            self._of_prediction.append(part)
            return
        module = find_module(self._model, place)
        if place.endswith(INPUT_MARK):
            take = InputHook(part, self._taking)
            handle = module.register_forward_pre_hook(take, with_kwargs=True)
        else:
            handle = module.register_forward_hook(OutputHook(part, self._taking))
        hooks.callback(handle.remove)

    def __call__(self, batch: Any = None, /, **inputs: Any) -> Features:
        """Run the model on a batch.

        Parameters
        ----------
        batch : (B, ...), a tensor or array of what the model takes; images for the transform
            (Pillow's, or (B, H, W, 3) uint8); (images, labels), or a dict of the model's inputs
            with ``labels`` or ``label``: labels are not given to the model. What is floating
            becomes the model's number format, and all is moved to where its first parameter lives
        inputs : by name, in place of a batch: ``pixel_values=``

        Returns
        -------
        Per layer (B, D), rows in the order of the batch; whole outputs by the rule None.

        Raises
        ------
        LayerError : see the class.
        ValueError : the extractor is closed, or the batch is none that the model takes.
        TypeError : it is no batch.
        """
        return self._features(self._intake.batch(batch, inputs))

    def run(
        self,
        images: Any,
        *,
        batch_size: int = _BATCH_IMAGES,
        to: str | os.PathLike[str] | None = None,
        predictions: bool = True,
        progress: Progress | None = None,
    ) -> Features:
        """Run the model on many batches, and join what they give.

        Parameters
        ----------
        images : a loader, or any iterable of batches as a call takes them; or images: one tensor
            or array, a sequence or data set of images or of (image, label), an iterable of
            Pillow's
        batch_size : images of a pass, where `images` holds no batches
        to : where rows are put batch by batch, so that memory holds no more than a few: a file
            that ends in ``.parquet`` (columns, read each time they are asked for; extra
            `parquet`), else a new or empty folder (``LAYER.npy``, which are mapped); None: memory
        predictions : keep them; off, `Features.prediction` is None
        progress : called with "Extracting", how many images are done and how many there are; of
            a loader, batches; 0 where nobody knows

        Returns
        -------
        Per layer (N, ...), with the predictions, and the labels if the batches have some.

        Raises
        ------
        LayerError : see the class; or outputs are whole and differ in shape, or a prediction has
            no row for each image.
        ValueError : there are no images; labels do not fit; the extractor keeps gradients, which
            are of one pass, or is closed.
        DedupError : it cannot be written there. Then, as after each exception, nothing is.
        """
        if self._gradients:
            raise ValueError("gradients are of one pass: call the extractor with each batch")
        if batch_size < 1:
            raise ValueError(f"batch_size is at least 1, not {batch_size}")
        store, cut = store_for(to), batches_of(images, batch_size)
        return collect(
            cut,
            self._intake.batch,
            self._features,
            store,
            predictions=predictions,
            progress=progress,
        )

    def _features(self, batch: Batch) -> Features:
        with undisturbed(self._model, gradients=self._gradients):
            if self._gradients:
                batch = batch.with_gradients()
            prediction, taken = self._run(batch)
            return Features(
                _to_host_all(prediction),
                {layer: _to_host(one.value()) for layer, one in taken.items()},
                {layer: one.places for layer, one in taken.items()},
                self._graph(prediction, taken) if self._gradients else None,
            )

    @staticmethod
    def _graph(prediction: Any, taken: Mapping[str, Taken]) -> Graph:
        kept = {layer: one.source for layer, one in taken.items() if one.source is not None}
        return Graph(prediction, kept, {layer for layer, one in taken.items() if one.turned})

    def tensors(self, batch: torch.Tensor) -> tuple[Any, dict[str, torch.Tensor]]:
        """Run the model once as it stands; what a call makes arrays of, as tensors.

        For tracing: the model's flags, gradients and device are the caller's to settle.

        Raises
        ------
        LayerError : see the class.
        ValueError : the extractor is closed.
        """
        prediction, taken = self._run(Batch((batch,), {}, None, len(batch)))
        return prediction, {layer: one.value() for layer, one in taken.items()}

    def _run(self, batch: Batch) -> tuple[Any, dict[str, Taken]]:
        if not self._unhook.alive:
            raise ValueError("the extractor is closed")
        while True:
            try:
                return self._pass(batch)
            except UnsettledError as error:
                self._settle(error, batch)

    def _settle(self, open_by: UnsettledError, batch: Batch) -> None:
        """Find out which side follows the number of images, by a pass over another number."""
        other = batch.resized(batch.images - 1 if batch.images > 1 else 2)
        with self._taking.look(other.images):
            try:
                self._forward(other)
            except _FAILURES as error:
                raise LayerError(
                    f"which side of what layer {open_by.layer!r} put out is the images is left "
                    f"open by {batch.images} of them, and the model fails on {other.images}: "
                    f"{error}"
                ) from error
        self._taking.settle(open_by, batch.images)

    def _pass(self, batch: Batch) -> tuple[Any, dict[str, Taken]]:
        with self._taking.start(batch.images, square=batch.is_square) as taken:
            prediction = self._forward(batch)
        handed: dict[str, Taken] = {}
        missing = []
        for one in self._chosen:
            parts = [taken.get((one.name, number)) for number in range(len(one.places))]
            found = [part for part in parts if part is not None]
            if len(found) < len(parts):
                missing.append(one.name)
            else:
                handed[one.name] = _as_one(one, found)
        if missing:
            raise LayerError(_did_not_run(missing))
        return prediction, handed

    def _forward(self, batch: Batch) -> Any:
        prediction = self._model(*batch.inputs, **batch.named)
        for part in self._of_prediction:
            self._taking.take(part, self._model, prediction)
        return prediction

    def close(self) -> None:
        """Remove the hooks. The model stays; closing twice does nothing."""
        self._unhook()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def on_host(prediction: Any, outputs: Mapping[str, torch.Tensor]) -> Features:
    """Make arrays of what `Extractor.tensors` gave, wherever that is."""
    return Features(
        _to_host_all(prediction), {layer: _to_host(output) for layer, output in outputs.items()}
    )


def _as_one(one: Chosen, parts: list[Taken]) -> Taken:
    """Make one value of what several places gave."""
    if len(parts) == 1:
        return parts[0]
    values = [part.value() for part in parts]
    joined = torch.cat(values, 1) if one.side_by_side else torch.stack(values).mean(0)
    return Taken(joined, parts[0].places, None, turned=False)


def _to_host(tensor: torch.Tensor) -> FloatArray:
    array: FloatArray = tensor.cpu().contiguous().numpy()
    return array


def _to_host_all(output: Any) -> Any:
    if isinstance(output, torch.Tensor):
        output = output.dequantize() if output.is_quantized else output
        dtype = torch.float32 if output.is_floating_point() else output.dtype
        # A copy, because a model may return its own buffer, or its input.
        return output.detach().to("cpu", dtype, copy=True).numpy()
    if isinstance(output, Mapping):
        return {name: _to_host_all(item) for name, item in output.items()}
    if isinstance(output, tuple | list):
        return tuple(_to_host_all(item) for item in output)
    return output


def _did_not_run(layers: Sequence[str]) -> str:
    named = ", ".join(repr(layer) for layer in layers)
    return (
        f"no output from {named}: not run in this forward pass. Containers (ModuleList) and "
        "branches that serve only training never run themselves; choose a layer inside or beside"
    )
