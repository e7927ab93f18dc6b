"""Where faults are made: a folder of images, collections of them, and commands to disturb.

A command is the real one, run by a fork of this process that has imported it already: starting
Python anew takes ten times as long as most of these commands. It has a session of its own, by which
processes that outlive it are found, and HOME, TMPDIR and cache of its own.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from PIL import Image

from dedup.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from numpy.random import Generator

MAX_SECONDS: Final = 120.0
"""After which a command counts as hanging."""

_PATIENCE_SECONDS: Final = 4.0  # that processes of a killed command have to notice it
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - of Linux


@dataclass(frozen=True, slots=True)
class Run:
    """What a command left behind.

    Parameters
    ----------
    code : exit code; the signal, negative, where it was killed
    memory : most bytes that one of its processes held
    """

    code: int
    out: bytes
    err: str
    seconds: float
    memory: int
    process: int

    @property
    def crashed(self) -> bool:
        """Whether it ended as no command may."""
        return self.code not in {0, 1, 2, 3} or "Traceback" in self.err

    @property
    def last(self) -> str:
        """The last line on stderr."""
        return (self.err.strip().splitlines() or [""])[-1]


class Lab:
    """A folder to make faults in.

    Parameters
    ----------
    folder : empty, or of an interrupted run
    count : of images
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.images = folder / "images"
        self.temporary = folder / "temporary"
        self.cache = folder / "cache"
        self.work = folder / "work"
        shutil.rmtree(folder, ignore_errors=True)
        for path in (self.images, self.temporary, self.cache, self.work):
            path.mkdir(parents=True)
        draw(self.images, count)
        self.sound = folder / "sound"
        self.index(self.sound)
        undisturbed = self.answer(self.sound)
        if undisturbed.code:
            raise SystemExit(f"an undisturbed list fails: {undisturbed.err}")

    def index(self, store: Path, images: Path | None = None, **how: Callable[[], None]) -> Run:
        """Index images into a collection, with the bundled model."""
        return self.run(["index", images or self.images, "-s", store, "--views", "content"], **how)

    def answer(self, store: Path) -> Run:
        """List duplicates: what must be equal, whatever happened before."""
        tiers = ["--tier", "exact,pixels,near,similar", "--threshold", "0.9"]
        return self.run(["list", "-s", store, "--format", "jsonl", *tiers])

    def copy(self, store: Path | None = None) -> Path:
        """Give a collection to spoil, a copy of a sound one."""
        target = self.empty()
        shutil.copytree(store or self.sound, target)
        return target

    def empty(self) -> Path:
        """Give the path of a collection that is not there."""
        target = self.work / "store"
        shutil.rmtree(target, ignore_errors=True)
        return target

    def start(self, arguments: list[str | Path], prepare: Callable[[], None] | None = None) -> int:
        """Start a command; gives its process, whose output goes to files named after it."""
        process = os.fork()
        if process:
            return process
        code = 1
        try:
            self._become(arguments, prepare)
            try:
                main()
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
            sys.stdout.flush()
        except BaseException:  # noqa: BLE001 - what a process would print as well
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _become(self, arguments: list[str | Path], prepare: Callable[[], None] | None) -> None:
        os.setsid()
        for number, name in ((1, "out"), (2, "err")):
            path = self.folder / f"{os.getpid()}.{name}"
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.chdir(self.work)
        os.environ |= {
            "TMPDIR": os.fspath(self.temporary),
            "HOME": os.fspath(self.folder),
            "XDG_CACHE_HOME": os.fspath(self.cache),
        }
        sys.argv = ["dedup", *(os.fspath(one) for one in arguments)]
        if prepare is not None:
            prepare()

    def wait(self, process: int, seconds: float = MAX_SECONDS) -> Run:
        """Wait for a command, and kill it when its time has passed."""
        begin = time.monotonic()
        while True:
            ended, status, usage = os.wait4(process, os.WNOHANG)
            if ended:
                break
            if time.monotonic() - begin > seconds:
                os.kill(process, signal.SIGKILL)
            time.sleep(0.002)
        texts = []
        for name in ("out", "err"):
            path = self.folder / f"{process}.{name}"
            texts.append(path.read_bytes() if path.exists() else b"")
            path.unlink(missing_ok=True)
        return Run(
            os.waitstatus_to_exitcode(status),
            texts[0],
            texts[1].decode(errors="surrogateescape"),
            time.monotonic() - begin,
            usage.ru_maxrss << 10,
            process,
        )

    def run(self, arguments: list[str | Path], prepare: Callable[[], None] | None = None) -> Run:
        """Run a command to its end."""
        return self.wait(self.start(arguments, prepare))

    def killed(self, arguments: list[str | Path], seconds: float) -> Run:
        """Run a command, and kill it after some time."""
        return self.wait(self.start(arguments), seconds)

    def leftovers(self, store: Path, *runs: Run) -> list[str]:
        """Say what outlived commands and should not have: processes, memory, temporary files."""
        sessions = {run.process for run in runs}
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (left := _processes(sessions)) and time.monotonic() < deadline:
            time.sleep(0.05)
        found = [f"process {process}" for process in left]
        names = os.listdir(_SHARED_MEMORY) if _SHARED_MEMORY.is_dir() else []
        found += [
            f"shared memory {one}" for one in names if any(f"-{each}-" in one for each in sessions)
        ]
        found += [f"TMPDIR/{path.name}" for path in self.temporary.iterdir()]
        found += [f"store/{one.name}" for one in store.glob("*") if ".tmp" in one.name]
        found += [f"store/{one.name}" for one in store.glob("*.new*")]
        for path in self.temporary.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return found

    def knows(self, command: str) -> bool:
        """Whether there is a command of this name."""
        return f"\n  {command} " in self.run(["--help"]).out.decode()


def differs(run: Run, wanted: Run) -> list[str]:
    """Say what is wrong with an answer that should be as another."""
    if run.crashed:
        return [f"ended with {run.code}: {run.last}"]
    if run.code != wanted.code:
        return [f"exit code {run.code}: {run.last}"]
    return [] if run.out == wanted.out else ["another answer"]


def limit_file_size(size: int) -> Callable[[], None]:
    """Give what lets no file grow beyond a size, as a full disk would."""

    def prepare() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return prepare


def drawn(rng: Generator, width: int, height: int) -> npt.NDArray[np.uint8]:
    """Draw an image that looks like no other: clouds, boxes and grain."""
    coarse = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(8):
        x, y = int(rng.integers(width - 8)), int(rng.integers(height - 8))
        colour = tuple(int(one) for one in rng.integers(0, 256, 3))
        end = (x + int(rng.integers(8, width // 2)), y + int(rng.integers(8, height // 2)))
        cv2.rectangle(image, (x, y), end, colour, -1)
    grain = rng.normal(0, 5, image.shape)
    return np.asarray(np.clip(image + grain, 0, 255), np.uint8)


def draw(folder: Path, count: int) -> None:
    """Draw images of which every fourth has a copy: of its bytes, of its pixels, or smaller."""
    for number in range(count):
        image = drawn(np.random.default_rng(number), 160, 120)
        path = folder / f"{number:04}.jpg"
        cv2.imwrite(os.fspath(path), image)
        if number % 4:
            continue
        if number % 12 == 0:
            shutil.copy(path, folder / f"{number:04} copy.jpg")
        elif number % 12 == 4:
            Image.open(path).save(folder / f"{number:04}.png")
        else:
            small = cv2.resize(image, (112, 84), interpolation=cv2.INTER_AREA)
            cv2.imwrite(os.fspath(folder / f"{number:04} small.jpg"), small)
    for path in folder.iterdir():
        os.utime(path, (1.7e9, 1.7e9))


def _processes(sessions: set[int]) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text("utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) in sessions and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


class State:
    """What was done, in a file, so that an interrupted run goes on.

    Parameters
    ----------
    path : of the file
    settings : that a run must share with the one it goes on from
    """

    def __init__(self, path: Path, settings: dict[str, object]) -> None:
        self._path = path
        self._content: dict[str, object] = {"settings": settings, "trials": {}}
        if path.is_file():
            content = json.loads(path.read_text("utf-8"))
            if content["settings"] == json.loads(json.dumps(settings)):
                self._content = content
        self.trials: dict[str, list[list[str]]] = self._content["trials"]  # type: ignore[assignment]

    def add(self, name: str, faults: list[str]) -> None:
        """Keep what a trial found."""
        self.trials.setdefault(name, []).append(faults)
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json.dumps(self._content), "utf-8")
        temporary.replace(self._path)
