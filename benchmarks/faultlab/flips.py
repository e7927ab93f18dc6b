"""One byte of a collection's files is changed: the answer stays, or one line says what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faultlab.lab import differs
from faultlab.trials import Trials

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.random import Generator

    from faultlab.lab import Run


class Flips(Trials):
    """One byte of one file, drawn by its size, gets another value."""

    name, title, asked, short = "flips", "one byte of a collection flipped", 1000, 20

    def prepare(self) -> None:
        """Make a collection that holds all there can be: verdicts, index, cache."""
        self.full = self.lab.folder / "full"
        self.lab.index(self.full)
        self.wanted = self._answers(self.full)
        self.wanted = self._answers(self.full)
        self.said = 0

    def trial(self, number: int, rng: Generator) -> list[str]:  # noqa: ARG002 - of all trials
        """Flip one byte, ask."""
        store = self.lab.copy(self.full)
        files = [path for path in sorted(store.iterdir()) if path.stat().st_size]
        # Every file gets its turns, though one of them holds nearly all bytes.
        path = files[int(rng.integers(len(files)))]
        content = bytearray(path.read_bytes())
        at = int(rng.integers(len(content)))
        content[at] ^= int(rng.integers(1, 256))
        path.write_bytes(content)
        faults = []
        for got, wanted in zip(self._answers(store), self.wanted, strict=True):
            what = f"byte {at} of {path.name}: "
            if got.crashed:
                faults.append(f"{what}ended with {got.code}: {got.last}")
            elif got.err != wanted.err:
                self.said += 1  # an error or a note: not silent
            elif wrong := differs(got, wanted):
                faults.append(f"{what}{wrong[0]}, in silence")
        self.note = f"{self.said} times something was said"
        return faults

    def _answers(self, store: Path) -> list[Run]:
        image = self.lab.images / "0003.jpg"
        return [
            self.lab.answer(store),
            self.lab.run(["query", image, "-s", store, "--format", "jsonl"]),
        ]


ALL = (Flips,)
