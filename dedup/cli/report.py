"""`dedup report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dedup.cli.formats import to_write
from dedup.cli.options import open_collection, selection_options, store_option
from dedup.cli.output import bytes_in_words, counted, note, progress_bars

if TYPE_CHECKING:
    from dedup.policy import KeepPolicy
    from dedup.results import Tier


@click.command("report")
@store_option
@selection_options("exact,pixels,resaved,near")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Show the N groups that free the most space.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The page to write, ending in .html. For more than 5,000 images it is an index of "
    "further pages beside it, FILE-1.html and so on.",
)
def report_command(
    store: Path | None,
    tiers: frozenset[Tier],
    under: tuple[str, ...],
    min_bytes: int,
    keep: KeepPolicy,
    limit: int | None,
    output: Path,
) -> None:
    """Write the duplicate groups to a page; no image is touched.

    It is one file with all thumbnails in it, to look through, to send and to choose in, without a
    network. Choices are saved from the page: plan.json for `dedup apply`, and decisions.jsonl for
    `dedup ignore --import`.

    \b
    Examples:
      dedup report -o report.html
      dedup report --tier near --limit 200 -o versions.html
      dedup report --under ~/Pictures/incoming -o incoming.html
    """
    to_write(output)
    with open_collection(store) as collection, progress_bars() as progress:
        answer = collection.report(
            output, tier=tiers, keep=keep.texts, under=under, min_bytes=min_bytes, limit=limit,
            progress=progress,
        )  # fmt: skip
        note(*collection.notes, *answer.notes)
    shown = f"{counted(answer.groups, 'group')}, {counted(answer.images, 'image')}"
    more = f" and {counted(len(answer) - 1, 'page')} beside it" if len(answer) > 1 else ""
    note(f"Wrote {answer[0]}{more}: {shown}, {bytes_in_words(answer.bytes)}. Open it in a browser.")
