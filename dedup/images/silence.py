"""Keep the decoders' own remarks off stderr, where they would tear the progress display.

The outcome of an image carries the reason. This changes settings of the process, each as
narrow as it goes: Python warnings from Pillow's modules, OpenCV's log, and the error lines of the
libtiff in Pillow's wheels.
"""

from __future__ import annotations

import ctypes
import logging
import warnings
from pathlib import Path

import PIL


def silence_pillow() -> None:
    """Silence what Pillow warns and logs of damaged images, and libtiff's lines about them.

    Pillow takes libtiff's warnings from stderr but leaves its errors there. A Pillow that was
    built against the system's libtiff keeps them.
    """
    # A logger without a handler writes its errors to stderr.
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    for category in (UserWarning, RuntimeWarning):  # the second: sizes, which we judge ourselves
        warnings.filterwarnings("ignore", category=category, module=r"PIL\.")
    package = Path(PIL.__file__).parent
    for library in (
        *package.parent.glob("pillow.libs/libtiff*"),
        *package.glob(".dylibs/libtiff*"),
    ):
        ctypes.CDLL(str(library)).TIFFSetErrorHandler(None)


def silence_opencv() -> None:
    """Silence the log; failures arrive as exceptions all the same."""
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
