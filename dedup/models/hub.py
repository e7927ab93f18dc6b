"""Pretrained weights from timm's model hub, as safetensors files in the hub's own cache.

What is cached is used without asking the network. What is not is downloaded; where the hub does not
answer, the error comes within seconds.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dedup.errors import WeightsError, first_line

MAX_ANSWER_SECONDS: Final = 5.0
"""Until the hub counts as out of reach."""

_FILES: Final = ("model.safetensors", "open_clip_model.safetensors")
_WAYS_ON: Final = (
    "Either give a safetensors file with --weights FILE; use --untrained, which is enough for "
    "exact and lightly edited copies; or run once where the hub can be reached and copy its "
    "cache (HF_HOME) here."
)


@dataclass(frozen=True, slots=True)
class HubFile:
    """Weights in the cache, and the full timm name (with tag) that they belong to."""

    name: str
    path: Path


def import_timm() -> Any:
    """Import timm, and with it the hub's client, which is to report nothing of this machine."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # read once, when the client is imported
    import timm

    return timm


def pretrained_file(name: str) -> HubFile:
    """Find the pretrained weights of a timm model in the cache, or download them.

    Raises
    ------
    WeightsError : there are none, or none as safetensors, or the hub cannot be reached; says
        which, and what to do instead.
    """
    timm = import_timm()
    configuration = timm.get_pretrained_cfg(name)
    if configuration is None or not configuration.has_weights:
        raise WeightsError(f"timm has no pretrained weights for {name}. {_WAYS_ON}")
    tag = f".{configuration.tag}" if configuration.tag else ""
    full_name = f"{configuration.architecture or name.partition('.')[0]}{tag}"
    if not configuration.hf_hub_id:
        raise WeightsError(
            f"the weights of {full_name} are published only as a pickle, which is never opened. "
            f"{_WAYS_ON}"
        )
    repository, _, revision = configuration.hf_hub_id.partition("@")
    wanted = configuration.hf_hub_filename or ""
    files = (wanted, *_FILES) if wanted.endswith(".safetensors") else _FILES
    return HubFile(full_name, hub_file(full_name, repository, revision, files))


def hub_file(name: str, repository: str, revision: str = "", files: tuple[str, ...] = ()) -> Path:
    """Find the first of some files of a repository in the cache, or download it.

    Parameters
    ----------
    name : the model, for the error
    revision : "" for the newest
    files : none: those that weights are published as

    Raises
    ------
    WeightsError : as `pretrained_file`.
    """
    files = files or _FILES
    return _cached(repository, revision, files) or _download(name, repository, revision, files)


def _cached(repository: str, revision: str, files: tuple[str, ...]) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    for file in files:
        found = try_to_load_from_cache(repository, file, revision=revision or None)
        if isinstance(found, str):
            return Path(found)
    return None


def _download(name: str, repository: str, revision: str, files: tuple[str, ...]) -> Path:
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if constants.HF_HUB_OFFLINE:
        raise _no_weights(name, "HF_HUB_OFFLINE is set")
    if not sys.stderr.isatty():
        disable_progress_bars()
    # The client's errors derive from those of whichever HTTP library this version of it uses.
    errors: tuple[type[Exception], ...] = (OSError, *HfHubHTTPError.__bases__)
    for file in files:
        try:
            # Asked for once: the download itself would try six times, for 23 seconds.
            url = hf_hub_url(repository, file, revision=revision or None)
            get_hf_file_metadata(url, timeout=MAX_ANSWER_SECONDS)
            return Path(hf_hub_download(repository, file, revision=revision or None))
        except EntryNotFoundError:
            continue
        except errors as error:
            reason = f"{constants.ENDPOINT} did not give them ({first_line(error)})"
            raise _no_weights(name, reason) from error
    raise _no_weights(name, f"{repository} holds no safetensors file, and pickles are never opened")


def _no_weights(name: str, reason: str) -> WeightsError:
    return WeightsError(f"no pretrained weights for {name}: {reason}. {_WAYS_ON}")
