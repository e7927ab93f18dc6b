# %% [markdown]
# # One pass, many layers
#
# A network sees more than its prediction. `Extractor` runs any `torch.nn.Module` once and returns
# what its layers put out, along with the prediction. Here: features into a classifier, a map of
# the images, and feature maps.

# %%
from __future__ import annotations

import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from samples import two_classes
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dedup import Extractor
from dedup.models.loading import load_model

mpl.use("Agg")  # draws into files; leave this out in a notebook
import matplotlib.pyplot as plt

OUT = Path(tempfile.mkdtemp(prefix="dedup-example-"))

# %% [markdown]
# The bundled network, and images of two classes: lying and standing stripes. Any timm model or
# module of your own will do in its place, such as `timm.create_model("resnet18",
# pretrained=True)`.

# %%
loaded = load_model("copies-2")
_, height, width = loaded.input_size
images, labels = two_classes(200, height)
batch = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (loaded.mean, loaded.std))
batch = (batch - mean) / std

# %% [markdown]
# ## Features and prediction from one pass
#
# `dedup layers copies-2` lists the layers. A hooked output is averaged over its positions to one
# vector an image.

# %%
layers = ["s1", "s2", "s3", "s4", "prediction"]
with Extractor(loaded.module, layers) as extractor:
    features = extractor(batch)
print("prediction:", np.asarray(features.prediction).shape)
for layer in layers:
    print(f"{layer}: {features[layer].shape}")

# %% [markdown]
# ## Which layer tells lying from standing stripes?
#
# The network was trained for copies, not for this. A linear classifier on each layer says what
# can be read off there.

# %%
accuracy = {}
for layer in layers:
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    accuracy[layer] = float(cross_val_score(classifier, features[layer], labels, cv=5).mean())
    print(f"{layer}: {accuracy[layer]:.0%} right (chance: 50%)")
best = max(accuracy, key=accuracy.__getitem__)

# %% [markdown]
# ## A map of the images

# %%
rows = StandardScaler().fit_transform(features[best])
places = PCA(2).fit_transform(rows)
plt.figure(figsize=(5, 5))
for label, name in enumerate(("lying", "standing")):
    plt.scatter(*places[labels == label].T, label=name)
plt.title(f"Images by layer {best}")
plt.legend()
plt.savefig(OUT / "map.png")

# %% [markdown]
# ## Feature maps
#
# With `reduce=False` outputs stay whole: channels and positions.

# %%
with Extractor(loaded.module, ["s1"], reduce=False) as extractor:
    maps = extractor(batch[:1])["s1"][0]
strongest = np.argsort(-maps.std(axis=(1, 2)))[:7]
figure, axes = plt.subplots(1, 8, figsize=(16, 2))
axes[0].imshow(images[0])
for axis, channel in zip(axes[1:], strongest, strict=True):
    axis.imshow(maps[channel], cmap="viridis")
    axis.set_title(f"s1, {channel}")
for axis in axes:
    axis.axis("off")
figure.savefig(OUT / "maps.png")
print(f"Drawn: {OUT}/map.png and maps.png")
