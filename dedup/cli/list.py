"""`dedup list`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dedup.cli.options import (
    EXIT_FOUND,
    Number,
    Tiers,
    chosen_format,
    fail_on_option,
    format_options,
    offline_option,
    open_collection,
    parts_option,
    store_option,
    threshold_option,
)
from dedup.cli.output import (
    bytes_in_words,
    counted,
    keys_of,
    note,
    progress_bars,
    row_of,
    shown,
    write_csv,
    write_jsonl,
    write_paths,
    write_table,
)
from dedup.results import Duplicate, Grouping, Tier

if TYPE_CHECKING:
    from pathlib import Path

    from dedup.results import DuplicatesAnswer

_COLUMNS = (
    ("group", "right"),
    ("tier", "left"),
    ("similarity", "right"),
    ("path", "left"),
    ("evidence", "left"),
)


@click.command("list")
@store_option
@click.option(
    "--tier",
    "tiers",
    type=Tiers(),
    default="exact,pixels,resaved,near",
    show_default=True,
    metavar="TIERS",
    help="The tiers that count, separated by commas: exact (same bytes), pixels (the same image "
    "bit for bit), resaved (the whole image, resized or re-encoded), near (one photograph, edited; "
    "proven from both images), similar (looks alike).",
)
@threshold_option
@click.option(
    "--precision",
    type=Number(min=0, min_open=True, max=1),
    metavar="P",
    help="Instead of --threshold: the wanted precision, below 1. Needs a calibrated collection.",
)
@click.option(
    "--group",
    "grouping",
    type=click.Choice([grouping.value for grouping in Grouping]),
    default=Grouping.COVER.value,
    show_default=True,
    help="cover: every duplicate is paired with its keeper; clique: all members are paired with "
    "each other; component: chains of pairs make a group.",
)
@click.option(
    "--join",
    type=click.Choice(["auto", "exact", "ivf"]),
    default="auto",
    show_default=True,
    help="exact: compare every image with every other; ivf: compare within overlapping cells, "
    "which is quicker and misses some pairs; how many is estimated and printed. auto: ivf where "
    "exact would take minutes.",
)
@offline_option
@parts_option
@fail_on_option
@format_options
def list_command(
    store: Path | None,
    tiers: frozenset[Tier],
    threshold: float | None,
    precision: float | None,
    grouping: str,
    join: str,
    offline: bool,  # noqa: FBT001 - click passes flags by name
    parts: str,
    fail_on: str | None,
    kind: str | None,
    nul: bool,  # noqa: FBT001
    csv_safe: bool,  # noqa: FBT001
) -> None:
    """Show the duplicate groups.

    The keeper of each group comes first: undamaged, most pixels, most bytes, oldest, by path.
    Files that are gone or have changed since they were indexed are left out.
    The format "paths" prints the duplicates only, without the keepers. Nothing is changed. Proofs
    are kept, so that the next run is quick.

    \b
    Examples:
      dedup list
      dedup list --tier exact,pixels --format paths
      dedup list --tier similar --threshold 0.95 --group clique
      dedup list --tier exact --fail-on exact        exit code 3 when there are copies
    """
    form = chosen_format(kind, nul=nul, csv_safe=csv_safe)
    if precision is not None:
        if threshold is not None:
            raise click.UsageError("--threshold and --precision exclude each other")
        if Tier.SIMILAR not in tiers:
            raise click.UsageError("--precision is about the tier similar: add it to --tier")
    with open_collection(store) as collection, progress_bars() as progress:
        answer = collection.duplicates(
            tiers,
            threshold,
            precision=precision,
            group=grouping,
            join=join,
            offline=offline,
            parts=parts == "on",
            progress=progress,
        )
    _write_groups(answer, form, nul=nul, csv_safe=csv_safe)
    _print_totals(answer, proven=Tier.SIMILAR not in tiers)
    note(*collection.notes, *answer.notes)
    found = [duplicate.tier.looseness for group in answer for duplicate in group.duplicates]
    if fail_on is not None and found and min(found) <= Tier(fail_on).looseness:
        raise click.exceptions.Exit(EXIT_FOUND)


def _print_totals(answer: DuplicatesAnswer, *, proven: bool) -> None:
    count = sum(len(group.duplicates) for group in answer)
    size = sum(group.reclaimable_bytes for group in answer)
    if count:
        groups, duplicates = counted(len(answer), "group"), counted(count, "duplicate")
        note(f"{groups}, {duplicates}, {bytes_in_words(size)} in them")
    else:
        note("No duplicates found.")
    if not proven:
        note(
            f"The tier similar (from {answer.threshold:.4f}) is not proven: another shot of a "
            "scene looks alike, too. Look before you act."
        )


def _write_groups(answer: DuplicatesAnswer, form: str, *, nul: bool, csv_safe: bool) -> None:
    if form == "paths":
        write_paths((one.path for group in answer for one in group.duplicates), nul=nul)
    elif form == "table":
        _write_table(answer)
    elif form == "csv":
        heads = ("group", "group_tier", "keeper", "min_similarity", "reclaimable_bytes")
        write_csv(
            [*heads, *keys_of(Duplicate)],
            (
                {head: row_of(group)[head.removeprefix("group_")] for head in heads} | row_of(one)
                for group in answer
                for one in group.duplicates
            ),
            safe=csv_safe,
        )
    else:
        write_jsonl(map(row_of, answer))


def _write_table(answer: DuplicatesAnswer) -> None:
    rows = []
    for group in answer:
        lowest = f"keeper; lowest similarity {group.min_similarity:.4f}"
        rows.append((str(group.number), "", "", shown(group.keeper), lowest))
        rows += [
            ("", one.tier.value, f"{one.similarity:.4f}", shown(one.path), one.evidence)
            for one in group.duplicates
        ]
    if rows:
        write_table(_COLUMNS, rows, ruled=True)
