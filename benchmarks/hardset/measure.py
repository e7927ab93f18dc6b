"""What dedup makes of pairs: of the two files alone, and of the files in a collection."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import dedup
from dedup.results import Tier
from hardset.kinds import Asked, Half
from hardset.table import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dedup.results import Group
    from hardset.files import Pair
    from hardset.photos import Photographs

BY_NAME = {kind.name: kind for kind in KINDS}
COPIES = frozenset({"exact", "pixels", "resaved"})


@dataclass
class Seen:
    """How often pairs of a kind were called what; `proposed` of a list is None for a proof."""

    pairs: int = 0
    resaved: int = 0
    near: int = 0
    proposed: int | None = None
    strays: int = 0  # groups that hold files of several pairs

    def add(self, tier: str | None) -> None:
        """Count one pair by its tier."""
        self.pairs += 1
        self.resaved += tier in COPIES
        self.near += tier == "near"

    @property
    def called(self) -> int:
        """Pairs called `near` or surer."""
        return self.resaved + self.near

    def wrong(self, asked: Asked) -> int:
        """Pairs that were not called what was asked; a version may be called `resaved` here."""
        if asked is Asked.DIFFERENT:
            return self.called + self.strays
        if asked is Asked.RESAVED:
            return self.pairs - self.resaved
        return self.pairs - self.called


def written(pair: Pair, folder: Path, name: str) -> tuple[Path, Path]:
    """Write the two files, under names that say nothing of which is which."""
    paths = []
    for file in pair:
        digest = hashlib.sha256(file.data).hexdigest()[:6]
        path = folder / f"{name}-{digest}{file.suffix}"
        path.write_bytes(file.data)
        os.utime(path, (1.7e9, 1.7e9))
        paths.append(path)
    return paths[0], paths[1]


def tier_of(pair: Pair, folder: Path) -> str | None:
    """Say what `dedup why` calls two files."""
    tier = dedup.why(*written(pair, folder, "why")).tier
    return None if tier is None else tier.value


def is_right(asked: Asked, tier: str | None) -> bool:
    """Tell whether a pair was called what was asked."""
    one = Seen()
    one.add(tier)
    return not one.wrong(asked)


def proven(
    name: str, photographs: Photographs | None, pairs: int, seed: int, keep: Path | None = None
) -> Seen:
    """Give each pair of a kind to the proof alone.

    Parameters
    ----------
    name : of the kind; kinds themselves do not travel between processes
    keep : a folder for the pairs that came out wrong, of the half to work on only
    """
    kind, seen = BY_NAME[name], Seen()
    with tempfile.TemporaryDirectory() as place:
        for number in range(pairs):
            pair = kind.pair(number, photographs, seed)
            tier = tier_of(pair, Path(place))
            seen.add(tier)
            if keep is not None and kind.half is Half.WORK and not is_right(kind.asked, tier):
                keep.mkdir(parents=True, exist_ok=True)
                stem = name.replace("/", " ").replace(" ", "_")
                for side, file in zip("ab", pair, strict=True):
                    target = keep / f"{stem}-{number:02}-{tier}-{side}{file.suffix}"
                    target.write_bytes(file.data)
    return seen


class Company:
    """A collection of unrelated photographs, proven among themselves, that kinds are added to."""

    def __init__(self, folder: Path, photographs: Photographs | None) -> None:
        self._folder = folder
        self._store = folder / "company"
        with dedup.Collection.create(self._store) as collection:
            if photographs is not None:
                images = folder / "images"
                images.mkdir()
                for number, path in enumerate(photographs.company):
                    shutil.copy(path, images / f"{number:04}{path.suffix.lower()}")
                collection.index([images])
                collection.duplicates()

    def listed(self, name: str, photographs: Photographs | None, pairs: int, seed: int) -> Seen:
        """Add the pairs of a kind to a copy of the collection, and list its duplicates."""
        kind, seen = BY_NAME[name], Seen(proposed=0)
        with tempfile.TemporaryDirectory(dir=self._folder) as place:
            folder = Path(place) / "pairs"
            folder.mkdir()
            files = [
                written(kind.pair(number, photographs, seed), folder, f"IMG_{number:04}")
                for number in range(pairs)
            ]
            store = Path(shutil.copytree(self._store, Path(place) / "store"))
            with dedup.Collection.open(store) as collection:
                collection.index([folder])
                groups = collection.duplicates().groups
            checked = _checked(store)
            owner = {os.fspath(path): number for number, pair in enumerate(files) for path in pair}
            for group in groups:
                members = {group.keeper, *(each.path for each in group.duplicates)}
                numbers = {owner.get(path) for path in members}
                seen.strays += len(numbers) > 1
            tiers = {pair: tier for group in groups for pair, tier in tiered(group)}
            for pair in files:
                tier = tiers.get(frozenset(map(os.fspath, pair)))
                seen.add(tier)
                digests = frozenset(hashlib.sha256(path.read_bytes()).digest() for path in pair)
                seen.proposed = (seen.proposed or 0) + (tier is not None or digests in checked)
        return seen


def tiered(group: Group) -> Iterator[tuple[frozenset[str], str]]:
    """Give every two members of a group, with the loosest tier that joins them to its keeper."""
    members = [(group.keeper, Tier.EXACT), *((each.path, each.tier) for each in group.duplicates)]
    for (one, first), (two, second) in combinations(members, 2):
        yield frozenset({one, two}), max(first, second, key=lambda tier: tier.looseness).value


def _checked(store: Path) -> set[frozenset[bytes]]:
    """Give the pairs of contents that were proposed: those that a proof was made on."""
    with closing(sqlite3.connect(store / "catalog.sqlite")) as connection:
        return {frozenset(row) for row in connection.execute("SELECT first, second FROM verdicts")}
