from __future__ import annotations

import pytest

from dedup.cli.output import counted


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0 groups"), (1, "1 group"), (2, "2 groups"), (12345, "12,345 groups")],
)
def test_what_is_counted_is_one_or_several(number: int, words: str) -> None:
    assert counted(number, "group") == words
