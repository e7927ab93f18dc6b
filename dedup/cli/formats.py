"""The formats of answers, as options of commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dedup.arrow import with_pyarrow
from dedup.files import check_folder
from dedup.images.passed_over import is_video_name

if TYPE_CHECKING:
    from dedup.cli.options import Command

FORMATS = ("table", "jsonl", "csv", "paths", "parquet")
TABLES = ("csv", "parquet")


class _OneObject(click.Choice[str]):
    """The formats of an answer that is no table of plain rows."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse those of tables with the reason."""
        if value in FORMATS and value not in self.choices:
            self.fail(
                f"{value} needs plain rows, which this answer does not have: use jsonl", param, ctx
            )
        return str(super().convert(value, param, ctx))


_output_option = click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the answer to FILE as Parquet; implies --format parquet.",
)
report_format_option = click.option(
    "--format",
    "kind",
    type=_OneObject(["table", "jsonl"]),
    help="Default: table on a terminal, jsonl otherwise.",
)


def rows_options(command: Command) -> Command:
    """Add --format and -o, for rows that are no paths."""
    kind = click.option(
        "--format",
        "kind",
        type=click.Choice(["table", "jsonl", "csv", "parquet"]),
        help="Default: table on a terminal, jsonl otherwise.",
    )
    return kind(_output_option(command))


def format_options(command: Command) -> Command:
    """Add --format, -o, -0 and --csv-safe."""
    nul = click.option(
        "-0", "nul", is_flag=True, help="With --format paths: end names with NUL, for xargs -0."
    )
    kind = click.option(
        "--format",
        "kind",
        type=click.Choice(FORMATS),
        help="Default: table on a terminal, jsonl otherwise. paths and csv write names byte for "
        "byte; parquet is binary and goes to a file or another program.",
    )
    safe = click.option(
        "--csv-safe",
        is_flag=True,
        help="With --format csv: put an apostrophe before text that a spreadsheet would take for "
        "a formula.",
    )
    return kind(_output_option(nul(safe(command))))


def to_write(output: Path | None) -> None:
    """Refuse to write an answer over an image or a video, other than a drawing of dedup's.

    Raises
    ------
    click.UsageError, CollectionError : what is there is one, or its folder is not there.
    """
    if output is None:
        return
    check_folder(output)
    if not output.is_file():
        return
    from dedup.images.encode import holds_photograph

    if holds_photograph(output) or is_video_name(os.fsencode(output)):
        raise click.UsageError(
            f"{output} is an image or a video, which is not overwritten: name another file"
        )


def chosen_format(
    kind: str | None, *, nul: bool = False, csv_safe: bool = False, output: Path | None = None
) -> str:
    """Settle the format of the output.

    Raises
    ------
    click.UsageError : -0 with anything but paths, --csv-safe with anything but csv, -o with
        anything but parquet, or that to a terminal.
    ExtraMissingError : parquet without pyarrow.
    """
    if output is not None:
        if nul or csv_safe or kind not in (None, "parquet"):
            raise click.UsageError(f"-o needs --format parquet, not {kind or 'others'}")
        to_write(output)
        kind = "parquet"
    elif kind == "parquet" and sys.stdout.isatty():
        raise click.UsageError("parquet is binary and not for a terminal: name a file with -o FILE")
    if kind == "parquet":
        with_pyarrow()  # before anything is done
    if csv_safe:
        if nul or kind not in (None, "csv"):
            raise click.UsageError(f"--csv-safe needs --format csv, not {kind or 'paths'}")
        return "csv"
    if nul and kind not in (None, "paths"):
        raise click.UsageError(f"-0 needs --format paths, not {kind}")
    if kind is None:
        if nul:
            return "paths"
        return "table" if sys.stdout.isatty() else "jsonl"
    return kind
