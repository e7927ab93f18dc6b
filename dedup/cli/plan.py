"""`dedup plan`."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dedup.cli.options import Name, Tiers, keep_option, open_collection, store_option
from dedup.cli.output import bytes_in_words, counted, note, progress_bars, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dedup.actions.plan_file import Plan
    from dedup.policy import KeepPolicy
    from dedup.results import Tier

_FOLDERS_SHOWN = 20
_SCALES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


class Size(click.ParamType[int]):
    """A number of bytes, with a unit or without."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Parse "2GB"."""
        text = str(value).strip().lower().removesuffix("b")
        number = text.rstrip("kmgt")
        try:
            size = int(float(number) * _SCALES[text[len(number) :]])
        except (ValueError, KeyError, OverflowError):
            size = -1
        if size < 0:
            self.fail(f"{value!r} is no size such as 500MB or 2GB", param, ctx)
        return size


@click.command("plan")
@click.argument("folders", nargs=-1, metavar="[FOLDER]...", type=Name())
@store_option
@click.option(
    "--tier",
    "tiers",
    type=Tiers(),
    default="exact,pixels,resaved",
    show_default=True,
    metavar="TIERS",
    help="The tiers that may go, as in `dedup list`. near and similar only when they are named.",
)
@click.option(
    "--action",
    default="trash",
    show_default=True,
    metavar="ACTION",
    type=Name(),
    help="trash, move:FOLDER (paths below the indexed folder are kept), delete; of files with the "
    "same bytes also hardlink, reflink or symlink to the keeper.",
)
@keep_option
@click.option(
    "--protect",
    metavar="PATTERN",
    multiple=True,
    type=Name(),
    help="Files that stay, by gitignore's rules, relative to the indexed folder. Repeatable.",
)
@click.option(
    "--reference",
    metavar="DIR",
    multiple=True,
    type=Name(),
    help="A folder of which everything stays; its files are keepers before others. Repeatable.",
)
@click.option("--max-bytes", type=Size(), metavar="SIZE", help="What may go in all, such as 2GB.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the plan to FILE, as JSON. Without it only the summary is shown.",
)
def plan_command(
    folders: tuple[str, ...],
    store: Path | None,
    tiers: frozenset[Tier],
    action: str,
    keep: KeepPolicy,
    protect: tuple[str, ...],
    reference: tuple[str, ...],
    max_bytes: int | None,
    output: Path | None,
) -> None:
    """Plan which duplicates are to go; nothing is touched.

    The plan is a file to read and to edit, one duplicate a line, with the file that stays for it.
    Only files below FOLDER go, where one is named. Sidecars (.xmp, .aae, the film of a live photo)
    go with their image. `dedup apply` carries it out.

    \b
    Examples:
      dedup plan -o plan.json
      dedup plan ~/Pictures/incoming --reference ~/Pictures/sorted -o plan.json
      dedup plan --tier exact --action hardlink -o plan.json
      dedup plan --protect 'originals/' --action move:/media/spare/duplicates -o plan.json
    """
    from dedup.actions.plan_file import action_of

    try:
        action_of(action, tiers)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    with open_collection(store) as collection, progress_bars() as progress:
        plan = collection.plan(
            folders, tier=tiers, action=action, keep=keep.texts, protect=protect,
            reference=reference, max_bytes=max_bytes, progress=progress,
        )  # fmt: skip
        note(*collection.notes, *plan.notes)
    _summarise(plan)
    if output is None:
        note("Nothing was written; to write the plan: -o plan.json")
    else:
        plan.write(output)
        note(f"Wrote {output}; to carry it out: dedup apply {output}")


def _summarise(plan: Plan) -> None:
    total = f"{counted(len(plan.entries), 'file')}, {bytes_in_words(plan.bytes)}"
    note(f"To go ({plan.action}): {total}")
    by_tier = _added_up((str(entry.tier or "sidecar"), entry.bytes) for entry in plan.entries)
    _table(by_tier)
    folders = _added_up((shown(os.path.dirname(entry.path)), entry.bytes) for entry in plan.entries)
    if folders:
        note("By folder:")
        _table(folders[:_FOLDERS_SHOWN])
        if len(folders) > _FOLDERS_SHOWN:
            note(f"  … and {counted(len(folders) - _FOLDERS_SHOWN, 'folder')} more")
    if telling := sum(any(entry.keeper_lacks.told) for entry in plan.entries):
        note(
            f"{counted(telling, 'file')} with dates, places, ratings or keywords that the keeper "
            "lacks; to write them beside it: dedup apply --carry-metadata"
        )
    if plan.left_out:
        note("Stays all the same:")
        _table(_added_up((one.reason, one.bytes) for one in plan.left_out))


def _added_up(pairs: Iterable[tuple[str, int]]) -> list[tuple[str, int, int]]:
    """Count and add up by name, the most bytes first."""
    sums: dict[str, list[int]] = defaultdict(list)
    for name, size in pairs:
        sums[name].append(size)
    rows = [(name, len(sizes), sum(sizes)) for name, sizes in sums.items()]
    return sorted(rows, key=lambda row: (-row[2], row[0]))


def _table(rows: list[tuple[str, int, int]]) -> None:
    for name, count, size in rows:
        note(f"  {counted(count, 'file'):>14}  {bytes_in_words(size):>9}  {name}")
