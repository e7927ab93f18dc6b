"""Which engine a name means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dedup.distributed.engine import EngineError, Inline

if TYPE_CHECKING:
    from dedup.distributed.engine import Engine

ENGINES: Final = ("inline", "processes", "ray")


def engine_named(name: str, address: str = "") -> Engine:
    """Give an engine, not yet entered.

    Parameters
    ----------
    name : one of `ENGINES`
    address : of a Ray cluster, such as "auto"; "" for what RAY_ADDRESS says, else this machine

    Raises
    ------
    EngineError : there is no such engine, or it has no address.
    ExtraMissingError : what it needs is not installed.
    """
    if address and name != "ray":
        raise EngineError(f"the engine {name} has no address; leave it out, or use the engine ray")
    if name == "inline":
        return Inline()
    if name == "processes":
        from dedup.distributed.processes_engine import Processes

        return Processes()
    if name == "ray":
        from dedup.distributed.ray_engine import Ray

        return Ray(address)
    raise EngineError(f"there is no engine {name}; there are {', '.join(ENGINES)}")
