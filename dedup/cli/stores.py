"""Where a collection is: a folder, or object storage by a URL."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource


class Store(click.ParamType[Path | str]):
    """The place of a collection; a URL stays text.

    Parameters
    ----------
    shared : whether the command works in object storage, too
    """

    name = "store"

    def __init__(self, *, shared: bool = False) -> None:
        self._shared = shared

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | str:
        """Tell a folder from a URL."""
        text = os.fsdecode(value)
        if "://" not in text:
            return Path(text)
        if not self._shared:
            self.fail(
                f"{text} is in object storage, where this command does not work. Bring the "
                f"collection to this computer: dedup fetch --store {text} FOLDER",
                param,
                ctx,
            )
        return text


shared_store_option = click.option(
    "-s",
    "--store",
    metavar="DIR|URL",
    type=Store(shared=True),
    help="The folder of the collection, or its place in object storage, such as "
    "s3://bucket/collection. Default: the nearest .dedup at or above the current folder.",
    envvar="DEDUP_STORE",
)


def store_given(store: Path | None) -> str:
    """Give the option that names the collection, for a command that is to follow; "" by default."""
    context = click.get_current_context()
    is_given = context.get_parameter_source("store") is ParameterSource.COMMANDLINE
    return f" --store {shlex.quote(os.fspath(store))}" if store is not None and is_given else ""
