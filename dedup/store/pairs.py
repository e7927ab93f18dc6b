"""What is known about pairs beyond their embeddings: proofs, a person's decisions, a calibration.

Pairs are keyed by the contents of their files (SHA-256, the lower first), so that what is known
survives renames and holds on every machine that has the same images.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from dedup.store.schema import translated

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dedup.store.catalog import Catalog

ContentPair = tuple[bytes, bytes]
"""Two SHA-256 digests, the lower first."""


class StoredVerdict(NamedTuple):
    """What a check on the two images said."""

    near: bool
    evidence: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person said of a pair.

    Parameters
    ----------
    duplicate : False for "not a duplicate"
    decided : ISO 8601 in UTC
    """

    pair: ContentPair
    duplicate: bool
    decided: str


def content_pair(first: bytes, second: bytes) -> ContentPair:
    """Order two digests."""
    return (first, second) if first <= second else (second, first)


def read_verdicts(catalog: Catalog, verifier: str) -> dict[ContentPair, StoredVerdict]:
    """Read all proofs of one version of the check."""
    with translated(catalog.store):
        rows = catalog.connection.execute(
            "SELECT first, second, near, evidence FROM verdicts WHERE verifier = ?", (verifier,)
        )
        return {
            (first, second): StoredVerdict(bool(near), evidence)
            for first, second, near, evidence in rows
        }


def write_verdicts(
    catalog: Catalog, verifier: str, verdicts: dict[ContentPair, StoredVerdict]
) -> None:
    """Keep proofs, replacing those of other versions; a transaction of its own."""
    with catalog.transaction():
        catalog.connection.executemany(
            "INSERT OR REPLACE INTO verdicts (first, second, verifier, near, evidence)"
            " VALUES (?, ?, ?, ?, ?)",
            [
                (*pair, verifier, int(verdict.near), verdict.evidence)
                for pair, verdict in verdicts.items()
            ],
        )


def read_decisions(catalog: Catalog) -> dict[ContentPair, Decision]:
    """Read what was said of pairs, in the order of their digests."""
    with translated(catalog.store):
        rows = catalog.connection.execute(
            "SELECT first, second, duplicate, decided FROM decisions ORDER BY first, second"
        )
        return {
            (first, second): Decision((first, second), bool(duplicate), decided)
            for first, second, duplicate, decided in rows
        }


def write_decisions(catalog: Catalog, decisions: Iterable[Decision]) -> None:
    """Keep what was said of pairs; a later word replaces an earlier one."""
    with catalog.transaction():
        catalog.connection.executemany(
            "INSERT INTO decisions (first, second, duplicate, decided) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (first, second) DO UPDATE SET"
            " duplicate = excluded.duplicate, decided = excluded.decided"
            " WHERE excluded.decided >= decisions.decided",
            [(*one.pair, int(one.duplicate), one.decided) for one in decisions],
        )


def forget_decision(catalog: Catalog, pair: ContentPair) -> bool:
    """Take a word back; False when nothing had been said."""
    with catalog.transaction():
        cursor = catalog.connection.execute(
            "DELETE FROM decisions WHERE first = ? AND second = ?", pair
        )
        return cursor.rowcount > 0


def read_calibration(catalog: Catalog) -> tuple[str, bytes | None] | None:
    """Read the curve (JSON) and the transform of the collection; None before calibration."""
    with translated(catalog.store):
        row = catalog.connection.execute("SELECT curve, transform FROM calibration").fetchone()
    return None if row is None else (str(row[0]), row[1])


def write_calibration(catalog: Catalog, curve: str, transform: bytes | None) -> None:
    """Keep a calibration; indexes of the old vectors become stale."""
    with catalog.transaction():
        catalog.connection.execute(
            "INSERT OR REPLACE INTO calibration (id, curve, transform) VALUES (1, ?, ?)",
            (curve, transform),
        )
        catalog.gallery_changed()


def now() -> str:
    """Give the time for a decision."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
