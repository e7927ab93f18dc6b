"""Embeddings as a step of scikit-learn: `ImageEmbedder`, from images to rows of numbers.

Images are read, resized and embedded as `Collection.index` does it, so that the rows are those of
a collection that was made with the same model. Needs the extra `sklearn`.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from dedup.binding import prepare, runtime
from dedup.errors import ExtraMissingError, WeightsError
from dedup.fingerprint import CONTENT
from dedup.images.decode import decode_square, read_file
from dedup.images.resize import resize
from dedup.images.rgb import to_rgb
from dedup.spec import ModelSpec, Runtime

try:
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:
    raise ExtraMissingError("dedup.sklearn", "sklearn") from error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt

    from dedup.runtimes.select import Runtime as ReadyRuntime

    Pixels = npt.NDArray[np.uint8]

_RGB: Final = 3
_SIDES: Final = 3  # of one image
_COLUMN: Final = 2  # sides of a column of paths


class ImageEmbedder(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # has no annotations
    """Embed images as a step of a scikit-learn pipeline.

    Images are paths, the bytes of files, Pillow's images, or arrays (H, W, 3) of uint8, RGB; each
    is resized as a whole to the input of the model. Nothing is learned from them.

    Parameters
    ----------
    model : as `ModelSpec` takes it; None: the bundled one
    weights : as `ModelSpec` takes them
    layers : names, or one; their embeddings come side by side. None: the one that the model is
        meant for
    device : ``auto``, ``cpu``, ``cuda`` or ``cuda:N``

    Attributes
    ----------
    dimensions_ : layer -> columns of its embeddings
    weights_digest_ : SHA-256 of the weights. A fitted embedder that is loaded from a file embeds
        by these, or says that they have changed
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        weights: str | os.PathLike[str] | None = None,
        layers: str | Sequence[str] = (),
        device: str = "auto",
    ) -> None:
        self.model = model
        self.weights = weights
        self.layers = layers
        self.device = device

    def fit(self, X: Any = None, y: Any = None) -> Self:  # noqa: N803, ARG002  # scikit-learn's
        """Load the model; the images are not looked at.

        Raises
        ------
        ModelError : unknown model or layer, weights that are missing or do not fit.
        TypeError, ValueError : a parameter of a wrong type or value.
        """
        self._runtime, self.weights_digest_ = self._start()
        self.dimensions_ = dict(self._runtime.dimensions)
        return self

    def transform(self, X: Iterable[Any]) -> npt.NDArray[np.float32]:  # noqa: N803  # scikit-learn's
        """Embed images.

        Returns
        -------
        (N, D) float32, rows in the order of the images, the layers side by side.

        Raises
        ------
        ImageError : a file cannot be read as an image; names it.
        TypeError, ValueError : something in X is no image.
        WeightsError : the weights are no longer those that it was fitted with.
        """
        check_is_fitted(self)
        ready = self._ready()
        images = _listed(X)
        rows = np.empty((len(images), sum(self.dimensions_.values())), np.float32)
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            for start in range(0, len(images), ready.batch_size):
                some = images[start : start + ready.batch_size]
                batch = np.stack(list(threads.map(lambda one: _pixels(one, *ready.input_hw), some)))
                features = ready.embed(batch)
                rows[start : start + len(some)] = np.concatenate(list(features.values()), axis=1)
        return rows

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:  # noqa: ARG002
        """Name the columns: the layer, and a number from 0."""
        check_is_fitted(self)
        names = [f"{layer}_{at}" for layer, size in self.dimensions_.items() for at in range(size)]
        return np.array(names, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.no_validation = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        # Without what runs the model, which cannot be saved; it is started again when needed.
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_runtime"}

    def _ready(self) -> ReadyRuntime:
        if not hasattr(self, "_runtime"):
            ready, digest = self._start()
            if digest != self.weights_digest_:
                ready.close()
                raise WeightsError(
                    f"{self.model or 'the default model'} has other weights now than when this "
                    "ImageEmbedder was fitted: fit it again, and what comes after it"
                )
            self._runtime = ready
        return self._runtime

    def _start(self) -> tuple[ReadyRuntime, str]:
        from dedup.models.loading import load_model
        from dedup.runtimes.select import ready_runtime

        spec = ModelSpec(self.model, self.weights, layers=self.layers, views=CONTENT)
        where = Runtime(self.device)
        chosen = prepare(spec)
        known = chosen.fingerprint
        ready: ReadyRuntime | None = None
        if chosen.loaded is None:
            ready = ready_runtime(known, where.device, where.engine)
        if ready is None:
            ready = runtime(chosen.loaded or load_model(known.model), known, where)
        return ready, known.weights_digest


def _listed(images: Iterable[Any]) -> Sequence[Any] | npt.NDArray[Any]:
    """Give images as a sequence; a column of paths as they are."""
    if isinstance(images, str | bytes | os.PathLike):
        raise TypeError("X is several images; for one, give a list of it")
    if isinstance(images, np.ndarray):
        return images[:, 0] if images.ndim == _COLUMN and images.shape[1] == 1 else images
    values = getattr(images, "to_numpy", None)  # pandas' and Polars' series and frames
    return _listed(values()) if values is not None else list(_checked(images))


def _checked(images: Iterable[Any]) -> Iterator[Any]:
    if not hasattr(images, "__iter__"):
        raise TypeError(f"X is a sequence of images, not {type(images).__name__}")
    yield from images


def _pixels(image: Any, height: int, width: int) -> Pixels:
    if isinstance(image, str | os.PathLike):
        path = os.fspath(image)
        return decode_square(read_file(path), height, width, path).pixels
    if isinstance(image, bytes):
        return decode_square(image, height, width).pixels
    if hasattr(image, "getbands"):  # Pillow's
        image = to_rgb(image)
    if not isinstance(image, np.ndarray):
        raise TypeError(
            f"an image is a path, bytes, an array or Pillow's, not {type(image).__name__}"
        )
    if image.dtype != np.uint8 or image.ndim != _SIDES or image.shape[2] != _RGB:
        raise ValueError(
            f"an image is (H, W, 3) uint8, not {image.shape} {image.dtype}; values from 0 to 1 "
            "have to be multiplied by 255"
        )
    return resize(np.ascontiguousarray(image), height, width)
