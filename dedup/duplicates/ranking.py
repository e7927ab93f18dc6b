"""Which of several copies stays: the rank of files.

Undamaged ones first, then most pixels, then most bytes (less was thrown away by compression), then
oldest, then path bytes, so that no two files tie and two runs agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from dedup.store.gallery import GalleryFiles, GalleryImages


def rank_files(images: GalleryImages, files: GalleryFiles) -> npt.NDArray[np.int64]:
    """Order the files from the one most worth keeping to the least.

    Returns
    -------
    (M,) int64, indices into `files`
    """
    pixels = (images.width.astype(np.int64) * images.height)[files.row]
    by_path = np.empty(len(files), np.int64)
    by_path[sorted(range(len(files)), key=files.path.__getitem__)] = np.arange(len(files))
    damaged = images.damaged[files.row]
    return np.lexsort((by_path, files.mtime_ns, -files.size, -pixels, damaged))
