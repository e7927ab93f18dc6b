"""`dedup why`, `dedup ignore` and `dedup compare`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dedup.cli.find import EXIT_FOUND
from dedup.cli.index import open_or_create, tell_index
from dedup.cli.options import (
    Tiers,
    chosen_format,
    cosine,
    device_option,
    format_options,
    model_options,
    open_collection,
    report_format_option,
    shown,
    store_option,
    strict_option,
    weights_option,
)
from dedup.cli.output import (
    counted,
    note,
    note_skips,
    progress_bar,
    rounded,
    stages,
    write_csv,
    write_jsonl,
    write_paths,
    write_table,
)
from dedup.errors import DedupError, NoCollectionError
from dedup.results import Tier

if TYPE_CHECKING:
    from dedup.collection import Collection
    from dedup.results import Comparison, Explanation, Match


@click.command("why")
@click.argument("first", metavar="A", type=click.Path())
@click.argument("second", metavar="B", type=click.Path())
@store_option
@click.option(
    "-o",
    "--output",
    metavar="FILE.png",
    type=click.Path(path_type=Path),
    help="Draw both pictures, one laid over the other, and a heat map of what differs.",
)
@weights_option
@device_option
@report_format_option
def why_command(
    first: str,
    second: str,
    store: Path | None,
    output: Path | None,
    weights: Path | None,
    device: str,
    kind: str | None,
) -> None:
    """Say in which tier the pictures A and B are, and what speaks for it.

    Works for any two files; with a collection at hand their similarity is told too.

    \b
    Examples:
      dedup why holiday.jpg holiday-small.jpg
      dedup why a.jpg b.jpg -o why.png
    """
    from dedup.collection import why

    try:
        collection = open_collection(store)
    except NoCollectionError:
        if store is not None:
            raise
        explanation = why(first, second, picture=output)
    else:
        with collection:
            try:
                explanation = collection.why(
                    first, second, picture=output, weights=weights, device=device
                )
            except DedupError as error:
                # Without the model there is no similarity, and everything else can still be told.
                explanation = why(first, second, picture=output)
                note(f"Similarity not known: {error}")
    if chosen_format(kind) == "table":
        _write_explanation(explanation)
    else:
        write_jsonl([_as_row(explanation)])


def _as_row(explanation: Explanation) -> dict[str, object]:
    similarity = explanation.similarity
    return {
        "first": explanation.first,
        "second": explanation.second,
        "tier": explanation.tier,
        "similarity": None if similarity is None else rounded(similarity),
        "threshold": explanation.threshold,
        "evidence": explanation.evidence,
        "ignored": explanation.ignored,
        "missing": explanation.missing,
        "checks": [
            {
                "name": check.name,
                "value": check.value,
                "limit": check.limit,
                "passed": check.passed,
            }
            for check in explanation.checks
        ],
    }


def _write_explanation(explanation: Explanation) -> None:
    tier = explanation.tier
    words = tier.value if tier else "not the same picture as far as can be told"
    click.echo(f"{shown(explanation.first)} and {shown(explanation.second)}: {words}")
    click.echo(f"  {explanation.evidence}")
    if explanation.similarity is not None:
        click.echo(
            f"  similarity {explanation.similarity:.4f} (similar from {explanation.threshold:.4f})"
        )
    if explanation.ignored:
        click.echo("  ignored: you said that these are no duplicates")
    write_table(
        [("check", "left"), ("found", "right"), ("limit", "right"), ("", "left")],
        (
            (
                check.name,
                "" if check.value is None else _figure(check.value),
                "" if check.limit is None else _figure(check.limit),
                "yes" if check.passed else "no",
            )
            for check in explanation.checks
        ),
    )
    if explanation.missing:
        click.echo(f"For {explanation.missing}.")


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 - digits shown


@click.command("ignore")
@click.argument("images", nargs=-1, metavar="[A B]", type=click.Path())
@store_option
@click.option("--undo", is_flag=True, help="Take back what was said of A and B.")
@click.option(
    "--export",
    "export_to",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write all decisions as JSON lines, sorted, fit for git.",
)
@click.option(
    "--import",
    "import_from",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Add the decisions of such a file; of two on one pair the later counts.",
)
def ignore_command(
    images: tuple[str, ...],
    store: Path | None,
    undo: bool,  # noqa: FBT001 - click passes flags by name
    export_to: Path | None,
    import_from: Path | None,
) -> None:
    """Remember that A and B are no duplicates: the pair is never shown again.

    Remembered by the contents of the files, so that it survives renames, and holds on every
    machine that gets the exported decisions.

    \b
    Examples:
      dedup ignore burst-1.jpg burst-2.jpg
      dedup ignore --export decisions.jsonl
      dedup ignore --import decisions.jsonl
    """
    files = bool(export_to) + bool(import_from)
    if files + bool(images) != 1:
        raise click.UsageError("give two images A B, or --export FILE, or --import FILE")
    if images and len(images) != 2:  # noqa: PLR2004 - a pair
        raise click.UsageError(f"a decision is about two images, got {len(images)}")
    if undo and not images:
        raise click.UsageError("--undo goes with two images A B")
    with open_collection(store) as collection:
        if export_to is not None:
            written = collection.decisions.export_to(export_to)
            note(f"Wrote {counted(written, 'decision')} to {export_to}")
        elif import_from is not None:
            count = collection.decisions.import_from(import_from)
            note(f"Read {counted(count, 'decision')} from {import_from}")
        elif not undo:
            collection.decisions.refuse(*images)
            note(f"{shown(images[0])} and {shown(images[1])} will not be shown as duplicates.")
        elif collection.decisions.forget(*images):
            note("Taken back.")
        else:
            raise DedupError(f"nothing was said of {shown(images[0])} and {shown(images[1])}")


@click.command("compare")
@click.argument("new", nargs=-1, required=True, metavar="NEW...", type=click.Path())
@click.option(
    "--against",
    required=True,
    metavar="REF",
    type=click.Path(path_type=Path),
    help="A folder, or the folder of a collection.",
)
@store_option
@click.option(
    "--tier",
    "tiers",
    type=Tiers(),
    default="exact,pixels,near",
    show_default=True,
    metavar="TIERS",
    help="The tiers that count, separated by commas.",
)
@click.option(
    "--threshold",
    type=float,
    callback=cosine,
    metavar="S",
    help="Lowest similarity of the tier similar, inclusive. Default: the model's.",
)
@click.option(
    "--fail-on",
    type=click.Choice([tier.value for tier in Tier]),
    help="Exit with 3 when a match of this tier or a surer one was found.",
)
@model_options
@weights_option
@device_option
@strict_option
@format_options
def compare_command(
    new: tuple[str, ...],
    against: Path,
    store: Path | None,
    tiers: frozenset[Tier],
    threshold: float | None,
    fail_on: str | None,
    model: str | None,
    untrained: bool,  # noqa: FBT001 - click passes flags by name
    weights: Path | None,
    device: str,
    strict: bool,  # noqa: FBT001
    kind: str | None,
    nul: bool,  # noqa: FBT001
) -> None:
    """Show which of the NEW pictures are in REF already, the surest first. One way.

    NEW pictures are only looked at. When REF is a folder, it is indexed first (quick, when it has
    been before), into the collection that --store or the current folder names. For two splits of a
    data set this tells what leaks from one into the other.

    \b
    Examples:
      dedup compare /media/card --against ~/Pictures
      dedup compare test/ --against train/ --fail-on near
    """
    form = chosen_format(kind, nul=nul)
    if untrained and weights is not None:
        raise click.UsageError("--untrained and --weights exclude each other")
    collection, within = _reference(against, store, model, weights, device, untrained)
    with collection, stages() as report:
        comparison = collection.compare(
            new,
            within=within,
            tier=tiers,
            threshold=threshold,
            weights=weights,
            device=device,
            report=report,
        )
    _write_matches(comparison.matches, form, nul=nul)
    _tell(comparison)
    if fail_on is not None and any(
        match.tier.looseness <= Tier(fail_on).looseness for match in comparison.matches
    ):
        raise click.exceptions.Exit(EXIT_FOUND)
    if comparison.skipped and (strict or not comparison.compared):
        raise click.exceptions.Exit(1)


def _reference(
    against: Path,
    store: Path | None,
    model: str | None,
    weights: Path | None,
    device: str,
    untrained: bool,  # noqa: FBT001
) -> tuple[Collection, Path | None]:
    from dedup.collection import Collection

    try:
        return Collection.open(against), None
    except NoCollectionError:
        pass
    collection, _ = open_or_create(
        (os.fspath(against),), store, model, weights, (), (), device, untrained
    )
    with progress_bar("Indexing", "images") as progress:
        summary = collection.index([against], weights=weights, device=device, progress=progress)
    tell_index(summary)
    return collection, against


def _write_matches(matches: tuple[Match, ...], form: str, *, nul: bool) -> None:
    if form == "paths":
        write_paths((match.path for match in matches), nul=nul)
    elif form == "table":
        if matches:
            write_table(
                [
                    ("tier", "left"),
                    ("similarity", "right"),
                    ("new", "left"),
                    ("there already", "left"),
                    ("evidence", "left"),
                ],
                (
                    (
                        match.tier.value,
                        f"{match.similarity:.4f}",
                        shown(match.path),
                        shown(match.match),
                        match.evidence,
                    )
                    for match in matches
                ),
            )
    else:
        header = ("path", "tier", "match", "similarity")
        rows = (
            (match.path, match.tier, match.match, rounded(match.similarity)) for match in matches
        )
        if form == "csv":
            write_csv(header, rows)
        else:
            write_jsonl(dict(zip(header, row, strict=True)) for row in rows)


def _tell(comparison: Comparison) -> None:
    tiers = [match.tier for match in comparison.matches]
    counts = ", ".join(f"{tiers.count(tier)} {tier.value}" for tier in Tier if tier in tiers)
    note(
        f"{len(tiers):,} of {comparison.compared:,} pictures are there already"
        f"{f': {counts}' if counts else ''}"
    )
    for text in comparison.notes:
        note(text)
    note_skips(comparison.skipped, "look at them with: dedup index")
