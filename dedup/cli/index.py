"""`dedup index`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dedup.cli.options import (
    device_option,
    model_options,
    runtime_option,
    store_option,
    strict_option,
    weights_option,
)
from dedup.cli.output import counted, note, note_skips, progress_bar

if TYPE_CHECKING:
    from dedup.collection import Collection
    from dedup.results import IndexSummary, Stages


@click.command("index")
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path())
@store_option
@model_options
@weights_option
@click.option(
    "--layer",
    "layers",
    metavar="NAME",
    multiple=True,
    help="A layer to keep the output of; repeatable. Similarity is measured on the first. "
    "Default: global_pool. See: dedup layers MODEL",
)
@click.option(
    "--views",
    type=click.Choice(["content", "details", "both"]),
    help="The views of a picture to embed: content (what the model saw), details (local features; "
    "no model), or both.  [default: the collection's own; for a new one both]",
)
@device_option
@runtime_option
@strict_option
@click.option("--verbose", "-v", is_flag=True, help="Also tell where the time went.")
def index_command(
    paths: tuple[str, ...],
    store: Path | None,
    model: str | None,
    weights: Path | None,
    untrained: bool,  # noqa: FBT001 - click passes flags by name
    layers: tuple[str, ...],
    views: str | None,
    device: str,
    runtime: str,
    strict: bool,  # noqa: FBT001
    verbose: bool,  # noqa: FBT001
) -> None:
    """Build or update the collection.

    Looks at every picture under each PATH once; files that have not changed are not read again.
    Without PATH, all folders indexed before are brought up to date. The collection is made in
    .dedup in the current folder unless --store names another place.

    \b
    Examples:
      dedup index ~/Pictures
      dedup index ~/Pictures /media/usb --store ~/pictures.dedup
      dedup index ~/Pictures --weights mobilenetv2_100.safetensors
    """
    if untrained and weights is not None:
        raise click.UsageError("--untrained and --weights exclude each other")
    wanted = {None: (), "both": ("content", "details")}.get(views, (views or "",))
    collection, new = open_or_create(
        paths, store, model, weights, layers, wanted, device, untrained, runtime
    )
    with collection, progress_bar("Indexing", "images") as progress:
        try:
            summary = collection.index(paths, weights=weights, device=device, progress=progress)
        except KeyboardInterrupt:
            raise click.Abort from None
    if new:
        note(f"Made the collection {collection.path}")
        if collection.chosen:
            note(collection.chosen)
    tell_index(summary)
    if verbose and summary.stages:
        tell_stages(summary.stages)
    for text in collection.notes:
        note(text)
    if strict and (summary.skipped or summary.still_skipped):
        raise click.exceptions.Exit(1)


def open_or_create(
    paths: tuple[str, ...],
    store: Path | None,
    model: str | None,
    weights: Path | None,
    layers: tuple[str, ...],
    views: tuple[str, ...],
    device: str,
    untrained: bool,  # noqa: FBT001
    runtime: str = "auto",
) -> tuple[Collection, bool]:
    """Open the collection that is meant, or make it; the second value tells which.

    Nothing is made before the folders were found to hold pictures.
    """
    from dedup.collection import STORE_NAME, Collection, count_images, find_store
    from dedup.errors import NoCollectionError

    try:
        collection = Collection.open(store if store is not None else find_store(), runtime=runtime)
    except NoCollectionError:
        if not paths:
            raise
    else:
        collection.require(
            model=model, weights=weights, untrained=untrained, layers=layers, views=views
        )
        return collection, False
    count_images(paths)
    if untrained:
        note(
            "Untrained: random features tell copies and light edits apart from the rest, and no "
            "more. For better ones leave --untrained out."
        )
    place = store if store is not None else Path(os.curdir) / STORE_NAME
    return (
        Collection.create(
            place,
            model=model,
            weights=weights,
            untrained=untrained,
            layers=layers,
            views=views,
            device=device,
            runtime=runtime,
        ),
        True,
    )


def tell_stages(stages: Stages) -> None:
    """Tell on stderr what a run of indexing waited for."""
    several = ", so that each read several at once" if stages.fetches else ""
    note(
        f"Read by {stages.workers}, which waited for files {stages.disk:.0%} of their time{several}"
        f"; embedded in batches of {stages.batch}. Waited "
        f"{stages.reading:.1f} s for pictures, {stages.embedding:.1f} s for embeddings, "
        f"{stages.storing:.1f} s for the catalog; loading the model took {stages.loading:.1f} s. "
        f"Held up most by {stages.slowest}."
    )


def tell_index(summary: IndexSummary) -> None:
    """Tell on stderr what a run of indexing did."""
    counts = [
        (summary.indexed, "indexed"),
        (summary.reused, "reused (renamed or copied)"),
        (summary.unchanged, "unchanged"),
        (summary.skipped, "skipped"),
        (summary.still_skipped, "skipped before and unchanged"),
    ]
    parts = [f"{count:,} {what}" for count, what in counts if count]
    rate = ""
    if read := summary.indexed + summary.reused:
        rate = f" ({read / summary.seconds:,.0f} images/s)"
    found = counted(summary.found, "picture")
    note(f"{found}: {', '.join(parts) or 'none'}; {summary.seconds:.1f} s{rate}")
    if summary.gone:
        note(f"{summary.gone:,} gone since the last time")
    if summary.hard_links:
        note(f"{summary.hard_links:,} further names (hard links) of these files left out")
    for text in summary.notes:
        note(text)
    note_skips(summary.new_skips, "dedup status --skipped")
