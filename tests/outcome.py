"""What a command left behind, and the model that tests of commands use."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

SMALL_MODEL = "mobilenetv3_small_050"
"""A real network that embeds an image in a few milliseconds; seeded weights suffice for copies."""


@dataclass(frozen=True)
class Outcome:
    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The jsonl on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]
