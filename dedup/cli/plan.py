"""`dedup plan`."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from dedup.cli import cluster, cluster_answers
from dedup.cli.apply import warnings_on
from dedup.cli.formats import to_write
from dedup.cli.options import Name, Size, open_collection, selection_options
from dedup.cli.output import (
    bytes_in_words,
    counted,
    note,
    planned_in_words,
    progress_bars,
    shown,
)
from dedup.cli.stores import shared_store_option, store_given

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dedup.actions.plan_file import Plan
    from dedup.policy import KeepPolicy
    from dedup.results import Tier

_FOLDERS_SHOWN = 20
_SHARED = {"--tier", "--under", "--folder", "--min-bytes", "--keep", "--action", "--output", "-o",
           "--engine", "--address"}  # fmt: skip
"""What works in object storage."""


@click.command("plan")
@click.argument("folders", nargs=-1, metavar="[FOLDER]...", type=Name())
@shared_store_option
@selection_options("exact,pixels,resaved", "--folder")
@click.option(
    "--action",
    default="trash",
    show_default=True,
    metavar="ACTION",
    type=Name(),
    help="trash, move:FOLDER (paths below the indexed folder are kept) or delete; for files with "
    "the same bytes also hardlink, reflink or symlink to the keeper. In object storage: "
    "move:URL, tag or delete.",
)
@click.option(
    "--protect",
    metavar="PATTERN",
    multiple=True,
    type=Name(),
    help="Files that stay: a gitignore pattern, relative to the indexed folder. Repeatable.",
)
@click.option(
    "--reference",
    metavar="DIR",
    multiple=True,
    type=Name(),
    help="A folder in which everything stays; its files are preferred as keepers. Repeatable.",
)
@click.option(
    "--into",
    metavar="DIR",
    type=Name(),
    help="Only files of FOLDER that are proven to be in DIR, where everything stays; see `dedup "
    "contains`.",
)
@click.option(
    "--max-bytes", type=Size(), metavar="SIZE", help="Remove at most this much in all, such as 2GB."
)
@cluster.cluster_options
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the plan to FILE as JSON. Without it, only the summary is shown.",
)
def plan_command(
    folders: tuple[str, ...],
    store: Path | str | None,
    tiers: frozenset[Tier],
    under: tuple[str, ...],
    min_bytes: int,
    keep: KeepPolicy,
    action: str,
    protect: tuple[str, ...],
    reference: tuple[str, ...],
    into: str | None,
    max_bytes: int | None,
    output: Path | None,
    **place: Any,
) -> None:
    """Plan which duplicates to remove; nothing is touched.

    The plan is a file to read and edit: one duplicate per line, with the file that stays for it. If
    FOLDER is given, only files below it go; --under says the same. Sidecars (.xmp, .aae, the film
    of a live photo) go with their image. `dedup apply` carries the plan out.

    \b
    Examples:
      dedup plan -o plan.json
      dedup plan ~/Pictures/incoming --reference ~/Pictures/sorted -o plan.json
      dedup plan --folder /media/old-backup --into ~/Pictures -o plan.json
      dedup plan --tier exact --action hardlink -o plan.json
      dedup plan --protect originals/ --action move:/media/spare -o plan.json
      dedup plan --store s3://bucket/found --action delete -o plan.json
    """
    from dedup.actions.plan_file import action_of

    _check_output(output)
    where, under = cluster.Place(**place), (*folders, *under)
    cluster_answers.check(store, where, _SHARED)
    if isinstance(store, str):
        options = {"under": under, "min_bytes": min_bytes, "keep": keep.texts}
        cluster_answers.plan(store, where, action, tiers, output, **options)
        return
    try:
        action_of(action, tiers)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if into is not None and not under:
        raise click.UsageError("--into needs folders whose files may go: --folder A --into B")
    with open_collection(store) as collection, progress_bars() as progress:
        plan = collection.plan(
            under, tier=tiers, action=action, keep=keep.texts, protect=protect,
            reference=reference, into=into, min_bytes=min_bytes, max_bytes=max_bytes,
            progress=progress,
        )  # fmt: skip
        note(*collection.notes, *plan.notes)
    _summarise(plan, store_given(store))
    if output is None:
        note("Nothing was written; to write the plan: -o plan.json")
    else:
        plan.write(output)
        apply = f"dedup apply {quote(os.fspath(output))}{store_given(store)}"
        note(f"Wrote {output}; to carry it out: {apply}")


def _summarise(plan: Plan, where: str) -> None:
    """Print what a plan comes to, and what it leaves out.

    Parameters
    ----------
    where : option that names the collection
    """
    total = f"{counted(len(plan.entries), 'file')}, {bytes_in_words(plan.bytes)}"
    note(f"{planned_in_words(plan.action)}: {total}")
    by_tier = _added_up((str(entry.tier or "sidecar"), entry.bytes) for entry in plan.entries)
    _table(by_tier)
    folders = _added_up((shown(os.path.dirname(entry.path)), entry.bytes) for entry in plan.entries)
    if folders:
        note("By folder:")
        _table(folders[:_FOLDERS_SHOWN])
        if len(folders) > _FOLDERS_SHOWN:
            note(f"  … and {counted(len(folders) - _FOLDERS_SHOWN, 'folder')} more")
    if telling := sum(any(entry.keeper_lacks.told) for entry in plan.entries):
        note(
            f"{counted(telling, 'file')} with dates, places, ratings or keywords that the keeper "
            "lacks; to write them beside it: dedup apply --carry-metadata"
        )
    if plan.left_out:
        note("What stays, and why:")
        _table(_added_up((one.reason, one.bytes) for one in plan.left_out))
    if "near" not in plan.tiers:
        asked = ",".join(plan.tiers)
        note(
            f"Edited versions stay; to include them: --tier {asked},near",
            "Without them, files can be grouped otherwise than dedup list shows by default; to see "
            f"the groups of this plan: dedup list --tier {asked}{where}",
        )
    note(*warnings_on(plan.entries))


def _added_up(pairs: Iterable[tuple[str, int]]) -> list[tuple[str, int, int]]:
    """Count and add up by name, the most bytes first."""
    sums: dict[str, list[int]] = defaultdict(list)
    for name, size in pairs:
        sums[name].append(size)
    rows = [(name, len(sizes), sum(sizes)) for name, sizes in sums.items()]
    return sorted(rows, key=lambda row: (-row[2], row[0]))


def _table(rows: list[tuple[str, int, int]]) -> None:
    for name, count, size in rows:
        note(f"  {counted(count, 'file'):>14}  {bytes_in_words(size):>9}  {name}")


def _check_output(output: Path | None) -> None:
    """Refuse to write a plan over anything but a plan."""
    from dedup.actions.plan_file import may_be_a_plan

    to_write(output)
    if output is not None and output.is_file() and not may_be_a_plan(output):
        raise click.UsageError(f"{output} exists and is not a plan: name another file")
