"""What a person said of pairs; as JSON lines to be carried to other machines and merged by git.

One object a line, keys fixed, sorted by content: {"first", "second", "duplicate", "decided"}, the
first two being SHA-256 of the files in hexadecimal digits, the lower first. Of two lines on one
pair the later decision counts; two that contradict each other at one moment are refused.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dedup.errors import DedupError
from dedup.files import output_file
from dedup.images.decode import read_file
from dedup.store.pairs import (
    Decision,
    content_pair,
    forget_decision,
    now,
    read_decisions,
    write_decisions,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dedup.store.catalog import Catalog
    from dedup.store.pairs import ContentPair

_KEYS = {"first", "second", "duplicate", "decided"}
_DIGEST_DIGITS = 64


class Decisions:
    """The decisions of a collection, keyed by the contents of files."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def refuse(self, first: str | os.PathLike[str], second: str | os.PathLike[str]) -> None:
        """Say that two pictures are no duplicates; the pair is never shown again.

        Raises
        ------
        ImageError : one of them cannot be read.
        DedupError : they have the same bytes.
        """
        decision = Decision(_contents(first, second), duplicate=False, decided=now())
        write_decisions(self._catalog, [decision])

    def forget(self, first: str | os.PathLike[str], second: str | os.PathLike[str]) -> bool:
        """Take back what was said of two pictures; False when nothing had been said."""
        return forget_decision(self._catalog, _contents(first, second))

    def refused(self, first: str | os.PathLike[str], second: str | os.PathLike[str]) -> bool:
        """Tell whether two pictures were said to be no duplicates."""
        decision = read_decisions(self._catalog).get(_pair(first, second))
        return decision is not None and not decision.duplicate

    def export_to(self, path: str | os.PathLike[str]) -> int:
        """Write all decisions as JSON lines; gives their number."""
        decisions = read_decisions(self._catalog)
        write_lines(decisions.values(), Path(path))
        return len(decisions)

    def import_from(self, path: str | os.PathLike[str]) -> int:
        """Add decisions from JSON lines, the later word on a pair counting; gives their number.

        Raises
        ------
        DedupError : the file is none of decisions, or contradicts itself.
        """
        decisions = read_lines(Path(path))
        write_decisions(self._catalog, decisions)
        return len(decisions)


def _pair(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> ContentPair:
    contents = [hashlib.sha256(read_file(os.fspath(path))).digest() for path in (first, second)]
    return content_pair(*contents)


def _contents(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> ContentPair:
    pair = _pair(first, second)
    if pair[0] == pair[1]:
        raise DedupError(
            f"{os.fspath(first)} and {os.fspath(second)} have the same bytes: that is no matter "
            "of opinion"
        )
    return pair


def write_lines(decisions: Iterable[Decision], path: Path) -> None:
    """Write decisions, sorted by content."""
    lines = [
        json.dumps(
            {
                "first": decision.pair[0].hex(),
                "second": decision.pair[1].hex(),
                "duplicate": decision.duplicate,
                "decided": decision.decided,
            }
        )
        for decision in sorted(decisions, key=lambda decision: decision.pair)
    ]
    with output_file(path) as file:
        file.write("".join(line + "\n" for line in lines).encode())


def read_lines(path: Path) -> list[Decision]:
    """Read decisions, the last word on each pair.

    Raises
    ------
    DedupError : the file cannot be read, a line is no decision, or two contradict each other.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DedupError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DedupError(f"{path}: not a file of decisions (not UTF-8)") from error
    latest: dict[ContentPair, tuple[int, Decision]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        decision = _parsed(line, f"{path}, line {number}")
        before = latest.get(decision.pair)
        if before is not None:
            if before[1].decided == decision.decided and before[1].duplicate != decision.duplicate:
                raise DedupError(
                    f"{path}, lines {before[0]} and {number}: contradict each other on one pair at "
                    "one moment; delete one of them"
                )
            if before[1].decided > decision.decided:
                continue
        latest[decision.pair] = number, decision
    return [decision for _, decision in latest.values()]


def _parsed(line: str, where: str) -> Decision:
    try:
        row: Any = json.loads(line)
    except ValueError as error:
        raise DedupError(f"{where}: not JSON ({error})") from error
    if not isinstance(row, dict) or set(row) != _KEYS or not isinstance(row["duplicate"], bool):
        raise DedupError(f"{where}: wants the keys first, second, duplicate (true/false), decided")
    try:
        digests = [bytes.fromhex(row[key]) for key in ("first", "second")]
    except (TypeError, ValueError) as error:
        raise DedupError(f"{where}: first and second are SHA-256 in hexadecimal digits") from error
    if any(len(digest) * 2 != _DIGEST_DIGITS for digest in digests) or digests[0] == digests[1]:
        raise DedupError(f"{where}: first and second are two different SHA-256")
    return Decision(content_pair(*digests), row["duplicate"], str(row["decided"]))
