"""Notes and errors at the width of a terminal."""

from __future__ import annotations

import pytest

from dedup.cli.tables import table
from dedup.cli.wrapping import wrapped

LONG = "2019 Sommer/a name that is longer than any line of this terminal is.jpg"


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("short enough", 12, ["short enough"]),
        ("one two three four", 26, ["one two three four"]),
        ("  one two three four five six seven eight", 26,
         ["  one two three four five", "    six seven eight"]),
        (f"Error: /home/My Photos/{LONG}: no such file", 60,
         ["Error:", f"  /home/My Photos/{LONG}:", "  no such file"]),
        (f"Wrote {LONG}; to carry it out: dedup apply plan.json", 40,
         [f"Wrote {LONG};", "  to carry it out: dedup apply plan.json"]),
        ("Keep v1.2 and then ask dedup to do what it is that it did before", 40,
         ["Keep v1.2 and then ask dedup to do what", "  it is that it did before"]),
        ("60 images: 60 indexed; 1.2 s (50 images/s) or so", 44,
         ["60 images: 60 indexed; 1.2 s (50 images/s)", "  or so"]),
        ("the folder /a b/c d is not indexed, nothing of it is known", 40,
         ["the folder /a b/c d is not indexed,", "  nothing of it is known"]),
    ],
)  # fmt: skip
def test_lines_break_between_words_and_leave_paths_whole(
    text: str, width: int, lines: list[str]
) -> None:
    assert wrapped(text, width).split("\n") == lines


def test_a_size_stays_with_its_unit() -> None:
    rows = [["some words that are long", "1.3 MB"], ["others", "12 B"]]
    drawn = [
        line for line, _ in table([("what", "left"), ("size", "right")], rows, 24, ruled=False)
    ]
    assert [line.split("   ")[-1].strip() for line in drawn if "MB" in line] == ["1.3 MB"]
    assert max(map(len, drawn)) <= 24
