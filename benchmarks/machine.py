"""Say what machine a figure was seen on."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "torch",
    "openvino",
    "onnxruntime",
    "timm",
    "faiss-cpu",
    "opencv-python-headless",
    "pillow",
    "numpy",
)


def describe() -> str:
    """Give date, processor, memory and versions in one line."""
    cpu = platform.processor() or "unknown processor"
    flags = ""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = dict(
            line.split(":", 1) for line in info.read_text("utf-8").splitlines() if ":" in line
        )
        facts = {key.strip(): value.strip() for key, value in lines.items()}
        cpu = facts.get("model name", cpu)
        wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
        flags = " ".join(flag for flag in wanted if flag in facts.get("flags", "").split())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}; {os.cpu_count()} cores of {cpu} ({flags}), "
        f"{memory:.0f} GiB; Python {platform.python_version()}, {versions}"
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
