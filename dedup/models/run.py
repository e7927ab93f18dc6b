"""Many batches through one extractor: their features, predictions and labels joined to columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import torch

from dedup.errors import LayerError
from dedup.models.features import Features

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dedup.answer import Progress
    from dedup.models.batches import Batch
    from dedup.models.features import Kept
    from dedup.models.stores import Store

    Array = npt.NDArray[Any]

LABEL: Final = "label"
"""The name of the column of labels, in a file."""

_PREDICTION: Final = "prediction"
_NUMBERS: Final = "biuf"
_TEXT: Final = "U"


@dataclass(frozen=True, slots=True)
class _Column:
    """Stands in a prediction for one of its arrays."""

    name: str


def collect(
    cut: tuple[Iterator[Any], int | None, int | None],
    ready: Callable[[Any], Batch],
    extract: Callable[[Batch], Features],
    store: Store,
    *,
    predictions: bool,
    progress: Progress | None,
) -> Features:
    """Run batch after batch, and give all rows as one.

    Parameters
    ----------
    cut : as `dedup.models.batches.batches_of` gives it
    predictions : keep them

    Raises
    ------
    LayerError : what was put out has no row for each image, or rows that differ in shape.
    ValueError : there are no images, or labels that do not fit.
    """
    batches, images, count = cut
    joined = _Joined(predictions=predictions)
    done = 0
    with store:
        try:
            for number, given in enumerate(batches, 1):
                batch = ready(given)
                rows = joined.rows(extract(batch), batch)
                store.add(rows, images or (count or 0) * batch.images)
                done += batch.images
                if progress is not None:
                    shown = (number, count or 0) if images is None else (done, images)
                    progress("Extracting", *shown)
        except Exception as error:
            error.add_note(f"After {done} images; nothing of the run is kept.")
            raise
        if joined.first is None:
            raise ValueError("there are no images to run")
    return joined.features(store.columns())


class _Joined:
    """What batches have in common, checked of each."""

    def __init__(self, *, predictions: bool) -> None:
        self.first: Features | None = None
        self._predictions = predictions
        self._form: Any = None
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._label_kind = ""

    def rows(self, features: Features, batch: Batch) -> dict[str, Array]:
        """Take the rows of one batch from its features."""
        rows: dict[str, Array] = dict(features)
        form: Any = None
        if self._predictions:
            form = _taken_apart(features.prediction, _name_for(features), rows)
        labels = None if batch.labels is None else _label_rows(batch.labels, batch.images)
        if labels is not None:
            if LABEL in rows:
                raise ValueError(f"{LABEL!r} is the column of labels: name the layer otherwise")
            rows[LABEL] = labels
        kind = "" if labels is None else _kind(labels)
        if self.first is None:
            self.first, self._form, self._label_kind = features, form, kind
            self._shapes = {name: some.shape[1:] for name, some in rows.items()}
        if kind != self._label_kind:
            before, now = (each or "none" for each in (self._label_kind, kind))
            raise ValueError(f"labels: {before} in the batches before, {now} in this one")
        self._check(rows, batch.images, features)
        return rows

    def _check(self, rows: Mapping[str, Array], images: int, features: Features) -> None:
        if rows.keys() != self._shapes.keys():
            raise LayerError(
                "the prediction changes its form from batch to batch: run(predictions=False)"
            )
        for name, some in rows.items():
            what = f"layer {name!r} put out" if name in features else f"the {name} is"
            way_out = (
                "give it a rule, such as mean" if name in features else "run(predictions=False)"
            )
            if some.ndim == 0 or len(some) != images:
                raise LayerError(
                    f"{what} {some.shape} for {images} images, not one row for each: {way_out}"
                )
            if some.shape[1:] != self._shapes[name]:
                raise LayerError(
                    f"{what} {some.shape[1:]} an image, and {self._shapes[name]} in batches "
                    f"before, which cannot be joined: {way_out}"
                )

    def features(self, columns: Mapping[str, Array | Kept]) -> Features:
        """Give the joined columns as features."""
        first = self.first or Features((), {})
        outputs = {layer: columns[layer] for layer in first}
        prediction = _put_together(self._form, columns) if self._predictions else None
        return first.joined(outputs, prediction, columns.get(LABEL))


def _name_for(features: Features) -> str:
    """Name the prediction's column; where a layer is called so and is the same, it is that one."""
    if _PREDICTION not in features:
        return _PREDICTION
    own, whole = features[_PREDICTION], features.prediction
    same = isinstance(whole, np.ndarray) and whole.dtype == own.dtype and whole.shape == own.shape
    return _PREDICTION if same else f"{_PREDICTION}.whole"


def _taken_apart(prediction: Any, name: str, rows: dict[str, Array]) -> Any:
    """Put the arrays of a prediction among the rows, and give its form without them."""
    if isinstance(prediction, np.ndarray):
        rows[name] = prediction
        return _Column(name)
    if isinstance(prediction, tuple):
        parts = enumerate(prediction)
        return tuple(_taken_apart(part, f"{name}.{place}", rows) for place, part in parts)
    if isinstance(prediction, dict):
        return {key: _taken_apart(part, f"{name}.{key}", rows) for key, part in prediction.items()}
    return prediction


def _put_together(form: Any, columns: Mapping[str, Any]) -> Any:
    if isinstance(form, _Column):
        return columns[form.name]
    if isinstance(form, tuple):
        return tuple(_put_together(part, columns) for part in form)
    if isinstance(form, dict):
        return {key: _put_together(part, columns) for key, part in form.items()}
    return form


def _label_rows(given: Any, images: int) -> Array:
    if isinstance(given, torch.Tensor):
        given = given.detach().cpu().numpy()
    try:
        rows: Array = np.asarray(given)
    except ValueError as error:  # of several lengths
        raise ValueError(f"labels have one shape in all: {error}") from error
    if rows.dtype.kind not in _NUMBERS + _TEXT:
        raise ValueError(f"labels are numbers or texts, not {type(given).__name__} of {rows.dtype}")
    if rows.dtype.kind == _TEXT and not isinstance(given, np.ndarray):
        others = {type(each).__name__ for each in given if not isinstance(each, str | list | tuple)}
        if others:
            raise ValueError(f"labels are texts beside {', '.join(sorted(others))}; make them one")
    if rows.ndim == 0 or len(rows) != images:
        raise ValueError(f"labels of shape {rows.shape} for {images} images")
    return rows


def _kind(rows: Array) -> str:
    if rows.dtype.kind == _TEXT:
        return "texts"
    return f"numbers of shape {rows.shape[1:]}" if rows.ndim > 1 else "numbers"
