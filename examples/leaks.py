# %% [markdown]
# # Leaks between a training set and a test set
#
# A test image that is also in the training set, or a version of one, makes a model look better
# than it is. `compare` finds out which are.

# %%
from __future__ import annotations

import tempfile
from pathlib import Path

from samples import splits

from dedup import Collection, ModelSpec

train, test = splits()  # put the folders of your own data set here

# %%
store = Path(tempfile.mkdtemp(prefix="dedup-example-")) / "collection"
with Collection.open(store, ModelSpec("copies-2"), create=True) as collection:
    collection.index(train)
    comparison = collection.compare(test, against=train)

# %%
for match in comparison:
    print(f"{match.tier:7} {Path(match.path).name} is {Path(match.match).name}: {match.evidence}")
for note in comparison.notes:
    print(note)
print(f"{len(comparison)} of {comparison.compared} test images are in the training set")

# %% [markdown]
# In a script or in CI the command line does the same:
#
#     dedup compare test/ --against train/ --fail-on near
#
# exits with 3 when there is a leak.
