"""`dedup list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dedup.cli.options import (
    EXIT_FOUND,
    Number,
    Tiers,
    chosen_format,
    fail_on_option,
    format_options,
    keep_option,
    offline_option,
    open_collection,
    parts_option,
    store_option,
    threshold_option,
)
from dedup.cli.output import (
    Column,
    bytes_in_words,
    counted,
    keys_of,
    note,
    progress_bars,
    row_of,
    shown,
    similarity_in_words,
    write_csv,
    write_jsonl,
    write_paths,
    write_rows,
    write_table,
)
from dedup.results import Duplicate, Grouping, Tier

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dedup.policy import KeepPolicy
    from dedup.report.pairs import PairsAnswer
    from dedup.results import DuplicatesAnswer

_COLUMNS = (
    ("group", "right"),
    ("tier", "left"),
    ("similarity", "right"),
    ("path", "left"),
    ("evidence", "left"),
)

_PAIR_COLUMNS = (
    Column("tier", lambda row: row.tier.value),
    Column("similarity", similarity_in_words, right=True),
    Column("first", lambda row: shown(row.first)),
    Column("second", lambda row: shown(row.second)),
    Column("evidence", lambda row: row.evidence),
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
@keep_option
@click.option("--explain", is_flag=True, help="Say of each group why its keeper is kept.")
@click.option(
    "--pairs",
    "as_pairs",
    is_flag=True,
    help="List all pairs of images instead of groups, and copies with the best of theirs.",
)
@offline_option
@click.option(
    "--companions",
    is_flag=True,
    help="Let a camera's raw file and the JPEG or HEIC beside it be duplicates of each other. "
    "Without it they count as a pair.",
)
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
    keep: KeepPolicy,
    explain: bool,  # noqa: FBT001 - click passes flags by name
    as_pairs: bool,  # noqa: FBT001
    offline: bool,  # noqa: FBT001
    companions: bool,  # noqa: FBT001
    parts: str,
    fail_on: str | None,
    kind: str | None,
    nul: bool,  # noqa: FBT001
    csv_safe: bool,  # noqa: FBT001
) -> None:
    """Show the duplicate groups.

    The keeper of each group comes first: the original before what was made from it, as --keep says.
    Files that are gone or have changed since they were indexed are left out.
    The format "paths" prints the duplicates only, without the keepers. Nothing is changed. Proofs
    are kept, so that the next run is quick.

    \b
    Examples:
      dedup list
      dedup list --tier exact,pixels --format paths
      dedup list --tier similar --threshold 0.95 --group clique
      dedup list --keep under:originals,information --explain
      dedup list --pairs --format csv
      dedup list --tier exact --fail-on exact        exit code 3 when there are copies
    """
    form = chosen_format(kind, nul=nul, csv_safe=csv_safe)
    if precision is not None:
        _check_precision(threshold, tiers)
    if as_pairs:
        no = {"--precision": precision, "--explain": explain, "--format paths": form == "paths"}
        _refuse_with_pairs(no)
    shared = _shared(keep, parts, offline=offline, companions=companions)
    with open_collection(store) as collection, progress_bars() as progress:
        answer: DuplicatesAnswer | PairsAnswer
        if as_pairs:
            answer = collection.pairs(tiers, threshold, progress=progress, **shared)
            found = _print_pairs(answer, form, nul=nul, csv_safe=csv_safe)
        else:
            answer = collection.duplicates(
                tiers, threshold, precision=precision, group=grouping, join=join,
                progress=progress, **shared,
            )  # fmt: skip
            found = _print_groups(
                answer, form, nul=nul, csv_safe=csv_safe, explain=explain,
                proven=Tier.SIMILAR not in tiers,
            )  # fmt: skip
    note(*collection.notes, *answer.notes)
    if fail_on is not None and found and min(found) <= Tier(fail_on).looseness:
        raise click.exceptions.Exit(EXIT_FOUND)


def _check_precision(threshold: float | None, tiers: frozenset[Tier]) -> None:
    if threshold is not None:
        raise click.UsageError("--threshold and --precision exclude each other")
    if Tier.SIMILAR not in tiers:
        raise click.UsageError("--precision is about the tier similar: add it to --tier")


def _shared(keep: KeepPolicy, parts: str, **flags: bool) -> dict[str, Any]:
    """Give the arguments that groups and pairs have in common."""
    return {"keep": keep.texts, "parts": parts == "on", **flags}


def _refuse_with_pairs(options: Mapping[str, object]) -> None:
    for name, given in options.items():
        if given:
            raise click.UsageError(f"{name} does not go with --pairs")


def _print_groups(
    answer: DuplicatesAnswer, form: str, *, nul: bool, csv_safe: bool, explain: bool, proven: bool
) -> list[int]:
    """Print groups; gives how loose what was found is."""
    _write_groups(answer, form, nul=nul, csv_safe=csv_safe, explain=explain)
    _print_totals(answer, proven=proven)
    return [one.tier.looseness for group in answer for one in group.duplicates]


def _print_pairs(answer: PairsAnswer, form: str, *, nul: bool, csv_safe: bool) -> list[int]:
    """Print pairs; gives how loose what was found is."""
    from dedup.report.pairs import Pair

    write_rows(answer, Pair, form, _PAIR_COLUMNS, nul=nul, csv_safe=csv_safe)
    note(counted(len(answer), "pair"))
    return [one.tier.looseness for one in answer]


def _print_totals(answer: DuplicatesAnswer, *, proven: bool) -> None:
    found = [one for group in answer for one in group.duplicates]
    copies = [one for one in found if one.tier.looseness < Tier.NEAR.looseness]
    versions = [one for one in found if one.tier is Tier.NEAR]
    alike = len(found) - len(copies) - len(versions)
    size = sum(group.reclaimable_bytes for group in answer)
    parts = []
    if copies:
        number = f"{len(copies):,} {'copy' if len(copies) == 1 else 'copies'}"
        parts.append(f"{number}, {bytes_in_words(size)} reclaimable")
    if versions:
        used = bytes_in_words(sum(one.bytes for one in versions))
        parts.append(f"{counted(len(versions), 'edited version')}, {used}")
    if alike:
        parts.append(counted(alike, "look-alike"))
    if parts:
        note(f"{counted(len(answer), 'group')}: {'; '.join(parts)}")
    else:
        note("No duplicates found.")
    if not proven:
        note(
            f"The tier similar (from {answer.threshold:.4f}) is not proven: another shot of a "
            "scene looks alike, too. Look before you act."
        )


def _write_groups(
    answer: DuplicatesAnswer, form: str, *, nul: bool, csv_safe: bool, explain: bool
) -> None:
    if form == "paths":
        write_paths((one.path for group in answer for one in group.duplicates), nul=nul)
    elif form == "table":
        _write_table(answer, explain=explain)
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
        write_jsonl(
            row_of(group) | ({"why": group.kept_because} if explain else {}) for group in answer
        )


def _write_table(answer: DuplicatesAnswer, *, explain: bool) -> None:
    rows = []
    for group in answer:
        words = f"keeper: {group.kept_because}" if explain else "keeper"
        if group.tier is Tier.SIMILAR:
            words += f"; lowest similarity {group.min_similarity:.4f}"
        rows.append((str(group.number), "", "", shown(group.keeper), words))
        rows += [
            ("", one.tier.value, similarity_in_words(one), shown(one.path), one.evidence)
            for one in group.duplicates
        ]
    if rows:
        write_table(_COLUMNS, rows, ruled=True)
