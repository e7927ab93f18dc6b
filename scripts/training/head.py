"""The linear head of a trained backbone, in closed form from edited views.

What differs between the views of one image is noise, what differs between images is signal:
rows are whitened by the scatter within images, and the strongest directions between images
kept (linear discriminant analysis; Mikolajczyk and Matas 2007 for descriptors). The mean goes into
the bias, so that unrelated images are at about 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from training.inputs import prepared
from training.views import clean, view

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from torch import nn

    Pixels = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]
    Doubles = npt.NDArray[np.float64]

_VIEWS = 3  # of each image, beside the clean one
_SHRINKAGE = 0.05
_POWER = 0.5
"""How far the directions between images are evened out: 0 keeps their strengths, 1 none."""


def fit_head(
    model: nn.Module,
    pictures: Sequence[Pixels],
    size: int,
    dimension: int,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Fit the head to what enters the classifier.

    Returns
    -------
    weight (dimension, D) and bias (dimension,), both float32
    """
    views = []
    for number, picture in enumerate(pictures):
        views.append(clean(picture, size))
        views += [view(picture, pictures[number - 1], size, rng) for _ in range(_VIEWS)]
    rows = read_out(model, views, pooled=True).astype(np.float64)
    return fit(rows.reshape(len(pictures), _VIEWS + 1, -1), dimension)


def fit(rows: Doubles, dimension: int) -> tuple[Floats, Floats]:
    """Fit to (images, views, D) rows; see the module."""
    middle = rows.mean(axis=1, keepdims=True)
    within = (rows - middle).reshape(-1, rows.shape[2])
    noise = within.T @ within / len(within)
    noise += _SHRINKAGE * np.trace(noise) / len(noise) * np.eye(len(noise))
    values, vectors = np.linalg.eigh(noise)
    whiten = vectors * values**-0.5
    mean = rows[:, 0].mean(axis=0)
    between = (rows[:, 0] - mean) @ whiten
    strengths, directions = np.linalg.eigh(between.T @ between / len(between))
    kept, strength = directions[:, ::-1][:, :dimension], strengths[::-1][:dimension]
    weight = (whiten @ kept * np.maximum(strength, 1e-9) ** (-_POWER / 2)).T
    scale = np.linalg.norm(between @ kept * strength ** (-_POWER / 2), axis=1).mean()
    weight = weight / scale
    return weight.astype(np.float32), (-weight @ mean).astype(np.float32)


def read_out(model: nn.Module, views: Sequence[Pixels], *, pooled: bool = False) -> Floats:
    """Embed views; `pooled` gives what enters the classifier instead."""
    model.eval()
    device = next(model.parameters()).device
    parts = []
    with torch.inference_mode():
        for start in range(0, len(views), 64):
            batch = prepared(np.stack(views[start : start + 64]), device)
            if pooled:
                features = model.forward_features(batch)  # type: ignore[operator]  # timm's
                rows = model.forward_head(features, pre_logits=True)  # type: ignore[operator]
            else:
                rows = model(batch)
            parts.append(rows.float().cpu().numpy())
    return np.concatenate(parts)
