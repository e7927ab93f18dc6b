"""Commands that are killed at a random moment; the next run has to be as if they never began."""

from __future__ import annotations

import gzip
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from faultlab.lab import Run, differs
from faultlab.trials import Trials

if TYPE_CHECKING:
    from numpy.random import Generator

_OLD = Path(__file__).parents[2] / "tests" / "store" / "fixtures" / "format1-3237a22.sqlite.gz"


def acknowledged(store: Path) -> set[bytes]:
    """Read the digests of embedded images."""
    if not (store / "catalog.sqlite").exists():
        return set()
    with closing(sqlite3.connect(f"file:{store}/catalog.sqlite?mode=ro", uri=True)) as catalog:
        return {digest for (digest,) in catalog.execute("SELECT digest FROM images")}


class Kills(Trials):
    """Kills of one command.

    The moment is drawn from the time that the command takes undisturbed.
    """

    def store(self) -> Path:
        """Give a collection as it is before the command."""
        return self.lab.copy()

    def arguments(self, store: Path) -> list[str | Path]:
        """Give the command."""
        raise NotImplementedError

    def check(self, store: Path) -> Run:
        """Run what has to answer as ever, after the command has been repeated."""
        return self.lab.answer(store)

    def prepare(self) -> None:
        """Measure the command and keep the undisturbed answer."""
        self.seconds = 0.0
        for _ in range(2):
            store = self.store()
            self.seconds = self.lab.run(self.arguments(store)).seconds
        self.wanted = self.check(store)

    def trial(self, number: int, rng: Generator) -> list[str]:  # noqa: ARG002 - of all trials
        """Kill it, run it again, compare."""
        store = self.store()
        arguments = self.arguments(store)
        killed = self.lab.killed(arguments, rng.uniform(0, self.seconds))
        before = acknowledged(store)
        again = self.lab.run(arguments)
        faults = [f"then ended with {again.code}: {again.last}"] if again.code else []
        if lost := before - acknowledged(store):
            faults.append(f"{len(lost)} acknowledged rows lost")
        last = self.check(store)
        return faults + differs(last, self.wanted) + self.lab.leftovers(store, killed, again, last)


class IndexKills(Kills):
    """Of `index`, into a new collection."""

    name, title, asked, short = "kills index", "index, killed", 150, 4

    def store(self) -> Path:
        """Start from nothing."""
        return self.lab.empty()

    def arguments(self, store: Path) -> list[str | Path]:
        """Index all images."""
        return ["index", self.lab.images, "-s", store, "--views", "content"]


class ListKills(Kills):
    """Of `list`, which proves pairs."""

    name, title, asked, short = "kills list", "list, killed", 50, 1

    def arguments(self, store: Path) -> list[str | Path]:
        """List everything."""
        return ["list", "-s", store, "--tier", "exact,pixels,near,similar", "--threshold", "0.9"]


class QueryKills(Kills):
    """Of `query`, which builds and writes the index."""

    name, title, asked, short = "kills query", "query that writes an index, killed", 25, 3

    def arguments(self, store: Path) -> list[str | Path]:
        """Ask for neighbours."""
        return ["query", self.lab.images / "0000.jpg", "-s", store, "--format", "jsonl"]

    def check(self, store: Path) -> Run:
        """Ask again."""
        return self.lab.run(self.arguments(store))


class CalibrateKills(Kills):
    """Of `calibrate`."""

    name, title, asked, short = "kills calibrate", "calibrate, killed", 25, 0

    def arguments(self, store: Path) -> list[str | Path]:
        """Calibrate with the fewest samples."""
        return ["calibrate", "-s", store, "--samples", "50", "--format", "jsonl"]

    def check(self, store: Path) -> Run:
        """List by the calibrated precision."""
        tiers = ["--tier", "similar", "--precision", "0.9", "--format", "jsonl"]
        return self.lab.run(["list", "-s", store, *tiers])


class MigrationKills(Kills):
    """Of a command that upgrades an older format first."""

    name, title, asked, short = "kills migration", "upgrade of an older format, killed", 25, 4

    def store(self) -> Path:
        """Give a collection of an older format."""
        store = self.lab.empty()
        store.mkdir()
        (store / "catalog.sqlite").write_bytes(gzip.decompress(_OLD.read_bytes()))
        return store

    def absent(self) -> str:
        """Say that there is none."""
        return "" if _OLD.is_file() else "there is no collection of an older format"

    def arguments(self, store: Path) -> list[str | Path]:
        """Run anything that opens it."""
        return ["status", "-s", store, "--format", "jsonl"]

    def check(self, store: Path) -> Run:
        """List its decisions and embeddings."""
        return self.lab.run(["list", "-s", store, "--format", "jsonl"])


class RepairKills(Kills):
    """Of `repair`, of a collection in which bytes were overwritten."""

    name, title, asked, short = "kills repair", "repair, killed", 25, 2
    command: ClassVar[str] = "repair"

    def absent(self) -> str:
        """Say that there is no such command."""
        return "" if self.lab.knows(self.command) else f"there is no dedup {self.command} yet"

    def store(self) -> Path:
        """Spoil an embedding in a way that the catalog as a database does not notice."""
        store = self.lab.copy()
        with closing(sqlite3.connect(store / "catalog.sqlite")) as catalog:
            catalog.execute(
                "UPDATE embeddings SET vector = zeroblob(length(vector)) WHERE rowid IN"
                " (SELECT rowid FROM embeddings LIMIT 3)"
            )
            catalog.commit()
        return store

    def arguments(self, store: Path) -> list[str | Path]:
        """Repair it."""
        return [self.command, "-s", store]


ALL = (IndexKills, ListKills, CalibrateKills, RepairKills, MigrationKills, QueryKills)
