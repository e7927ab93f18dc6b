"""`dedup check`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dedup.cli.formats import chosen_format, format_options
from dedup.cli.index import indexed
from dedup.cli.options import (
    EXIT_FOUND,
    column_option,
    folders_argument,
    labels_option,
    store_option,
    strict_option,
    tier_option,
)
from dedup.cli.output import Column, counted, note, note_skips, shown, write_rows

if TYPE_CHECKING:
    from pathlib import Path

    from dedup.datasets.issues import CheckAnswer
    from dedup.results import Tier

ISSUES = (
    "conflict", "mislabelled", "blank", "blurry", "dark", "bright", "low_information", "odd_size",
    "odd_aspect", "outlier",
)  # fmt: skip
OF_LABELS = ("conflict", "mislabelled")
_NOUNS = {"conflict", "outlier"}
ANY = "any"

_COLUMNS = (
    Column("issue", lambda row: row.issue),
    Column("score", lambda row: f"{row.score:.4f}", right=True),
    Column("limit", lambda row: f"{row.threshold:.4f}", right=True),
    Column("path", lambda row: shown(row.path), path=True),
    Column("label", lambda row: f"{row.label} → {row.other}" if row.other else row.label),
    Column("evidence", lambda row: row.evidence),
)


class Issues(click.ParamType[frozenset[str]]):
    """Kinds of issues separated by commas; any: all."""

    name = "issues"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> frozenset[str]:
        """Parse "blurry,dark"."""
        if isinstance(value, frozenset):
            return value
        names = [name.strip() for name in str(value).split(",")]
        for name in names:
            if name not in (*ISSUES, ANY):
                self.fail(f"{name!r} is not an issue; issues are {', '.join(ISSUES)}", param, ctx)
        return frozenset(ISSUES if ANY in names else names)


@click.command("check")
@folders_argument
@store_option
@labels_option
@column_option
@click.option(
    "--issue",
    "issues",
    type=Issues(),
    default=ANY,
    metavar="ISSUES",
    help=f"What to look for, separated by commas: {', '.join(ISSUES)}. Default: all; the first two "
    "with --labels only.",
)
@tier_option("exact,pixels,resaved,near")
@click.option(
    "--fail-on",
    type=Issues(),
    metavar="ISSUES",
    help="Exit with 3 if one of these issues, separated by commas, was found; any stands for all "
    "of them.",
)
@strict_option
@format_options
def check_command(
    folders: tuple[str, ...],
    store: Path | None,
    labels: str | None,
    column: str,
    issues: frozenset[str],
    tiers: frozenset[Tier],
    fail_on: frozenset[str] | None,
    strict: bool,  # noqa: FBT001 - click passes flags by name
    kind: str | None,
    nul: bool,  # noqa: FBT001
    csv_safe: bool,  # noqa: FBT001
    output: Path | None,
) -> None:
    """Show the images of a data set that deserve a look.

    FOLDERs are indexed first, as by `dedup index`; the whole collection is checked. It shows copies
    with different labels, labels that neighbours contradict, images that are blank, blurry, dark,
    bright, of little information, or of an odd size or aspect, and outliers: the 1 % furthest from
    their neighbours. A lower score is worse; limits adapt to the collection. --tier says which
    images have to have the same label. Images are read again, at a few milliseconds each.

    \b
    Examples:
      dedup check
      dedup check data/ --labels folders --fail-on conflict,blank
      dedup check --labels folders --issue conflict,mislabelled
      dedup check --labels truth.csv --column species --fail-on conflict
      dedup check --issue blurry,dark --format paths -0
    """
    form = chosen_format(kind, nul=nul, csv_safe=csv_safe, output=output)
    wanted = issues
    if labels is None:
        if wanted < frozenset(ISSUES) and wanted & {*OF_LABELS}:
            raise click.UsageError(f"{' and '.join(OF_LABELS)} need --labels")
        wanted -= {*OF_LABELS}
    if fail_on is not None and not fail_on & wanted:
        raise click.UsageError("--fail-on names only issues that are not looked for")
    with indexed(folders, store, "images") as (collection, progress):
        answer = collection.check(
            labels=labels, column=column, issues=wanted, tier=tiers, progress=progress
        )
        note(*collection.notes, *answer.notes)
    from dedup.datasets.issues import Issue

    # Of a file with several issues the name comes once.
    rows = {one.path: one for one in answer}.values() if form == "paths" else answer
    write_rows(rows, Issue, form, _COLUMNS, nul=nul, csv_safe=csv_safe, output=output)
    _print_totals(answer)
    note_skips(answer.skipped, "to see them again: dedup index, then dedup status --skipped")
    if fail_on is not None and any(one.issue in fail_on for one in answer):
        raise click.exceptions.Exit(EXIT_FOUND)
    if answer.skipped and strict:
        raise click.exceptions.Exit(1)


def _print_totals(answer: CheckAnswer) -> None:
    found = ((one, answer.count(one)) for one in ISSUES)
    counts = ", ".join(
        counted(count, one) if one in _NOUNS else f"{count:,} {one}"
        for one, count in found
        if count
    )
    note(f"{counted(answer.checked, 'file')} checked: {counts or 'nothing to look at'}")
