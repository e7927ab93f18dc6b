"""Tell by the exit code whether the default model's weights can be had, and print why not."""

from __future__ import annotations

import sys

from dedup.errors import WeightsError
from dedup.models.loading import load_model
from dedup.models.names import DEFAULT_MODEL

try:
    load_model(DEFAULT_MODEL)
except WeightsError as error:
    print(error)
    sys.exit(1)
