"""One image of a pair."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from dedup.proof.description import Features
    from dedup.proof.original import Original


class Side(NamedTuple):
    """One image of a pair.

    Parameters
    ----------
    features : as described
    open : gives the file; asked only where what is described is not enough
    """

    features: Features
    open: Callable[[], Original]
