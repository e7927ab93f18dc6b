"""The extractor: a network runs once, and any of its layers hand over what they saw.

`Extractor` hooks named layers of any `torch.nn.Module` and returns host arrays: the model's
prediction and one embedding per image and layer. The class states every rule by which an
output becomes an embedding. Finding layers by name is left to `dedup.models.layers`; images,
devices and number formats to `dedup.runtimes.torch_runtime`.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias, get_args

import torch
from torch import nn

from dedup.errors import LayerError
from dedup.models.features import Features
from dedup.models.gradients import Graph
from dedup.models.layers import (
    INPUT_MARK,
    PREDICTION,
    find_module,
    first_tensor,
    resolve_layer,
    undisturbed,
    unwrap,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from dedup.models.features import FloatArray

__all__ = ["Calls", "Extractor", "Features", "on_host"]

Calls: TypeAlias = Literal["last", "first", "mean"]

_TOKENS: Final = 3  # sides of B x N x C
_MAP: Final = 4  # sides of B x C x H x W, and of a batch of images
# The modules whose output has its channels on side 1 by definition; torch has no public base
# class for each of these families.
_CHANNELS_FIRST: Final = (
    nn.modules.conv._ConvNd,  # noqa: SLF001
    nn.modules.batchnorm._NormBase,  # noqa: SLF001
    nn.modules.pooling._MaxPoolNd,  # noqa: SLF001
    nn.modules.pooling._AvgPoolNd,  # noqa: SLF001
    nn.modules.pooling._AdaptiveAvgPoolNd,  # noqa: SLF001
    nn.modules.pooling._AdaptiveMaxPoolNd,  # noqa: SLF001
    nn.GroupNorm,
)


class Extractor:
    """Run a model once per batch and keep what any of its layers put out.

    Parameters
    ----------
    model : any module. It is used as it is: its device, its parameters and its training flags
        stay. What `torch.compile` and data-parallel wrappers hold is taken out and run as
        written, because compiled graphs and replicas pass hooks by.
    layers : dotted names as `named_modules` gives them; ``global_pool`` wherever a timm model
        keeps it (`resolve_layer`); ``NAME:input`` for what enters a layer; ``prediction`` for
        the model's own output. A name given twice counts once.
    reduce : one vector per image; False keeps every output whole, in the layout it has
    calls : which output counts where a layer runs several times in a pass: the last, the first,
        or the mean of all. Under a module's two names it is the same module, and the calls of
        both count.
    gradients : keep the graph of each pass, for `Features.cam`: the memory of training, as long
        as its features are there

    Attributes
    ----------
    layers : the names as they were asked for
    resolved : the name asked for -> the name hooked

    Raises
    ------
    LayerError : on construction, no such layer; on a call, a layer that did not run, put out
        no tensor, or did not put out one row per image.

    Notes
    -----
    *From output to embedding* (`reduce`). An output that is a tuple, list or mapping counts by
    the first tensor in it, depth first. Then, by the number of its sides:

    - B x C stays, and B becomes B x 1;
    - B x N x C, tokens, is averaged over N, class and register tokens included; what a
      convolution, batch norm or pooling put out is B x C x N and is averaged over N as well;
    - B x C x H x W, and more sides, is averaged over all sides after C;
    - B x H x W x C is averaged over H and W. A map counts as such when the images are square
      and H = W holds only when it is read so; for other images, when the module or the model
      says ``output_fmt == "NHWC"`` (timm's Swin).

    Side 0 must be the batch: windows of attention, B * windows x N x C, and sequences that come
    first are refused, rather than taken for images; ``reduce=False`` keeps them.

    *Values*. Float32, averaged in float32, whatever the model or autocast computes in. They are
    copied inside the hook, so that a following operation that works in place (``ReLU(inplace)``)
    cannot change them. Vectors move to the host after the pass, whole outputs inside the hook:
    nothing stays on the device between calls.

    *State*. A call runs in inference mode, or with gradients, and with every module in evaluation
    mode; each training flag is back afterwards, also after an exception. Several extractors may
    share a model. Hooks are removed by `close`, at the end of a ``with`` block, when construction
    fails, and when the extractor is garbage; a forward pass outside of a call leaves nothing in
    them.

    *Threads*. Calls from several threads do not see each other's outputs. The training flags
    belong to the model: share one among threads only while it is in evaluation mode. Passes of
    a model with compiled parts run one at a time.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[str] = ("global_pool",),
        *,
        reduce: bool = True,
        calls: Calls = "last",
        gradients: bool = False,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module, not {type(model).__name__}")
        if isinstance(layers, str):
            raise TypeError(f"layers must be a sequence of names; for one, give [{layers!r}]")
        if calls not in get_args(Calls):
            raise ValueError(f"calls must be one of {', '.join(get_args(Calls))}, not {calls!r}")
        if gradients and calls == "mean":
            raise ValueError('gradients are of one output: calls is "last" or "first"')
        self._model = unwrap(model)
        self._gradients = gradients
        self.layers = tuple(dict.fromkeys(layers))
        self.resolved = {layer: resolve_layer(self._model, layer) for layer in self.layers}
        if isinstance(self._model, torch.jit.ScriptModule) and set(self.layers) - {PREDICTION}:
            raise LayerError(
                "a scripted or traced model runs outside Python, where hooks are not called; "
                "give the model it was made from"
            )
        self._taking = _Taking(
            reduce=reduce,
            calls=calls,
            gradients=gradients,
            model_is_channels_last=_says_channels_last(self._model),
        )
        with ExitStack() as hooks:
            for layer, resolved in self.resolved.items():
                if resolved != PREDICTION:
                    module = find_module(self._model, resolved)
                    hooks.callback(_hook(module, layer, resolved, self._taking).remove)
            # Bound to the stack and not to `self`, so that an extractor can become garbage.
            self._unhook = weakref.finalize(self, hooks.pop_all().close)

    def __call__(self, batch: torch.Tensor) -> Features:
        """Run the model on a batch.

        Parameters
        ----------
        batch : (B, ...), what the model takes; moved to where its first parameter lives

        Returns
        -------
        Per layer (B, D), rows in the order of the batch; whole outputs if `reduce` is off.

        Raises
        ------
        LayerError : see the class.
        ValueError : the extractor is closed.
        """
        parameter = next(self._model.parameters(), None)
        if parameter is not None:
            batch = batch.to(parameter.device)
        with undisturbed(self._model, gradients=self._gradients):
            if self._gradients and batch.is_floating_point():
                # A tensor of its own, and no leaf, which may be worked on in place.
                batch = batch.detach().clone().requires_grad_().clone()
            prediction, taken = self._run(batch)
            return Features(
                _to_host_all(prediction),
                {layer: _to_host(one.value()) for layer, one in taken.items()},
                {layer: one.places for layer, one in taken.items()},
                self._graph(prediction, taken) if self._gradients else None,
            )

    @staticmethod
    def _graph(prediction: Any, taken: Mapping[str, _Taken]) -> Graph:
        kept = {layer: one.source for layer, one in taken.items() if one.source is not None}
        return Graph(prediction, kept)

    def tensors(self, batch: torch.Tensor) -> tuple[Any, dict[str, torch.Tensor]]:
        """Run the model once as it stands; what a call makes arrays of, as tensors.

        For tracing: the model's flags, gradients and device are the caller's to settle.

        Raises
        ------
        LayerError : see the class.
        ValueError : the extractor is closed.
        """
        prediction, taken = self._run(batch)
        return prediction, {layer: one.value() for layer, one in taken.items()}

    def _run(self, batch: torch.Tensor) -> tuple[Any, dict[str, _Taken]]:
        if not self._unhook.alive:
            raise ValueError("the extractor is closed")
        with self._taking.start(batch) as taken:
            prediction = self._model(batch)
            if PREDICTION in self.resolved:
                self._taking.take(PREDICTION, self._model, prediction)
        missing = [layer for layer in self.layers if layer not in taken]
        if missing:
            raise LayerError(_did_not_run(missing))
        return prediction, {layer: taken[layer] for layer in self.layers}

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


class _Taken:
    """One layer's output in the running pass.

    Parameters
    ----------
    tensor : what is handed over of it
    places : the sides of the whole output that are averaged
    source : the output itself, where gradients are kept
    """

    def __init__(
        self, tensor: torch.Tensor, places: tuple[int, ...], source: torch.Tensor | None
    ) -> None:
        self.tensor = tensor
        self.places = places
        self.source = source
        self.calls = 1

    def value(self) -> torch.Tensor:
        return self.tensor / self.calls if self.calls > 1 else self.tensor


class _Taking(threading.local):
    """What hooks write to while a pass runs on their thread, and ignore at other times."""

    def __init__(
        self, *, reduce: bool, calls: Calls, gradients: bool, model_is_channels_last: bool
    ) -> None:
        self.reduce = reduce
        self.gradients = gradients
        self.calls = calls
        self.model_is_channels_last = model_is_channels_last
        self.taken: dict[str, _Taken] | None = None
        self.batch_size = 0
        self.square = False

    def start(self, batch: torch.Tensor) -> _Pass:
        self.batch_size = len(batch)
        self.square = batch.ndim == _MAP and batch.shape[2] == batch.shape[3]
        return _Pass(self)

    def take(self, layer: str, module: nn.Module, output: Any, *, enters: bool = False) -> None:
        if self.taken is None:
            return
        before = self.taken.get(layer)
        if before is not None and self.calls == "first":
            return
        tensor = first_tensor(output)
        if tensor is None:
            raise LayerError(f"layer {layer!r} put out a {type(output).__name__}, and no tensor")
        plain = tensor.detach()
        value = self._vectors(layer, module, plain) if self.reduce else _copy(plain).cpu()
        if before is None or self.calls == "last":
            whole = tensor.ndim >= _TOKENS and len(tensor) == self.batch_size
            places = self._averaged_sides(module, tensor) if whole else ()
            kept = tensor if self.gradients and not enters else None
            self.taken[layer] = _Taken(value, places, kept)
        elif before.tensor.shape != value.shape:
            shapes = f"{tuple(before.tensor.shape)} and {tuple(value.shape)}"
            raise LayerError(f"layer {layer!r} put out {shapes}, which have no mean")
        else:
            before.tensor += value
            before.calls += 1

    def _vectors(self, layer: str, module: nn.Module, output: torch.Tensor) -> torch.Tensor:
        if output.ndim == 0 or len(output) != self.batch_size:
            raise LayerError(
                f"layer {layer!r} put out {tuple(output.shape)} for {self.batch_size} images, "
                "not one row for each; choose another layer, or keep it whole (reduce=False)"
            )
        if output.ndim == 1:
            output = output[:, None]
        sides = self._averaged_sides(module, output)
        return output.mean(sides, dtype=torch.float32) if sides else _copy(output)

    def _averaged_sides(self, module: nn.Module, output: torch.Tensor) -> tuple[int, ...]:
        first = isinstance(module, _CHANNELS_FIRST)
        if output.ndim == _TOKENS:
            return (2,) if first else (1,)
        if output.ndim == _MAP and not first:
            _, one, two, three = output.shape
            if self.square and (one == two) != (two == three):
                last = one == two
            else:
                last = self.model_is_channels_last or _says_channels_last(module)
            if last:
                return (1, 2)
        return tuple(range(2, output.ndim))


class _Pass:
    """The time in which hooks take: from the start of a forward pass to its end or exception."""

    def __init__(self, taking: _Taking) -> None:
        self._taking = taking

    def __enter__(self) -> dict[str, _Taken]:
        taken: dict[str, _Taken] = {}
        self._taking.taken = taken
        return taken

    def __exit__(self, *_: object) -> None:
        self._taking.taken = None


def _hook(
    module: nn.Module, layer: str, resolved: str, taking: _Taking
) -> torch.utils.hooks.RemovableHandle:
    # Functions, not bound methods: a model with hooks can then still be deep-copied.
    if resolved.endswith(INPUT_MARK):

        def take_input(module: nn.Module, inputs: Any, named: Any) -> None:
            taking.take(layer, module, (inputs, named), enters=True)

        return module.register_forward_pre_hook(take_input, with_kwargs=True)

    def take_output(module: nn.Module, _inputs: Any, output: Any) -> Any:
        taking.take(layer, module, output)
        if taking.gradients and taking.taken is not None and isinstance(output, torch.Tensor):
            return output.clone()  # which may be worked on in place: slopes are at the output
        return None

    return module.register_forward_hook(take_output)


def _says_channels_last(module: nn.Module) -> bool:
    return str(getattr(module, "output_fmt", "")).upper().endswith("NHWC")


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to(torch.float32, copy=True)


def _to_host(tensor: torch.Tensor) -> FloatArray:
    array: FloatArray = tensor.cpu().contiguous().numpy()
    return array


def _to_host_all(output: Any) -> Any:
    if isinstance(output, torch.Tensor):
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
