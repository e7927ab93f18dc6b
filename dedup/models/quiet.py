"""Silence of the libraries that models come from."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def quiet(*, root: bool = False) -> Iterator[None]:
    """Keep what timm and the hub say about themselves away from the user's terminal.

    Parameters
    ----------
    root : also what is logged to no logger in particular, which would else set up logging for the
        whole process
    """
    loggers = [logging.getLogger(name) for name in ("timm", "huggingface_hub", "httpx")]
    if root:
        loggers.append(logging.getLogger())
    levels = [logger.level for logger in loggers]
    handler = logging.NullHandler()
    if root:
        loggers[-1].addHandler(handler)
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        loggers[-1].removeHandler(handler)
