"""Which engine a name means."""

from __future__ import annotations

from typing import Final

from dedup.distributed.engine import Engine, Inline

ENGINES: Final = ("inline", "processes", "ray")


def engine_named(name: str, address: str = "") -> Engine:
    """Give an engine, not yet entered."""
    del name, address
    return Inline()
