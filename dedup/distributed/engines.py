"""Engines by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dedup.arguments import one_of
from dedup.distributed.engine import Inline

if TYPE_CHECKING:
    from collections.abc import Callable

    from dedup.distributed.engine import Engine

ENGINES: Final = ("inline", "processes", "ray")


def engine_named(name: str, _address: str) -> Callable[[], Engine]:
    """Give what starts an engine."""
    one_of(name, ENGINES, "engine")
    return Inline
