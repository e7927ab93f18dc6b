"""Answers say what they lack: an index that was broken off, folders that are not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dedup.store.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outcome import Outcome

    Dedup = Callable[..., Outcome]

UNFINISHED = "Indexing is under way, or was broken off"


def test_without_a_command_the_help_is_shown(dedup: Dedup) -> None:
    done = dedup()
    assert done.code == 0
    assert b"[OPTIONS] COMMAND [ARGS]...\n\n  Find duplicate images" in done.out
    assert done.err == ""


def test_an_index_that_was_broken_off_is_told_until_it_has_ended(
    dedup: Dedup, store: Path, drawn: Path, images: Path
) -> None:
    dedup("roots", "--move", drawn, images, "-s", store)
    assert UNFINISHED not in dedup("list", "-s", store).err
    catalog = Catalog.open(store)
    catalog.begin_run()
    catalog.close()
    for command in ("list", "plan", "status"):
        assert UNFINISHED in dedup(command, "-s", store).err, command
    dedup("index", "-s", store)
    assert UNFINISHED not in dedup("list", "-s", store).err


def test_a_folder_that_is_not_there_is_refused(
    dedup: Dedup, store: Path, drawn: Path, images: Path
) -> None:
    dedup("roots", "--move", drawn, images, "-s", store)
    for arguments in (
        ["list", "--under", images / "nosuch"],
        ["plan", images / "nosuch"],
        ["contains", images / "nosuch", images / "a"],
    ):
        done = dedup(*arguments, "-s", store)
        assert done.code == 1
        assert "nosuch: there is no such folder" in done.err
    (images / "a").rename(images / "b2")
    assert dedup("list", "--under", images / "a", "-s", store).code == 0  # was indexed


def test_what_was_renamed_is_not_called_gone(
    dedup: Dedup, store: Path, drawn: Path, images: Path
) -> None:
    dedup("roots", "--move", drawn, images, "-s", store)
    dedup("index", "-s", store)
    moved, removed = sorted((images / "a").glob("*.jpg"))[:2]
    moved.rename(images / "renamed.jpg")
    removed.unlink()
    done = dedup("index", "-s", store)
    assert "1 reused (renamed, copied or touched)" in done.err
    assert "1 gone since the last run" in done.err
