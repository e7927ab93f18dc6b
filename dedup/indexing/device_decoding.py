"""JPEGs decoded by the device of the model, where that is faster than the host's cores.

A stage between reading and embedding. At first the host decodes everything. Once passes of the
model have settled and its device can decode, some of the run's own JPEGs are decoded there as well,
beside the run. If the embeddings agree as two runtimes of one model do, workers leave from then on
what suits the device as it is, and this stage hands it on as if they had decoded it. What the
device makes nothing of is decoded here by the host; a device that fails, or does not make the run
faster, is not asked again.
"""

from __future__ import annotations

import os
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Final, Self

from dedup.errors import ImageError, first_line
from dedup.images import device
from dedup.indexing.batch_size import Gain
from dedup.indexing.device_trial import told, trial
from dedup.indexing.readahead import MOST_AHEAD, Read
from dedup.indexing.reader import Fresh, Unreadable, Whole, fresh, shelved

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from concurrent.futures import Future

    import numpy as np
    import numpy.typing as npt

    from dedup.indexing.forward import Passes
    from dedup.indexing.readahead import ReadAhead
    from dedup.indexing.reader import Reading
    from dedup.preparation import Embedder, JpegDecoder, Preparation

    Pixels = npt.NDArray[np.uint8]

_TOGETHER: Final = 128  # files that a device is handed at a time
_THREADS: Final = 2  # one tells of its pictures while the device decodes the other's
_WAITING: Final = 4 * _TOGETHER  # files that may wait: two parts under way, one ready, one filled
_SAMPLE: Final = _TOGETHER  # JPEGs that both decode
_FIRST: Final = 1024  # files by which the host's rate is known
_WORTH: Final = 10.0  # seconds that the rest has to take, for trying to pay


@dataclass(slots=True)
class _Part:
    """Files that a device is handed together, and where they are taken from when it is done."""

    files: list[tuple[Read, Whole]] = field(default_factory=list)
    future: Future[list[Read]] | None = None
    taken: int = 0

    @property
    def is_done(self) -> bool:
        """Whether nothing has to be waited for."""
        return self.future is not None and self.future.done()


class DeviceDecoding:
    """Hands readings on in order, those that were left whole decoded; a context manager.

    Parameters
    ----------
    reader : whose workers leave files whole when told
    total : files of the run

    Attributes
    ----------
    decoded : pictures that the device decoded
    choice : why so many, or none; a clause, "" as long as that was no question
    """

    def __init__(self, reader: ReadAhead, wanted: Preparation, passes: Passes, total: int) -> None:
        self._reader = reader
        self._wanted = wanted
        self._passes = passes
        self._total = total
        self._sample: list[bytes] = []
        self._jpegs: JpegDecoder | None = None
        self._room: Callable[[int], Pixels]  # the model's; there before anything is left whole
        self._watching = not wanted.details  # which the host describes
        self._tried = False
        self._gain = Gain()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="device jpegs")
        self._turn = Lock()  # for the device, and for what is counted and told of it
        self.decoded = 0
        self.choice = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    def files(self, read: Iterable[Read]) -> Generator[Read]:
        """Give every file."""
        waiting: deque[Read | _Part] = deque()
        part = _Part()
        for file in read:
            self._watch(file)
            if isinstance(file.reading, Whole):
                part.files.append((file, file.reading))
                waiting.append(part)
                if len(part.files) == _TOGETHER:
                    self._begin(part)
                    part = _Part()
            else:
                waiting.append(file)
            while waiting and (_is_ready(waiting[0]) or len(waiting) > _WAITING):
                head = waiting.popleft()
                if head is part:  # few files of many are for the device: it takes those there are
                    part = _Part()
                yield self._taken(head)
        while waiting:
            yield self._taken(waiting.popleft())

    def _begin(self, part: _Part) -> Future[list[Read]]:
        part.future = self._threads.submit(self._decode, part.files)
        return part.future

    def _taken(self, head: Read | _Part) -> Read:
        if isinstance(head, Read):
            return head
        file = (head.future or self._begin(head)).result()[head.taken]
        head.taken += 1
        if isinstance(file.reading, Unreadable):
            self._reader.shelf.give_back(file.place)
            return file._replace(place=None)
        return file

    # -- in the stage's own threads --------------------------------------------------------------

    def _decode(self, files: list[tuple[Read, Whole]]) -> list[Read]:
        contents = [(self._content(file, whole), whole.header.size) for file, whole in files]
        room = self._room(len(files))  # this thread's until it asks again
        found = self._found(contents, room)
        done: list[Read] = []
        rows: list[int] = []
        places: list[int] = []
        for at, (file, whole) in enumerate(files):
            reading: Reading
            if found[at]:
                # A copy where it stays in the reading, for the room is used again.
                pixels = room[at] if file.place is not None else room[at].copy()
                reading = told(whole.digest, whole.header, pixels)
            else:
                reading = self._by_host(file, whole, contents[at][0])
            if isinstance(reading, Fresh) and file.place is not None:
                if not found[at]:
                    room[at] = reading.inputs.pixels
                rows.append(at)
                places.append(file.place)
                reading = shelved(reading)
            done.append(file._replace(reading=reading))
        if places:  # in one go: every call waits for Python's lock when it comes back
            self._reader.shelf.fill(places, room if len(rows) == len(room) else room[rows])
        return done

    def _found(self, contents: list[tuple[bytes, tuple[int, int]]], out: Pixels) -> list[bool]:
        """Have the device decode; tells of which there is a picture."""
        with self._turn:
            if self._jpegs is not None:  # it may have been given up meanwhile
                try:
                    found: list[bool] = self._jpegs.decode(contents, out).tolist()
                except Exception as error:  # noqa: BLE001 - drivers fail in many ways
                    self._give_up(f"it failed in mid-run ({first_line(error)})")
                else:
                    self.decoded += sum(found)
                    return found
        return [False] * len(contents)

    def _content(self, file: Read, whole: Whole) -> bytes:
        if file.place is None:
            return whole.data
        return self._reader.shelf.content(file.place, whole.size)

    def _by_host(self, file: Read, whole: Whole, data: bytes) -> Reading:
        try:
            return fresh(whole.digest, self._wanted.prepare(data, os.fsdecode(file.work.path)))
        except ImageError as error:
            return Unreadable(error.reason, error.transient)

    def _give_up(self, why: str) -> None:
        """Leave it to the host for the rest of the run."""
        self._reader.leave = False
        self._watching = False
        self._jpegs = None
        self.choice = why

    # -- whether it pays -------------------------------------------------------------------------

    def _watch(self, file: Read) -> None:
        """Take note of a file that was read; begin a trial when enough is known."""
        if not self._watching:
            return
        if self._passes.settled:
            self._gain.passed(time.perf_counter())
        if self._reader.leave:
            self._judge()
        elif len(self._sample) < _SAMPLE:
            reading = file.reading
            if isinstance(reading, Fresh) and reading.facts.format == "JPEG":
                self._sample.append(file.work.path)
        elif not self._tried:
            self._begin_trial()

    def _begin_trial(self) -> None:
        """Begin it if the rates of the host and of the run are known, and it can still pay."""
        model, reader = self._passes.embedder, self._reader
        if reader.read < _FIRST or model is None or not self._gain.foresee():
            return
        self._tried = True
        if self._total - reader.read >= _WORTH * reader.rate:
            self._threads.submit(self._try, model, reader.rate)
        else:
            self._watching = False

    def _judge(self) -> None:
        """Go on with it, or give it up, once it is known what it is worth."""
        kept = self._gain.kept()
        if kept is None:
            return
        self._watching = False
        rates = f"{self._gain.before:,.0f} pictures/s before and {self._gain.after:,.0f} with it"
        with self._turn:
            if self._jpegs is None:  # given up meanwhile
                return
            if kept:
                self.choice = f"{self.choice}; {rates}"
            else:
                self._give_up(f"{self.choice}; no gain: {rates}")

    def _try(self, model: Embedder, host_rate: float) -> None:
        """Decide, in a thread of the stage, whether workers leave JPEGs to the device."""
        sides = partial(device.sides, height=self._wanted.height, width=self._wanted.width)
        promising, why = False, ""
        try:
            jpegs = model.jpegs(sides)
            if jpegs is not None:
                promising, why = trial(self._sample, self._wanted, model, jpegs, host_rate)
        except Exception as error:  # noqa: BLE001 - drivers fail in many ways; the host goes on
            why = f"it failed ({first_line(error)})"
        if not promising:
            self._give_up(why)
            return
        self.choice = why
        self._room = model.room
        self._jpegs = jpegs
        self._gain.changed(MOST_AHEAD + _WAITING)
        self._reader.leave = True


def _is_ready(head: Read | _Part) -> bool:
    return isinstance(head, Read) or head.is_done
