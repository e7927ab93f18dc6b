"""The proof on a pair: `describe` an image once, `prove` two of them.

A package of its own because the proof has several steps; this is all that others need of it.
"""

from __future__ import annotations

from dedup.proof.description import (
    WORKING_SIDE,
    Features,
    describe,
    featured,
    outlined,
    working_side,
)
from dedup.proof.original import Original
from dedup.proof.prove import prove, prove_copy, prove_placed
from dedup.proof.side import Side
from dedup.proof.verdict import NO_COMMON_PARTS, Check, Verdict
from dedup.proof.verify import reversed_verdict, verify
from dedup.records import VERIFIER

__all__ = [
    "NO_COMMON_PARTS",
    "VERIFIER",
    "WORKING_SIDE",
    "Check",
    "Features",
    "Original",
    "Side",
    "Verdict",
    "describe",
    "featured",
    "outlined",
    "prove",
    "prove_copy",
    "prove_placed",
    "reversed_verdict",
    "verify",
    "working_side",
]
