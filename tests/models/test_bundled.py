from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from pictures import scene

from dedup import binding
from dedup.collection import Collection
from dedup.descriptors.vlad import DIGEST
from dedup.descriptors.vlad import WEIGHTS as VOCABULARY
from dedup.edits.catalogue import edit
from dedup.errors import ModelError, WeightsError
from dedup.models import loading
from dedup.models.extractor import Extractor
from dedup.models.registry import BUNDLED, DEFAULT_MODEL, WEIGHTS
from dedup.models.weights import weights_file_digest
from dedup.preparation import Preparation
from dedup.runtimes import cache
from dedup.runtimes.cache import stored_graph
from dedup.runtimes.engines import ENGINES, start
from dedup.runtimes.torch_runtime import TorchRuntime
from dedup.search.similarity import unit_rows
from dedup.spec import BOTH_VIEWS, ModelSpec, Runtime

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = WEIGHTS.parents[1]
CARDS = {
    VOCABULARY: DIGEST,
    **{WEIGHTS / known.file: known.digest for known in BUNDLED.values()},
    **{WEIGHTS / known.graph: known.graph_digest for known in BUNDLED.values()},
}


@pytest.mark.parametrize("file", CARDS, ids=lambda file: file.name)
def test_every_shipped_file_is_the_one_on_its_card(file: Path) -> None:
    assert weights_file_digest(file) == CARDS[file]
    assert CARDS[file] in file.with_suffix(".md").read_text("utf-8")


def test_all_shipped_files_together_are_small() -> None:
    files = [*PACKAGE.rglob("*.safetensors"), *PACKAGE.rglob("*.onnx")]
    assert set(files) == set(CARDS)
    assert sum(file.stat().st_size for file in files) <= 18_000_000


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_network_tells_copies_from_unrelated_images(name: str) -> None:
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
    unrelated = similarity[~np.eye(24, dtype=np.bool_)]
    assert similarity.diagonal().min() > unrelated.max()


def _input(pixels: np.ndarray, preparation: Preparation) -> np.ndarray:
    from dedup.images.encode import as_jpeg

    return preparation.prepare(as_jpeg(pixels, 92)).pixels


def test_another_file_in_its_place_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = BUNDLED[DEFAULT_MODEL].file
    data = bytearray((WEIGHTS / file).read_bytes())
    data[-1] ^= 1
    (tmp_path / file).write_bytes(data)
    monkeypatch.setattr(loading, "WEIGHTS", tmp_path)
    with pytest.raises(WeightsError, match="not the file that dedup was released with"):
        loading.load_model(DEFAULT_MODEL)


def test_a_bundled_network_is_never_untrained() -> None:
    with pytest.raises(ModelError, match="comes with its weights"):
        loading.load_model(DEFAULT_MODEL, untrained=True)


def test_a_bundled_file_may_be_used_as_any_other(tmp_path: Path) -> None:
    copy = shutil.copy(WEIGHTS / BUNDLED[DEFAULT_MODEL].file, tmp_path / "any name.safetensors")
    loaded = loading.load_model(weights=tmp_path / "any name.safetensors")
    bundled = loading.load_model(DEFAULT_MODEL)
    assert copy
    assert (loaded.input_size, loaded.layer) == (bundled.input_size, bundled.layer)
    assert (loaded.mean, loaded.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", BUNDLED)
def test_a_shipped_graph_gives_what_its_weights_give(
    name: str, engine: str, photographs: list[Path]
) -> None:
    loaded = loading.load_model(name)
    side = loaded.input_size[1]
    preparation = Preparation(side, side)
    prepared = [preparation.prepare(path.read_bytes()).pixels for path in photographs]
    drawn = [_input(np.asarray(scene(seed)), preparation) for seed in range(8)]
    batch = np.stack([*prepared, *drawn])
    normalised = (batch / 255 - np.array(loaded.mean)) / np.array(loaded.std)
    pixels = torch.from_numpy(normalised.transpose(0, 3, 1, 2)).float()
    wanted = Extractor(loaded.module, [loaded.layer])(pixels)
    pinned = binding.prepare(ModelSpec(name)).fingerprint
    graph = stored_graph(pinned, engine)
    assert graph is not None
    in_fp32 = replace(graph, facts=replace(graph.facts, bf16=False))
    for facts, lowest in ((in_fp32, 0.99999), (graph, 0.999)):
        with start(facts, engine) as runtime:
            found = runtime.embed(batch)
        cosines = unit_rows(found[loaded.layer]) * unit_rows(wanted[loaded.layer])
        assert cosines.sum(axis=1).min() >= lowest


def test_a_damaged_graph_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = binding.prepare(ModelSpec()).fingerprint
    assert stored_graph(pinned, "onnxruntime") is not None
    file = BUNDLED[DEFAULT_MODEL].graph
    data = bytearray((WEIGHTS / file).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / file).write_bytes(data)
    monkeypatch.setattr(cache, "WEIGHTS", tmp_path)
    assert stored_graph(pinned, "onnxruntime") is None


def test_a_new_collection_takes_the_bundled_network_without_torch(
    drawn: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; from dedup import Collection\n"
        "with Collection.create(sys.argv[1]) as collection:\n"
        "    print(collection.index([sys.argv[2]]).indexed > 0, *collection.notes)\n"
        "print(*({'torch', 'timm', 'huggingface_hub'} & set(sys.modules)))"
    )
    store = tmp_path / "store"
    done = subprocess.run(
        [sys.executable, "-c", code, str(store), str(drawn)],
        capture_output=True,
        text=True,
        check=True,
    )
    used, modules = done.stdout.splitlines()
    assert used == f"True Using the bundled model {DEFAULT_MODEL}; --model names another"
    assert modules == ""
    with Collection.open(store) as collection:
        status = collection.status()
    assert status.model == f"{DEFAULT_MODEL} (bundled)"
    assert status.views == BOTH_VIEWS


def test_other_layers_of_the_bundled_network_can_be_hooked() -> None:
    choice = ModelSpec(DEFAULT_MODEL, layers=("global_pool", "s1"))
    chosen = binding.prepare(choice)
    assert chosen.loaded is not None
    with binding.runtime(chosen.loaded, chosen.fingerprint, Runtime("cpu")) as runtime:
        assert runtime.dimensions == {"global_pool": 368, "s1": 24}
