"""Faults made on purpose: kills, flipped bytes, full disks, races, damaged files, hostile names.

After every fault the next run has to answer as an undisturbed collection does, and nothing may be
left over. Seeded; with --state an interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from faultlab import concurrent, corpus, flips, full, kills, names
from faultlab.lab import Lab, State
from machine import add_json_option, describe, record

if TYPE_CHECKING:
    from faultlab.trials import Trials

SECTIONS: tuple[type[Trials], ...] = (
    *kills.ALL,
    *flips.ALL,
    *full.ALL,
    *concurrent.ALL,
    *corpus.ALL,
    *names.ALL,
)
TITLES = {
    "kills": "Killed at a random moment",
    "flips": "Bytes changed",
    "full": "Disks that are full",
    "concurrent": "Several at once",
    "corpus": "Damaged files",
    "names": "Hostile names",
}
COLUMNS = ("fault", "asked", "made", "that went wrong", "")
SHOWN = 3


def run(trials: Trials, asked: int, seed: int, state: State) -> list[str | int | None]:
    """Make the faults of one kind; gives a row of the table."""
    if why := trials.absent():
        return [trials.title, asked, 0, None, f"skipped: {why}"]
    done = state.trials.setdefault(trials.name, [])
    if len(done) < asked:
        trials.prepare()
    for number in range(len(done), asked):
        rng = np.random.default_rng([seed, zlib.crc32(trials.name.encode()), number])
        faults = trials.trial(number, rng)
        state.add(trials.name, faults)
        for fault in faults:
            print(f"  {trials.name} {number}: {fault}", flush=True)
    wrong = [faults[0] for faults in done if faults]
    note = "; ".join([trials.note, *sorted(set(wrong))[:SHOWN]]).strip("; ")
    return [trials.title, asked, len(done), len(wrong), note]


def main() -> None:
    """Make faults and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    sections = sorted({each.name.partition(" ")[0] for each in SECTIONS})
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(sections))
    parser.add_argument("--short", action="store_true", help="a few of each, in half a minute")
    parser.add_argument("--part", type=float, default=1.0, help="of the number of faults")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--state", type=Path, help="a file that an interrupted run goes on from")
    parser.add_argument("--corpus", type=Path, action="append", default=[], help="damaged files")
    add_json_option(parser)
    options = parser.parse_args()
    if unknown := set(options.sections) - {*sections, *(each.name for each in SECTIONS)}:
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    corpus.Given.folders = tuple(options.corpus)
    rows: dict[str, list[list[str | int | None]]] = {}
    with tempfile.TemporaryDirectory() as place:
        lab = Lab(Path(place) / "lab", 9 if options.short else 60)
        settings = {"seed": options.seed, "short": options.short}
        state = State(options.state or Path(place) / "state.json", settings)
        for kind in SECTIONS:
            if options.sections and not {kind.name, kind.name.split()[0]} & {*options.sections}:
                continue
            trials = kind(lab)
            asked = round((trials.short if options.short else trials.asked) * options.part)
            if asked or not options.short:
                row = run(trials, asked, options.seed, state)
                rows.setdefault(kind.name.split()[0], []).append(row)
                print(" | ".join(map(str, row)), flush=True)
    print(f"\n{describe()}\n\n| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
    for row in (row for section in rows.values() for row in section):
        print(f"| {' | '.join('–' if cell is None else str(cell) for cell in row)} |")
    if options.json:
        for section, table in rows.items():
            record("faults", section, TITLES[section], COLUMNS, table)


if __name__ == "__main__":
    main()
