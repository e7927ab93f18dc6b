"""Models of images and words: towers against open_clip's own, and queries in words."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from clips import MEAN, STD, make_clip
from torch.nn import functional

from dedup.collection import Collection
from dedup.errors import ModelError, SearchError, WeightsError
from dedup.models.loading import load_model
from dedup.preparation import Preparation
from dedup.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outcome import Outcome


AGREE = 5e-3  # of cosines: where the CPU has bf16, a tower may run in it


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("clips") / "tiny"
    return folder, make_clip(folder)


@pytest.fixture(scope="module")
def worded(clip: tuple[Path, Any], drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of drawn images by the tiny model; not to be changed."""
    store = tmp_path_factory.mktemp("worded") / "store"
    with Collection.create(store, ModelSpec(f"open_clip:{clip[0]}")) as collection:
        summary = collection.index(drawn / "a")
        assert not [note for note in summary.notes if "torch" in note]  # it can be exported
    return store


def embedded(clip: Any, images: list[Path]) -> np.ndarray[Any, Any]:
    pixels = np.stack([Preparation(32, 32).prepare(path.read_bytes()).pixels for path in images])
    batch = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    batch = (batch - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    with torch.no_grad():
        return np.asarray(clip.encode_image(batch, normalize=True))


def said(clip: Any, *texts: str) -> np.ndarray[Any, Any]:
    import open_clip

    tokens = open_clip.SimpleTokenizer(context_length=12)(list(texts))
    with torch.no_grad():
        return np.asarray(functional.normalize(clip.encode_text(tokens), dim=-1))


def ranked(query: np.ndarray[Any, Any], rows: np.ndarray[Any, Any]) -> list[float]:
    return sorted((rows @ (query / np.linalg.norm(query))).tolist(), reverse=True)


def test_words_find_what_the_towers_say(clip: tuple[Path, Any], worded: Path, drawn: Path) -> None:
    images = sorted((drawn / "a").glob("*.jpg"))
    rows = embedded(clip[1], images)
    (text,) = said(clip[1], "red bicycle at night")
    with Collection.open(worded) as collection:
        found = list(collection.query(text="red bicycle at night", k=len(images)))
        assert {near.query for near in found} == {"red bicycle at night"}
        assert [near.similarity for near in found] == pytest.approx(ranked(text, rows), abs=AGREE)
        order = {str(path): float(row @ text) for path, row in zip(images, rows, strict=True)}
        for near in found:
            assert near.similarity == pytest.approx(order[near.path], abs=AGREE)
        least = found[1].similarity
        within = list(collection.query(text="red bicycle at night", threshold=least))
        assert [near.path for near in within] == [
            near.path for near in found if near.similarity >= least
        ]


def test_words_are_added_to_images_and_taken_off(
    clip: tuple[Path, Any], worded: Path, drawn: Path, tmp_path: Path
) -> None:
    images = sorted((drawn / "a").glob("*.jpg"))
    rows = embedded(clip[1], images)
    plus, minus = said(clip[1], "at night", "people")
    copy = tmp_path / "not indexed.jpg"
    shutil.copy(drawn / "b" / "2 small.jpg", copy)
    for image, row in ((images[0], rows[0]), (copy, embedded(clip[1], [copy])[0])):
        with Collection.open(worded) as collection:
            found = list(collection.query([image], 4, text="at night", not_text=["people"]))
        assert {near.query for near in found} == {f"{image} + at night - people"}
        wanted = ranked(row + plus - minus, rows)[:4]
        assert [near.similarity for near in found] == pytest.approx(wanted, abs=AGREE)


def test_the_command_asks_in_words(
    dedup: Callable[..., Outcome], worded: Path, drawn: Path
) -> None:
    done = dedup("query", "--text", "a red square", "-s", worded, "-k", 2)
    assert [list(row) for row in done.rows] == [["query", "rank", "path", "similarity"]] * 2
    image = drawn / "a" / "1.jpg"
    done = dedup("query", image, "--not-text", "people", "-s", worded, "-k", 1)
    assert [row["query"] for row in done.rows] == [f"{image} - people"]
    done = dedup("query", "--not-text", "people", "-s", worded)
    assert (done.code, "give an IMAGE, a list with --files-from, --text" in done.err) == (2, True)


def test_a_model_without_text_tower_says_the_next_step(
    dedup: Callable[..., Outcome], store: Path
) -> None:
    done = dedup("query", "--text", "a red square", "-s", store)
    assert done.code == 1
    assert "cannot be asked in words: its model, mobilenetv3_small_050, has no text" in done.err
    assert "--model open_clip:ViT-B-32 --weights FILE" in done.err


def test_words_that_cancel_out_or_only_take_away_are_refused(worded: Path) -> None:
    with Collection.open(worded) as collection:
        with pytest.raises(SearchError, match="cancel each other out"):
            collection.query(text="a dog", not_text="a dog")
        with pytest.raises(SearchError, match="say what is to be seen"):
            collection.query(not_text="a dog")


def test_a_model_without_tokenizer_says_so(
    tmp_path: Path, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_clip(tmp_path / "other", hf_tokenizer_name="nobody/nothing")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    spec = ModelSpec(f"open_clip:{tmp_path / 'other'}", views="content")
    with Collection.create(tmp_path / "s", spec) as made:
        made.index(drawn / "a")  # which needs no words
        with pytest.raises(ModelError, match=r"open_clip:other has no tokenizer here.*FOLDER"):
            made.query(text="a dog")


def test_names_and_weights_that_are_missing(clip: tuple[Path, Any], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model 'ViT-B-33'\. Closest: open_clip:ViT-B-32"):
        load_model("open_clip:ViT-B-33")
    with pytest.raises(WeightsError, match=r"needs weights: .*laion2b_s34b_b79k.*--weights FILE"):
        load_model("open_clip:ViT-B-32")
    with pytest.raises(WeightsError, match="no weights 'openay' for ViT-B-32: openai, "):
        load_model("open_clip:ViT-B-32/openay")
    moved = tmp_path / "moved"
    shutil.copytree(clip[0], moved)
    (moved / "open_clip_model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"open_clip_model\.safetensors cannot be read"):
        Collection.create(tmp_path / "s", ModelSpec(f"open_clip:{moved}"))
    assert not (tmp_path / "s").exists()


def test_the_layer_of_the_words_comes_first(
    clip: tuple[Path, Any], tmp_path: Path, drawn: Path
) -> None:
    spec = ModelSpec(f"open_clip:{clip[0]}", layers=("ln_post", "prediction"), views="content")
    with Collection.create(tmp_path / "s", spec) as made:
        made.index(drawn / "a")
        with pytest.raises(ModelError, match="words are compared with the layer 'prediction'"):
            made.query(text="a dog")
