"""Pretrained weights from timm's model hub, as safetensors files in the hub's own cache.

What is cached is used without asking the network. What is not is downloaded when the hub can be
reached; that it cannot is found out in seconds, not after the client's minutes of retries.
"""

from __future__ import annotations

import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from dedup.errors import WeightsError

_PATIENCE: Final = 5.0
"""Seconds until the hub counts as out of reach; the client itself gives up after 23 and more."""

_FILES: Final = ("model.safetensors", "open_clip_model.safetensors")
_WAYS_ON: Final = (
    "Ways on: give a safetensors file with --weights FILE; use --untrained, which is enough for "
    "exact and lightly edited copies; or run once where the hub can be reached and bring its "
    "cache along (HF_HOME)."
)


@dataclass(frozen=True, slots=True)
class HubFile:
    """Weights in the cache, and the full timm name (with tag) that they belong to."""

    name: str
    path: Path


def pretrained_file(name: str) -> HubFile:
    """Find the pretrained weights of a timm model in the cache, or download them.

    Raises
    ------
    WeightsError : there are none, or none as safetensors, or the hub cannot be reached; says
        which, and the ways on.
    """
    import timm

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
    path = _cached(repository, revision, files) or _download(full_name, repository, revision, files)
    return HubFile(full_name, path)


def _cached(repository: str, revision: str, files: tuple[str, ...]) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    for file in files:
        found = try_to_load_from_cache(repository, file, revision=revision or None)
        if isinstance(found, str):
            return Path(found)
    return None


def _download(name: str, repository: str, revision: str, files: tuple[str, ...]) -> Path:
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    reason: str | None = (
        "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else _unreachable(constants.ENDPOINT)
    )
    if reason is None and not sys.stderr.isatty():
        disable_progress_bars()
    # The client's errors derive from those of whichever HTTP library this version of it uses.
    errors: tuple[type[BaseException], ...] = (OSError, *HfHubHTTPError.__bases__)
    for file in files if reason is None else ():
        try:
            return Path(hf_hub_download(repository, file, revision=revision or None))
        except EntryNotFoundError:
            continue
        except errors as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            break
    reason = reason or f"{repository} holds no safetensors file, and pickles are never opened"
    raise WeightsError(f"no pretrained weights for {name}: {reason}. {_WAYS_ON}")


def _unreachable(endpoint: str) -> str | None:
    """Say why the hub cannot be reached; None when it, or the proxy in front of it, answers."""
    url = urlsplit(endpoint)
    host = url.hostname or ""
    proxy = None if proxy_bypass(host) else getproxies().get(url.scheme)
    target = urlsplit(proxy if proxy is None or "//" in proxy else f"//{proxy}") if proxy else url
    port = target.port or (443 if target.scheme == "https" else 80)
    answer: list[str | None] = []

    def connect() -> None:
        try:
            with socket.create_connection((target.hostname or "", port), timeout=_PATIENCE):
                answer.append(None)
        except OSError as error:
            answer.append(f"{host} cannot be reached ({error.strerror or error})")

    # A thread, because looking up a name has no time limit of its own.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return answer[0] if answer else f"{host} did not answer within {_PATIENCE:.0f} s"
