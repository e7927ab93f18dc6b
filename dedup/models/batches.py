"""From what callers have to what a model takes: tensors, arrays, images, pairs with labels, dicts.

`Intake` makes a batch ready; `batches_of` cuts up what is no batch yet. Running the model is left
to `dedup.models.extractor`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import nn

    from dedup.models.loading import LoadedModel

Transform: TypeAlias = Callable[[Any], Any]

LABELS: Final = ("labels", "label")
"""The keys of a dict that hold labels, and are not given to the model."""

_IMAGE: Final = 3  # sides of one image
_BATCH: Final = 4
_RGB: Final = 3
_PAIR: Final = 2
_DEEP_MODES: Final = ("I", "F")  # Pillow's for more than 8 bits, which it would cut off


@dataclass(frozen=True, slots=True)
class Batch:
    """What goes into one pass.

    Parameters
    ----------
    inputs, named : the arguments of the model, where it is
    labels : as they came; None where there are none
    images : how many there are
    """

    inputs: tuple[Any, ...]
    named: dict[str, Any]
    labels: Any
    images: int

    @property
    def is_square(self) -> bool:
        """Tell whether it is of images as high as wide."""
        first = next(_tensors(self), None)
        return first is not None and first.ndim == _BATCH and first.shape[2] == first.shape[3]

    def with_gradients(self) -> Batch:
        """Give inputs that slopes can be followed to: tensors of their own, and no leaves."""

        def followed(value: Any) -> Any:
            if not isinstance(value, torch.Tensor) or not value.is_floating_point():
                return value
            return value.detach().clone().requires_grad_().clone()  # may be worked on in place

        named = {name: followed(value) for name, value in self.named.items()}
        return Batch(tuple(map(followed, self.inputs)), named, self.labels, self.images)

    def resized(self, images: int) -> Batch:
        """Give the first images, or the same ones again until there are so many."""

        def fitted(value: Any) -> Any:
            if not isinstance(value, torch.Tensor) or value.ndim == 0 or len(value) != self.images:
                return value
            return value[torch.arange(images, device=value.device) % self.images]

        named = {name: fitted(value) for name, value in self.named.items()}
        return Batch(tuple(map(fitted, self.inputs)), named, None, images)


def _tensors(batch: Batch) -> Iterator[torch.Tensor]:
    for value in (*batch.inputs, *batch.named.values()):
        if isinstance(value, torch.Tensor) and value.ndim:
            yield value


class Intake:
    """Makes batches ready for one model: its device, its number format, its arguments.

    Parameters
    ----------
    transform : one image -> (C, H, W); None: as the configuration of a timm model says, the whole
        image resized to its input
    loaded : what says the input, where the model has been loaded with weights that do
    """

    def __init__(
        self, model: nn.Module, transform: Transform | None, loaded: LoadedModel | None
    ) -> None:
        self._model = model
        self._transform = transform
        self._loaded = loaded
        self._accepted = _arguments(model)

    def batch(self, given: Any, named: Mapping[str, Any] | None = None) -> Batch:
        """Make a batch ready.

        Raises
        ------
        ValueError, TypeError : it is no batch, or not one that this model takes.
        """
        labels = None
        if named:
            if given is not None:
                raise TypeError("give one batch, or inputs by name, not both")
            given = named
        if isinstance(given, tuple | list) and not _is_images(given):
            if given and all(_is_pair(each) for each in given):
                given = next(_grouped(given, len(given)))
            given, labels = _pair(given)
        inputs: tuple[Any, ...]
        if isinstance(given, Mapping):
            inputs, keywords, named_labels = self._of_mapping(given)
            labels = named_labels if labels is None else labels
        else:
            inputs, keywords = (self._placed(given),), {}
        batch = Batch(inputs, keywords, labels, 0)
        first = next(_tensors(batch), None)
        if first is None:
            raise TypeError(
                f"a batch is a tensor, an array, images, a dict, or a pair with labels, not "
                f"{type(given).__name__}"
            )
        return Batch(inputs, keywords, labels, len(first))

    def _of_mapping(self, given: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
        labels = next((given[name] for name in LABELS if name in given), None)
        values = {name: value for name, value in given.items() if name not in LABELS}
        known = {
            name: self._placed(value)
            for name, value in values.items()
            if self._accepted is None or name in self._accepted
        }
        if known:
            return (), known, labels
        if len(values) == 1:
            return (self._placed(*values.values()),), {}, labels
        raise ValueError(
            f"the batch has {', '.join(map(repr, values)) or 'nothing but labels'}, and "
            f"{type(self._model).__name__}.forward takes {', '.join(self._accepted or ())}: "
            "rename one, or give the images themselves"
        )

    def _placed(self, value: Any) -> Any:
        """Move an input to where the model is, in the format that it computes in."""
        if _is_image(value):
            value = [value]
        if _is_images(value):
            value = self._transformed(value)
        elif isinstance(value, np.ndarray):
            value = _tensor(value)
        if not isinstance(value, torch.Tensor):
            return value
        parameter = next(self._model.parameters(), None)
        if parameter is None:
            return value
        if not value.is_floating_point():
            return value.to(parameter.device)
        # The first of floating numbers: quantised weights may come before.
        computes = next((one for one in self._model.parameters() if one.is_floating_point()), None)
        return value.to(parameter.device, None if computes is None else computes.dtype)

    def _transformed(self, images: Sequence[Any]) -> torch.Tensor:
        if self._transform is None:
            self._transform = default_transform(self._model, self._loaded)
        made = [_made(self._transform(image)) for image in images]
        shapes = {tuple(each.shape) for each in made}
        if len(shapes) > 1:
            one, other = sorted(shapes)[:2]
            raise ValueError(
                f"transform gave {one} and {other} for images of one batch, which cannot be "
                "stacked; let it resize them to one size"
            )
        return torch.stack(made)


def batches_of(source: Any, size: int) -> tuple[Iterator[Any], int | None, int | None]:
    """Cut what holds images into batches.

    Parameters
    ----------
    source : a tensor or an array; a sequence of images, or of (image, label); any iterable of
        batches, such as a DataLoader
    size : images of a batch, where there are no batches yet

    Returns
    -------
    The batches; how many images there are in all, and how many batches, where that is known.
    """
    if isinstance(source, torch.Tensor | np.ndarray):
        if _is_image(source):
            return iter([source]), 1, 1
        count = len(source)
        starts = range(0, max(count, 1), size)
        return (source[at : at + size] for at in starts), count, len(starts)
    if isinstance(source, Mapping):
        return iter([source]), None, 1
    count_of = getattr(source, "__len__", None)
    in_all = count_of() if count_of is not None else None
    indexed = hasattr(source, "__getitem__")
    items = (
        iter(source)
        if hasattr(source, "__iter__") or in_all is None
        else (source[at] for at in range(in_all))  # as of data sets, which know no other end
    )
    first = next(items, None)
    items = chain([] if first is None else [first], items)
    if not _is_sample(first, indexed=indexed):
        return items, None, in_all
    return _grouped(items, size), in_all, None if in_all is None else -(-in_all // size)


def default_transform(model: nn.Module, loaded: LoadedModel | None) -> Transform:
    """Make the transform that a timm model's configuration describes; nothing is cropped.

    Raises
    ------
    ValueError : the model has no configuration.
    """
    if loaded is None and not isinstance(getattr(model, "pretrained_cfg", None), dict):
        raise ValueError(
            f"{type(model).__name__} does not say how images are to be made ready for it: give "
            "Extractor(..., transform=), one image to a (C, H, W) tensor"
        )
    from timm.data.config import resolve_model_data_config
    from timm.data.transforms_factory import create_transform
    from torchvision.transforms.functional import to_pil_image

    configuration: dict[str, Any] = resolve_model_data_config(model)  # type: ignore[no-untyped-call]  # timm's has no annotations
    configuration |= {"crop_pct": 1.0, "crop_mode": "squash"}
    if loaded is not None:
        configuration |= {
            "input_size": loaded.input_size,
            "mean": loaded.mean,
            "std": loaded.std,
        }
    whole = create_transform(**configuration, is_training=False)

    def transform(image: Any) -> Any:
        if isinstance(image, np.ndarray):
            image = to_pil_image(image)
        elif image.mode.startswith(_DEEP_MODES):
            raise ValueError(
                f"an image of mode {image.mode} has no range that is known: make it 8 bits deep, "
                "or give Extractor(..., transform=)"
            )
        return whole(image.convert("RGB"))

    return transform


def _arguments(model: nn.Module) -> tuple[str, ...] | None:
    """Name what a model takes; None: anything, or nobody knows."""
    try:
        parameters = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        return None
    return tuple(each.name for each in parameters if each.kind is not each.VAR_POSITIONAL)


def _is_image(value: Any) -> bool:
    """Tell whether this is one image for the transform: Pillow's, or (H, W, 3) of 8 bits."""
    if isinstance(value, np.ndarray):
        return value.dtype == np.uint8 and value.ndim == _IMAGE and value.shape[2] == _RGB
    pillow = sys.modules.get("PIL.Image")  # who has such an image has imported it
    return pillow is not None and isinstance(value, pillow.Image)


def _is_images(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype == np.uint8 and value.ndim == _BATCH and value.shape[3] == _RGB
    return isinstance(value, tuple | list) and len(value) > 0 and all(map(_is_image, value))


def _is_sample(item: Any, *, indexed: bool) -> bool:
    """Tell whether an item is one image, alone or with its label, and no batch.

    Of a tensor with three sides this is taken for granted where items have numbers, as those of a
    list or data set have: what gives batches has none.
    """
    if isinstance(item, Mapping):
        whole = any(
            isinstance(value, torch.Tensor) and value.ndim > _IMAGE for value in item.values()
        )
        return not whole and any(_is_one(value, indexed=indexed) for value in item.values())
    if isinstance(item, tuple | list) and len(item) == _PAIR and not _is_images(item):
        item = item[0]
    return _is_one(item, indexed=indexed)


def _is_pair(item: Any) -> bool:
    """Tell whether an item is one image with its label."""
    return isinstance(item, tuple | list) and len(item) == _PAIR and _is_image(item[0])


def _is_one(item: Any, *, indexed: bool) -> bool:
    if isinstance(item, torch.Tensor | np.ndarray) and not _is_image(item):
        return indexed and item.ndim == _IMAGE
    return _is_image(item)


def _grouped(items: Iterable[Any], size: int) -> Iterator[Any]:
    items = iter(items)
    while group := list(islice(items, size)):
        first = group[0]
        if isinstance(first, Mapping):
            yield {name: _stacked([each[name] for each in group]) for name in first}
        elif isinstance(first, tuple | list):
            images, labels = zip(*group, strict=True)
            yield _stacked(images), list(labels)
        else:
            yield _stacked(group)


def _stacked(items: Sequence[Any]) -> Any:
    if isinstance(items[0], torch.Tensor):
        return torch.stack(list(items))
    if isinstance(items[0], np.ndarray) and not _is_image(items[0]):
        return np.stack(items)
    return list(items)


def _pair(given: Sequence[Any]) -> tuple[Any, Any]:
    if len(given) == 1:
        return given[0], None
    sides = [each.ndim for each in given if isinstance(each, torch.Tensor | np.ndarray)]
    if len(given) != _PAIR or sides == [_IMAGE, _IMAGE]:
        raise ValueError(
            f"a batch of {len(given)} parts: give (images, labels), a dict of the model's inputs, "
            "or images in one tensor (torch.stack)"
        )
    return given[0], given[1]


def _made(value: Any) -> torch.Tensor:
    if isinstance(value, np.ndarray):
        value = _tensor(value)
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"transform gives a tensor or an array, not a {type(value).__name__}")
    return value


def _tensor(array: np.ndarray[Any, Any]) -> torch.Tensor:
    # Torch has no negative strides, and warns of memory that must not be written to.
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))
