"""The training programs of scripts/training, on pictures drawn here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from head import fit
from outcome import SMALL_MODEL
from PIL import Image
from safetensors.numpy import load_file, save_file
from views import clean, dead_leaves, view

from dedup.duplicates.edits import drawn
from dedup.models.loading import load_model

PROGRAM = Path(__file__).parents[2] / "scripts" / "training" / "network.py"


def test_views_are_repeatable_and_differ_by_seed() -> None:
    one, two = (drawn(90, 120, np.random.default_rng(seed)) for seed in (0, 1))
    before = one.copy()
    for seed in range(60):
        first, again = (view(one, two, 48, np.random.default_rng(seed)) for _ in range(2))
        assert first.shape == (48, 48, 3)
        assert first.dtype == np.uint8
        np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, view(one, two, 48, np.random.default_rng(99)))
    np.testing.assert_array_equal(one, before)


def test_a_clean_view_is_the_whole_picture() -> None:
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[:, 40:] = 200
    squashed = clean(picture, 20)
    assert (squashed[:, :10] == 0).all()
    assert (squashed[:, 10:] == 200).all()


def test_dead_leaves_have_edges_at_every_place() -> None:
    canvas = dead_leaves(96, np.random.default_rng(0)).astype(int)
    steps = np.abs(np.diff(canvas, axis=1)).max(axis=2) > 20
    quarters = [steps[:48, :48], steps[:48, 48:], steps[48:, :48], steps[48:, 48:]]
    assert all(part.mean() > 0.02 for part in quarters)


def test_the_head_tells_pictures_apart_where_views_of_one_vary_most() -> None:
    rng = np.random.default_rng(0)
    # 8 weak directions tell pictures apart; 4 strong ones only how they were edited.
    pictures = np.concatenate([rng.normal(0, 1, (400, 1, 8)), np.zeros((400, 1, 4))], axis=2)
    edits = np.concatenate([rng.normal(0, 0.1, (400, 4, 8)), rng.normal(0, 9, (400, 4, 4))], axis=2)
    edits[:, 0] = 0  # the first view is the clean picture
    rows = pictures + edits + 5
    weight, bias = fit(rows, 8)

    def found(features: np.ndarray) -> float:
        unit = features / np.linalg.norm(features, axis=2, keepdims=True)
        nearest = (unit[:, 1] @ unit[:, 0].T).argmax(axis=1)
        return float((nearest == np.arange(len(unit))).mean())

    assert found(rows - rows.mean(axis=(0, 1))) < 0.6
    assert found(rows @ weight.T + bias) == 1.0
    np.testing.assert_allclose((rows[:, 0] @ weight.T + bias).mean(axis=0), 0, atol=1e-4)


@pytest.mark.slow
def test_training_in_two_sittings_gives_the_same_weights(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in range(400):
        picture = drawn(48, 64, np.random.default_rng(seed))
        Image.fromarray(picture).save(photos / f"{seed:03}.jpg", quality=90)
    loaded = load_model(SMALL_MODEL, untrained=True)
    teacher = tmp_path / f"{SMALL_MODEL}.safetensors"
    state = {name: value.numpy() for name, value in loaded.module.state_dict().items()}
    save_file(state, teacher)

    def train(output: Path, steps: int, cooldown: int) -> None:
        command = [sys.executable, PROGRAM, photos, "--teacher", teacher, "-o", output]
        command += ["--backbone", "regnetx_002", "--size", "32", "--final-size", "32"]
        command += ["--input-size", "32", "--pictures", "8", "--drawn", "8", "--threads", "1"]
        command += ["--steps", f"{steps}", "--cooldown", f"{cooldown}"]
        subprocess.run(list(map(str, command)), check=True, capture_output=True)

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(whole, 6, 3)
    train(parts, 2, 0)
    train(parts, 6, 3)
    name = "regnetx_002-9.safetensors"
    one, two = load_file(whole / name), load_file(parts / name)
    assert one.keys() == two.keys()
    for key, values in one.items():
        np.testing.assert_array_equal(values, two[key], err_msg=key)
    assert load_model(weights=whole / name).layer == "prediction"
