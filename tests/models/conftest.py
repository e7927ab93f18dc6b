"""Fixtures shared with other rooms."""

from networks import (  # noqa: F401 - pytest finds fixtures by name
    _seeded_and_single_threaded,
    hub_cache,
    mobilenet_weights,
    photographs,
    small_net,
)
