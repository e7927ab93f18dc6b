from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pictures import scene

from dedup.collection import Collection
from dedup.descriptors.vlad import DIGEST
from dedup.descriptors.vlad import WEIGHTS as VOCABULARY
from dedup.edits.catalogue import edit
from dedup.errors import ModelError, WeightsError
from dedup.models import loading
from dedup.models.registry import BUNDLED, DEFAULT_BUNDLED, WEIGHTS
from dedup.models.weights import weights_file_digest
from dedup.preparation import Preparation
from dedup.runtimes.torch_runtime import TorchRuntime
from dedup.search.similarity import unit_rows
from dedup.spec import BOTH_VIEWS

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = WEIGHTS.parents[1]
CARDS = {
    VOCABULARY: DIGEST,
    **{WEIGHTS / known.file: known.digest for known in BUNDLED.values()},
}


@pytest.mark.parametrize("file", CARDS, ids=lambda file: file.stem)
def test_every_shipped_file_is_the_one_on_its_card(file: Path) -> None:
    assert weights_file_digest(file) == CARDS[file]
    assert CARDS[file] in file.with_suffix(".md").read_text("utf-8")


def test_all_shipped_files_together_are_small() -> None:
    files = list(PACKAGE.rglob("*.safetensors"))
    assert set(files) == set(CARDS)
    assert sum(file.stat().st_size for file in files) <= 18_000_000


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_network_tells_copies_from_strangers(name: str) -> None:
    loaded = loading.load_model(name)
    assert (loaded.weights, loaded.weights_digest) == ("bundled", BUNDLED[name].digest)
    side = loaded.input_size[1]
    preparation = Preparation(side, side)
    rng = np.random.default_rng(0)
    originals = [np.asarray(scene(seed)) for seed in range(24)]
    # Blurred and shrunk, which local features do not stand.
    copies = [edit("resize", 1 / 4, edit("blur", 0.006, one, rng), rng) for one in originals]
    with TorchRuntime(loaded, [loaded.layer]) as runtime:
        rows = [
            unit_rows(
                runtime.embed(np.stack([_input(one, preparation) for one in some]))[loaded.layer]
            )
            for some in (originals, copies)
        ]
    assert rows[0].shape == (24, 256)
    similarity = rows[1] @ rows[0].T
    assert (similarity.argmax(axis=1) == np.arange(24)).all()
    strangers = similarity[~np.eye(24, dtype=np.bool_)]
    assert similarity.diagonal().min() > strangers.max()


def _input(pixels: np.ndarray, preparation: Preparation) -> np.ndarray:
    from dedup.edits.file import as_jpeg

    return preparation.prepare(as_jpeg(pixels, 92)).pixels


def test_another_file_in_its_place_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = BUNDLED[DEFAULT_BUNDLED].file
    data = bytearray((WEIGHTS / file).read_bytes())
    data[-1] ^= 1
    (tmp_path / file).write_bytes(data)
    monkeypatch.setattr(loading, "WEIGHTS", tmp_path)
    with pytest.raises(WeightsError, match="not the file that dedup was released with"):
        loading.load_model(DEFAULT_BUNDLED)


def test_a_bundled_network_is_never_untrained() -> None:
    with pytest.raises(ModelError, match="comes with its weights"):
        loading.load_model(DEFAULT_BUNDLED, untrained=True)


def test_a_bundled_file_may_be_used_as_any_other(tmp_path: Path) -> None:
    copy = shutil.copy(WEIGHTS / BUNDLED[DEFAULT_BUNDLED].file, tmp_path / "any name.safetensors")
    loaded = loading.load_model(weights=tmp_path / "any name.safetensors")
    bundled = loading.load_model(DEFAULT_BUNDLED)
    assert copy
    assert (loaded.input_size, loaded.layer) == (bundled.input_size, bundled.layer)
    assert (loaded.mean, loaded.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_without_the_hub_a_new_collection_takes_the_bundled_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with Collection.create(tmp_path / "store") as collection:
        assert collection.notes[0].startswith(f"Using the bundled model {DEFAULT_BUNDLED} (")
        status = collection.status()
    assert status.model == f"{DEFAULT_BUNDLED} (bundled)"
    assert status.views == BOTH_VIEWS
