"""`dedup apply`, `undo`, `log` and `recover`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dedup.cli import cluster_answers
from dedup.cli.formats import chosen_format, rows_options
from dedup.cli.options import Name, open_collection, store_option
from dedup.cli.outcomes import Outcomes, note_reasons, verbose_option
from dedup.cli.output import (
    Column,
    bytes_in_words,
    counted,
    moment_in_words,
    note,
    progress_bars,
    write_rows,
)
from dedup.cli.stores import shared_store_option, store_given

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from dedup.actions.outcomes import Acted, Run
    from dedup.actions.plan_file import PlanEntry


def _outcomes(run: Run) -> str:
    counts = ((run.done, "done"), (run.undone, "undone"), (run.refused, "refused"))
    return ", ".join(f"{count:,} {word}" for count, word in counts if count)


_RUN_COLUMNS = (
    Column("run", lambda row: row.run),
    Column("started", lambda row: moment_in_words(row.started)),
    Column("action", lambda row: f"undo of {row.undo_of}" if row.undo_of else row.action),
    Column("files", _outcomes),
    Column("size", lambda row: bytes_in_words(row.bytes), right=True),
)
EXIT_NOTHING_DONE = 1


@click.command("apply")
@click.argument("plan", metavar="PLAN", type=click.Path(path_type=Path))
@shared_store_option
@click.option("--dry-run", is_flag=True, help="Check every file and touch none.")
@click.option(
    "--yes", is_flag=True, help="Do not ask. Needed where there is no terminal to ask on."
)
@click.option(
    "--carry-metadata",
    is_flag=True,
    help="Before files go, write the date, place, rating and keywords that their keeper lacks "
    "into an XMP file beside it. What such a file already holds stays.",
)
@click.option(
    "--unversioned",
    is_flag=True,
    help="Delete even from buckets that keep no versions, where nothing can be brought back.",
)
@verbose_option
@rows_options
def apply_command(
    plan: Path,
    store: Path | str | None,
    dry_run: bool,  # noqa: FBT001 - click passes flags by name
    yes: bool,  # noqa: FBT001
    carry_metadata: bool,  # noqa: FBT001
    unversioned: bool,  # noqa: FBT001
    verbose: bool,  # noqa: FBT001
    kind: str | None,
    output: Path | None,
) -> None:
    """Carry out a plan.

    Each file and its keeper are read again just before. What has changed since the plan was made is
    refused, with the reason, and the rest goes ahead. Exit code 1 if nothing could be done. `dedup
    undo` takes it back, except for deleted files of which no identical copy is left.

    \b
    Examples:
      dedup apply plan.json --dry-run
      dedup apply plan.json
      dedup apply plan.json --yes
    """
    from dedup.actions.plan_file import read_plan

    form = chosen_format(kind, output=output)
    how = Outcomes(form, output, verbose)
    if isinstance(store, str):
        _apply_shared(store, plan, how, dry_run, yes, unversioned)
        return
    cluster_answers.refuse_shared_plan(plan)
    read = read_plan(plan)
    if not dry_run and not yes:
        note(*warnings_on(read.entries))
        _ask(len(read.entries), read.bytes, {entry.verb for entry in read.entries})
    with open_collection(store) as collection, progress_bars("files") as progress:
        note(*collection.notes)
        acted = collection.apply(
            read, dry_run=dry_run, carry_metadata=carry_metadata, progress=progress
        )
    how.write(acted)
    note(*acted.notes)
    final = {one.path for one in read.entries if one.is_final}
    _close(acted, how, store_given(store), dry_run=dry_run, final=final)


def _apply_shared(
    store: str,
    plan: Path,
    how: Outcomes,
    dry_run: bool,  # noqa: FBT001
    yes: bool,  # noqa: FBT001
    unversioned: bool,  # noqa: FBT001
) -> None:
    from dedup.distributed.plans import read_shared_plan

    read = read_shared_plan(plan)
    if not dry_run and not yes:
        _ask(len(read.entries), read.bytes, {read.verb})
    acted, final = cluster_answers.apply(store, plan, dry_run=dry_run, unversioned=unversioned)
    how.write(acted)
    because = "no version of it is kept" if len(final) == 1 else "no versions of them are kept"
    _close(acted, how, f" --store {store}", dry_run=dry_run, final=final, because=because)


def _close(
    acted: Acted,
    how: Outcomes,
    where: str,
    *,
    dry_run: bool,
    final: Collection[str],
    because: str = "no file with the same bytes is left",
) -> None:
    """Sum up what was done, and say how it is taken back.

    Parameters
    ----------
    where : option that names the collection
    final, because : paths of files that nothing brings back, and why
    """
    if dry_run:
        note("Dry run: nothing was done.")
    how.sum_up(acted, *(("planned", "would go") if dry_run else ("done", "done")), where)
    if acted.count("refused"):
        note("To plan again with what is there now: dedup index, then dedup plan")
    done = {file.path for file in acted if file.outcome == "done"}
    if acted.run and done.difference(final):
        note(f"To take it back: dedup undo {acted.run}{where}")
    if gone := len(done.intersection(final)):
        note(f"{counted(gone, 'file')} deleted for good: {because}")
    if len(acted) and not acted.count("done") and not dry_run:
        raise click.exceptions.Exit(EXIT_NOTHING_DONE)


def warnings_on(entries: Sequence[PlanEntry]) -> list[str]:
    """Say what to think of before a plan is carried out."""
    from dedup.actions.plan_file import LOOSE

    found = []
    if final := sum(entry.is_final for entry in entries):
        found.append(
            f"{counted(final, 'file')} cannot be brought back once deleted: no file with the same "
            "bytes stays"
        )
    if loose := sum(entry.tier in LOOSE for entry in entries):
        found.append(
            f"{counted(loose, 'file')} not proven to match the keeper: look before you act"
        )
    return found


def _ask(count: int, size: int, verbs: set[str]) -> None:
    """Have a person agree to what is about to be done."""
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask on: to go ahead, add --yes")
    files = f"{counted(count, 'file')}, {bytes_in_words(size)}"
    words = ", ".join("delete for good" if verb == "delete" else verb for verb in sorted(verbs))
    try:
        agreed = click.confirm(f"{files}: {words or 'nothing'}?", err=True)
    except click.Abort:
        note("")
        agreed = False
    if not agreed:
        note("Nothing was done.")
        raise click.exceptions.Exit(EXIT_NOTHING_DONE)


@click.command("undo")
@click.argument("run", metavar="[RUN]", required=False, type=Name())
@shared_store_option
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option(
    "--yes",
    is_flag=True,
    help="Do not ask before files go again. Needed where there is no terminal to ask on.",
)
@verbose_option
@rows_options
def undo_command(
    run: str | None,
    store: Path | str | None,
    dry_run: bool,  # noqa: FBT001 - click passes flags by name
    yes: bool,  # noqa: FBT001
    verbose: bool,  # noqa: FBT001
    kind: str | None,
    output: Path | None,
) -> None:
    """Bring back what a run of `dedup apply` took away.

    Without RUN, that is the newest run with anything to bring back. Paths, bytes, times and modes
    are as before; what is at a path now is never overwritten. You are told what cannot be brought
    back before anything is done.

    An undo is itself a run, with its own name. To undo it is to carry out its run again: each file
    and its keeper are read as by `dedup apply`, and what has changed is refused.

    \b
    Examples:
      dedup undo
      dedup undo --dry-run
      dedup undo 20261128-131052-1a2b
    """
    how = Outcomes(chosen_format(kind, output=output), output, verbose)
    if isinstance(store, str):
        acted = cluster_answers.undo(store, run, dry_run=dry_run)
        how.write(acted)
        done = ("planned", "would be brought back") if dry_run else ("undone", "brought back")
        how.sum_up(acted, *done)
        if not dry_run and not acted.count("undone"):
            raise click.exceptions.Exit(EXIT_NOTHING_DONE)
        return
    with open_collection(store) as collection, progress_bars("files") as progress:
        acted = collection.undo(run, dry_run=True)
        note(*collection.notes, *acted.notes)
        is_again = any(one.run == acted.run and one.undo_of for one in collection.runs())
        refused = [file for file in acted if file.outcome == "refused"]
        if refused and not dry_run:
            words = "go again" if is_again else "be brought back"
            note(f"{counted(len(refused), 'file')} cannot {words}:")
            note_reasons(refused)
        planned = acted.count("planned")
        if is_again and planned and not dry_run and not yes:
            _ask(planned, acted.bytes_of("planned"), {file.action for file in acted})
        if not dry_run and planned:
            acted = collection.undo(acted.run, progress=progress)
    how.write(acted)
    outcome, words = ("done", "done again") if is_again else ("undone", "brought back")
    if dry_run:
        outcome, words = "planned", "would go again" if is_again else "would be brought back"
    how.sum_up(acted, outcome, words, store_given(store))
    if dry_run:
        return
    if not acted.count(outcome):
        raise click.exceptions.Exit(EXIT_NOTHING_DONE)
    take_back = "To take it back" if is_again else "To undo this undo"
    note(f"{take_back}: dedup undo {acted.run}{store_given(store)}")


@click.command("log")
@click.argument("run", metavar="[RUN]", required=False, type=Name())
@store_option
@rows_options
def log_command(run: str | None, store: Path | None, kind: str | None, output: Path | None) -> None:
    """Show what was done: all runs, or each file of one.

    \b
    Examples:
      dedup log
      dedup log 20261128-131052-1a2b
    """
    from dedup.actions.outcomes import Run

    form = chosen_format(kind, output=output)
    with open_collection(store) as collection:
        note(*collection.notes)
        if run is None:
            runs = collection.runs()
            write_rows(runs, Run, form, _RUN_COLUMNS, output=output)
            if not len(runs):
                note("Nothing has been done yet.")
        else:
            Outcomes(form, output).write(collection.run(run))


@click.command("recover")
@store_option
def recover_command(store: Path | None) -> None:
    """Finish runs that were killed.

    Each file ends up where it was, or where it was to go. `index`, `plan`, `apply` and `undo` do
    this by themselves.

    \b
    Examples:
      dedup recover
    """
    with open_collection(store) as collection:
        note(*collection.notes)
        note(*(collection.recover() or ["No run was interrupted."]))
