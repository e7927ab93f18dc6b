"""What commands that answer questions do with a collection in object storage."""

from __future__ import annotations

import os
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from dedup.cli.cluster import Place, opened
from dedup.cli.output import bytes_in_words, counted, note, planned_in_words, progress_bars
from dedup.cli.stores import shared_store_option

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dedup.actions.outcomes import Acted
    from dedup.results import DuplicatesAnswer, Explanation, QueryAnswer, Tier


def check(store: Path | str | None, where: Place, known: Iterable[str]) -> None:
    """Refuse options that do not go with where the collection is; `known` as in `refuse`."""
    if isinstance(store, str):
        refuse(known)
    else:
        where.refuse()


def refuse(known: Iterable[str]) -> None:
    """Refuse options that the command was given and that do not work in object storage.

    Parameters
    ----------
    known : those that work there
    """
    context = click.get_current_context()
    given = {
        max(option.opts, key=len)
        for option in context.command.params
        if option.name is not None
        and option.param_type_name == "option"
        and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
    }
    others = sorted(given - {*known, "--store"})
    if others:
        raise click.UsageError(
            f"{others[0]} does not work with a collection in object storage. Bring it to this "
            "computer for that: dedup fetch --store URL FOLDER"
        )


def groups(
    store: str,
    where: Place,
    tiers: frozenset[Tier],
    threshold: float | None,
    asked: dict[str, Any],
) -> tuple[DuplicatesAnswer, tuple[str, ...]]:
    """Find the duplicate groups of a collection at a URL; gives its notes as well."""
    options = {name: value for name, value in asked.items() if name != "offline"}
    with opened(store, where) as shared, progress_bars() as progress:
        return shared.duplicates(tiers, threshold, progress=progress, **options), shared.notes


def why(store: str, first: str, second: str) -> Explanation:
    """Say in which tier two files are; those in the collection by their URLs."""
    with opened(store) as shared:
        return shared.why(first, second)


def query(store: str, names: Sequence[str], k: int | None) -> QueryAnswer:
    """Find the nearest images in a collection at a URL."""
    with opened(store) as shared, progress_bars("images") as progress:
        return shared.query([*names], k or 10, progress=progress)


def plan(
    store: str,
    where: Place,
    action: str,
    tiers: frozenset[Tier],
    output: Path | None,
    **options: Any,
) -> None:
    """Plan which files are to go."""
    from dedup.distributed.plans import action_of, check_tiers

    try:
        action_of(action)
        check_tiers(tiers)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    with opened(store, where) as shared, progress_bars() as progress:
        made = shared.plan(action, tiers, progress=progress, **options)
    note(*shared.notes, *made.notes)
    total = f"{counted(len(made), 'file')}, {bytes_in_words(made.bytes)}"
    note(f"{planned_in_words(made.action)}: {total}")
    if output is None:
        note("Nothing was written; to write the plan: -o plan.json")
        return
    made.write(output)
    file = quote(os.fspath(output))
    note(f"Wrote {output}; to carry it out: dedup apply {file} --store {made.store}")


def refuse_shared_plan(path: Path) -> None:
    """Refuse a plan for object storage where the collection is in a folder."""
    from dedup.distributed.plans import is_shared_plan, read_shared_plan

    if is_shared_plan(path):
        where = read_shared_plan(path).store
        raise click.UsageError(f"{path} is a plan for object storage: add --store {where}")


def apply(
    store: str, path: Path, *, dry_run: bool, unversioned: bool
) -> tuple[Acted, frozenset[str]]:
    """Carry out a plan in object storage; gives also the URLs of what nothing brings back."""
    from dedup.distributed.plans import read_shared_plan
    from dedup.distributed.storage import Storage

    made = read_shared_plan(path)
    with opened(store) as shared, progress_bars("files") as progress:
        acted = shared.apply(made, dry_run=dry_run, unversioned=unversioned, progress=progress)
        bare: tuple[str, ...] = ()
        if unversioned and made.verb == "delete":
            bare = tuple(f"{root}/" for root in made.roots if not Storage.at(root).keeps_versions())
    return acted, frozenset(one.url for one in made.entries if one.url.startswith(bare))


def undo(store: str, run: str | None, *, dry_run: bool) -> Acted:
    """Take back what a plan did in object storage."""
    with opened(store) as shared, progress_bars("files") as progress:
        return shared.undo(run, dry_run=dry_run, progress=progress)


def export(store: str, output: str, layers: Sequence[str], *, fused: bool) -> None:
    """Write the stored embeddings of a collection at a URL to a Lance data set."""
    refuse({"--output", "--layer", "--fused"})
    if not output.endswith(".lance"):
        raise click.UsageError(
            f"{output}: from object storage only .lance is written. For other formats, bring the "
            "collection to this computer: dedup fetch --store URL FOLDER"
        )
    with opened(store) as shared, progress_bars("shards") as progress:
        answer = shared.export(output, layers, fused=fused, progress=progress)
    note(f"Wrote {counted(answer.rows, 'row')} to {answer.path}")


@click.command("fetch")
@click.argument("folder", metavar="[FOLDER]", required=False, type=click.Path(path_type=Path))
@shared_store_option
def fetch_command(folder: Path | None, store: Path | str | None) -> None:
    """Bring a collection from object storage to this computer.

    It becomes an ordinary collection in FOLDER (.dedup by default), with everything proven so far,
    so every other command works on it. The images stay where they are and are read from there.

    \b
    Examples:
      dedup fetch --store s3://bucket/found
      dedup fetch photos.dedup --store s3://bucket/found
    """
    from dedup.session import STORE_NAME

    if not isinstance(store, str):
        raise click.UsageError("give the URL of a collection: --store s3://bucket/folder")
    place = folder if folder is not None else Path(STORE_NAME)
    with opened(store) as shared, progress_bars() as progress:
        made = shared.fetch(place, progress=progress)
    with made:
        status = made.status()
    note(f"Fetched {counted(status.files, 'image')} to {place}; to see the duplicates: "
         f"dedup list --store {place}")  # fmt: skip
