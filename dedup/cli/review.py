"""`dedup review`."""

from __future__ import annotations

import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from dedup.cli.options import open_collection, selection_options, store_option
from dedup.cli.output import note, say
from dedup.errors import ExtraMissingError

if TYPE_CHECKING:
    from pathlib import Path

    from dedup.policy import KeepPolicy
    from dedup.results import Tier


@click.command("review")
@store_option
@selection_options("exact,pixels,resaved,near")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    metavar="N",
    help="The port on 127.0.0.1; 0 takes any free one.",
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def review_command(
    store: Path | None,
    tiers: frozenset[Tier],
    under: tuple[str, ...],
    min_bytes: int,
    keep: KeepPolicy,
    port: int,
    no_browser: bool,  # noqa: FBT001 - click's
) -> None:
    """Review the duplicate groups in a browser: choose, apply, undo.

    Serves only this machine, and only the browser that opens the printed address. Images are
    compared side by side, with a slider, by turns, or by a map of what differs. Choices are kept
    for the next time. Nothing is touched until you have seen and confirmed the plan, and what goes,
    goes to the trash. Ctrl-C stops it. Needs the extra `review`.

    \b
    Examples:
      dedup review
      dedup review --under ~/Pictures/incoming --tier near
      dedup review --port 8765 --no-browser
    """
    try:
        from dedup.review.server import open_browser, reviewing
        from dedup.review.worker import Task
    except ImportError as error:
        raise ExtraMissingError("`dedup review`", "review") from error
    with open_collection(store) as collection:
        note(*collection.notes)
        tiered = tuple(sorted(tiers, key=lambda tier: tier.looseness))
        task = Task(collection.path, False, tiered, keep.texts, under, min_bytes)

        def started() -> None:
            say(review.url)
            if not no_browser and not open_browser(review.once):
                note("No browser was found: open the address above.")
            note("Reviewing. Ctrl-C stops it; choices are kept.")

        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with suppress(KeyboardInterrupt), reviewing(collection, task, port, started) as review:
            review.run()
    note("Stopped reviewing.")
