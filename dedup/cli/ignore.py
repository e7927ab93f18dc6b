"""`dedup ignore`."""

from __future__ import annotations

from pathlib import Path

import click

from dedup.cli.options import Name, open_collection, store_option
from dedup.cli.output import counted, note, shown
from dedup.errors import DedupError


@click.command("ignore")
@click.argument("images", nargs=-1, metavar="[A B]", type=Name())
@store_option
@click.option("--undo", is_flag=True, help="Undo the decision about A and B.")
@click.option(
    "--export",
    "export_to",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write all decisions as JSON lines, sorted, so that git can merge them.",
)
@click.option(
    "--import",
    "import_from",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Add the decisions in such a file; of two about the same pair, the later one counts.",
)
def ignore_command(
    images: tuple[str, ...],
    store: Path | None,
    undo: bool,  # noqa: FBT001 - click passes flags by name
    export_to: Path | None,
    import_from: Path | None,
) -> None:
    """Mark A and B as not duplicates: the pair is never shown again.

    The decision is about the contents of the files, so it survives renames and holds on every
    machine that imports it.

    \b
    Examples:
      dedup ignore burst-1.jpg burst-2.jpg
      dedup ignore --undo burst-1.jpg burst-2.jpg
      dedup ignore --export decisions.jsonl
      dedup ignore --import decisions.jsonl
    """
    files = bool(export_to) + bool(import_from)
    if files + bool(images) != 1:
        raise click.UsageError("give two images A B, or --export FILE, or --import FILE")
    if images and len(images) != 2:  # noqa: PLR2004 - a pair
        raise click.UsageError(f"a decision is about two images, not {len(images)}")
    if undo and not images:
        raise click.UsageError("--undo needs two images, A and B")
    with open_collection(store) as collection:
        note(*collection.notes)
        if export_to is not None:
            written = collection.export_decisions(export_to)
            note(f"Wrote {counted(written.rows, 'decision')} to {written.path}")
        elif import_from is not None:
            changed = collection.import_decisions(import_from)
            note(f"Read {import_from}: {counted(len(changed), 'decision')} new or changed")
        elif not undo:
            collection.ignore(*images)
            note(f"{shown(images[0])} and {shown(images[1])} will not be shown as duplicates.")
        elif collection.unignore(*images):
            note("Taken back.")
        else:
            pair = f"{shown(images[0])} and {shown(images[1])}"
            raise DedupError(f"nothing was decided about {pair}")
