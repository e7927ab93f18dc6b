"""Names that act on terminals, in every command: none of their characters arrives there raw."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest
from drawings import scene

from dedup.cli.output import visible
from dedup.collection import Collection
from dedup.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outcome import Outcome

    Run = Callable[..., Outcome]

CHARACTERS = [
    *(chr(code) for code in (*range(1, 0x20), *range(0x7F, 0xA0))),
    *"\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    *(os.fsdecode(bytes([byte])) for byte in range(0x80, 0x100, 5)),
]
NAMES = [
    *(f"a{character}b" for character in CHARACTERS),
    "\x1b[2J\x1b]0;title\x07",
    "\x9b31m red",
    "[bold red]markup",
    "=HYPERLINK(1)",
    "-0",
]
NAMES_OF_MANY = [
    *(
        "".join(f"a{character}b" for character in CHARACTERS[start : start + 6])
        for start in range(0, len(CHARACTERS), 6)
    ),
    *NAMES[len(CHARACTERS) :],
]
"""The same characters in fewer names: every command says each of them."""
RAW = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\udc80-\udcff]"
)
"""All that may not reach a terminal; line feeds are counted."""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of copies of one image under hostile names, some broken; and its collection."""
    folder = tmp_path_factory.mktemp("hostile") / "images\x1b[31m"
    folder.mkdir()
    scene(1, (64, 48)).save(folder / "keeper.png")
    for number, name in enumerate(NAMES):
        path = folder / f"{name}.png"
        if number % 4:
            shutil.copy(folder / "keeper.png", path)
        else:
            path.write_bytes(b"no image")
    store = folder.parent / "store"
    with Collection.create(store, ModelSpec(views="details")) as collection:
        collection.index([folder])
    return folder, store


def is_clean(outcome: Outcome) -> bool:
    text = outcome.out.decode("utf-8", "surrogateescape") + outcome.err
    return RAW.search(text) is None


@pytest.mark.parametrize("command", ["list", "status --skipped", "status", "query", "compare"])
def test_tables_hold_no_raw_character_of_a_name(
    dedup: Run, hostile: tuple[Path, Path], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    folder, store = hostile
    arguments: list[object] = [*command.split(), "-s", store, "--format", "table"]
    if command == "query":
        arguments += [*sorted(folder.iterdir()), "-k", 3]
    elif command == "compare":
        arguments += [folder, "--against", store]
    outcome = dedup(*arguments)
    assert outcome.code == 0, outcome.err
    assert is_clean(outcome)
    if command == "list":  # a row a name, none of them broken
        assert outcome.out.count(b".png") >= len(NAMES) * 3 // 4
        assert b"[bold red]markup" in outcome.out


@pytest.mark.parametrize("name", NAMES_OF_MANY, ids=ascii)
def test_errors_and_notes_hold_no_raw_character_of_a_name(
    dedup: Run, hostile: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    _, store = hostile
    path = f"./{name}"
    for arguments in (
        ["why", path, path, "-s", store, "--format", "table"],
        ["query", path, "-s", store],
        ["ignore", path, path, "-s", store],
        ["ignore", "--undo", path, path, "-s", store],
        ["ignore", "--import", path, "-s", store],
        ["export", "-s", store, "-o", path],
        ["export", "-s", store, "-o", tmp_path / "f.npz", "--layer", name],
        ["list", "-s", path],
        ["index", path, "-s", tmp_path / "new"],
        ["eval", "-s", store, "--truth", path],
        ["list", "-s", store, "--tier", name],
        ["list", f"--{name}"],
        [f"x{name}"],
    ):
        outcome = dedup(*arguments)
        assert outcome.code in {1, 2}, arguments
        assert is_clean(outcome), arguments
        # A name adds no lines: what is printed is one, and two of usage and an empty one before.
        assert outcome.err.count("\n") <= 4, arguments


def test_answers_for_programs_give_every_name_back(dedup: Run, hostile: tuple[Path, Path]) -> None:
    folder, store = hostile
    wanted = {os.fsencode(folder / f"{name}.png") for i, name in enumerate(NAMES) if i % 4}
    wanted.add(os.fsencode(folder / "keeper.png"))
    outcome = dedup("list", "-s", store, "--format", "jsonl")
    assert is_clean(outcome)
    (group,) = outcome.rows
    keeper = os.fsencode(group["keeper"])
    assert {keeper, *(os.fsencode(one["path"]) for one in group["duplicates"])} == wanted
    out = dedup("list", "-s", store, "--format", "paths", "-0").out
    assert {keeper, *out.removesuffix(b"\0").split(b"\0")} == wanted
    out = dedup("list", "-s", store, "--format", "csv").out
    rows = csv.DictReader(io.StringIO(out.decode("utf-8", "surrogateescape"), newline=""))
    assert {keeper, *(os.fsencode(row["path"]) for row in rows)} == wanted


def test_a_formula_gets_an_apostrophe_where_that_is_asked_for(
    dedup: Run, hostile: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, store = hostile
    monkeypatch.chdir(folder)
    name = "=HYPERLINK(1).png"
    out = dedup("query", name, "-s", store, "-k", 1, "--csv-safe").out
    assert out.splitlines()[1].startswith(b"'=HYPERLINK(1).png,1,")
    out = dedup("query", name, "-s", store, "-k", 1, "--format", "csv").out
    assert out.splitlines()[1].startswith(b"=HYPERLINK(1).png,1,")
    outcome = dedup("query", name, "-s", store, "--csv-safe", "--format", "jsonl")
    assert outcome.code == 2
    assert "--csv-safe needs --format csv, not jsonl" in outcome.err


def test_what_is_printed_stays_readable() -> None:
    assert visible("Grüße 東京 😀.jpg") == "Grüße 東京 😀.jpg"
    assert visible("a\x1bb\x9bc\u202ed\udcffe\nf") == r"a\x1bb\x9bc\u202ed\xffe\nf"
