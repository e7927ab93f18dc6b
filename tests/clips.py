"""A small model of images and words with seeded weights, as a folder of open_clip's form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": 32, "layers": 1, "width": 32, "patch_size": 8, "head_width": 16,
    },
    "text_cfg": {
        "context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1,
    },
}  # fmt: skip
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def make_clip(folder: Path, **text: Any) -> Any:
    """Write configuration and weights into a folder; gives the model, by open_clip itself."""
    open_clip = pytest.importorskip("open_clip", reason="needs the extra text")
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    config = {**CONFIG, "text_cfg": CONFIG["text_cfg"] | text}
    stated = {"model_cfg": config, "preprocess_cfg": {"mean": MEAN, "std": STD}}
    path = folder / "open_clip_config.json"
    path.write_text(json.dumps({**stated, "model_cfg": {**config, "text_cfg": CONFIG["text_cfg"]}}))
    with torch.random.fork_rng():
        torch.manual_seed(7)
        clip = open_clip.create_model(f"local-dir:{folder}", load_weights=False).eval()
    path.write_text(json.dumps(stated))
    save_file(clip.state_dict(), folder / "open_clip_model.safetensors")
    return clip
