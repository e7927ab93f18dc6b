"""`dedup index`."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from dedup.cli import cluster
from dedup.cli.files import files_options, named_files
from dedup.cli.opening import open_or_create
from dedup.cli.options import (
    Name,
    device_option,
    model_options,
    open_collection,
    runtime_from,
    runtime_option,
    spec_from,
    strict_option,
    weights_option,
)
from dedup.cli.output import counted, logged, note, note_skips, progress_bars
from dedup.cli.own import check_own, read_ids, read_vectors, vectors_options
from dedup.cli.preparation import preparation_options
from dedup.cli.stores import shared_store_option
from dedup.errors import NoCollectionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dedup.answer import Progress
    from dedup.collection import Collection
    from dedup.results import IndexSummary, Stages

_UNTRAINED: Final = (
    "Untrained: random features are enough only for copies and light edits. Leave "
    "--untrained out for better ones."
)
_SKIPPED: Final = (
    "Skipped files are read again once they have changed: mend them, or convert them to a format "
    "that is read, such as JPEG."
)


@click.command("index")
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=Name())
@shared_store_option
@model_options
@weights_option
@preparation_options
@click.option(
    "--layer",
    "layers",
    type=Name(),
    metavar="NAME",
    multiple=True,
    help="A layer whose output is kept; repeatable. Similarity is measured on the first. Default: "
    "global_pool. To list all layers: dedup layers MODEL",
)
@click.option(
    "--views",
    type=click.Choice(["content", "details", "both"]),
    help="What to keep for each image: content (what the model saw), details (local features, no "
    "model), or both. Default: as in the collection; both for a new one.",
)
@click.option(
    "--exclude",
    type=Name(empty=True),
    metavar="PATTERN",
    multiple=True,
    help="Leave out files and folders that match a gitignore pattern; repeatable. Patterns are "
    'kept with the folders for later runs, until others are given; "" clears them.',
)
@vectors_options
@click.option(
    "--root",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="With --vectors: the folder that ids are relative to. Default: the current folder.",
)
@files_options
@click.option("-0", "nul", is_flag=True, help="Names on stdin are separated by NUL.")
@device_option
@runtime_option
@strict_option
@cluster.index_options
@click.option(
    "--verbose",
    "-v",
    is_flag=True,
    help="Also print what is being done, and where the time went.",
)
def index_command(
    paths: tuple[str, ...],
    store: Path | str | None,
    exclude: tuple[str, ...],
    vectors: Path | None,
    ids: Path | None,
    root: Path | None,
    files_from: str | None,
    column: str | None,
    nul: bool,  # noqa: FBT001 - click passes flags by name
    device: str,
    runtime: str,
    strict: bool,  # noqa: FBT001
    verbose: bool,  # noqa: FBT001
    **model: Any,
) -> None:
    """Build or update the collection.

    Every image under each PATH is read once; files that have not changed are not read again. A PATH
    is a folder, a zip or tar archive, a file, or a URL such as s3://bucket/photos. Without PATH,
    everything indexed before is brought up to date. A new collection is created in .dedup in the
    current folder, or where --store says: a folder, or a URL in object storage, where many machines
    can work on it.

    \b
    Examples:
      dedup index ~/Pictures /media/usb --store ~/pictures.dedup
      dedup index photos.zip shard-000000.tar s3://bucket/photos
      dedup index --files-from train.csv --column image
      dedup index ~/Pictures --exclude '*.tmp.png' --exclude 'drafts/'
      dedup index ~/Pictures --model open_clip:ViT-B-32 --weights clip.safetensors
      dedup index ~/Pictures --model my.onnx --mean 0.5,0.5,0.5 --std 0.5,0.5,0.5
      dedup index --vectors features.npy --ids images.csv --store own.dedup
      dedup index s3://bucket/photos --store s3://bucket/found --engine ray
    """
    where = cluster.taken(model)
    if isinstance(store, str):
        _end(cluster.index(store, paths, where, exclude, **model), strict=strict)
        return
    where.refuse()
    check_own(vectors, ids, root, {"PATH": paths, "--files-from": files_from,
                                   "--exclude": exclude, **_options_of(model)})  # fmt: skip
    if vectors is not None:
        _index_vectors(vectors, ids, root, store)
        return
    if nul and files_from is None:
        raise click.UsageError("-0 needs --files-from")
    spec = spec_from(**model)
    files = named_files(files_from, column)
    ready = runtime_from(device, runtime)
    collection, created = open_or_create(paths, store, spec, ready, files)
    if created and model["untrained"]:
        note(_UNTRAINED)
    with collection, progress_bars("images") as progress, logged(verbose=verbose):
        try:
            summary = collection.index(paths, progress, files=files, exclude=exclude or None)
        except KeyboardInterrupt:
            raise click.Abort from None
    note(*created, *collection.notes)
    _end(summary, strict=strict, verbose=verbose)


def _end(summary: IndexSummary | None, *, strict: bool, verbose: bool = False) -> None:
    """Print what a run did, and exit with 1 where that was asked for."""
    if summary is None:
        return
    print_index(summary, skips=not verbose)  # which were said as they came
    if verbose and summary.stages:
        print_stages(summary.stages)
    if strict and (summary.new_skips or summary.still_skipped):
        raise click.exceptions.Exit(1)


def _options_of(model: dict[str, Any]) -> dict[str, object]:
    """Name the options of a model as they are given."""
    names = {"layers": "--layer", "size": "--input-size"}
    return {names.get(name, f"--{name}"): value for name, value in model.items()}


def _index_vectors(vectors: Path, ids: Path | None, root: Path | None, store: Path | None) -> None:
    """Put vectors of the user's own into their collection, which is made when there is none."""
    from dedup.collection import Collection
    from dedup.session import STORE_NAME, find_store

    rows, names = read_vectors(vectors), None if ids is None else read_ids(ids)
    try:
        collection = Collection.open(store if store is not None else find_store())
    except NoCollectionError:
        path = store if store is not None else Path(STORE_NAME)
        with progress_bars("vectors") as progress:
            made = Collection.from_vectors(names, rows, path=path, root=root, progress=progress)
        with made:
            note(f"Created the collection {made.path} of {len(rows):,} vectors", *made.notes)
        return
    with collection, progress_bars("vectors") as progress:
        summary = collection.add_vectors(names, rows, root=root, progress=progress)
    note(*collection.notes)
    print_index(summary)


def print_stages(stages: Stages) -> None:
    """Print to stderr what a run of indexing waited for."""
    several = ", so that each read several at once" if stages.fetches else ""
    note(
        f"Read by {stages.workers}, which waited for files {stages.disk:.0%} of their time{several}"
        f"; embedded in batches of {stages.batch}. Waited "
        f"{stages.reading:.1f} s for images, {stages.embedding:.1f} s for embeddings, "
        f"{stages.storing:.1f} s for the catalog; loading the model took {stages.loading:.1f} s. "
        f"Slowest stage: {stages.slowest}."
    )


@contextmanager
def indexed(
    folders: tuple[str, ...], store: Path | None, unit: str = ""
) -> Iterator[tuple[Collection, Progress]]:
    """Open the collection that a command is about; folders are indexed first, as by `index`.

    Parameters
    ----------
    unit : as of `progress_bars`
    """
    if folders:
        spec = spec_from(None, None, untrained=False)
        collection, created = open_or_create(folders, store, spec, runtime_from("auto"))
        note(*created)
    else:
        collection = open_collection(store)
    with collection, progress_bars(unit) as progress:
        if folders:
            print_index(collection.index(folders, progress))
        yield collection, progress


def print_index(summary: IndexSummary, *, skips: bool = True) -> None:
    """Print to stderr what a run of indexing did.

    Parameters
    ----------
    skips : and which files it skipped
    """
    from dedup.images.passed_over import in_words

    counts = [
        (summary.indexed, "indexed"),
        (summary.reused, "reused (renamed, copied or touched)"),
        (summary.unchanged, "unchanged"),
        (summary.skipped, "skipped"),
        (summary.still_skipped, "skipped before and unchanged"),
    ]
    parts = [f"{count:,} {what}" for count, what in counts if count]
    rate = ""
    if read := summary.indexed + summary.reused:
        rate = f" ({read / summary.seconds:,.0f} images/s)"
    found = counted(summary.found, "image")
    done = f"{found}: {', '.join(parts)}; {summary.seconds:.1f} s{rate}"
    note(done if parts else "No images found")
    if summary.gone:
        note(f"{summary.gone:,} gone since the last run")
    if summary.hard_links:
        note(f"{summary.hard_links:,} further names (hard links) of these files left out")
    note(*(in_words(count, kind) for kind, count in summary.passed_over.items()))
    note(*summary.notes)
    if skips:
        note_skips(summary.new_skips, "dedup status --skipped")
    if summary.new_skips:
        note(_SKIPPED)
