"""The training programs of scripts/training, on images drawn here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from outcome import SMALL_MODEL
from PIL import Image
from safetensors.numpy import load_file, save_file
from training import device_views
from training.device_views import DeviceViews
from training.head import fit
from training.views import clean, dead_leaves, view

from dedup.edits.catalogue import drawn
from dedup.models.loading import load_model

SCRIPTS = Path(__file__).parents[2] / "scripts"


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


def test_a_clean_view_is_the_whole_image() -> None:
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, 40:] = 200
    squashed = clean(image, 20)
    assert (squashed[:, :10] == 0).all()
    assert (squashed[:, 10:] == 200).all()


def test_dead_leaves_have_edges_at_every_place() -> None:
    canvas = dead_leaves(96, np.random.default_rng(0)).astype(int)
    steps = np.abs(np.diff(canvas, axis=1)).max(axis=2) > 20
    quarters = [steps[:48, :48], steps[:48, 48:], steps[48:, :48], steps[48:, 48:]]
    assert all(part.mean() > 0.02 for part in quarters)


def test_the_head_tells_images_apart_where_views_of_one_vary_most() -> None:
    rng = np.random.default_rng(0)
    # 8 weak directions tell images apart; 4 strong ones only how they were edited.
    images = np.concatenate([rng.normal(0, 1, (400, 1, 8)), np.zeros((400, 1, 4))], axis=2)
    edits = np.concatenate([rng.normal(0, 0.1, (400, 4, 8)), rng.normal(0, 9, (400, 4, 4))], axis=2)
    edits[:, 0] = 0  # the first view is the clean image
    rows = images + edits + 5
    weight, bias = fit(rows, 8)

    def found(features: np.ndarray) -> float:
        unit = features / np.linalg.norm(features, axis=2, keepdims=True)
        nearest = (unit[:, 1] @ unit[:, 0].T).argmax(axis=1)
        return float((nearest == np.arange(len(unit))).mean())

    assert found(rows - rows.mean(axis=(0, 1))) < 0.6
    assert found(rows @ weight.T + bias) == 1.0
    np.testing.assert_allclose((rows[:, 0] @ weight.T + bias).mean(axis=0), 0, atol=1e-4)


@pytest.fixture(scope="module")
def on_device() -> DeviceViews:
    images = [drawn(90, 120, np.random.default_rng(seed)) for seed in range(16)]
    return DeviceViews(images, torch.device("cpu"), seed=0)


def test_device_views_depend_on_the_step_alone(on_device: DeviceViews) -> None:
    chosen = np.arange(16)
    views = on_device.draw(chosen, 48, step=3)
    assert views.shape == (32, 3, 48, 48)
    assert views.is_contiguous(memory_format=torch.channels_last)
    assert 0 <= float(views.min()) <= float(views.max()) <= 1
    assert torch.equal(views, on_device.draw(chosen, 48, step=3))
    assert not torch.equal(views, on_device.draw(chosen, 48, step=4))
    with pytest.raises(ValueError, match="multiple of 8"):
        on_device.draw(chosen, 50, step=0)


def test_half_of_the_first_device_views_are_clean(on_device: DeviceViews) -> None:
    stored = on_device._images.float() / 255  # noqa: SLF001
    whole = torch.nn.functional.interpolate(stored, (48, 48), mode="area")
    views = torch.stack([on_device.draw(np.arange(16), 48, step) for step in range(12)])
    first, second = (
        float(((some - whole).abs().amax(dim=(2, 3, 4)) < 1e-6).float().mean())
        for some in (views[:, :16], views[:, 16:])
    )
    assert 0.4 < first < 0.6
    assert second < 0.1


def test_device_blur_is_a_gaussian() -> None:
    image = torch.rand((2, 3, 40, 40), generator=torch.Generator().manual_seed(0))
    sigma = torch.tensor([0.8, 1.3])
    blurred = device_views._blurred(image, sigma).numpy()  # noqa: SLF001
    for number, one in enumerate(image.permute(0, 2, 3, 1).numpy()):
        expected = cv2.GaussianBlur(one, (9, 9), float(sigma[number]))
        np.testing.assert_allclose(
            blurred[number].transpose(1, 2, 0), expected, atol=1e-5, err_msg=f"{number}"
        )


@pytest.mark.parametrize(("quality", "most"), [(95, 6), (50, 10), (15, 14)])
def test_device_jpeg_loses_what_jpeg_loses(quality: int, most: float) -> None:
    image = cv2.GaussianBlur(drawn(64, 64, np.random.default_rng(1)), (0, 0), 1.5)
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
    expected = np.asarray(
        cv2.imdecode(cv2.imencode(".jpg", image, flags)[1], cv2.IMREAD_COLOR), float
    )
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    lost = device_views._encoded(tensor, torch.tensor([float(quality)]))  # noqa: SLF001
    found = 255 * lost[0].permute(1, 2, 0).numpy()
    error = float(np.abs(found - image).mean())
    assert error < most
    assert error == pytest.approx(float(np.abs(expected - image).mean()), rel=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("views", ["host", "device"])
def test_training_in_two_sittings_gives_the_same_weights(tmp_path: Path, views: str) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in range(400):
        image = drawn(48, 64, np.random.default_rng(seed))
        Image.fromarray(image).save(photos / f"{seed:03}.jpg", quality=90)
    loaded = load_model(SMALL_MODEL, untrained=True)
    teacher = tmp_path / f"{SMALL_MODEL}.safetensors"
    state = {name: value.numpy() for name, value in loaded.module.state_dict().items()}
    save_file(state, teacher)

    def train(output: Path, steps: int, cooldown: int, *more: str | Path) -> None:
        command = [
            sys.executable,
            "-P",
            "-m",
            "training.network",
            photos,
            "--teacher",
            teacher,
            "-o",
            output,
        ]
        command += ["--backbone", "regnetx_002", "--size", "32", "--final-size", "32"]
        command += ["--input-size", "32", "--images", "8", "--drawn", "8", "--threads", "1"]
        command += ["--steps", f"{steps}", "--cooldown", f"{cooldown}"]
        command += ["--device", "cpu", "--views", views, *more]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([os.fspath(SCRIPTS), os.environ.get("PYTHONPATH", "")])
        }
        subprocess.run(list(map(str, command)), check=True, capture_output=True, env=environment)

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
    # From a finished network, whose views are counted.
    train(tmp_path / "further", 0, 2, "--start", whole / name)
    further = load_file(tmp_path / "further" / "regnetx_002-11.safetensors")
    stem = "stem.conv.weight"
    assert 0 < float(np.abs(further[stem] - one[stem]).max()) < 0.02
