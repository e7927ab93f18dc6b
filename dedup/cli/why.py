"""`dedup why`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dedup.answer import row_of
from dedup.cli import cluster_answers
from dedup.cli.formats import chosen_format, report_format_option, to_write
from dedup.cli.options import Name, device_option, open_collection, weights_option
from dedup.cli.output import Column, note, say, shown, write_jsonl, write_rows
from dedup.cli.stores import shared_store_option
from dedup.errors import NoCollectionError
from dedup.results import CheckResult, Tier

if TYPE_CHECKING:
    from dedup.results import Explanation


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 - digits shown


_COLUMNS = (
    Column("check", lambda row: row.name),
    Column("found", lambda row: _figure(row.value), right=True),
    Column("limit", lambda row: _figure(row.limit), right=True),
    Column("", lambda row: "yes" if row.passed else "no"),
)


_MEANINGS = {
    Tier.EXACT: "identical files",
    Tier.PIXELS: "the same image, pixel for pixel",
    Tier.RESAVED: "the whole image, saved again",
    Tier.NEAR: "an edited version of the same image",
    Tier.SIMILAR: "they look alike, and are not proven to be one image",
    Tier.VIDEO: "they share a film",
}


_OF_THE_SECOND = {Tier.PIXELS, Tier.RESAVED, Tier.NEAR, Tier.SIMILAR}
"""The tiers whose evidence says of B what sets it apart from A."""


@click.command("why")
@click.argument("first", metavar="A", type=Name())
@click.argument("second", metavar="B", type=Name())
@shared_store_option
@click.option(
    "-o",
    "--output",
    metavar="FILE.png",
    type=click.Path(path_type=Path),
    help="Draw both images, one laid over the other, and a heat map of what differs.",
)
@click.option(
    "--html",
    "page",
    metavar="FILE.html",
    type=click.Path(path_type=Path),
    help="Show both on a page: side by side, under a slider, what differs, and every check.",
)
@click.option("--verbose", is_flag=True, help="Print every check with its figure and its limit.")
@weights_option
@device_option
@report_format_option
def why_command(
    first: str,
    second: str,
    store: Path | str | None,
    output: Path | None,
    page: Path | None,
    verbose: bool,  # noqa: FBT001 - click passes flags by name
    weights: Path | None,
    device: str,
    kind: str | None,
) -> None:
    """Show which tier images A and B are in, and the evidence for it.

    Works for any two files; with a collection, also for look-alikes. JSON has all figures.

    \b
    Examples:
      dedup why holiday.jpg holiday-small.jpg
      dedup why a.jpg b.jpg --verbose
      dedup why a.jpg b.jpg -o why.png
      dedup why a.jpg b.jpg --html why.html
    """
    from dedup.verbs.pairs import why

    for one in (output, page):
        to_write(one)

    if isinstance(store, str):
        cluster_answers.refuse({"--verbose", "--format"})
        _show(cluster_answers.why(store, first, second), kind, verbose=verbose)
        return
    try:
        collection = open_collection(store, device, weights)
    except NoCollectionError:
        if store is not None:
            raise
        answer = why(first, second, image=output, page=page)
    else:
        with collection:
            answer = collection.why(first, second, image=output, page=page)
        note(*collection.notes)
    _show(answer, kind, verbose=verbose)


def _show(answer: Explanation, kind: str | None, *, verbose: bool) -> None:
    if chosen_format(kind) == "table":
        _write_explanation(answer, verbose=verbose)
    else:
        write_jsonl([row_of(answer)])
    note(*answer.notes)


def _write_explanation(answer: Explanation, *, verbose: bool) -> None:
    tier = answer.tier
    words = f"{tier}, {_MEANINGS[tier]}" if tier else "no sign that these are the same image"
    say(f"{shown(answer.first)} and {shown(answer.second)}: {words}")
    of = f"{shown(answer.second)}: " if tier in _OF_THE_SECOND else ""
    say(f"  {of}{answer.evidence}")
    decides = tier in {Tier.SIMILAR, None}
    if answer.similarity is not None and (decides or verbose):
        say(f"  similarity {answer.similarity:.4f} (similar from {answer.threshold:.4f})")
    for remark in answer.remarks:
        say(f"  {shown(remark)}")
    if answer.companions:
        say(
            "  companions: a raw file and the image developed from it, which list shows as "
            "duplicates only with --companions"
        )
    if answer.ignored:
        say("  ignored: marked as not a duplicate")
    if not verbose:
        return
    write_rows(answer, CheckResult, "table", _COLUMNS)
    if answer.missing:
        say(f"For {answer.missing}.")
