"""Places that processes share."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest

from dedup.parallel.shared_buffer import Address, Shelf

needs_memory = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="memory of Linux")


@needs_memory
def test_another_process_fills_a_place_and_this_one_sees_it() -> None:
    with closing(Shelf(5, (2, 3))) as shelf:
        assert shelf.address is not None
        taken = [shelf.take() for _ in range(6)]
        assert sorted(place for place in taken if place is not None) == [0, 1, 2, 3, 4]
        assert taken[-1] is None
        code = (
            "import pickle, sys, numpy as np\n"
            "address = pickle.loads(sys.stdin.buffer.read())\n"
            "places = address.open()\n"
            "print(places.put(3, np.arange(6, dtype=np.uint8).reshape(2, 3).data))\n"
            "places.close()"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=pickle.dumps(shelf.address),
            capture_output=True,
            check=True,
        )
        assert done.stdout.split() == [b"True"]
        seen = np.full((3, 2, 3), 9, np.uint8)
        shelf.gather([3, 2, 3], seen)
        assert seen.tolist() == [[[0, 1, 2], [3, 4, 5]], [[0] * 3] * 2, [[0, 1, 2], [3, 4, 5]]]


@needs_memory
def test_what_was_not_put_is_told() -> None:
    with closing(Shelf(1, (2, 3))) as shelf:
        assert shelf.address is not None
        places = shelf.address.open()
        assert places is not None
        places.close()
        assert places.put(0, np.zeros((2, 3), np.uint8).data) is False


@needs_memory
def test_the_place_given_back_last_is_taken_first() -> None:
    with closing(Shelf(3, (1,))) as shelf:
        first, second = shelf.take(), shelf.take()
        shelf.give_back(first)
        shelf.give_back(None)
        assert shelf.take() == first
        shelf.give_back(second)
        assert shelf.take() == second


@needs_memory
def test_nothing_is_left_of_it() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with closing(Shelf(3, (4, 4, 3))):
        pass
    assert len(os.listdir("/proc/self/fd")) == before


def test_without_places_nothing_is_taken() -> None:
    with closing(Shelf(0, (2, 2, 3))) as shelf:
        assert (shelf.address, shelf.take()) == (None, None)


def test_a_shelf_that_cannot_be_reached_is_told() -> None:
    address = Address("/proc/nobody/fd/7", (2, 2))
    assert address.open() is None


@needs_memory
def test_without_address_space_nothing_is_taken() -> None:
    code = (
        "import os, resource; from dedup.parallel.shared_buffer import Shelf\n"
        "before = len(os.listdir('/proc/self/fd'))\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))\n"
        "shelf = Shelf(8192, (1 << 20,))\n"
        "print(shelf.address, shelf.take(), len(os.listdir('/proc/self/fd')) - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "None", "0"]
