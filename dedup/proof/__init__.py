"""The proof on a pair: `describe` a picture once, `verify` two of them.

A package of its own because the proof has several steps; this is all that others need of it.
"""

from __future__ import annotations

from dedup.proof.description import WORKING_SIDE, Features, describe
from dedup.proof.verify import VERIFIER, Check, Verdict, verify

__all__ = ["VERIFIER", "WORKING_SIDE", "Check", "Features", "Verdict", "describe", "verify"]
