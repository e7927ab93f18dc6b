from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outcome import Outcome

    Dedup = Callable[..., Outcome]


def test_calibrating_a_few_images_says_what_it_needs(dedup: Dedup, store: Path) -> None:
    done = dedup("calibrate", "-s", store)
    assert done.code == 1
    assert "at least 50 different images" in done.err


def test_a_precision_takes_a_calibration(dedup: Dedup, store: Path) -> None:
    done = dedup("list", "-s", store, "--tier", "similar", "--precision", "0.99")
    assert done.code == 1
    assert "dedup calibrate" in done.err
    for arguments in (["--precision", "0"], ["--precision", "1.1"], ["--precision", "0.9"]):
        assert dedup("list", "-s", store, *arguments).code == 2  # the last lacks --tier similar
