"""`dedup list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from dedup.cli import cluster, cluster_answers
from dedup.cli.contains import list_folders
from dedup.cli.formats import chosen_format, format_options
from dedup.cli.groups import Output, print_found
from dedup.cli.options import (
    Number,
    exit_if_found,
    fail_on_option,
    offline_option,
    open_collection,
    parts_option,
    selection_options,
    threshold_option,
)
from dedup.cli.output import note, progress_bars
from dedup.cli.stores import shared_store_option, store_given
from dedup.results import Grouping, Tier

if TYPE_CHECKING:
    from pathlib import Path

    from dedup.policy import KeepPolicy
    from dedup.report.pairs import PairsAnswer
    from dedup.results import DuplicatesAnswer

    _Found = DuplicatesAnswer | PairsAnswer

_REFUSED = {
    "--summary": {"--explain", "--pairs", "--folders"},
    "--folders": {
        "--threshold", "--precision", "--group", "--join", "--explain", "--pairs", "--min-bytes",
        "--keep", "--sort", "--companions", "--parts", "--fail-on",
    },
    "--pairs": {
        "--precision", "--group", "--join", "--explain", "--under", "--min-bytes", "--sort",
        "--limit",
    },
}  # fmt: skip
"""What cannot be combined with the options that show something else than groups."""


_SHARED = {
    "--tier", "--threshold", "--group", "--under", "--min-bytes", "--keep", "--sort", "--limit",
    "--summary", "--explain", "--companions", "--parts", "--fail-on", "--format", "--output", "-o",
    "--nul", "-0", "--csv-safe", "--engine", "--address",
}  # fmt: skip
"""What works in object storage."""

_PARTS = {Tier.NEAR, Tier.VIDEO}
"""The tiers of files of which parts may be missing."""


@click.command("list")
@shared_store_option
@selection_options("exact,pixels,resaved,near,video")
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
    "which is quicker but misses some pairs (the estimated share is printed); auto: ivf "
    "where exact would take minutes.",
)
@click.option("--explain", is_flag=True, help="Say why each group's keeper is kept.")
@click.option(
    "--sort",
    type=click.Choice(["size", "bytes", "count", "path"]),
    help="Which group comes first: size (the largest image), bytes (the most reclaimable), count "
    "(the most duplicates), path (of the keeper). Default: size; bytes with --limit or --summary.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Show only the first N.")
@click.option("--summary", is_flag=True, help="Instead of groups, show the totals for each folder.")
@click.option(
    "--folders",
    "as_folders",
    is_flag=True,
    help="Instead of groups, show folders at least half of which is inside another one. Edited "
    "versions (near) count only if --tier names them.",
)
@click.option(
    "--pairs",
    "as_pairs",
    is_flag=True,
    help="Instead of groups, list all pairs of images; copies are paired only with the best of "
    "them.",
)
@offline_option
@click.option(
    "--companions",
    is_flag=True,
    help="Treat a camera's raw file and the JPEG or HEIC beside it as duplicates of each other. "
    "Otherwise the two belong together, and both stay.",
)
@parts_option
@fail_on_option
@cluster.cluster_options
@format_options
def list_command(
    store: Path | str | None,
    tiers: frozenset[Tier],
    under: tuple[str, ...],
    min_bytes: int,
    keep: KeepPolicy,
    threshold: float | None,
    precision: float | None,
    grouping: str,
    join: str,
    explain: bool,  # noqa: FBT001 - click passes flags by name
    sort: str | None,
    limit: int | None,
    summary: bool,  # noqa: FBT001
    as_folders: bool,  # noqa: FBT001
    as_pairs: bool,  # noqa: FBT001
    offline: bool,  # noqa: FBT001
    companions: bool,  # noqa: FBT001
    parts: str,
    fail_on: str | None,
    **others: Any,
) -> None:
    """Show the duplicate groups.

    The keeper of each group comes first: the original before what was made from it, or as --keep
    says. Files that are gone or have changed since they were indexed are left out. --format paths
    prints only the duplicates. Proofs are kept, so the next run is quick. `dedup plan` takes the
    same --tier, --under, --min-bytes and --keep.

    \b
    Examples:
      dedup list --summary                     the totals for each folder
      dedup list --limit 20                    the groups that free the most
      dedup list --tier similar --threshold 0.95 --group clique
      dedup list --folders                     "old-backup is 98% inside Pictures"
      dedup list --tier exact --fail-on exact  exit code 3 when there are copies
    """
    where = cluster.Place(others.pop("engine"), others.pop("address"))
    form, sort = chosen_format(**others), sort or ("bytes" if limit or summary else "size")
    out = Output(form, others["nul"], others["csv_safe"], others["output"])
    given = _check_options(form, tiers)
    cluster_answers.check(store, where, _SHARED)
    if as_folders and not isinstance(store, str):
        kinds = tiers if "--tier" in given else tiers - _PARTS
        list_folders(store, kinds, under, limit, out, offline=offline)
        return
    shared = _shared(keep, parts, offline=offline, companions=companions)
    asked = {"group": grouping, "under": under, "min_bytes": min_bytes, "sort": sort, **shared}
    answer: _Found
    if isinstance(store, str):
        answer, notes = cluster_answers.groups(store, where, tiers, threshold, asked)
    else:
        asked = shared if as_pairs else asked | {"precision": precision, "join": join}
        answer, notes = _answered(store, as_pairs, tiers, threshold, asked)
    found = print_found(answer, out, limit, tiers, explain=explain, by=sort if summary else None)
    from dedup.duplicates.tiers import ALL_PAIRS  # here, as --help needs no NumPy

    more = ALL_PAIRS + ("" if isinstance(store, str) else store_given(store))
    note(*(each.replace(ALL_PAIRS, more) for each in (*notes, *answer.notes)))
    exit_if_found(found, fail_on)


def _answered(
    store: Path | None,
    as_pairs: bool,  # noqa: FBT001
    tiers: frozenset[Tier],
    threshold: float | None,
    asked: dict[str, Any],
) -> tuple[_Found, tuple[str, ...]]:
    """Ask a collection of this computer; gives its notes as well."""
    with open_collection(store) as collection, progress_bars() as progress:
        verb = collection.pairs if as_pairs else collection.duplicates
        return verb(tiers, threshold, progress=progress, **asked), collection.notes


def _check_options(form: str, tiers: frozenset[Tier]) -> set[str]:
    """Refuse options that do not go together; says which were given."""
    context = click.get_current_context()
    given = {
        option.opts[0]
        for option in context.command.params
        if option.name is not None
        and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
    }
    if {"--threshold", "--precision"} <= given:
        raise click.UsageError("--threshold and --precision cannot be combined")
    if "--precision" in given and Tier.SIMILAR not in tiers:
        raise click.UsageError("--precision is about the tier similar: add it to --tier")
    if "--summary" in given and context.params["sort"] == "size":
        raise click.UsageError("--sort size cannot be combined with --summary")
    for view, refused in _REFUSED.items():
        if view in given:
            wrong = sorted(given & refused) or (["--format paths"] if form == "paths" else [])
            if wrong:
                raise click.UsageError(f"{wrong[0]} cannot be combined with {view}")
    return given


def _shared(keep: KeepPolicy, parts: str, **flags: bool) -> dict[str, Any]:
    """Give the arguments that groups and pairs have in common."""
    return {"keep": keep.texts, "parts": parts == "on", **flags}
