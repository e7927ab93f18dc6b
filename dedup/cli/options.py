"""What several commands share: options, opening the collection, checking combinations."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from dedup.results import Tier

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from dedup.collection import Collection

Command = TypeVar("Command", bound="Callable[..., Any]")

RUNTIME_VARIABLE = "DEDUP_RUNTIME"
FORMATS = ("table", "jsonl", "csv", "paths")

store_option = click.option(
    "-s",
    "--store",
    metavar="DIR",
    type=click.Path(path_type=Path),
    envvar="DEDUP_STORE",
    help="The collection's folder. Default: the nearest .dedup at or above the current folder.",
)
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where the model runs.",
)
runtime_option = click.option(
    "--runtime",
    type=click.Choice(["auto", "torch", "openvino", "onnxruntime"]),
    default="auto",
    show_default=True,
    envvar=RUNTIME_VARIABLE,
    help="What runs the model: auto is torch on an NVIDIA GPU, OpenVINO on CPUs that compute in "
    "bf16 and ONNX Runtime on others. DEDUP_RUNTIME in the environment does the same for every "
    "command.",
)
weights_option = click.option(
    "--weights",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Weights of the model, a safetensors file.",
)
strict_option = click.option(
    "--strict", is_flag=True, help="Exit with 1 when a file could not be read."
)

report_format_option = click.option(
    "--format",
    "kind",
    type=click.Choice(["table", "jsonl"]),
    help="Default: table on a terminal, jsonl otherwise.",
)


def model_options(command: Command) -> Command:
    """Add --model and --untrained."""
    name = click.option(
        "--model",
        metavar="NAME",
        help="A timm model, or copies-2, which is bundled. Default: the collection's own; "
        "for a new one copies-2, the bundled one.",
    )
    untrained = click.option(
        "--untrained",
        is_flag=True,
        help="Seeded random weights, no download: enough for copies and light edits, no more.",
    )
    return name(untrained(command))


def format_options(command: Command) -> Command:
    """Add --format and -0."""
    nul = click.option(
        "-0", "nul", is_flag=True, help="With --format paths: end names with NUL, for xargs -0."
    )
    kind = click.option(
        "--format",
        "kind",
        type=click.Choice(FORMATS),
        help="Default: table on a terminal, jsonl otherwise.",
    )
    return kind(nul(command))


def chosen_format(kind: str | None, *, nul: bool = False) -> str:
    """Settle the format of the output.

    Raises
    ------
    click.UsageError : -0 with anything but paths.
    """
    if nul and kind not in (None, "paths"):
        raise click.UsageError(f"-0 goes with --format paths, not {kind}")
    if kind is None:
        if nul:
            return "paths"
        return "table" if sys.stdout.isatty() else "jsonl"
    return kind


class Tiers(click.ParamType[frozenset[Tier]]):
    """Tier names separated by commas."""

    name = "tiers"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> frozenset[Tier]:
        """Parse "exact,pixels"."""
        if isinstance(value, frozenset):
            return value
        names = [name.strip() for name in str(value).split(",")]
        known = {tier.value for tier in Tier}
        for name in names:
            if name not in known:
                self.fail(f"{name!r} is no tier; tiers are {', '.join(Tier)}", param, ctx)
        return frozenset(map(Tier, names))


def cosine(
    context: click.Context,  # noqa: ARG001 - click's signature
    parameter: click.Parameter,
    value: float | None,
) -> float | None:
    """Check a similarity."""
    if value is not None and not -1 <= value <= 1:
        raise click.BadParameter("a similarity is between -1 and 1", param=parameter)
    return value


def store_path(store: Path | None) -> Path:
    """Give the folder of an existing collection: the one named, or the nearest."""
    from dedup.collection import find_store

    return store if store is not None else find_store()


def open_collection(store: Path | None) -> Collection:
    """Open the collection that a command is about."""
    from dedup.collection import Collection

    return Collection.open(store_path(store), runtime=os.environ.get(RUNTIME_VARIABLE) or "auto")


def shown(path: str) -> str:
    """Make a path fit for a person: relative when it is below the current folder, no controls."""
    here = os.getcwd()
    below = os.path.relpath(path, here) if path.startswith(here + os.sep) else path
    return "".join(_visible(character) for character in below)


def _visible(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character if character.isprintable() else ascii(character)[1:-1]
