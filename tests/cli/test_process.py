"""Commands as processes of their own: interrupted, killed, out of disk, installed from a wheel."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from drawings import scene
from outcome import SMALL_MODEL

ROOT = Path(__file__).parent.parent.parent
DEDUP = [sys.executable, "-m", "dedup"]
COUNT = 400


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    for seed in range(COUNT):
        scene(seed, (96, 72)).save(folder / f"{seed:03}.jpg")
    return folder


def index(folder: Path, store: Path) -> list[str]:
    options = ["-s", os.fspath(store), "--untrained", "--model", SMALL_MODEL]
    return [*DEDUP, "index", os.fspath(folder), *options]


def start(folder: Path, store: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(index(folder, store), stderr=subprocess.PIPE, text=True)


def embedded(store: Path) -> int:
    database = sqlite3.connect(f"file:{store}/catalog.sqlite?mode=ro", uri=True)
    try:
        (count,) = database.execute("SELECT count(*) FROM images").fetchone()
    except sqlite3.OperationalError:
        return 0
    finally:
        database.close()
    return int(count)


def wait_for_a_batch(store: Path, process: subprocess.Popen[str]) -> None:
    while process.poll() is None:
        if (store / "catalog.sqlite").exists() and embedded(store):
            return
        time.sleep(0.01)
    raise AssertionError("the run ended before it could be disturbed")


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_run_keeps_its_batches_and_the_next_goes_on(
    many: Path, tmp_path: Path, stop: signal.Signals
) -> None:
    store = tmp_path / "store"
    process = start(many, store)
    wait_for_a_batch(store, process)
    process.send_signal(stop)
    _, err = process.communicate(timeout=60)
    if stop is signal.SIGINT:
        assert process.returncode == 130
        assert "Interrupted" in err
        assert "Traceback" not in err
    else:
        assert process.returncode == -signal.SIGKILL
    kept = embedded(store)
    assert 0 < kept < COUNT
    assert kept % 32 == 0
    again = subprocess.run(
        [*DEDUP, "index", many, "-s", store], capture_output=True, text=True, check=True
    )
    assert f"{kept} unchanged" in again.stderr
    assert f"{COUNT - kept} indexed" in again.stderr


@pytest.mark.slow
def test_a_file_that_may_not_grow_is_one_clear_line(many: Path, tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))

    store = tmp_path / "store"
    limited = subprocess.run(
        index(many, store),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
    )
    assert limited.returncode == 1, limited.stderr
    assert "What was committed is kept" in limited.stderr
    assert "Traceback" not in limited.stderr
    again = subprocess.run(
        [*DEDUP, "index", many, "-s", store], capture_output=True, text=True, check=True
    )
    assert f"{COUNT:,} images" in again.stderr


@pytest.mark.slow
@pytest.mark.network
def test_the_wheel_installs_into_an_empty_environment(tmp_path: Path) -> None:
    python = tmp_path / "venv/bin/python"

    def run(*command: str | Path) -> None:
        subprocess.run(command, check=True, capture_output=True)

    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, ROOT)
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    run(python, "-m", "pip", "install", "-q", "click")
    (wheel,) = tmp_path.glob("dedup_vision-*.whl")
    run(python, "-m", "pip", "install", "-q", "--no-deps", wheel)
    done = subprocess.run(
        [tmp_path / "venv/bin/dedup", "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert "Find duplicate images" in done.stdout


def in_a_pipe(arguments: str, reader: str) -> tuple[int, str]:
    """Run a command whose output another one reads; gives its exit code and its stderr."""
    command = f"{sys.executable} -m dedup {arguments} | {reader}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("form", ["jsonl", "table", "csv", "paths"])
def test_a_reader_who_leaves_is_no_error_and_misses_no_note(indexed: Path, form: str) -> None:
    whole = in_a_pipe(f"list -s {indexed} --format {form}", "cat")
    assert whole[0] == 0
    assert " groups: " in whole[1]
    assert in_a_pipe(f"list -s {indexed} --format {form}", "true") == whole


def test_a_reader_who_leaves_does_not_change_what_was_found(indexed: Path) -> None:
    assert in_a_pipe(f"list -s {indexed} --fail-on exact", "true")[0] == 3


@pytest.mark.parametrize("arguments", ["--help", "list --help", "--version", "layers --help"])
def test_help_may_be_read_in_part(arguments: str) -> None:
    assert in_a_pipe(arguments, "true") == (0, "")
    assert in_a_pipe(f"{arguments} 2>&1", "true") == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_an_error_of_one_line_after_all_notes(indexed: Path) -> None:
    _, notes = in_a_pipe(f"list -s {indexed}", "cat")
    full = in_a_pipe(f"list -s {indexed} > /dev/full", "true")
    lost = "Error: the output could not be written: No space left on device\n"
    assert full == (1, notes + lost)
    assert in_a_pipe(f"list -s {indexed} --fail-on exact > /dev/full", "true")[0] == 3


def test_without_a_stdout_the_work_is_done(indexed: Path) -> None:
    assert in_a_pipe(f"list -s {indexed} >&-", "true") == in_a_pipe(f"list -s {indexed}", "cat")
    assert in_a_pipe(f"list -s {indexed} 2>&-", "cat") == (0, "")


def test_help_answers_without_loading_anything_heavy() -> None:
    code = (
        "import sys; sys.argv = ['dedup', '--help']\n"
        "from dedup.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'timm', 'faiss', 'cv2', 'numpy'} & set(sys.modules)\n"
        "print('LOADED', *sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED"


def test_list_does_not_load_torch(indexed: Path) -> None:
    code = (
        f"import sys; sys.argv = ['dedup', 'list', '-s', {str(indexed)!r}]\n"
        "from dedup.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('LOADED', *sorted({'torch', 'timm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED"
