"""Disks that are full: one clear line, and the next run goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from faultlab.lab import differs, limit_file_size
from faultlab.trials import Trials

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.random import Generator

    from faultlab.lab import Run


class Full(Trials):
    """A disk of a drawn size for one of the folders."""

    asked, short = 20, 1

    def prepare(self) -> None:
        """Keep what an undisturbed collection answers."""
        self.wanted = self.lab.answer(self.lab.sound)
        self.errors = 0

    def judged(self, runs: list[Run], store: Path) -> list[str]:
        """Check runs on a full disk, then those with room again."""
        faults = []
        for run in runs:
            if run.crashed:
                faults.append(f"ended with {run.code}: {run.last}")
            elif run.code:
                self.errors += 1
                if not run.last.startswith("Error: "):
                    faults.append(f"unclear: {run.last}")
        again = self.lab.index(store)
        if again.code:
            faults.append(f"does not go on: {again.last}")
        self.note = f"{self.errors} clear errors; the others could do without"
        last = self.lab.answer(store)
        return faults + differs(last, self.wanted) + self.lab.leftovers(store, *runs, again, last)


class FullCollection(Full):
    """No file may grow beyond a size."""

    name, title = "full collection", "disk full: the collection"

    def trial(self, number: int, rng: Generator) -> list[str]:  # noqa: ARG002 - of all trials
        """Index with a limit."""
        store = self.lab.empty()
        size = int(2 ** rng.uniform(10, 18))  # what it says on stderr has to fit as well
        return self.judged([self.lab.index(store, prepare=limit_file_size(size))], store)


class FullDisk(Full):
    """A small file system in memory, which only root can mount."""

    def folder(self) -> Path:
        """Give the folder that is small."""
        raise NotImplementedError

    def before(self) -> list[list[str | Path]]:
        """Give further commands that use it."""
        return []

    def absent(self) -> str:
        """Say that it cannot be mounted."""
        if os.geteuid() != 0:
            return "only root can mount a small disk"
        if shutil.which("mount") is None:
            return "there is no mount"
        try:
            self._mount(1)
        except subprocess.CalledProcessError:
            return "a small disk cannot be mounted"
        self._unmount()
        return ""

    def trial(self, number: int, rng: Generator) -> list[str]:  # noqa: ARG002 - of all trials
        """Index and list with a small disk there."""
        store = self.lab.empty()
        self._mount(int(2 ** rng.uniform(2, 12)))
        try:
            runs = [self.lab.run(command) for command in self.before()]
            store = self.lab.empty()
            runs += [self.lab.index(store), self.lab.answer(store)]
        finally:
            self._unmount()
        return self.judged(runs, store)

    def _mount(self, pages: int) -> None:
        size = f"size={pages * 4}k"
        command = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", os.fspath(self.folder())]
        subprocess.run(command, check=True, capture_output=True)

    def _unmount(self) -> None:
        subprocess.run(["umount", "-l", os.fspath(self.folder())], check=True)


class FullTemporary(FullDisk):
    """TMPDIR."""

    name, title = "full TMPDIR", "disk full: TMPDIR"

    def folder(self) -> Path:
        """Name it."""
        return self.lab.temporary


class FullCache(FullDisk):
    """Dedup's cache."""

    name, title, short = "full cache", "disk full: cache of converted models", 0

    def folder(self) -> Path:
        """Name it."""
        return self.lab.cache

    def before(self) -> list[list[str | Path]]:
        """Convert a model."""
        small = ["--untrained", "--model", "mobilenetv3_small_050", "--views", "content"]
        return [["index", self.lab.images, "-s", self.lab.empty(), *small]]


ALL = (FullCollection, FullTemporary, FullCache)
