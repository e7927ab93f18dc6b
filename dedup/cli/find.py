"""`dedup query` and `dedup list`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from dedup.cli.options import (
    Tiers,
    chosen_format,
    cosine,
    device_option,
    format_options,
    open_collection,
    shown,
    store_option,
    strict_option,
    weights_option,
)
from dedup.cli.output import (
    bytes_in_words,
    counted,
    note,
    note_skips,
    rounded,
    stages,
    write_csv,
    write_jsonl,
    write_paths,
    write_table,
)
from dedup.errors import ImageError
from dedup.results import Grouping, Tier

if TYPE_CHECKING:
    from pathlib import Path

    from dedup.results import DuplicatesAnswer, Group, Neighbour

EXIT_FOUND = 3


@click.command("query")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=click.Path())
@store_option
@click.option("-k", "k", type=click.IntRange(min=1), help="How many neighbours.  [default: 10]")
@click.option(
    "--threshold",
    type=float,
    callback=cosine,
    metavar="S",
    help="Instead of -k: everything at least this similar, from -1 to 1.",
)
@weights_option
@device_option
@strict_option
@format_options
def query_command(
    images: tuple[str, ...],
    store: Path | None,
    k: int | None,
    threshold: float | None,
    weights: Path | None,
    device: str,
    strict: bool,  # noqa: FBT001 - click passes flags by name
    kind: str | None,
    nul: bool,  # noqa: FBT001
) -> None:
    """Show the indexed pictures nearest to each IMAGE.

    An IMAGE need not be indexed. A folder stands for all pictures in it, and - reads names from
    stdin, one a line, or separated by NUL. A picture that is indexed finds itself first.

    \b
    Examples:
      dedup query holiday.jpg
      dedup query holiday.jpg --threshold 0.9 --format paths
      find . -newer mark -name '*.jpg' -print0 | dedup query - -k 1
    """
    if k is not None and threshold is not None:
        raise click.UsageError("-k and --threshold exclude each other")
    form = chosen_format(kind, nul=nul)
    names = [name for image in images for name in (_from_stdin() if image == "-" else [image])]
    with open_collection(store) as collection:
        answer = collection.query_many(names, k or 10, threshold, weights=weights, device=device)
        remarks = collection.notes
    if answer.skipped and not answer.neighbours and len(answer.skipped) == len(names) == 1:
        raise ImageError(answer.skipped[0].path, answer.skipped[0].reason)
    _write_neighbours(answer.neighbours, form, nul=nul)
    for text in remarks:
        note(text)
    note_skips(answer.skipped, "give fewer at a time to see all")
    if answer.skipped and (strict or len(answer.skipped) >= len(names)):
        raise click.exceptions.Exit(1)


def _from_stdin() -> list[str]:
    content = sys.stdin.buffer.read()
    separator = b"\0" if b"\0" in content else b"\n"
    return [os.fsdecode(name) for name in content.split(separator) if name]


def _write_neighbours(neighbours: tuple[Neighbour, ...], form: str, *, nul: bool) -> None:
    if form == "paths":
        write_paths((one.path for one in neighbours), nul=nul)
    elif form == "table":
        write_table(
            [("query", "left"), ("rank", "right"), ("similarity", "right"), ("path", "left")],
            (
                (
                    shown(one.query) if one.rank == 1 else "",
                    str(one.rank),
                    f"{one.similarity:.4f}",
                    shown(one.path),
                )
                for one in neighbours
            ),
            ruled=True,
        )
    else:
        header = ("query", "rank", "path", "similarity")
        rows = ((one.query, one.rank, one.path, rounded(one.similarity)) for one in neighbours)
        if form == "csv":
            write_csv(header, rows)
        else:
            write_jsonl(dict(zip(header, row, strict=True)) for row in rows)


@click.command("list")
@store_option
@click.option(
    "--tier",
    "tiers",
    type=Tiers(),
    default="exact,pixels,near",
    show_default=True,
    metavar="TIERS",
    help="The tiers that count, separated by commas: exact (same bytes), pixels (same picture bit "
    "for bit), near (the same photograph edited, proven on the pictures), similar (looks alike).",
)
@click.option(
    "--threshold",
    type=float,
    callback=cosine,
    metavar="S",
    help="Lowest similarity of the tier similar, inclusive. Default: the model's.",
)
@click.option(
    "--precision",
    type=click.FloatRange(min=0, min_open=True, max=1),
    metavar="P",
    help="Instead of --threshold: a wanted precision, below 1. Needs a calibrated collection.",
)
@click.option(
    "--group",
    "grouping",
    type=click.Choice([grouping.value for grouping in Grouping]),
    default=Grouping.COVER.value,
    show_default=True,
    help="cover: every duplicate is directly paired with its keeper; clique: all are paired with "
    "all; component: chains count.",
)
@click.option(
    "--join",
    type=click.Choice(["auto", "exact", "ivf"]),
    default="auto",
    show_default=True,
    help="exact: all pictures are compared with all; ivf: within overlapping cells only, quicker, "
    "and the share that this misses is measured and told; auto: ivf where exact takes minutes.",
)
@click.option(
    "--fail-on",
    type=click.Choice([tier.value for tier in Tier]),
    help="Exit with 3 when a duplicate of this tier or a surer one was found.",
)
@format_options
def list_command(
    store: Path | None,
    tiers: frozenset[Tier],
    threshold: float | None,
    precision: float | None,
    grouping: str,
    join: str,
    fail_on: str | None,
    kind: str | None,
    nul: bool,  # noqa: FBT001 - click passes flags by name
) -> None:
    """Show the duplicate groups.

    Of each group the keeper comes first: most pixels, then most bytes, then oldest, then by path.
    The format "paths" gives the duplicates alone, without the keepers. Nothing is changed. What was
    proven is kept, so that a second look is quick.

    \b
    Examples:
      dedup list
      dedup list --tier exact,pixels --format paths
      dedup list --threshold 0.95 --group clique
      dedup list --tier exact --fail-on exact        exit code 3 when there are copies
    """
    form = chosen_format(kind, nul=nul)
    if precision is not None:
        if threshold is not None:
            raise click.UsageError("--threshold and --precision exclude each other")
        if Tier.SIMILAR not in tiers:
            raise click.UsageError("--precision is about the tier similar: add it to --tier")
    with open_collection(store) as collection, stages() as report:
        answer = collection.find_duplicates(
            tiers, threshold, grouping, report, precision=precision, join=join
        )
    _write_groups(answer.groups, form, nul=nul)
    _tell_groups(answer, proven=Tier.SIMILAR not in tiers)
    if fail_on is not None and any(
        duplicate.tier.looseness <= Tier(fail_on).looseness
        for group in answer.groups
        for duplicate in group.duplicates
    ):
        raise click.exceptions.Exit(EXIT_FOUND)


def _tell_groups(answer: DuplicatesAnswer, *, proven: bool) -> None:
    count = sum(len(group.duplicates) for group in answer.groups)
    size = sum(group.reclaimable_bytes for group in answer.groups)
    if count:
        groups, duplicates = counted(len(answer.groups), "group"), counted(count, "duplicate")
        note(f"{groups}, {duplicates}, {bytes_in_words(size)} in them")
    else:
        note("No duplicates found.")
    if not proven:
        note(
            f"Tier similar (from {answer.threshold:.4f}) is not proven: another shot of a scene "
            "looks alike too. Look before you act."
        )
    for text in answer.notes:
        note(text)


def _write_groups(groups: tuple[Group, ...], form: str, *, nul: bool) -> None:
    if form == "paths":
        write_paths((one.path for group in groups for one in group.duplicates), nul=nul)
    elif form == "table":
        _write_group_table(groups)
    elif form == "csv":
        write_csv(
            (
                "group",
                "group_tier",
                "keeper",
                "min_similarity",
                "reclaimable_bytes",
                "path",
                "tier",
                "similarity",
                "bytes",
                "evidence",
            ),
            (
                (
                    group.number,
                    group.tier,
                    group.keeper,
                    rounded(group.min_similarity),
                    group.reclaimable_bytes,
                    one.path,
                    one.tier,
                    rounded(one.similarity),
                    one.bytes,
                    one.evidence,
                )
                for group in groups
                for one in group.duplicates
            ),
        )
    else:
        write_jsonl(
            {
                "group": group.number,
                "tier": group.tier,
                "keeper": group.keeper,
                "min_similarity": rounded(group.min_similarity),
                "reclaimable_bytes": group.reclaimable_bytes,
                "duplicates": [
                    {
                        "path": one.path,
                        "tier": one.tier,
                        "similarity": rounded(one.similarity),
                        "bytes": one.bytes,
                        "evidence": one.evidence,
                    }
                    for one in group.duplicates
                ],
            }
            for group in groups
        )


def _write_group_table(groups: tuple[Group, ...]) -> None:
    if not groups:
        return
    rows = []
    for group in groups:
        lowest = f"keeper; lowest similarity {group.min_similarity:.4f}"
        rows.append((str(group.number), "", "", shown(group.keeper), lowest))
        rows += [
            ("", one.tier.value, f"{one.similarity:.4f}", shown(one.path), one.evidence)
            for one in group.duplicates
        ]
    write_table(
        [
            ("group", "right"),
            ("tier", "left"),
            ("similarity", "right"),
            ("path", "left"),
            ("evidence", "left"),
        ],
        rows,
        ruled=True,
    )
