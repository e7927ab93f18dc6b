"""What several commands share: options, opening the collection, checking combinations."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dedup.cli.stores import Store
from dedup.errors import DedupError
from dedup.policy import INFORMATION, KeepPolicy
from dedup.results import Tier
from dedup.spec import DEVICES, ENGINES, ModelSpec, Runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dedup.collection import Collection

Command = TypeVar("Command", bound="Callable[..., Any]")

EXIT_FOUND = 3
RUNTIME_VARIABLE = "DEDUP_RUNTIME"
_SCALES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


class Number(click.FloatRange):
    """A number within bounds; NaN is none."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse a number."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


class Name(click.ParamType[str]):
    """A name or path.

    Parameters
    ----------
    empty : whether it may be empty
    """

    name = "text"

    def __init__(self, *, empty: bool = False) -> None:
        self._empty = empty

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Take it as it is."""
        text = os.fsdecode(value)
        if not text and not self._empty:
            self.fail("an empty name", param, ctx)
        return text


store_option = click.option(
    "-s",
    "--store",
    metavar="DIR",
    type=Store(),
    help="The folder of the collection. Default: the nearest .dedup at or above the current "
    "folder.",
    envvar="DEDUP_STORE",
)
device_option = click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="auto",
    show_default=True,
    help="Where the model runs.",
)
runtime_option = click.option(
    "--runtime",
    type=click.Choice(ENGINES),
    default="auto",
    show_default=True,
    envvar=RUNTIME_VARIABLE,
    help="What runs the model. auto: OpenVINO or ONNX Runtime on CPUs when they can run it, torch "
    "otherwise. The environment variable DEDUP_RUNTIME sets it for every command.",
)
weights_option = click.option(
    "--weights",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The model's weights: a safetensors file, or the ONNX file itself if that is the model.",
)
strict_option = click.option(
    "--strict", is_flag=True, help="Exit with 1 if a file could not be read."
)
threshold_option = click.option(
    "--threshold",
    type=Number(-1, 1),
    metavar="S",
    help="The lowest similarity that counts as similar, inclusive, from -1 to 1. Default: the "
    "model's, or the calibrated one.",
)
fail_on_option = click.option(
    "--fail-on",
    type=click.Choice([tier.value for tier in Tier]),
    help="Exit with 3 if anything of this tier, or of a surer one, was found.",
)
offline_option = click.option(
    "--offline",
    is_flag=True,
    help="Also show files on drives that are not connected now, as they were when indexed.",
)
parts_option = click.option(
    "--parts",
    type=click.Choice(["on", "off"]),
    default="on",
    show_default=True,
    help="Whether to look also for images that show part of another one: cropped to a tenth, "
    "pasted on a page, one of a collage.",
)
folders_argument = click.argument("folders", nargs=-1, metavar="[FOLDER]...", type=Name())
labels_option = click.option(
    "--labels",
    type=Name(),
    metavar="folders|FILE",
    help="Where labels come from: folders (the folder that each image is in), or a FILE: .csv, "
    ".tsv or .parquet (columns 'path' and --column), .json (COCO), .yaml (YOLO, with labels/ "
    "beside images/).",
)
column_option = click.option(
    "--column",
    type=Name(),
    metavar="NAME",
    default="label",
    show_default=True,
    help="The column of --labels FILE that holds the label.",
)
seed_option = click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="The same seed gives the same answer for the same collection.",
)


def model_options(command: Command) -> Command:
    """Add --model and --untrained."""
    name = click.option(
        "--model",
        type=Name(),
        metavar="NAME",
        help="A timm model, or copies-2, which is bundled; hf-hub:ORG/NAME; open_clip:NAME[/TAG] "
        "for queries in words; FILE.onnx; or what an installed package offers. Default: the "
        "collection's own; for a new one copies-2.",
    )
    untrained = click.option(
        "--untrained",
        is_flag=True,
        help="Use seeded random weights; nothing is downloaded. Enough for copies and light "
        "edits, no more.",
    )
    return name(untrained(command))


class Policy(click.ParamType[KeepPolicy]):
    """Terms of a policy separated by commas."""

    name = "policy"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> KeepPolicy:
        """Parse "under:originals,information"."""
        if isinstance(value, KeepPolicy):
            return value
        try:
            return KeepPolicy.of(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


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
                self.fail(f"{name!r} is not a tier; tiers are {', '.join(Tier)}", param, ctx)
        return frozenset(map(Tier, names))


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
            self.fail(f"{value!r} is not a size such as 500MB or 2GB", param, ctx)
        return size


def tier_option(default: str) -> Callable[[Command], Command]:
    """Add --tier."""
    return click.option(
        "--tier",
        "tiers",
        type=Tiers(),
        default=default,
        show_default=True,
        metavar="TIERS",
        help="The tiers that count, separated by commas: exact (same bytes), pixels (same pixels, "
        "bit for bit), resaved (the whole image, resized or re-encoded), near (the same "
        "photograph, edited; proven from both images), similar (looks alike; not proven), video "
        "(the same footage: re-encoded, cut, or a photo of a frame).",
    )


keep_option = click.option(
    "--keep",
    type=Policy(),
    default=INFORMATION,
    show_default=True,
    metavar="POLICY",
    help="Which file of a group stays: terms separated by commas, of which the first that "
    "tells two files apart decides: under:FOLDER (below a folder of that name or path), "
    "information (an original before what was made from it), pixels, bytes, oldest, newest, "
    "shortest (path). "
    "Undamaged files always come first, and information decides what they leave open.",
)


def selection_options(tiers: str, *names: str) -> Callable[[Command], Command]:
    """Add --tier, --under, --min-bytes and --keep: which duplicates a command is about.

    Parameters
    ----------
    tiers : the default of --tier
    names : others for --under
    """
    under = click.option(
        "--under",
        *names,
        "under",
        type=Name(),
        metavar="FOLDER",
        multiple=True,
        help="Only duplicates below FOLDER; their keepers may be elsewhere. Repeatable.",
    )
    least = click.option(
        "--min-bytes",
        type=Size(),
        default=0,
        metavar="SIZE",
        help="Only duplicates of at least this size, such as 500kB.",
    )

    def add(command: Command) -> Command:
        return tier_option(tiers)(under(least(keep_option(command))))

    return add


def exit_if_found(tiers: Iterable[Tier], fail_on: str | None) -> None:
    """End with code 3 when something as sure as --fail-on says was found."""
    sure = -1 if fail_on is None else Tier(fail_on).looseness
    if any(tier.looseness <= sure for tier in tiers):
        raise click.exceptions.Exit(EXIT_FOUND)


def runtime_from(device: str, engine: str | None = None) -> Runtime:
    """Say what runs the model, by options and environment.

    Raises
    ------
    DedupError : the environment names an engine that does not exist.
    """
    if engine is None:
        engine = os.environ.get(RUNTIME_VARIABLE) or "auto"
        if engine not in ENGINES:
            raise DedupError(
                f"{RUNTIME_VARIABLE} is {engine!r}; it must be one of {', '.join(ENGINES)}"
            )
    return Runtime(device, engine)


def spec_from(
    model: str | None,
    weights: Path | None,
    layers: Iterable[str] = (),
    views: str | None = None,
    *,
    untrained: bool,
    unpickle: bool = False,
    size: tuple[int, int] | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> ModelSpec:
    """Say which model is wanted, by options."""
    if untrained and weights is not None:
        raise click.UsageError("--untrained and --weights cannot be combined")
    wanted = {None: (), "both": ("content", "details")}.get(views, (views or "",))
    return ModelSpec(
        model, weights, untrained, layers, wanted, unpickle=unpickle, size=size, mean=mean, std=std
    )


def open_collection(
    store: Path | None, device: str = "auto", weights: Path | None = None
) -> Collection:
    """Open the collection that a command is about: the one named, or the nearest."""
    from dedup.collection import Collection
    from dedup.session import find_store

    path = store if store is not None else find_store()
    return Collection.open(path, ModelSpec(weights=weights), runtime=runtime_from(device))
