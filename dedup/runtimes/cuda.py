"""Forward passes on a GPU: one batch is sent while another is computed, and a pass is one launch.

All passes of one size run in a thread of their own, because cuDNN initialises itself for every
thread and every input size, which takes seconds. The threads that ask for passes each have pinned
memory and a stream to send by. From its third time on a pass is replayed from a CUDA graph:
hundreds of launches, each of which would wait for Python's lock, become one.
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
    Forward: TypeAlias = Callable[[torch.Tensor], Outputs]

_RGB: Final = 3
_PASSES_UNTIL_RECORDED: Final = 2  # as `Gpu._recorded` has it
_RECORDING: Final = threading.Lock()  # one at a time: recording waits for the whole GPU first


class Gpu:
    """Runs the forward passes of one model on a GPU; its methods may be called from any thread.

    Parameters
    ----------
    forward : gives the prediction and a tensor per layer for (B, H, W, 3) uint8 on the device
    height, width : of the images
    sizes : images of a pass, rising; passes of any other size share the thread of the largest
    """

    def __init__(
        self, device: torch.device, forward: Forward, height: int, width: int, sizes: Sequence[int]
    ) -> None:
        self._device = device
        self._forward = forward
        self._hw = height, width
        self._sender = _Sender(device, (sizes[-1], height, width, _RGB))
        self._lanes = {size: _Lane.on(device, size) for size in sizes}
        self._largest = sizes[-1]
        self._passes: dict[int, _Recorded] = {}
        self._warming_up: dict[int, Future[None]] = {}

    def warm_up(self, size: int) -> bool:
        """Start to initialise passes of one size in the background; True once that is done."""
        known = self._warming_up.get(size)
        if known is None:
            thread = self._lane(size).thread
            known = self._warming_up[size] = thread.submit(self._warm_up, size)
        return known.done()

    def run(self, batch: npt.NDArray[np.uint8], size: int, *, record: bool) -> Features:
        """Run a pass and wait for its outputs.

        Parameters
        ----------
        batch : (B, H, W, 3) uint8, B at most `size`
        size : up to which the batch is filled, with images of earlier batches
        record : whether it may be replayed the next times

        Returns
        -------
        `size` rows.

        Raises
        ------
        torch.OutOfMemoryError : it takes more memory than there is.
        """
        stream = self._sender.stream
        with torch.cuda.stream(stream):
            pixels = self._sender.send(batch, size)
            sent = stream.record_event()
        future = self._lane(size).thread.submit(self._launch, pixels, sent, record=record)
        try:
            outputs, done = future.result()
        finally:
            del future  # it holds its exception, whose frames hold it and the tensors of the pass
        done.synchronize()
        with torch.cuda.stream(stream), torch.inference_mode():
            return on_host(*outputs)

    def release(self) -> None:
        """Drop recorded passes, and memory that is cached for later ones."""
        for lane in self._lanes.values():
            lane.thread.submit(self._passes.clear).result()
        with _RECORDING:
            torch.cuda.empty_cache()

    def close(self) -> None:
        """End the threads and drop recorded passes."""
        for lane in self._lanes.values():
            lane.thread.shutdown()
        self._passes.clear()

    def _lane(self, size: int) -> _Lane:
        return self._lanes.get(size, self._lanes[self._largest])

    def _warm_up(self, size: int) -> None:
        stream = self._lane(size).stream
        shape = (size, *self._hw, _RGB)
        try:
            with torch.cuda.stream(stream), torch.inference_mode():
                pixels = torch.zeros(shape, dtype=torch.uint8, device=self._device)
                for _ in range(_PASSES_UNTIL_RECORDED):
                    self._recorded(pixels)(pixels)
            stream.synchronize()
        except RuntimeError:  # out of memory, say: the passes themselves will meet it
            return

    def _launch(
        self, pixels: torch.Tensor, sent: torch.cuda.Event, *, record: bool
    ) -> tuple[Outputs, torch.cuda.Event]:
        stream = self._lane(len(pixels)).stream
        with torch.cuda.stream(stream), torch.inference_mode():
            stream.wait_event(sent)
            outputs = (self._recorded(pixels) if record else self._forward)(pixels)
            return outputs, stream.record_event()

    def _recorded(self, pixels: torch.Tensor) -> Forward:
        """Give the recorded pass, or record it; the first time, and where that fails, itself."""
        known = self._passes.get(len(pixels))
        if known is None:
            self._passes[len(pixels)] = _Recorded(self._forward)
            return self._forward
        if known.replay is None and not known.failed:
            known.record(pixels, self._lane(len(pixels)).stream)
        return known.replay or self._forward


@dataclass(frozen=True, slots=True)
class _Lane:
    """The thread and the stream that passes of one size run in."""

    thread: ThreadPoolExecutor
    stream: torch.cuda.Stream

    @classmethod
    def on(cls, device: torch.device, size: int) -> _Lane:
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's own
        return cls(ThreadPoolExecutor(1, thread_name_prefix=f"gpu {size}"), stream)


class _Recorded:
    """A pass as one CUDA graph, once it was recorded."""

    def __init__(self, forward: Forward) -> None:
        self._forward = forward
        self.replay: Forward | None = None
        self.failed = False

    def record(self, pixels: torch.Tensor, stream: torch.cuda.Stream) -> None:
        """Record the pass; it has to have run with this number of images before."""
        inputs = torch.empty_like(pixels)
        graph = torch.cuda.CUDAGraph()
        try:
            # Thread-local, because other threads go on sending while this one records.
            with (
                _RECORDING,
                torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"),
            ):
                outputs = self._forward(inputs)
        except RuntimeError:  # out of memory, or an operation that cannot be recorded
            self.failed = True
            return

        def replay(pixels: torch.Tensor) -> Outputs:
            inputs.copy_(pixels)
            graph.replay()
            # The next replay writes where this one wrote.
            prediction, layers = _copied(outputs)
            return prediction, layers

        self.replay = replay


class _Sender(threading.local):
    """What a thread sends its batches by; every thread sees one of its own."""

    def __init__(self, device: torch.device, shape: tuple[int, int, int, int]) -> None:
        self._device = device
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's own
        try:
            self._pinned = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        except RuntimeError:  # the system lets no more memory be pinned; slower, and right
            self._pinned = torch.empty(shape, dtype=torch.uint8)

    def send(self, batch: npt.NDArray[np.uint8], size: int) -> torch.Tensor:
        np.copyto(self._pinned[: len(batch)].numpy(), batch)
        return self._pinned[:size].to(self._device, non_blocking=True)


def _copied(output: Any) -> Any:
    if isinstance(output, torch.Tensor):
        return output.clone()
    if isinstance(output, Mapping):
        return {name: _copied(item) for name, item in output.items()}
    if isinstance(output, tuple | list):
        return tuple(_copied(item) for item in output)
    return output
