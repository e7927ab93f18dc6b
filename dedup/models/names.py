"""The names of models, without importing torch or timm.

What a command needs to know about a name before it decides whether the model is needed at all.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

DEFAULT_MODEL: Final = "efficientnet_b0"
"""The model that `index` uses unless told otherwise."""

_REGISTERED: Final = re.compile(rb"^@register_model\s*\ndef (\w+)\(", re.MULTILINE)


@cache
def timm_architectures() -> frozenset[str]:
    """Read timm's architecture names (no pretrained tags) from its sources.

    Equals ``timm.list_models()``, which costs the import of torch.
    """
    timm = find_spec("timm")
    folders = timm.submodule_search_locations if timm is not None else None
    return frozenset(
        name.decode()
        for folder in folders or ()
        for source in Path(folder, "models").glob("*.py")
        for name in _REGISTERED.findall(source.read_bytes())
    )


def architecture_of(name: str) -> str:
    """Take the pretrained tag off a name: ``resnet50.a1_in1k`` -> ``resnet50``."""
    return name.partition(".")[0]
