"""What the machine can do, told without importing torch."""

from __future__ import annotations

import ctypes
from pathlib import Path


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
    """Tell whether the CPU multiplies matrices of bf16 in hardware of its own (Linux only)."""
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return False


def may_have_bf16() -> bool:
    """Tell whether it is worth asking an engine for bf16, which takes importing it."""
    try:
        flags = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return True
    return "avx512_bf16" in flags or "amx_bf16" in flags or "Features" in flags  # the last: ARM
