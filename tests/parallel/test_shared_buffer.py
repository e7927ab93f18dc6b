"""Memory that processes share."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest

from dedup.parallel.shared_buffer import BufferAddress, SharedBuffer

needs_memory = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="memory of Linux")


@needs_memory
def test_another_process_fills_a_slot_and_this_one_sees_it() -> None:
    with closing(SharedBuffer(5, (2, 3))) as buffer:
        assert buffer.address is not None
        taken = [buffer.take() for _ in range(6)]
        assert sorted(slot for slot in taken if slot is not None) == [0, 1, 2, 3, 4]
        assert taken[-1] is None
        code = (
            "import pickle, sys, numpy as np\n"
            "address = pickle.loads(sys.stdin.buffer.read())\n"
            "slots = address.open()\n"
            "print(slots.write(3, np.arange(6, dtype=np.uint8).reshape(2, 3).data))\n"
            "slots.close()"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=pickle.dumps(buffer.address),
            capture_output=True,
            check=True,
        )
        assert done.stdout.split() == [b"True"]
        seen = np.full((3, 2, 3), 9, np.uint8)
        buffer.gather([3, 2, 3], seen)
        assert seen.tolist() == [[[0, 1, 2], [3, 4, 5]], [[0] * 3] * 2, [[0, 1, 2], [3, 4, 5]]]


@needs_memory
def test_what_was_not_written_is_reported() -> None:
    with closing(SharedBuffer(1, (2, 3))) as buffer:
        assert buffer.address is not None
        slots = buffer.address.open()
        assert slots is not None
        slots.close()
        assert slots.write(0, np.zeros((2, 3), np.uint8).data) is False


@needs_memory
def test_the_slot_released_last_is_taken_first() -> None:
    with closing(SharedBuffer(3, (1,))) as buffer:
        first, second = buffer.take(), buffer.take()
        buffer.release(first)
        buffer.release(None)
        assert buffer.take() == first
        buffer.release(second)
        assert buffer.take() == second


@needs_memory
def test_nothing_is_left_of_it() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with closing(SharedBuffer(3, (4, 4, 3))):
        pass
    assert len(os.listdir("/proc/self/fd")) == before


def test_without_slots_nothing_is_taken() -> None:
    with closing(SharedBuffer(0, (2, 2, 3))) as buffer:
        assert (buffer.address, buffer.take()) == (None, None)


def test_a_buffer_that_cannot_be_reached_is_reported() -> None:
    address = BufferAddress("/proc/nobody/fd/7", (2, 2))
    assert address.open() is None


@needs_memory
def test_without_address_space_nothing_is_taken() -> None:
    code = (
        "import os, resource; from dedup.parallel.shared_buffer import SharedBuffer\n"
        "before = len(os.listdir('/proc/self/fd'))\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))\n"
        "buffer = SharedBuffer(8192, (1 << 20,))\n"
        "print(buffer.address, buffer.take(), len(os.listdir('/proc/self/fd')) - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "None", "0"]
