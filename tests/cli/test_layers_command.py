from __future__ import annotations

import json
from typing import TYPE_CHECKING

from outcome import SMALL_MODEL, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    Dedup = Callable[..., Outcome]


def test_layers_prints_names_types_and_shapes(dedup: Dedup) -> None:
    done = dedup("layers", SMALL_MODEL)
    found = {row["layer"]: row for row in map(json.loads, done.out.splitlines())}
    assert found["global_pool"]["shape"] == [288, 1, 1]
    assert found["conv_stem"]["type"].startswith("Conv2d")
    assert "conv_stem" in dedup("layers", SMALL_MODEL, "--format", "table").text
    assert dedup("layers", "no_such_model").code == 1
