"""The transformer for scikit-learn: its contract, what it takes, and the rows of a collection."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from dedup import Collection, ImageError, LayerError, ModelSpec, WeightsError

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("sklearn", reason="needs the extra sklearn")

from sklearn import clone
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

from dedup.sklearn import ImageEmbedder

CHECKS = [
    "check_estimator_repr",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
    "check_valid_tag_types",
]


@pytest.fixture(scope="module")
def embedder() -> ImageEmbedder:
    return ImageEmbedder().fit()


def arrays(count: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (count, 60, 80, 3), np.uint8)


def test_it_passes_the_checks_that_apply_to_images() -> None:
    with pytest.warns(SkipTestWarning, match="Can't test estimator ImageEmbedder"):
        estimator_checks.check_estimator(ImageEmbedder())
    for name in CHECKS:
        getattr(estimator_checks, name)("ImageEmbedder", ImageEmbedder())


def test_rows_are_those_of_a_collection(tmp_path: Path, embedder: ImageEmbedder) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path, pixels in zip(paths, arrays(3), strict=True):
        Image.fromarray(pixels).save(path)
    with Collection.create(tmp_path / "store", ModelSpec(views="content")) as collection:
        collection.index([tmp_path])
        table = collection.features()
    wanted = table["prediction"][[table.paths.index(str(path)) for path in paths]]
    found = embedder.transform(paths)
    np.testing.assert_allclose(found, wanted, atol=2e-3 * np.abs(wanted).max())  # kept as fp16
    for given in (
        np.array([str(path) for path in paths])[:, None],
        [path.read_bytes() for path in paths],
        [Image.open(path) for path in paths],
        arrays(3),
        list(arrays(3)),
    ):
        np.testing.assert_allclose(embedder.transform(given), found, atol=1e-3)


def test_names_of_columns_and_batches(embedder: ImageEmbedder) -> None:
    images = arrays(67)
    rows = embedder.transform(images)
    assert rows.dtype == np.float32
    assert embedder.get_feature_names_out().tolist() == [f"prediction_{at}" for at in range(256)]
    assert rows.shape == (67, 256)
    np.testing.assert_allclose(embedder.transform(images[50:52]), rows[50:52], atol=1e-3)
    assert embedder.transform([]).shape == (0, 256)


def test_a_step_of_a_pipeline_travels_as_a_pickle() -> None:
    images, labels = arrays(8), np.arange(8) % 2
    images[labels == 1] //= 4
    model = make_pipeline(ImageEmbedder(), LogisticRegression(max_iter=500)).fit(images, labels)
    again = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(again.predict(images), labels)
    assert clone(model)[0].get_params() == ImageEmbedder().get_params()


@pytest.mark.slow  # exports two graphs
def test_several_layers_come_side_by_side() -> None:
    both = ImageEmbedder(layers=("s1", "prediction")).fit()
    one = ImageEmbedder(layers="s1").fit()
    images = arrays(2)
    rows = both.transform(images)
    assert both.dimensions_ == {"s1": 24, "prediction": 256}
    assert rows.shape == (2, 280)
    np.testing.assert_allclose(rows[:, :24], one.transform(images), rtol=0.05, atol=0.05)
    assert both.get_feature_names_out()[[0, 24]].tolist() == ["s1_0", "prediction_0"]


def test_other_weights_than_it_was_fitted_with_are_refused(embedder: ImageEmbedder) -> None:
    changed = pickle.loads(pickle.dumps(embedder))  # noqa: S301 - our own bytes
    changed.weights_digest_ = "0" * 64
    with pytest.raises(WeightsError, match="other weights now than when this ImageEmbedder"):
        changed.transform(arrays(1))


def test_bad_input_is_named(tmp_path: Path, embedder: ImageEmbedder) -> None:
    with pytest.raises(NotFittedError):
        ImageEmbedder().transform(arrays(1))
    with pytest.raises(LayerError, match="has no layer 'nowhere'"):
        ImageEmbedder(layers="nowhere").fit()
    with pytest.raises(ImageError, match=r"gone\.jpg"):
        embedder.transform([tmp_path / "gone.jpg"])
    with pytest.raises(TypeError, match="for one, give a list"):
        embedder.transform("a.jpg")
    with pytest.raises(TypeError, match="X is a sequence of images, not int"):
        embedder.transform(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not float"):
        embedder.transform([0.5])
    with pytest.raises(ValueError, match=r"not \(60, 80, 3\) float64; values from 0 to 1"):
        embedder.transform(arrays(1) / 255)
    buffer = io.BytesIO()
    Image.fromarray(arrays(1)[0]).save(buffer, "PNG")
    with pytest.raises(ImageError):
        embedder.transform([buffer.getvalue()[:60]])


def test_without_scikit_learn_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "try:\n    import dedup.sklearn\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "ExtraMissingError dedup.sklearn needs an optional package" in done.stdout
    assert "[sklearn]" in done.stdout
