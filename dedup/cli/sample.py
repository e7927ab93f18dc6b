"""`dedup sample`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dedup.cli.formats import chosen_format, format_options
from dedup.cli.options import (
    keep_option,
    open_collection,
    seed_option,
    store_option,
    threshold_option,
    tier_option,
)
from dedup.cli.output import Column, counted, note, progress_bars, shown, write_rows

if TYPE_CHECKING:
    from pathlib import Path

    from dedup.policy import KeepPolicy
    from dedup.results import Tier

_COLUMNS = (
    Column("rank", lambda row: f"{row.rank:,}", right=True),
    Column(
        "similarity",
        lambda row: "" if row.similarity is None else f"{row.similarity:.4f}",
        right=True,
    ),
    Column("path", lambda row: shown(row.path), path=True),
)


@click.command("sample")
@store_option
@click.option(
    "-n",
    "count",
    type=click.IntRange(1),
    required=True,
    metavar="N",
    help="How many images to choose.",
)
@seed_option
@tier_option("exact,pixels,resaved,near")
@threshold_option
@keep_option
@format_options
def sample_command(
    store: Path | None,
    count: int,
    seed: int,
    tiers: frozenset[Tier],
    threshold: float | None,
    keep: KeepPolicy,
    kind: str | None,
    nul: bool,  # noqa: FBT001 - click passes flags by name
    csv_safe: bool,  # noqa: FBT001
    output: Path | None,
) -> None:
    """Choose N images that represent them all.

    Each is the one least like those chosen before. Of images that belong together (--tier) at most
    one is chosen, the keeper. The first n of a sample are the sample of size n. Similarity is to
    the most similar image chosen before.

    \b
    Examples:
      dedup sample -n 1000
      dedup sample -n 200 --seed 7 --format paths > to_label.txt
    """
    form = chosen_format(kind, nul=nul, csv_safe=csv_safe, output=output)
    with open_collection(store) as collection, progress_bars() as progress:
        answer = collection.sample(
            count, tier=tiers, threshold=threshold, keep=keep.texts, seed=seed, progress=progress
        )
        note(*collection.notes, *answer.notes)
    from dedup.datasets.sample import Taken

    write_rows(answer, Taken, form, _COLUMNS, nul=nul, csv_safe=csv_safe, output=output)
    note(f"{counted(len(answer), 'image')} of {answer.among:,} different ones")
