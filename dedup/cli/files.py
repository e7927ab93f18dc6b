"""Names of files out of lists: what `index`, `query` and `compare` share."""

from __future__ import annotations

import sys

import click

from dedup.cli.options import Command, Name


class Box(click.ParamType[tuple[int, int, int, int]]):
    """A part of an image."""

    name = "box"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int, int, int]:
        """Parse "120,80,300,200"."""
        if isinstance(value, tuple):
            return value
        try:
            left, top, width, height = map(int, str(value).split(","))
        except ValueError:
            left = top = width = height = -1
        if min(left, top) < 0 or min(width, height) < 1:
            self.fail(f"{value!r} is not X,Y,W,H in pixels", param, ctx)
        return left, top, width, height


files_from_option = click.option(
    "--files-from",
    type=Name(),
    metavar="LIST",
    help="Also take the files and URLs named in LIST: one per line or separated by NUL (- for "
    "stdin), or a column of a .csv, .tsv or .parquet file: its only one, or 'path'.",
)


def files_options(command: Command) -> Command:
    """Add --files-from and --column; `named_files` reads them."""
    column = click.option(
        "--column",
        type=Name(),
        metavar="NAME",
        help="The column of LIST that holds the names, if it is another one.",
    )
    return files_from_option(column(command))


def named_files(files_from: str | None, column: str | None = None) -> list[str]:
    """Read the names that --files-from asks for.

    Raises
    ------
    click.UsageError : --column without a table.
    """
    from dedup.sources.lists import names_in, read_names

    if files_from is None or files_from == "-":
        if column is not None:
            raise click.UsageError("--column needs --files-from TABLE")
        return [] if files_from is None else names_in(sys.stdin.buffer.read())
    return read_names(files_from, column)
