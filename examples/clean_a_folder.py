# %% [markdown]
# # Clean a photo folder
#
# Index a folder, look at its duplicates, and write a list of those that could go. Nothing is
# deleted: what to do with the list is yours to decide.

# %%
from __future__ import annotations

import tempfile
from pathlib import Path

from samples import photographs

from dedup import Collection, ModelSpec

folder = photographs()
OUT = Path(tempfile.mkdtemp(prefix="dedup-example-"))

# %% [markdown]
# ## Index
#
# The collection is made outside of the folder, so that the folder is only read.

# %%
collection = Collection.open(OUT / "collection", ModelSpec("copies-2"), create=True)
summary = collection.index(folder)
print(f"{summary.found} images, {summary.indexed} indexed, {summary.skipped} skipped")
for skip in summary:
    print(f"  skipped {skip.path}: {skip.reason}")

# %% [markdown]
# ## Duplicates
#
# Each group has a keeper: the image with most pixels, then most bytes, then the oldest.

# %%
answer = collection.duplicates()
for group in answer:
    print(f"\nkeep {group.keeper}")
    for duplicate in group.duplicates:
        print(f"     {duplicate.tier:7} {duplicate.path}: {duplicate.evidence}")
for note in answer.notes:
    print(note)

# %% [markdown]
# ## A list for other programs
#
# Copies only: `exact` and `pixels` lose nothing. Paths can hold any byte but NUL, so that is what
# ends each of them, for `xargs -0`.

# %%
copies = collection.duplicates(tier=["exact", "pixels"])
paths = [duplicate.path for group in copies for duplicate in group.duplicates]
listed = OUT / "copies.list"
listed.write_bytes(b"".join(path.encode(errors="surrogateescape") + b"\0" for path in paths))
size = sum(group.reclaimable_bytes for group in copies)
print(f"\n{len(paths)} copies, {size / 1e6:.1f} MB, listed in {listed}")
collection.close()
