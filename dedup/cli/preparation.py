"""Options that say how a model is read and how images are prepared for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

Command = TypeVar("Command", bound="Callable[..., Any]")


class Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers separated by a character: three of channels, or a size such as 224 or 224x320.

    Parameters
    ----------
    separator : of the numbers; "x" reads a size, in whole pixels
    """

    name = "numbers"

    def __init__(self, separator: str = ",") -> None:
        self._separator = separator

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Parse "0.5,0.5,0.5"."""
        if isinstance(value, tuple):
            return value
        from dedup.models.own import channels_of, size_of

        parts = str(value).split(self._separator)
        try:
            if self._separator == ",":
                return channels_of(parts, "it")
            return size_of(int(parts[0]) if len(parts) == 1 else tuple(map(int, parts)))
        except ValueError:
            wanted = "0.5,0.5,0.5" if self._separator == "," else "224 or 224x320"
            self.fail(f"{value!r} is not like {wanted}", param, ctx)


unpickle_option = click.option(
    "--unpickle",
    is_flag=True,
    help="Also accept a PyTorch checkpoint (.pt, .pth) as --weights: only its tensors are read, "
    "and no code in it is run.",
)


def preparation_options(command: Command) -> Command:
    """Add --unpickle, --input-size, --mean and --std."""
    size = click.option(
        "--input-size",
        "size",
        type=Numbers("x"),
        metavar="SIZE",
        help="The input size of an ONNX model, in pixels: 224, or HEIGHTxWIDTH. Default: as the "
        "file says.",
    )
    mean, std = (
        click.option(
            f"--{name}",
            type=Numbers(),
            metavar="R,G,B",
            help=f"The {meaning} by which an ONNX model's input is normalised, for values from 0 "
            "to 1. Default: as the file says.",
        )
        for name, meaning in (("mean", "mean"), ("std", "standard deviation"))
    )
    return unpickle_option(size(mean(std(command))))
