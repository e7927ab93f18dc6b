"""Models that other packages offer, by the entry point group ``dedup.models``.

A package says ``[project.entry-points."dedup.models"] NAME = "package:function"``; the function
takes a weights file or None and gives an `OwnModel`. timm's and bundled names come first, so that
no package changes what they mean. Nothing of a package is imported before its model is asked for.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final

from dedup.errors import ModelError, first_line
from dedup.models.own import OwnModel
from dedup.models.registry import BUNDLED, architecture_of, timm_architectures

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint
    from pathlib import Path

GROUP: Final = "dedup.models"


def plugin_names() -> tuple[str, ...]:
    """List the names of models that installed packages offer."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


def is_plugin(name: str) -> bool:
    """Tell whether a name means a model of an installed package."""
    return _found(name) is not None


def load_plugin(name: str, weights: Path | None) -> OwnModel:
    """Ask an installed package for its model.

    Raises
    ------
    ModelError : the package cannot be imported, fails, or gives something else; names it.
    """
    entry = _found(name)
    if entry is None:
        raise ModelError(f"no installed package offers the model {name!r}")
    package = entry.dist.name if entry.dist is not None else entry.module
    try:
        make: Any = entry.load()
        own = make(weights)
    except (ImportError, AttributeError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(
            f"the model {name} of the package {package} cannot be loaded: "
            f"{type(error).__name__}: {first_line(error)}"
        ) from error
    if not isinstance(own, OwnModel):
        raise ModelError(
            f"the model {name} of the package {package} is a {type(own).__name__}, not an "
            "OwnModel; the package has to be mended"
        )
    return own


def _found(name: str) -> EntryPoint | None:
    if name in BUNDLED or architecture_of(name) in timm_architectures():
        return None
    return next(iter(entry_points(group=GROUP, name=name)), None)
