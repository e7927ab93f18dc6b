"""File names that act on terminals, in every command."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

from faultlab.trials import Trials

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.random import Generator

CHARACTERS = (
    *(chr(code) for code in (*range(1, 0x20), *range(0x7F, 0xA0))),
    *"\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    *(os.fsdecode(bytes([byte])) for byte in range(0x80, 0xA0, 2)),
)
RAW = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\udc80-\udcff]"
)


class Names(Trials):
    """A name with one such character between two others of the kind."""

    name, title, asked, short = "names", "hostile names × every command", 100, 1

    def prepare(self) -> None:
        """Count commands."""
        self.count = 0

    def trial(self, number: int, rng: Generator) -> list[str]:
        """Give an image and a broken file such names, and run every command on them."""
        drawn = [CHARACTERS[int(one)] for one in rng.integers(len(CHARACTERS), size=2)]
        name = f"{drawn[0]}a{CHARACTERS[number % len(CHARACTERS)]}b{drawn[1]}"
        folder = self.lab.work / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        one, two, broken = (folder / f"{name}{end}" for end in (".jpg", "2.jpg", "3.jpg"))
        for path in (one, two):
            shutil.copy(self.lab.images / "0000.jpg", path)
        broken.write_bytes(b"no image")
        faults = []
        for command in self._commands(folder, one, two, broken, name):
            run = self.lab.run(command)
            self.count += 1
            text = run.out.decode("utf-8", "surrogateescape") + run.err
            if run.crashed:
                faults.append(f"{command[0]} ended with {run.code}: {run.last!a}")
            if found := RAW.search(text):
                faults.append(f"{command[0]} printed {found.group()!a}")
        self.note = f"{self.count:,} commands"
        shutil.rmtree(folder)
        return faults

    def _commands(
        self, folder: Path, one: Path, two: Path, broken: Path, name: str
    ) -> list[list[str | Path]]:
        store = self.lab.empty()
        table: list[str | Path] = ["-s", store, "--format", "table"]
        small: list[str | Path] = ["--views", "content"]
        return [
            ["index", folder, "-s", store, *small],
            ["list", *table],
            ["list", "-s", store, "--format", "jsonl"],
            ["query", one, broken, *table],
            ["compare", folder, "--against", store, *table],
            ["why", one, two, *table],
            ["why", one, broken, *table],
            ["ignore", one, two, "-s", store],
            ["ignore", "--import", folder / f"x{name}", "-s", store],
            ["status", *table],
            ["status", "--skipped", *table],
            ["export", "-s", store, "-o", folder / name],
            ["eval", "--truth", folder / f"x{name}", *table],
            ["calibrate", "-s", folder / name],
            ["layers", name],
            ["list", f"--{name}"],
            [f"x{name}"],
        ]


ALL = (Names,)
