# %% [markdown]
# # A threshold that means something
#
# What a similarity is worth depends on the images. `calibrate` measures it on the collection
# itself: it edits some of its images as people do, and checks its most similar pairs.

# %%
from __future__ import annotations

import tempfile
from pathlib import Path

from samples import photographs

from dedup import Collection, DedupError, ModelSpec

folder = photographs(more=60)
store = Path(tempfile.mkdtemp(prefix="dedup-example-")) / "collection"
collection = Collection.open(store, ModelSpec("copies-2"), create=True)
collection.index(folder)

# %% [markdown]
# ## Calibrate
#
# `precision` is the share of listed pairs that are right. A small collection may not promise a
# high one; the error says what it does promise.

# %%
calibration = collection.calibrate(samples=50)
try:
    similar = collection.duplicates(tier="similar", precision=0.9)
except DedupError as error:
    print(error)
else:
    print(f"precision .9 from a similarity of {similar.threshold:.4f}: {len(similar)} groups")

# %% [markdown]
# ## Query
#
# The query image need not be indexed. Give a number of neighbours, or a threshold.

# %%
image = min(path for path in folder.rglob("*.jpg"))
for neighbour in collection.query(image, k=5):
    print(f"{neighbour.rank}. {neighbour.similarity:.4f} {neighbour.path}")
close = collection.query(image, threshold=0.5)
print(f"{len(close)} indexed images are at least .5 similar to {image.name}")
collection.close()
