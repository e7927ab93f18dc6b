"""Several commands at once, and a folder that changes under one of them."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import cv2

from faultlab.lab import differs, drawn
from faultlab.trials import Trials

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.random import Generator


class TwoWriters(Trials):
    """Two runs of `index` of one collection."""

    name, title, asked, short = "concurrent writers", "two writers at once", 20, 1

    def prepare(self) -> None:
        """Keep what an undisturbed collection answers."""
        self.wanted = self.lab.answer(self.lab.sound)

    def trial(self, number: int, rng: Generator) -> list[str]:
        """Start both, the second a little later."""
        store = self.lab.copy() if number % 2 else self.lab.empty()
        command: list[str | Path] = ["index", self.lab.images, "-s", store, "--views", "content"]
        first = self.lab.start(command)
        time.sleep(rng.uniform(0, 0.2))
        second = self.lab.start(command)
        runs = [self.lab.wait(first), self.lab.wait(second)]
        faults = [f"ended with {run.code}: {run.last}" for run in runs if run.crashed]
        if all(run.code for run in runs):
            faults.append(f"neither wrote: {runs[0].last}")
        last = self.lab.answer(store)
        return faults + differs(last, self.wanted) + self.lab.leftovers(store, *runs, last)


class Readers(Trials):
    """Commands that read, while one writes."""

    name, title, asked, short = "concurrent readers", "readers beside a writer", 20, 1

    def trial(self, number: int, rng: Generator) -> list[str]:  # noqa: ARG002 - of all trials
        """Index half of the images, and read while the others are added."""
        images = self.lab.work / "images"
        shutil.rmtree(images, ignore_errors=True)
        images.mkdir()
        files = sorted(self.lab.images.iterdir())
        half = len(files) // 2
        for path in files[:half]:
            shutil.copy2(path, images)
        store = self.lab.empty()
        self.lab.index(store, images)
        for path in files[half:]:
            shutil.copy2(path, images)
        writer = self.lab.start(["index", "-s", store])
        runs = []
        for _ in range(4):
            time.sleep(rng.uniform(0, 0.1))
            runs.append(self.lab.answer(store))
            query: list[str | Path] = ["query", images / files[1].name, "-s", store]
            runs.append(self.lab.run(query))
        runs.append(self.lab.wait(writer))
        faults = [f"ended with {run.code}: {run.last}" for run in runs if run.code]
        fresh = self.lab.work / "fresh"
        shutil.rmtree(fresh, ignore_errors=True)
        self.lab.index(fresh, images)
        last = self.lab.answer(store)
        return faults + differs(last, self.lab.answer(fresh)) + self.lab.leftovers(store, *runs)


class Changes(Trials):
    """Files that come, go and change while they are indexed."""

    name, title, asked, short = "concurrent changes", "200 changes under a running index", 10, 1
    count = 200

    def trial(self, number: int, rng: Generator) -> list[str]:  # noqa: ARG002 - of all trials
        """Change, index once more, compare with a fresh collection."""
        images = self.lab.work / "images"
        shutil.rmtree(images, ignore_errors=True)
        shutil.copytree(self.lab.images, images)
        store = self.lab.empty()
        writer = self.lab.start(["index", images, "-s", store, "--views", "content"])
        for change in range(self.count):
            self._change(images, change, rng)
            time.sleep(0.002)
        run = self.lab.wait(writer)
        faults = [f"ended with {run.code}: {run.last}"] if run.crashed or run.code else []
        self.lab.run(["index", "-s", store])
        fresh = self.lab.work / "fresh"
        shutil.rmtree(fresh, ignore_errors=True)
        self.lab.index(fresh, images)
        last = self.lab.answer(store)
        return faults + differs(last, self.lab.answer(fresh)) + self.lab.leftovers(store, run, last)

    @staticmethod
    def _change(images: Path, number: int, rng: Generator) -> None:
        files = sorted(images.iterdir())
        one, other = (files[int(rng.integers(len(files)))] for _ in range(2))
        match int(rng.integers(6)):
            case 0:
                cv2.imwrite(str(images / f"new {number}.jpg"), drawn(rng, 160, 120))
            case 1:
                one.unlink()
            case 2:
                one.rename(images / f"renamed {number}{one.suffix}")
            case 3:
                if one != other:
                    shutil.copy(one, other)
            case 4:
                one.write_bytes(one.read_bytes()[: int(rng.integers(4000))])
            case _:
                swap = images / "swap"
                if one != other:
                    one.rename(swap)
                    other.rename(one)
                    swap.rename(other)


ALL = (TwoWriters, Readers, Changes)
