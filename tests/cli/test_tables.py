"""Tables: paths stay whole, text wraps between words, nothing wraps without a terminal."""

from __future__ import annotations

import pytest

from dedup.cli.tables import table

COLUMNS = [
    ("group", "right"),
    ("tier", "left"),
    ("path", "path"),
    ("evidence", "left"),
]
LONG = "holiday in the hills/2019-07 with friends/IMG_20190701_120000 (copy).jpg"
ROWS = [
    ("1", "", "holiday/a.jpg", "keeper"),
    ("", "resaved", LONG, "the same image, 320×240 instead of 640×480"),
    ("2", "", "日本/写真.jpg", "keeper"),
    ("", "exact", "b.jpg", "same bytes"),
]


def lines(width: int | None) -> list[str]:
    return [line for line, _ in table(COLUMNS, ROWS, width, ruled=True)]


def test_without_a_terminal_each_row_is_one_line() -> None:
    found = lines(None)
    assert len(found) == 2 + len(ROWS) + 1  # a head with a rule, an empty line between groups
    assert found[3].split("   ")[-1] == "the same image, 320×240 instead of 640×480"
    assert all(line == line.rstrip() for line in found)
    assert found[2].index("keeper") == found[3].index("the same")
    wide = found[5].index("keeper")  # each of these letters takes two columns
    assert wide + len("日本写真") == found[2].index("keeper")


@pytest.mark.parametrize("width", range(10, 200))
def test_paths_are_whole_and_words_unbroken_at_any_width(width: int) -> None:
    found = lines(width)
    for _, tier, path, evidence in ROWS:
        assert any(path in line for line in found)
        assert any(tier in line for line in found)
        assert set(evidence.split()) <= {word for line in found for word in line.split()}
    room = max(width, 8 + 2 + 7 + 3 + 20)  # text has some room however narrow the terminal is
    assert not [line for line in found if LONG not in line and len(line) > room]


def test_paths_have_lines_of_their_own_where_the_table_does_not_fit() -> None:
    assert lines(80) == [
        " group   path",
        "           tier      evidence",
        " " + "─" * 79,
        "     1   holiday/a.jpg",
        "                     keeper",
        f"         {LONG}",
        "           resaved   the same image, 320×240 instead of 640×480",
        "",
        "     2   日本/写真.jpg",
        "                     keeper",
        "         b.jpg",
        "           exact     same bytes",
    ]


def test_text_wraps_beside_whole_paths_on_a_wide_terminal() -> None:
    found = lines(130)
    assert found[0] == " group   tier      path" + " " * (len(LONG) - 1) + "evidence"
    (row,) = [number for number, line in enumerate(found) if LONG in line]
    assert found[row].endswith("the same image, 320×240 instead of")
    assert found[row + 1].split() == ["640×480"]
    assert lines(119)[5].strip() == LONG


def test_a_table_without_paths_wraps_its_widest_texts() -> None:
    columns = [("way", "left"), ("found", "right")]
    rows = [("cropped to a half and saved again", "97% (94% to 99%)")]
    found = [line for line, _ in table(columns, rows, 30, ruled=False)]
    assert max(map(len, found)) <= 30
    assert " ".join(" ".join(line.split()) for line in found[2:]).startswith("cropped")
    assert [line for line, head in table(columns, rows, 30, ruled=False) if head] == [found[0]]


def test_an_empty_table_is_its_head() -> None:
    assert [line for line, _ in table(COLUMNS, [], 80, ruled=True)] == [
        " group   tier   path   evidence",
        " " + "─" * 30,
    ]
