"""A GPU kept busy: pictures go there while others are worked on, and a pass is one launch.

All passes of a size run in one thread, because cuDNN gets ready anew for every thread that uses it
and for every size, which takes seconds; other sizes go on meanwhile. The threads that ask for them
each have pinned memory and a stream to send by. From its third time on a pass is replayed from a
CUDA graph: hundreds of launches, each of which would have to wait for Python's lock while others
hold it, become one.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import torch

from dedup.models.extractor import on_host

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    import numpy.typing as npt

    from dedup.models.features import Features

    Outputs: TypeAlias = tuple[Any, Mapping[str, torch.Tensor]]
    Pass: TypeAlias = Callable[[torch.Tensor], Outputs]

_RGB: Final = 3
_TIMES_UNTIL_RECORDED: Final = 2  # as `Gpu._recorded` has it
_RECORDING: Final = threading.Lock()  # one at a time: it waits for the whole GPU first


class Gpu:
    """What runs passes on a GPU; its methods may be called from any thread.

    Parameters
    ----------
    height, width : of the pictures
    sizes : pictures of a pass, rising; a size that is none of them shares the thread of the last
    """

    def __init__(self, device: torch.device, height: int, width: int, sizes: Sequence[int]) -> None:
        self._device = device
        self._hw = height, width
        self._lane = _Lane(device, (sizes[-1], height, width, _RGB))
        self._sizes = {size: _Size.on(device, size) for size in sizes}
        self._largest = sizes[-1]
        self._passes: dict[int, _Recorded] = {}
        self._getting_ready: dict[int, Future[None]] = {}

    def room(self, pictures: int) -> npt.NDArray[np.uint8]:
        """Give (pictures, H, W, 3) uint8 to fill; no more than the last size needs no copy.

        It is this thread's until it asks again.
        """
        return self._lane.room(pictures)

    def get_ready(self, forward: Pass, size: int) -> bool:
        """Get ready for passes of so many pictures, beside; True once that is done.

        Parameters
        ----------
        forward : as `run` takes it
        """
        known = self._getting_ready.get(size)
        if known is None:
            thread = self._of(size).thread
            known = self._getting_ready[size] = thread.submit(self._get_ready, forward, size)
        return known.done()

    def run(
        self, forward: Pass, batch: npt.NDArray[np.uint8], size: int, *, record: bool
    ) -> Features:
        """Run a pass and wait for what it gives.

        Parameters
        ----------
        forward : gives the prediction and a tensor per layer for (size, H, W, 3) uint8
        batch : (B, H, W, 3) uint8, B at most `size`
        size : up to which the batch is made up, by whatever pictures lay there before
        record : whether it may be replayed the next times

        Returns
        -------
        `size` rows.

        Raises
        ------
        torch.OutOfMemoryError : it takes more memory than there is.
        whatever `forward` raises
        """
        stream = self._lane.stream
        with torch.cuda.stream(stream):
            pixels = self._lane.send(batch, size)
            sent = stream.record_event()
        thread = self._of(size).thread
        future = thread.submit(self._launch, forward, pixels, sent, record=record)
        try:
            outputs, done = future.result()
        finally:
            del future  # it holds its exception, whose frames hold it and the tensors of the pass
        done.synchronize()
        with torch.cuda.stream(stream), torch.inference_mode():
            return on_host(*outputs)

    def forget(self) -> None:
        """Let go of recorded passes and of memory that is kept for later."""
        for each in self._sizes.values():
            each.thread.submit(self._passes.clear).result()
        with _RECORDING:
            torch.cuda.empty_cache()

    def close(self) -> None:
        """End the threads, and let go of recorded passes."""
        for each in self._sizes.values():
            each.thread.shutdown()
        self._passes.clear()

    def _of(self, size: int) -> _Size:
        return self._sizes.get(size, self._sizes[self._largest])

    def _get_ready(self, forward: Pass, size: int) -> None:
        stream = self._of(size).stream
        try:
            with torch.cuda.stream(stream), torch.inference_mode():
                pixels = torch.zeros(
                    (size, *self._hw, _RGB), dtype=torch.uint8, device=self._device
                )
                for _ in range(_TIMES_UNTIL_RECORDED):
                    self._recorded(forward, pixels)(pixels)
            stream.synchronize()
        except RuntimeError:  # memory is short, say: the passes themselves will tell
            return

    def _launch(
        self, forward: Pass, pixels: torch.Tensor, sent: torch.cuda.Event, *, record: bool
    ) -> tuple[Outputs, torch.cuda.Event]:
        stream = self._of(len(pixels)).stream
        with torch.cuda.stream(stream), torch.inference_mode():
            stream.wait_event(sent)
            outputs = (self._recorded(forward, pixels) if record else forward)(pixels)
            return outputs, stream.record_event()

    def _recorded(self, forward: Pass, pixels: torch.Tensor) -> Pass:
        """Give the recorded pass, or record it; the first time, and where that fails, itself."""
        known = self._passes.get(len(pixels))
        if known is None or known.forward != forward:
            self._passes[len(pixels)] = _Recorded(forward)
            return forward
        if known.replay is None and not known.failed:
            known.record(pixels, self._of(len(pixels)).stream)
        return known.replay or forward


@dataclass(frozen=True, slots=True)
class _Size:
    """What passes of one size run by."""

    thread: ThreadPoolExecutor
    stream: torch.cuda.Stream

    @classmethod
    def on(cls, device: torch.device, size: int) -> _Size:
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's own
        return cls(ThreadPoolExecutor(1, thread_name_prefix=f"gpu {size}"), stream)


class _Recorded:
    """A pass as one CUDA graph, once it was recorded."""

    def __init__(self, forward: Pass) -> None:
        self.forward = forward
        self.replay: Pass | None = None
        self.failed = False

    def record(self, pixels: torch.Tensor, stream: torch.cuda.Stream) -> None:
        """Record the pass; it has to have run with this number of pictures before."""
        place = torch.empty_like(pixels)
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads go on sending meanwhile, which is no business of this recording.
            with (
                _RECORDING,
                torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"),
            ):
                outputs = self.forward(place)
        except RuntimeError:  # memory is short, or an operation cannot be recorded
            self.failed = True
            return

        def replay(pixels: torch.Tensor) -> Outputs:
            place.copy_(pixels)
            graph.replay()
            # The next replay writes where this one wrote.
            prediction, layers = _copied(outputs)
            return prediction, layers

        self.replay = replay


class _Lane(threading.local):
    """What a thread sends its batches by; every thread sees one of its own."""

    def __init__(self, device: torch.device, shape: tuple[int, int, int, int]) -> None:
        self._device = device
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's own
        try:
            self._pinned = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        except RuntimeError:  # the system lets no more memory be pinned; slower, and right
            self._pinned = torch.empty(shape, dtype=torch.uint8)

    def room(self, pictures: int) -> npt.NDArray[np.uint8]:
        if pictures > len(self._pinned):
            return np.empty((pictures, *self._pinned.shape[1:]), np.uint8)
        room: npt.NDArray[np.uint8] = self._pinned[:pictures].numpy()
        return room

    def send(self, batch: npt.NDArray[np.uint8], size: int) -> torch.Tensor:
        room = self.room(len(batch))
        if batch.__array_interface__["data"] != room.__array_interface__["data"]:
            np.copyto(room, batch)
        return self._pinned[:size].to(self._device, non_blocking=True)


def _copied(output: Any) -> Any:
    if isinstance(output, torch.Tensor):
        return output.clone()
    if isinstance(output, Mapping):
        return {name: _copied(item) for name, item in output.items()}
    if isinstance(output, tuple | list):
        return tuple(_copied(item) for item in output)
    return output
