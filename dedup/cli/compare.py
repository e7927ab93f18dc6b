"""`dedup compare`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dedup.cli.files import files_from_option, named_files
from dedup.cli.formats import chosen_format, format_options
from dedup.cli.index import print_index
from dedup.cli.opening import open_or_create
from dedup.cli.options import (
    Name,
    column_option,
    device_option,
    exit_if_found,
    fail_on_option,
    labels_option,
    model_options,
    offline_option,
    parts_option,
    runtime_from,
    spec_from,
    store_option,
    strict_option,
    threshold_option,
    tier_option,
    weights_option,
)
from dedup.cli.output import (
    Column,
    note,
    note_skips,
    progress_bars,
    shown,
    similarity_in_words,
    write_rows,
)
from dedup.cli.own import check_own, read_ids, read_vectors, vectors_options
from dedup.errors import CollectionError, NoCollectionError
from dedup.records import is_url
from dedup.results import Match, Tier

if TYPE_CHECKING:
    from dedup.answer import Progress
    from dedup.collection import Collection
    from dedup.results import Comparison
    from dedup.spec import ModelSpec, Runtime

_COLUMNS = (
    Column("tier", lambda row: row.tier.value),
    Column("similarity", similarity_in_words, right=True),
    Column("new", lambda row: shown(row.path), path=True),
    Column("already there", lambda row: shown(row.match), path=True),
    Column("evidence", lambda row: "; ".join(filter(None, (row.evidence, row.note)))),
)
_CLASSES = (
    Column("class", lambda row: row.label or "(none)"),
    Column("images", lambda row: f"{row.images:,}", right=True),
    Column("already there", lambda row: f"{row.found:,}", right=True),
    Column("share", lambda row: f"{row.share:.1%}", right=True),
)


@click.command("compare")
@click.argument("new", nargs=-1, metavar="[NEW]...", type=Name())
@click.option(
    "--against",
    required=True,
    metavar="REF",
    type=click.Path(path_type=Path),
    help="A folder or an archive of images, or the folder of a collection.",
)
@store_option
@files_from_option
@vectors_options
@tier_option("exact,pixels,resaved,near")
@threshold_option
@offline_option
@parts_option
@labels_option
@column_option
@fail_on_option
@model_options
@weights_option
@device_option
@strict_option
@format_options
def compare_command(
    new: tuple[str, ...],
    against: Path,
    store: Path | None,
    files_from: str | None,
    vectors: Path | None,
    ids: Path | None,
    tiers: frozenset[Tier],
    threshold: float | None,
    offline: bool,  # noqa: FBT001 - click passes flags by name
    parts: str,
    labels: str | None,
    column: str,
    fail_on: str | None,
    device: str,
    strict: bool,  # noqa: FBT001
    kind: str | None,
    output: Path | None,
    nul: bool,  # noqa: FBT001
    csv_safe: bool,  # noqa: FBT001
    **model: Any,
) -> None:
    """Show which NEW images are already in REF, surest first. One way.

    NEW are files, folders, archives or URLs; they are not indexed. A folder REF is indexed first,
    which is quick if it has been before, into the collection of --store or of the current folder.
    For two splits of a data set, this shows what leaks from one into the other; with --labels, by
    class.

    \b
    Examples:
      dedup compare test/ --against train/ --fail-on near
      dedup compare test/ --against train/ --labels folders
      dedup compare --files-from test.csv --against train/
      dedup compare --vectors new.npy --against own.dedup --tier similar
    """
    names, given = _asked(new, files_from, vectors, ids)
    form = chosen_format(kind, nul=nul, csv_safe=csv_safe, output=output)
    _check_labels(labels, form, given)
    collection, folder = _reference(against, store, spec_from(**model), runtime_from(device))
    with collection, progress_bars("images") as progress:
        _index(collection, folder, progress)
        wanted: Any = {"tier": tiers, "threshold": threshold, "offline": offline,
                       "parts": parts == "on", "progress": progress}  # fmt: skip
        rows: tuple[Any, Any, str, tuple[Column, ...]]
        if labels is None:
            answer = collection.compare(names, folder, vectors=given, **wanted)
            rows, notes = (answer, Match, form, _COLUMNS), answer.notes
        else:
            wanted |= {"labels": labels, "column": column}
            classes = collection.compare_classes(names, folder, **wanted)
            answer, notes = classes.comparison, classes.notes
            rows = (classes, classes.row_kind(), form, _CLASSES)
    write_rows(*rows, nul=nul, csv_safe=csv_safe, output=output)
    _print_totals(answer)
    note(*collection.notes, *notes)
    note_skips(answer.skipped, "to see them all: dedup index, then dedup status --skipped")
    exit_if_found((match.tier for match in answer), fail_on)
    if answer.skipped and (strict or not answer.compared):
        raise click.exceptions.Exit(1)


def _check_labels(labels: str | None, form: str, vectors: Any) -> None:
    if labels is None:
        return
    if form == "paths":
        raise click.UsageError("--labels gives one row per class, and classes have no paths")
    if vectors is not None:
        raise click.UsageError("--labels cannot be combined with --vectors: it is about images")


def _asked(
    new: tuple[str, ...], files_from: str | None, vectors: Path | None, ids: Path | None
) -> tuple[Any, Any]:
    """Give what is asked about: names and no vectors, or ids and theirs."""
    check_own(vectors, ids, None, {"NEW": new, "--files-from": files_from})
    if vectors is None:
        names = [*new, *named_files(files_from)]
        if not (new or files_from):
            raise click.UsageError("give NEW, a list with --files-from, or --vectors FILE")
        for name in new:
            if not _leads_somewhere(name):  # a check that passes since it looked at nothing is none
                raise CollectionError(name, "there is no such file or folder")
        return names, None
    rows = read_vectors(vectors)
    return [str(row) for row in range(len(rows))] if ids is None else read_ids(ids), rows


def _leads_somewhere(name: str) -> bool:
    """Say whether anything is at a path; a server is asked when it is read."""
    from dedup.sources.opening import entry_of

    path = os.fsencode(name)
    return is_url(path) or entry_of(path, follow=True) is not None


def _reference(
    against: Path, store: Path | None, spec: ModelSpec, runtime: Runtime
) -> tuple[Collection, Path | None]:
    """Open the collection that REF is or belongs to, and give REF where it is a folder."""
    from dedup.collection import Collection
    from dedup.sources.archives import is_archive

    try:
        return Collection.open(against, spec, runtime=runtime), None
    except NoCollectionError:
        if against.is_file() and not is_archive(os.fsencode(against)):
            raise CollectionError(against, "is a file; name a folder") from None
        collection, created = open_or_create((os.fspath(against),), store, spec, runtime)
        note(*created)
        return collection, against


def _index(collection: Collection, folder: Path | None, progress: Progress) -> None:
    """Index a folder, unless it is an indexed one, or in one, that is not there now."""
    if folder is None:
        return
    real = Path(os.path.realpath(folder))
    if all(root.present or not real.is_relative_to(root.path) for root in collection.roots()):
        print_index(collection.index(folder, progress))


def _print_totals(answer: Comparison) -> None:
    if not answer.compared:
        note("Nothing was compared." if answer.skipped else "There are no images to compare.")
        return
    tiers = [match.tier for match in answer]
    counts = ", ".join(f"{tiers.count(tier)} {tier.value}" for tier in Tier if tier in tiers)
    note(
        f"{len(tiers):,} of {answer.compared:,} images are already there"
        f"{f': {counts}' if counts else ''}"
    )
