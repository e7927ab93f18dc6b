# %% [markdown]
# # A pipeline from images to labels
#
# `ImageEmbedder` is a transformer for scikit-learn: images in (paths, arrays, Pillow's), rows of
# the bundled network out. What follows it is scikit-learn's, and so are cross-validation, search
# and saving.

# %%
from __future__ import annotations

import pickle

import numpy as np
from samples import two_classes
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from dedup.sklearn import ImageEmbedder

# %% [markdown]
# Images of two classes: lying and standing stripes. A list of paths does as well. The network is
# made for copies; how stripes lie is seen best at its third stage (`features.py` compares them).

# %%
images, labels = two_classes(240, 96)
train, test, train_labels, test_labels = train_test_split(
    images, labels, test_size=80, random_state=0, stratify=labels
)

# %%
pipeline = Pipeline(
    [
        ("embed", ImageEmbedder(layers="s3")),
        ("scale", StandardScaler()),
        ("classify", LogisticRegression(max_iter=1000)),
    ]
)
pipeline.fit(train, train_labels)
columns = pipeline["embed"].get_feature_names_out()
print(f"{len(columns)} columns: {columns[0]} … {columns[-1]}")
accuracy = float(np.mean(pipeline.predict(test) == test_labels))
print(f"right on images that it has not seen: {accuracy:.0%} (chance: 50%)")

# %% [markdown]
# ## Choosing by cross-validation
#
# Embedding is the slow part, and does not depend on what is searched for: embed once, then search.

# %%
rows = pipeline["embed"].transform(train)
search = GridSearchCV(pipeline[1:], {"classify__C": [0.01, 0.1, 1]}, cv=4)
search.fit(rows, train_labels)
print(f"best: C = {search.best_params_['classify__C']}")

# %% [markdown]
# ## Saving
#
# The pipeline is saved without the network's weights, which are loaded again; other weights than
# those that it was fitted with are refused.

# %%
again = pickle.loads(pickle.dumps(pipeline))  # noqa: S301 - our own bytes
print("the same after saving:", np.array_equal(again.predict(test), pipeline.predict(test)))
