"""Hard pairs: what must not be called a copy, and copies that must be found.

Draws pairs of many kinds, seeded, half of them from photographs, and asks what dedup calls them:
by the proof alone (what `dedup why` says) and in the list of a collection that has other
photographs as well. Then, of originals beside what was made from them, which one is kept.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hardset.keepers import DERIVED, GROUPS, TAKEN, kept
from hardset.kinds import PAIRS, Asked, Half
from hardset.measure import Company, Seen, proven
from hardset.photos import Photographs
from hardset.table import KINDS
from machine import add_json_option, describe, record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hardset.kinds import Kind
    from machine import Cell

SECTIONS = ("proof", "list", "keepers")
COLUMNS = ("kind", "family", "half", "pairs", "asked")
TITLES = {"proof": "Hard pairs, by the proof alone", "list": "Hard pairs, in a list with company"}
SHEETS = {"documents", "cards", "screens"}
WEB = "Originals at JPEG 60 to 87 without a camera's data"
NOTE = "`wrong`: called surer than asked, or not found; in a list, groups of several pairs as well."


def heads(way: str) -> list[str]:
    """Name the figures of a kind, measured in one way."""
    return ["proposed"] * (way == "list") + ["resaved", "near", "neither", "wrong"]


def about(kind: Kind, pairs: int) -> list[Cell]:
    """Say what a kind is, as `COLUMNS`."""
    return [kind.name, kind.family, kind.half, pairs, kind.asked]


def rates(seen: Seen, kind: Kind) -> list[Cell]:
    """Give the figures of a kind, measured in one way."""
    share = [seen.resaved, seen.near, seen.pairs - seen.called]
    shares: list[Cell] = [f"{count / max(1, seen.pairs):.2f}" for count in share]
    if seen.proposed is not None:
        shares = [f"{seen.proposed / max(1, seen.pairs):.2f}", *shares]
    return [*shares, seen.wrong(kind.asked)]


class Totals:
    """Kinds' figures, summed up beside the limits that are aimed at."""

    def __init__(self, seen: dict[Kind, Seen], half: Half, *, listed: bool) -> None:
        self._seen = {kind: each for kind, each in seen.items() if kind.half is half}
        self._listed = listed

    def _rate(self, what: str, kinds: Iterable[Kind]) -> str | None:
        chosen = [self._seen[kind] for kind in kinds]
        pairs = sum(seen.pairs for seen in chosen)
        if not pairs:
            return None
        count = sum(int(getattr(seen, what)) for seen in chosen)
        return f"{count / pairs:.4f} ({count}/{pairs})"

    def rows(self) -> list[tuple[str, str, str | None]]:
        """Give what, its limit, and what was seen."""
        of = {asked: [kind for kind in self._seen if kind.asked is asked] for asked in Asked}
        different = of[Asked.DIFFERENT]
        strict = [kind for kind in different if kind.family in SHEETS]
        rows = [
            ("different, called `resaved`", "0", self._rate("resaved", different)),
            ("different, called `near`", "≤ .002", self._rate("near", different)),
            ("… documents, cards, screens", "0", self._rate("near", strict)),
            ("resaved, called `resaved`", "≥ .97", self._rate("resaved", of[Asked.RESAVED])),
            ("versions, found", "≥ .98", self._rate("called", of[Asked.NEAR])),
            ("versions, called `resaved`", "0", self._rate("resaved", of[Asked.NEAR])),
            ("parts, found", "≥ .85", self._rate("called", of[Asked.PART])),
            ("parts, called `resaved`", "0", self._rate("resaved", of[Asked.PART])),
        ]
        if self._listed:
            copies = [*of[Asked.RESAVED], *of[Asked.NEAR], *of[Asked.PART]]
            rows.append(("copies, proposed", "", self._rate("proposed", copies)))
            rows.append(("groups of several pairs", "0", self._rate("strays", self._seen)))
        return rows


def show(columns: Iterable[str], rows: Iterable[Iterable[Cell]]) -> None:
    """Print a table in Markdown."""
    columns = list(columns)
    print(f"\n| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for row in rows:
        print(f"| {' | '.join('–' if cell is None else str(cell) for cell in row)} |", flush=True)


def said(way: str, names: list[str], results: Iterable[Seen]) -> Iterator[Seen]:
    """Say what is done."""
    for number, (name, seen) in enumerate(zip(names, results, strict=True), 1):
        print(f"{way} {number}/{len(names)}: {name}", file=sys.stderr, flush=True)
        yield seen


def measured(
    options: argparse.Namespace, kinds: list[Kind], photographs: Photographs | None
) -> None:
    """Measure kinds by the proof and in lists, and print both."""
    pairs = max(1, round(PAIRS * options.part))
    ways: dict[str, dict[Kind, Seen]] = {}
    names = [kind.name for kind in kinds]
    spawn = multiprocessing.get_context("spawn")  # threads of a model do not survive a fork
    with ProcessPoolExecutor(options.jobs, spawn) as pool, tempfile.TemporaryDirectory() as place:
        if "proof" in options.sections:
            one = partial(proven, photographs=photographs, pairs=pairs, seed=options.seed)
            one = partial(one, keep=options.keep)
            ways["proof"] = dict(
                zip(kinds, said("proof", names, pool.map(one, names)), strict=True)
            )
        if "list" in options.sections:
            company = Company(Path(place), photographs)
            one = partial(company.listed, photographs=photographs, pairs=pairs, seed=options.seed)
            ways["list"] = dict(zip(kinds, said("list", names, pool.map(one, names)), strict=True))
    columns = {way: heads(way) for way in ways}
    note = NOTE
    show(
        [*COLUMNS, *(f"{way}: {each}" for way, names in columns.items() for each in names)],
        [
            [
                *about(kind, pairs),
                *(cell for seen in ways.values() for cell in rates(seen[kind], kind)),
            ]
            for kind in kinds
        ],
    )
    halves = [half for half in Half if any(kind.half is half for kind in kinds)]
    for way, seen in ways.items():
        sums = [Totals(seen, half, listed=way == "list").rows() for half in halves]
        totals: list[list[Cell]] = [
            [*one[0][:2], *(each[2] for each in one)] for one in zip(*sums, strict=True)
        ]
        print(f"\nBy the {way}:")
        show(("what", "asked", *halves), totals)
        if options.json:
            title = TITLES[way]
            rows = [[*about(kind, pairs), *rates(seen[kind], kind)] for kind in kinds]
            record("hard", way, f"{title}, in sum", ["what", "asked", *halves], totals, note=note)
            record("hard", f"{way} kinds", f"{title}, by kind", [*COLUMNS, *columns[way]], rows)
    print(f"\n{note}")


def keepers(options: argparse.Namespace, photographs: Photographs | None) -> None:
    """Measure which member of a group is kept."""
    groups = max(1, round(GROUPS * options.part))
    for web in (False, True):
        derived = [name for name in DERIVED if not (web and name in TAKEN)]
        one = partial(kept, photographs=photographs, groups=groups, seed=options.seed, web=web)
        with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
            counts = list(pool.map(one, derived))
        rows: list[list[Cell]] = [
            [name, *count] for name, count in zip(derived, counts, strict=True)
        ]
        made, found, right = (sum(column) for column in zip(*counts, strict=True))
        rows.append(["all", made, found, f"{right} ({right / max(1, found):.3f}, asked ≥ .98)"])
        columns = ("derived by", "groups", "found", "original kept")
        show(columns, rows)
        if options.json:
            name, what = ("keepers-web", WEB) if web else ("keepers", "Originals")
            record("hard", name, f"{what} beside what was made from them", columns, rows)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--photos", type=Path, help="without: what is drawn by code alone")
    parser.add_argument("--groups", type=Path, help="known groups; default: beside PHOTOS")
    parser.add_argument("--kinds", nargs="+", default=[], help="names, or parts of names")
    parser.add_argument("--part", type=float, default=1.0, help=f"of the {PAIRS} pairs of a kind")
    parser.add_argument("--half", choices=(*Half, "both"), default="both")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for wrong pairs of the half to work on")
    add_json_option(parser)
    options = parser.parse_args()
    if unknown := set(options.sections) - {*SECTIONS}:
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    options.sections = options.sections or list(SECTIONS)
    photographs = None
    if options.photos is not None:
        beside = options.photos.parent / "groups.json"
        groups = options.groups or (beside if beside.is_file() else None)
        photographs = Photographs(options.photos, groups)
    kinds = [
        kind
        for kind in KINDS
        if (photographs is not None or not kind.photographs)
        and options.half in {kind.half, "both"}
        and (not options.kinds or any(name in kind.name for name in options.kinds))
    ]
    if kinds and {"proof", "list"} & {*options.sections}:
        measured(options, kinds, photographs)
    if "keepers" in options.sections:
        keepers(options, photographs)
    print(f"\n{describe()}; seed {options.seed}")


if __name__ == "__main__":
    main()
