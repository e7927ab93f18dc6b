"""What the machine can do, found out without importing torch."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Final

AMPERE: Final = (8, 0)
"""Compute capability of the first GPUs that have units for bf16."""


def sees_gpu() -> bool:
    """Ask NVIDIA's driver for GPUs; importing torch to ask it takes seconds."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    found: bool = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    return found and count.value > 0


def has_amx() -> bool:
    """Say whether the CPU multiplies matrices of bf16 in hardware of its own (Linux only)."""
    return "amx_bf16" in _cpu_info()


def has_bf16() -> bool:
    """Say whether the CPU computes in bf16 without emulating it (x86 on Linux only)."""
    return has_amx() or "avx512_bf16" in _cpu_info()


def _cpu_info() -> str:
    """Read what Linux reports of the CPU; "" elsewhere."""
    try:
        return Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return ""
