"""What is known about pairs beyond their embeddings: proofs, a person's decisions, a calibration.

Pairs are keyed by the contents of their files (SHA-256, the lower first), so that what is known
survives renames and holds on every machine that has the same images.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from dedup.records import VERIFIER
from dedup.results import Tier
from dedup.store.checksums import checksum_of, sound
from dedup.store.schema import translated
from dedup.store.trust import MAX_TEXT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dedup.store.catalog import Catalog

ContentPair = tuple[bytes, bytes]
"""Two SHA-256 digests, the lower first."""


class StoredVerdict(NamedTuple):
    """What a check on the two images said.

    Parameters
    ----------
    tier : `RESAVED`, `NEAR`, or None where it was refuted
    evidence : in words, of the second image as against the first
    backwards : of the first as against the second
    derived : 1 where the first was made from the second, 2 where the second was made from the
        first, 0 where that is not known
    """

    tier: Tier | None
    evidence: str
    backwards: str
    derived: int = 0

    def turned(self) -> StoredVerdict:
        """Give the same with the two images exchanged."""
        derived = 3 - self.derived if self.derived else 0
        return StoredVerdict(self.tier, self.backwards, self.evidence, derived)


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


_VERDICTS = (
    "SELECT first, second, tier, evidence, backwards, derived FROM verdicts"  # noqa: S608 - constant
    f" WHERE verifier = ? AND {sound('verdicts')}"
)


_TIERS = (
    "SELECT i.id, CASE"  # noqa: S608 - constant
    " WHEN i.digest = ?1 THEN 'exact'"
    " WHEN d.duplicate = 0 THEN NULL"
    " WHEN i.pixel_digest <> x'' AND i.pixel_digest ="
    " (SELECT pixel_digest FROM images WHERE digest = ?1) THEN 'pixels'"
    " ELSE v.tier END"
    " FROM images AS i"
    " LEFT JOIN verdicts AS v ON v.first = min(i.digest, ?1) AND v.second = max(i.digest, ?1)"
    f" AND v.verifier = ?2 AND {sound('verdicts', 'v')}"
    " LEFT JOIN decisions AS d ON d.first = min(i.digest, ?1) AND d.second = max(i.digest, ?1)"
    f" AND {sound('decisions', 'd')}"
    f" WHERE i.id IN (SELECT value FROM json_each(?3)) AND {sound('images', 'i')}"
)


def read_verdicts(catalog: Catalog, verifier: str) -> dict[ContentPair, StoredVerdict]:
    """Read all proofs of one version of the check; damaged ones count as not proven."""
    return _verdicts(catalog, _VERDICTS, verifier)


def read_verdict(catalog: Catalog, verifier: str, pair: ContentPair) -> StoredVerdict | None:
    """Read the proof on one pair; None where there is none, or a damaged one."""
    only = f"{_VERDICTS} AND first = ? AND second = ?"
    return _verdicts(catalog, only, verifier, *pair).get(pair)


def has_verdicts(catalog: Catalog, verifier: str) -> bool:
    """Tell whether any pair was checked by one version of the check."""
    return bool(_verdicts(catalog, f"{_VERDICTS} LIMIT 1", verifier))


def proven_with(catalog: Catalog, verifier: str, digest: bytes) -> set[bytes]:
    """List the contents that an image is proven to be a copy or a version of."""
    only = f"{_VERDICTS} AND tier IS NOT NULL AND ? IN (first, second)"
    pairs = _verdicts(catalog, only, verifier, digest)
    return {content for pair in pairs for content in pair} - {digest}


def _verdicts(
    catalog: Catalog, query: str, *values: str | bytes
) -> dict[ContentPair, StoredVerdict]:
    with translated(catalog.store):
        return {
            (first, second): StoredVerdict(None if tier is None else Tier(tier), *rest)
            for first, second, tier, *rest in catalog.connection.execute(query, values)
        }


def read_tiers(catalog: Catalog, digest: bytes, images: Iterable[int]) -> dict[int, Tier]:
    """Give the tiers of an image and others as far as they are known by now; nothing is proven.

    Parameters
    ----------
    digest : of the one, which need not be indexed
    images : ids of the others

    Returns
    -------
    Without those that were refuted, that a person told apart, and that nobody looked at.
    """
    with translated(catalog.store):
        rows = catalog.connection.execute(_TIERS, (digest, VERIFIER, json.dumps([*images])))
        return {image: Tier(tier) for image, tier in rows if tier is not None}


def write_verdicts(
    catalog: Catalog, verifier: str, verdicts: dict[ContentPair, StoredVerdict]
) -> None:
    """Keep proofs, replacing those of other versions; a transaction of its own."""
    with catalog.transaction():
        catalog.connection.executemany(
            "INSERT OR REPLACE INTO verdicts (first, second, verifier, tier, derived, evidence,"
            " backwards, checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (*row, checksum_of("verdicts", row))
                for pair, (tier, evidence, backwards, derived) in verdicts.items()
                for row in [(*pair, verifier, tier, derived, evidence, backwards)]
            ],
        )


def read_decisions(catalog: Catalog) -> dict[ContentPair, Decision]:
    """Read what was said of pairs, in the order of their digests; damaged rows are counted."""
    with translated(catalog.store):
        rows = catalog.connection.execute(
            f"SELECT first, second, duplicate, decided, {sound('decisions')} FROM decisions"  # noqa: S608 - constant
            " ORDER BY first, second"
        ).fetchall()
    lost = catalog.row_counts().get("decisions", 0) - len(rows)
    catalog.found_damaged("decisions", sum(not row[4] for row in rows) + max(lost, 0))
    return {
        (first, second): Decision((first, second), bool(duplicate), decided)
        for first, second, duplicate, decided, is_sound in rows
        if is_sound
    }


def write_decisions(catalog: Catalog, decisions: Iterable[Decision]) -> None:
    """Keep what was said of pairs; a later word replaces an earlier one."""
    with catalog.transaction():
        catalog.connection.executemany(
            "INSERT INTO decisions (first, second, duplicate, decided, checksum)"  # noqa: S608 - constant
            " VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (first, second) DO UPDATE SET duplicate = excluded.duplicate,"
            " decided = excluded.decided, checksum = excluded.checksum"
            " WHERE excluded.decided >= decisions.decided"
            f" OR NOT {sound('decisions', 'decisions')}",
            [
                (*row, checksum_of("decisions", row))
                for one in decisions
                for row in [(*one.pair, int(one.duplicate), one.decided)]
            ],
        )


def forget_decision(catalog: Catalog, pair: ContentPair) -> bool:
    """Take a word back; False when nothing had been said."""
    with catalog.transaction():
        cursor = catalog.connection.execute(
            "DELETE FROM decisions WHERE first = ? AND second = ?", pair
        )
        return cursor.rowcount > 0


def read_calibration(catalog: Catalog) -> tuple[str, bytes | None] | None:
    """Read the curve (JSON) and the transform of the collection.

    Returns
    -------
    None before calibration, or where it is damaged, which `Catalog.damage` says then.
    """
    with translated(catalog.store):
        row = catalog.connection.execute(
            f"SELECT curve, transform, {sound('calibration')} FROM calibration"  # noqa: S608 - constant
        ).fetchone()
    damaged = row is not None and not (row[2] and len(row[0]) <= MAX_TEXT_BYTES)
    catalog.found_damaged("calibration", int(damaged))
    return None if row is None or damaged else (str(row[0]), row[1])


def write_calibration(catalog: Catalog, curve: str, transform: bytes | None) -> None:
    """Keep a calibration; indexes of the old vectors become stale."""
    row = 1, curve, transform
    with catalog.transaction():
        catalog.connection.execute(
            "INSERT OR REPLACE INTO calibration (id, curve, transform, checksum)"
            " VALUES (?, ?, ?, ?)",
            (*row, checksum_of("calibration", row)),
        )
        catalog.gallery_changed()


def now() -> str:
    """Give the time for a decision."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
