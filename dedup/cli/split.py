"""`dedup split`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from dedup.cli.formats import chosen_format, format_options
from dedup.cli.index import indexed
from dedup.cli.options import (
    Name,
    column_option,
    exit_if_found,
    fail_on_option,
    folders_argument,
    labels_option,
    seed_option,
    store_option,
    threshold_option,
    tier_option,
)
from dedup.cli.output import (
    Column,
    counted,
    note,
    shown,
    similarity_in_words,
    write_rows,
)

if TYPE_CHECKING:
    from pathlib import Path

    from dedup.datasets.leaks import LeaksAnswer
    from dedup.results import Tier

_RATIOS, _GLUED = "--ratios", "--ratios="
_NUMBER = re.compile(r"\d*\.?\d+")

_PLACED = (
    Column("subset", lambda row: row.subset),
    Column("path", lambda row: shown(row.path), path=True),
    Column("label", lambda row: row.label),
    Column("group", lambda row: f"{row.group}" if row.group else "", right=True),
)
_LEAKS = (
    Column("tier", lambda row: row.tier.value),
    Column("similarity", similarity_in_words, right=True),
    Column("subset", lambda row: row.subset),
    Column("path", lambda row: shown(row.path), path=True),
    Column("is in", lambda row: row.match_subset),
    Column("as", lambda row: shown(row.match), path=True),
    Column("evidence", lambda row: row.evidence),
)


class SplitCommand(click.Command):
    """Takes ratios as numbers one after another, and joins them to one value."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Turn "--ratios .8 .1 .1" into "--ratios .8,.1,.1"."""
        joined: list[str] = []
        for one in args:
            begun = joined[-2:-1] == [_RATIOS] or "".join(joined[-1:]).startswith(_GLUED)
            if begun and _NUMBER.fullmatch(one):
                joined[-1] += f",{one}"
            else:
                joined.append(one)
        return super().parse_args(ctx, joined)


class Ratios(click.ParamType[tuple[float, ...]]):
    """Numbers separated by commas."""

    name = "ratios"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Parse ".8,.1,.1", and check what they add up to."""
        from dedup.datasets.split import wanted_subsets

        if isinstance(value, tuple):
            return value
        try:
            return wanted_subsets([float(one) for one in str(value).split(",")], ()).ratios
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command("split", cls=SplitCommand)
@folders_argument
@store_option
@click.option(
    _RATIOS,
    type=Ratios(),
    metavar="R R...",
    help="The subsets' shares, which add up to 1, such as .8 .1 .1.",
)
@click.option(
    "--names",
    type=Name(),
    metavar="NAMES",
    help="The names of the subsets, separated by commas. Default: train,test or train,val,test.",
)
@click.option(
    "--stratify",
    type=Name(),
    metavar="COLUMN|labels",
    help="Give every subset the same proportions of this: labels, or a column of --labels FILE.",
)
@labels_option
@column_option
@seed_option
@click.option(
    "--given",
    type=Name(),
    metavar="folders|FILE",
    help="Show what leaks in an existing split: FILE is a table (.csv, .tsv, .parquet) with the "
    "columns 'path' and 'subset' or 'split'; folders stands for those called train, val, "
    "test and the like.",
)
@tier_option("exact,pixels,resaved,near")
@threshold_option
@fail_on_option
@format_options
def split_command(
    folders: tuple[str, ...],
    store: Path | None,
    ratios: tuple[float, ...] | None,
    names: str | None,
    stratify: str | None,
    labels: str | None,
    column: str,
    seed: int,
    given: str | None,
    tiers: frozenset[Tier],
    threshold: float | None,
    fail_on: str | None,
    kind: str | None,
    nul: bool,  # noqa: FBT001 - click passes flags by name
    csv_safe: bool,  # noqa: FBT001
    output: Path | None,
) -> None:
    """Split all files into subsets, with no image in two of them.

    Subsets are such as train, val and test. FOLDERs are indexed first, as by `dedup index`; the
    whole collection is split. What belongs together, over however many steps, stays together:
    copies, edited versions, and a raw image with what was developed from it; with --tier
    exact,pixels,resaved,near,similar also look-alikes. With --given nothing is split: the output is
    what leaks between the subsets of that split.

    \b
    Examples:
      dedup split --ratios .8 .1 .1 --format csv > split.csv
      dedup split --ratios .8 .2 --stratify labels
      dedup split --ratios .7 .3 --labels truth.csv --stratify species --seed 1
      dedup split --given split.csv --fail-on near
      dedup split data/ --given folders
    """
    from dedup.datasets.leaks import Leak
    from dedup.datasets.split import Placed

    form = chosen_format(kind, nul=nul, csv_safe=csv_safe, output=output)
    own = _checked(ratios, names, given, stratify, labels, fail_on)
    with indexed(folders, store) as (collection, progress):
        notes = collection.notes
        if given is not None:
            leaks = collection.leaks(given, tier=tiers, threshold=threshold, progress=progress)
        else:
            answer = collection.split(
                ratios or (), names=own, stratify=stratify, labels=labels or "folders",
                column=column, tier=tiers, threshold=threshold, seed=seed, progress=progress,
            )  # fmt: skip
    if given is None:
        write_rows(answer, Placed, form, _PLACED, nul=nul, csv_safe=csv_safe, output=output)
        wholes = (one for one in answer.shares if one.label is None)
        note(*(f"{one.subset}: {counted(one.files, 'file')}, {one.share:.1%}" for one in wholes))
        note(*notes, *answer.notes)
        return
    # Of a file that leaks into several subsets the name comes once.
    rows = {one.path: one for one in leaks}.values() if form == "paths" else leaks
    write_rows(rows, Leak, form, _LEAKS, nul=nul, csv_safe=csv_safe, output=output)
    _print_totals(leaks)
    note(*notes, *leaks.notes)
    exit_if_found((one.tier for one in leaks), fail_on)


def _print_totals(leaks: LeaksAnswer) -> None:
    sizes = ", ".join(f"{subset} {files:,}" for subset, files in leaks.files.items())
    note(f"{counted(len(leaks), 'leak')} between subsets: {sizes}")


def _checked(
    ratios: tuple[float, ...] | None,
    names: str | None,
    given: str | None,
    stratify: str | None,
    labels: str | None,
    fail_on: str | None,
) -> list[str]:
    """Refuse what does not go together; gives the names of subsets."""
    from dedup.datasets.split import wanted_subsets

    if (ratios is None) == (given is None):
        raise click.UsageError("give either --ratios or --given")
    if given is not None and (names or stratify):
        raise click.UsageError("--names and --stratify need --ratios")
    if labels is not None and stratify is None:
        raise click.UsageError("--labels needs --stratify, which says by what: labels or COLUMN")
    if given is None and fail_on is not None:
        raise click.UsageError("--fail-on needs --given: a new split does not leak")
    own = [] if names is None else [one.strip() for one in names.split(",")]
    if ratios is not None:
        try:
            wanted_subsets(ratios, own)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
    return own
