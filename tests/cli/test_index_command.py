from __future__ import annotations

import os
import re
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest
from outcome import SMALL_MODEL, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dedup.collection import Collection

    Dedup = Callable[..., Outcome]


def test_a_first_run_tells_what_was_indexed_and_skipped(dedup: Dedup, images: Path) -> None:
    done = dedup("index", images, "--model", SMALL_MODEL, "--untrained")
    assert done.code == 0
    assert done.out == b""
    assert "18 images: 14 indexed, 2 reused (renamed, copied or touched), 2 skipped" in done.err
    assert "cut.jpg: truncated" in done.err
    assert "text.jpg: not an image" in done.err
    assert "Created the collection .dedup" in done.err


def test_verbose_tells_where_the_time_went(dedup: Dedup, images: Path) -> None:
    done = dedup("index", images, "--model", SMALL_MODEL, "--untrained", "-v")
    assert re.search(r"embedded in batches of \d+\. Waited ", done.err)
    assert "Slowest stage: " in done.err
    assert "Slowest" not in dedup("index", images, "-v").err  # nothing was read


def test_a_second_run_reads_nothing(dedup: Dedup, images: Path) -> None:
    dedup("index", images, "--model", SMALL_MODEL, "--untrained")
    done = dedup("index", images)
    assert "18 images: 16 unchanged, 2 skipped before and unchanged" in done.err
    assert "cut.jpg" not in done.err
    again = dedup("index")
    assert "16 unchanged" in again.err


def skipped(done: Outcome) -> list[str]:
    """The lines on skipped files, and the one on what to do."""
    return [line for line in done.err.splitlines() if "kipped" in line and " images: " not in line]


WAY_OUT = (
    "Skipped files are read again once they have changed: mend them, or convert them to a format "
    "that is read, such as JPEG."
)
NO_IMAGE = "not an image, or of a format that is not read"


def test_a_file_in_a_hidden_folder_that_is_named_stays(
    dedup: Dedup, own: Collection, images: Path
) -> None:
    (images / ".hidden").mkdir()
    shutil.copy(images / "a/8.jpg", images / ".hidden/x.jpg")
    done = dedup("index", images / ".hidden/x.jpg", "-s", own.path)
    assert skipped(done) == []
    for folder in ((), (images,)):
        assert "gone" not in dedup("index", *folder, "-s", own.path).err
    assert {os.path.basename(root.path) for root in own.roots()} == {images.name, ".hidden"}


def test_a_file_that_is_named_and_cannot_be_indexed_is_told_at_every_run(
    dedup: Dedup, own: Collection, images: Path
) -> None:
    (images / "notes.txt").write_text("no image")
    shutil.copy(images / "a/3.jpg", images / "picture.txt")
    (images / ".hidden.jpg").symlink_to(images / "a/3.jpg")
    said = {
        "text.jpg": NO_IMAGE,  # skipped before
        "notes.txt": NO_IMAGE,
        "picture.txt": "an image whose name does not say so, which an indexed folder takes no "
        "notice of: rename it",
    }
    for name, reason in said.items():
        for _ in range(2):
            done = dedup("index", images / name, "-s", own.path)
            assert done.code == 0
            assert skipped(done) == [f"  skipped {images / name}: {reason}", WAY_OUT]
            assert dedup("index", images / name, "-s", own.path, "--strict").code == 1
    assert skipped(dedup("index", images, images / "a/3.jpg", "-s", own.path)) == []
    hidden = images / "a/.8.jpg"
    shutil.copy(images / "a/8.jpg", hidden)
    (line, _) = skipped(dedup("index", hidden, "-s", own.path))
    assert line.startswith(f"  skipped {hidden}: left out by --exclude, or as hidden")


def test_names_out_of_a_list_are_told_too(dedup: Dedup, own: Collection, images: Path) -> None:
    (images.parent / "list").write_text(f"{images}/text.jpg\n{images}/a/3.jpg\n{images}/none.jpg\n")
    done = dedup("index", "--files-from", images.parent / "list", "-s", own.path)
    none, text, _ = skipped(done)
    assert none == f"  skipped {images}/none.jpg: there is no such file"
    assert text == f"  skipped {images}/text.jpg: {NO_IMAGE}"


def test_a_file_that_is_no_image_makes_no_collection(dedup: Dedup, images: Path) -> None:
    (images / "notes.txt").write_text("no image")
    done = dedup("index", images / "notes.txt")
    assert done.code == 1
    assert done.err.startswith(f"Error: no images in {images}/notes.txt")
    assert not os.path.lexists(".dedup")
    shutil.copy(images / "a/3.jpg", images / "picture.txt")  # what it is, its content decides
    done = dedup("index", images / "picture.txt", "--model", SMALL_MODEL, "--untrained")
    assert "1 image: 1 indexed" in done.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["index", "nowhere"], "nowhere: there is no such folder"),
        (["index", "empty"], "no images in empty"),
        (["index"], "there is no collection here or above. Make one with: dedup index FOLDER"),
        (["list"], "there is no collection here"),
        (["query", "file.jpg"], "there is no collection here"),
        (["status", "-s", "empty"], "there is no collection here"),
        (["index", "full", "--weights", "none.safetensors"], "none.safetensors"),
        (["index", "full", "--untrained", "--model", "mobilenet_v2"], "Closest: mobile"),
        (["index", "full", "--untrained", "--layer", "globalpool"], "global_pool"),
        (["index", "full", "--untrained", "--layer", "a", "--layer", "a"], "named twice"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(
    dedup: Dedup, drawn: Path, arguments: list[str], says: str
) -> None:
    os.mkdir("empty")
    os.mkdir("full")
    shutil.copy(drawn / "a/0.jpg", "full/0.jpg")
    shutil.copy(drawn / "a/0.jpg", "file.jpg")
    done = dedup(*arguments)
    assert done.code == 1
    assert done.out == b""
    assert "Error: " in done.err
    assert says in done.err
    assert not os.path.exists(".dedup")


@pytest.mark.parametrize(
    "arguments",
    [
        ["index", "x", "--untrained", "--weights", "f"],
        ["index", "x", "--device", "abacus"],
        ["query", "x", "-k", "3", "--threshold", "0.9"],
        ["query", "x", "-k", "0"],
        ["query", "x", "--threshold", "1.5"],
        ["query"],
        ["list", "--tier", "certain"],
        ["list", "--tier", ""],
        ["list", "--threshold", "0.9", "--precision", "0.9"],
        ["list", "-0", "--format", "csv"],
        ["list", "--group", "blob"],
        ["list", "--fail-on", "sure"],
        ["layers"],
        ["export"],
        ["nonsense"],
    ],
)
def test_wrong_usage_exits_with_two(dedup: Dedup, arguments: list[str]) -> None:
    done = dedup(*arguments)
    assert done.code == 2
    assert done.out == b""


def test_settings_of_another_kind_are_refused_with_the_way_out(
    dedup: Dedup, store: Path, drawn: Path, tmp_path: Path
) -> None:
    for options, says in [
        (["--model", "resnet18"], f"model: {SMALL_MODEL}, not resnet18"),
        (["--layer", "blocks"], "layers: global_pool, not blocks"),
    ]:
        done = dedup("index", drawn, "-s", store, *options)
        assert done.code == 1
        assert says in done.err
        assert "--store NEW_FOLDER" in done.err
    weights = tmp_path / "other.safetensors"
    weights.write_bytes(b"something else")
    done = dedup("index", drawn, "-s", store, "--weights", weights)
    assert done.code == 1
    assert "weights: untrained, not" in done.err


def test_the_same_settings_again_are_welcome(dedup: Dedup, store: Path, drawn: Path) -> None:
    done = dedup("index", drawn, "-s", store, "--model", SMALL_MODEL, "--untrained")
    assert done.code == 0


def test_the_store_may_come_from_the_environment(
    dedup: Dedup, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEDUP_STORE", str(store))
    assert dedup("status").code == 0


def test_the_nearest_collection_above_is_found(
    dedup: Dedup, indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(indexed, ".dedup")
    os.makedirs("deep/er")
    monkeypatch.chdir("deep/er")
    assert dedup("status").code == 0


def test_strict_fails_when_a_file_could_not_be_read(dedup: Dedup, store: Path, drawn: Path) -> None:
    assert dedup("index", drawn, "-s", store).code == 0
    assert dedup("index", drawn, "-s", store, "--strict").code == 1


def test_a_locked_collection_names_the_holder(dedup: Dedup, store: Path, drawn: Path) -> None:
    from dedup.store.lock import writer_lock

    with writer_lock(store):
        done = dedup("index", drawn, "-s", store)
    assert done.code == 1
    assert f"process {os.getpid()} on" in done.err
    assert dedup("list", "-s", store).code == 0


def test_a_collection_of_a_newer_format_is_refused(dedup: Dedup, store: Path) -> None:
    with sqlite3.connect(store / "catalog.sqlite") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    done = dedup("list", "-s", store)
    assert done.code == 1
    assert "newer dedup" in done.err


def test_a_damaged_catalog_is_one_clear_line(dedup: Dedup, store: Path) -> None:
    content = bytearray((store / "catalog.sqlite").read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    (store / "catalog.sqlite").write_bytes(content)
    done = dedup("list", "-s", store)
    assert done.code == 1
    assert "damaged" in done.err


def test_help_shows_every_command(dedup: Dedup) -> None:
    done = dedup("--help")
    assert done.code == 0
    for command in ("index", "query", "list", "status", "layers", "export"):
        assert f"  {command} " in done.text


def test_a_collection_of_another_decoder_names_the_way_out(
    dedup: Dedup, store: Path, drawn: Path
) -> None:
    with sqlite3.connect(store / "catalog.sqlite") as database:
        database.execute(
            "UPDATE meta SET value = replace(value, 'rules 1', 'rules 0'), checksum = NULL"
            " WHERE key = 'fingerprint'"
        )
    database.close()
    done = dedup("index", drawn, "-s", store)
    assert done.code == 1
    assert "other decoders" in done.err
    assert "--store NEW_FOLDER" in done.err
    assert dedup("list", "-s", store).code == 0  # needs no decoding into the model's input
