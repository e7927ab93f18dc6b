"""Files that say which images are the same: groups in JSON, or pairs in a table.

Reads either into a `Truth` and finds the files that its names mean. Errors name the line.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

from dedup.errors import DedupError
from dedup.report.evaluation import NamePair, Truth
from dedup.results import IMAGE_TIERS, Tier
from dedup.sources.tables import TABLES, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_DUPLICATE = {"1": Tier.NEAR, "0": None}
_DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Matched:
    """A truth about files.

    Parameters
    ----------
    truth : its images are paths
    missing : names in the truth that mean no file, sorted
    ambiguous : names that mean several, sorted
    """

    truth: Truth
    missing: tuple[str, ...]
    ambiguous: tuple[str, ...]


def read_truth(path: Path) -> Truth:
    """Read a groups file, or pairs in a table (.csv, .tsv, .parquet).

    Groups: a JSON list of {"tier", "members": [names]}; other keys are free. Every pair of members
    has the group's tier; a pair in two groups has the surer one. Pairs: a header, then one pair a
    line; columns "first", "second" and either "tier" (a tier, or "different") or "duplicate" (1: at
    least near; 0: different).

    Raises
    ------
    DedupError : the file cannot be read, or is not of that form; names the line.
    """
    pairs = _from_pairs(path) if path.suffix.lower() in TABLES else _from_groups(path)
    images: set[str] = set()
    tiers: dict[NamePair, Tier] = {}
    for names, tier in pairs:
        images.update(names)
        if tier is None:
            continue
        for first, second in combinations(sorted(set(names)), 2):
            known = tiers.get((first, second))
            if known is None or tier.looseness < known.looseness:
                tiers[first, second] = tier
    return Truth(frozenset(images), tiers)


class Found(NamedTuple):
    """The files that names mean.

    Parameters
    ----------
    files : name -> path
    missing : names that mean no file, sorted
    ambiguous : names that mean several, sorted
    """

    files: dict[str, str]
    missing: tuple[str, ...]
    ambiguous: tuple[str, ...]


def find_files(names: Iterable[str], paths: Iterable[str], roots: Sequence[str]) -> Found:
    """Find the files that names mean.

    Parameters
    ----------
    paths : absolute, of the collection's files
    roots : folders that names may be relative to; the first under which the name is a file of the
        collection wins

    Notes
    -----
    A name that is under no root means the one file whose path ends in it, by whole components.
    """
    known = set(paths)
    endings: dict[str, list[str]] = {}
    for path in sorted(known):
        endings.setdefault(os.path.basename(path), []).append(path)
    files: dict[str, str] = {}
    missing: list[str] = []
    ambiguous: list[str] = []
    for name in sorted(names):
        if name in known:
            files[name] = name
            continue
        clean = os.path.normpath(name)
        under = [os.path.join(root, clean) for root in roots]
        exact = next((path for path in under if path in known), None)
        if exact is not None:
            files[name] = exact
            continue
        tail = os.sep + clean.lstrip(os.sep)
        ending = [path for path in endings.get(os.path.basename(clean), []) if path.endswith(tail)]
        if len(ending) == 1:
            files[name] = ending[0]
        else:
            (ambiguous if ending else missing).append(name)
    return Found(files, tuple(missing), tuple(ambiguous))


def match(truth: Truth, paths: Iterable[str], roots: Sequence[str]) -> Matched:
    """Turn a truth about names into one about files, found as `find_files` does."""
    files, missing, ambiguous = find_files(truth.images, paths, roots)
    tiers: dict[NamePair, Tier] = {}
    for (one, two), tier in truth.tiers.items():
        if one in files and two in files and files[one] != files[two]:
            first, second = sorted((files[one], files[two]))
            tiers[first, second] = tier
    return Matched(Truth(frozenset(files.values()), tiers), missing, ambiguous)


def _from_groups(path: Path) -> Iterator[tuple[list[str], Tier]]:
    try:
        text = path.read_text("utf-8-sig", "surrogateescape")
        groups = json.loads(text)
    except OSError as error:
        raise DedupError(f"{path}: cannot be read: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise DedupError(f"{path}, line {error.lineno}: not JSON: {error.msg}") from error
    if not isinstance(groups, list):
        raise DedupError(f"{path}, line 1: a list of groups was expected")
    for number, group in enumerate(groups):
        fault = _fault(group)
        if fault:
            line = _line_of(text, number)
            raise DedupError(f"{path}, line {line}: group {number + 1}: {fault}")
        yield group["members"], Tier(group["tier"])


def _fault(group: Any) -> str:
    """Say what is wrong with a group; nothing when it is right."""
    if not isinstance(group, dict):
        return 'an object with "tier" and "members" was expected'
    members, tier = group.get("members"), group.get("tier")
    if not isinstance(members, list) or not all(isinstance(name, str) and name for name in members):
        return '"members" has to be a list of names'
    if tier not in IMAGE_TIERS:
        return f'"tier" is {json.dumps(tier)}; tiers are {", ".join(IMAGE_TIERS)}'
    return ""


def _line_of(text: str, number: int) -> int:
    """Find the line on which an element of a JSON list starts."""
    decoder = json.JSONDecoder()
    position = text.index("[") + 1
    while True:
        while text[position] in " \t\r\n,":
            position += 1
        if number == 0:
            return text.count("\n", 0, position) + 1
        _, position = decoder.raw_decode(text, position)
        number -= 1


def _from_pairs(path: Path) -> Iterator[tuple[list[str], Tier | None]]:
    table = Table(path)
    label = next((name for name in ("tier", "duplicate") if name in table.columns), None)
    if label is None or not {"first", "second"} <= {*table.columns}:
        raise DedupError(
            f'{path}, line 1: columns "first", "second" and "tier" or "duplicate" were expected'
        )
    known: dict[str, Tier | None] = (
        {**{tier.value: tier for tier in IMAGE_TIERS}, _DIFFERENT: None}
        if label == "tier"
        else _DUPLICATE
    )
    for place, cells in table.rows("first", "second", label):
        first, second, value = map(str, cells)
        if not first or not second or first == second:
            raise DedupError(f"{path}, {place}: not a pair of two names")
        if value.strip() not in known:
            raise DedupError(
                f"{path}, {place}: {label} is {value!r}; it is one of {', '.join(known)}"
            )
        yield [first, second], known[value.strip()]
