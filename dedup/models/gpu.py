"""A GPU kept busy: pictures go there while others are worked on, and a pass is one launch.

All passes run in one thread, because cuDNN gets ready anew for every thread that uses it, which
takes seconds. The threads that ask for them each have pinned memory and a stream to send by. From
its third time on a pass is replayed from a CUDA graph: hundreds of launches, each of which would
have to wait for Python's lock while others hold it, become one.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import torch

from dedup.models.extractor import on_host

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from dedup.models.features import Features

    Outputs: TypeAlias = tuple[Any, Mapping[str, torch.Tensor]]
    Pass: TypeAlias = Callable[[torch.Tensor], Outputs]

_RGB: Final = 3


class Gpu:
    """What runs passes on a GPU; `room` and `run` may be called from any thread.

    Parameters
    ----------
    height, width : of the pictures
    most : pictures of a pass
    """

    def __init__(self, device: torch.device, height: int, width: int, most: int) -> None:
        self._lane = _Lane(device, (most, height, width, _RGB))
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's own
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gpu")
        self._passes: dict[int, _Recorded] = {}

    def room(self, pictures: int) -> npt.NDArray[np.uint8]:
        """Give (pictures, H, W, 3) uint8 to fill; up to `most` of them need no copy to be sent.

        It is this thread's until it asks again.
        """
        return self._lane.room(pictures)

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
        future = self._thread.submit(self._launch, forward, pixels, sent, record=record)
        try:
            outputs, done = future.result()
        finally:
            del future  # it holds its exception, whose frames hold it and the tensors of the pass
        done.synchronize()
        with torch.cuda.stream(stream), torch.inference_mode():
            return on_host(*outputs)

    def forget(self) -> None:
        """Let go of recorded passes and of memory that is kept for later."""
        self._thread.submit(self._passes.clear).result()
        torch.cuda.empty_cache()

    def close(self) -> None:
        """End the thread, and let go of recorded passes."""
        self._thread.shutdown()
        self._passes.clear()

    def _launch(
        self, forward: Pass, pixels: torch.Tensor, sent: torch.cuda.Event, *, record: bool
    ) -> tuple[Outputs, torch.cuda.Event]:
        with torch.cuda.stream(self._stream), torch.inference_mode():
            self._stream.wait_event(sent)
            outputs = (self._recorded(forward, pixels) if record else forward)(pixels)
            return outputs, self._stream.record_event()

    def _recorded(self, forward: Pass, pixels: torch.Tensor) -> Pass:
        """Give the recorded pass, or record it; the first time, and where that fails, itself."""
        known = self._passes.get(len(pixels))
        if known is None or known.forward != forward:
            self._passes[len(pixels)] = _Recorded(forward)
            return forward
        if known.replay is None and not known.failed:
            known.record(pixels, self._stream)
        return known.replay or forward


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
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
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
