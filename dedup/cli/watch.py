"""`dedup watch`."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import click

from dedup.answer import row_of
from dedup.cli.index import print_index
from dedup.cli.options import (
    Name,
    device_option,
    open_collection,
    store_option,
    tier_option,
    weights_option,
)
from dedup.cli.output import note, write_jsonl
from dedup.cli.pipes import reader_is_gone

if TYPE_CHECKING:
    from pathlib import Path

    from dedup.results import IndexSummary, Tier


@click.command("watch")
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=Name())
@store_option
@tier_option("exact,pixels,resaved,near")
@weights_option
@device_option
def watch_command(
    paths: tuple[str, ...],
    store: Path | None,
    tiers: frozenset[Tier],
    weights: Path | None,
    device: str,
) -> None:
    """Keep the collection up to date while folders change.

    Starts like `dedup index`, by catching up with what has changed; without PATH, in all indexed
    folders. From then on each burst of changes is indexed once it is over. New files that duplicate
    indexed ones are reported on stdout, as JSON lines with the keys of `dedup compare`. Crops and
    pasted images are left to `dedup list`. Ctrl-C or SIGTERM stops it, with exit code 0.

    \b
    Examples:
      dedup watch ~/Pictures
      dedup watch ~/Pictures/incoming --tier exact,pixels >> new-duplicates.jsonl
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with open_collection(store, device, weights) as collection:
            note(*collection.notes)
            for number, answer in enumerate(collection.watch(paths, tier=tiers)):
                if number == 0 or _changed(answer.summary):
                    print_index(answer.summary)
                write_jsonl(map(row_of, answer))
                note(*answer.notes)
                if reader_is_gone():
                    break
                if number == 0:
                    note("Watching. Ctrl-C stops it.")
    except (KeyboardInterrupt, click.Abort):
        pass
    note("Stopped watching.")


def _changed(summary: IndexSummary) -> bool:
    return bool(summary.indexed or summary.reused or summary.skipped or summary.gone)
