"""Image-embedding similarity search and duplicate detection.

`Collection` indexes folders and answers questions about them; `Extractor` runs any
``torch.nn.Module`` once and hands over the outputs of named layers. Both are loaded on first use,
so that importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dedup.collection import Collection
    from dedup.models.extractor import Extractor
    from dedup.models.features import Features

__all__ = ["Collection", "Extractor", "Features"]

_HOME = {
    "Collection": "dedup.collection",
    "Extractor": "dedup.models.extractor",
    "Features": "dedup.models.features",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'dedup' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOME[name]), name)
