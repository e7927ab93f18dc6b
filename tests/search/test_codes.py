"""Short codes against brute force."""

from __future__ import annotations

import numpy as np

from dedup.search.codes import CODE_BYTES, Coder
from dedup.search.similarity import unit_rows


def test_codes_tell_what_is_near() -> None:
    rng = np.random.default_rng(11)
    rows = unit_rows(rng.standard_normal((2000, 90), np.float32) + np.float32(0.3))
    coder = Coder.trained(rows, rows.mean(axis=0))
    codes = coder.codes(rows)
    assert codes.shape == (2000, CODE_BYTES)
    nearest = np.argsort(-(rows[:50] @ rows.T), axis=1)[:, :10]
    found = [set(coder.nearest(rows[row], codes, 40).tolist()) for row in range(50)]
    hits = sum(len(found[row] & set(nearest[row].tolist())) for row in range(50))
    assert hits > 0.95 * 500
    # Of fewer rows than a byte has values.
    few = Coder.trained(rows[:10], np.zeros(90, np.float32))
    assert few.nearest(rows[3], few.codes(rows[:10]), 99).tolist()[0] == 3
