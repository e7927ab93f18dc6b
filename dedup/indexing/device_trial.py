"""Whether a device that decodes JPEGs comes to the same embeddings, and promises to be faster.

Found out on a run's own pictures, beside the run.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dedup.errors import ImageError
from dedup.images.decode import judged, read_file
from dedup.images.header import open_image
from dedup.indexing.reader import Fresh, fresh
from dedup.preparation import Prepared
from dedup.search.similarity import unit_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from dedup.images.header import Header
    from dedup.preparation import Embedder, JpegDecoder, Preparation

_ROUNDS: Final = 3  # measurements of a rate, of which the best one counts
_PROMISING: Final = 0.5  # of the host's rate: beside a run that takes every core, and this device
_AGREEMENT: Final = 0.999  # cosine of the middle one, as between two runtimes of one model
_LEAST_AGREEMENT: Final = 0.99  # of every one: extreme pictures show what rounding does


class Rates(NamedTuple):
    """Pictures a second.

    Parameters
    ----------
    host : decoded by its cores
    device : decoded there, beside the run
    afterwards : told of by one core of the host
    """

    host: float
    device: float
    afterwards: float

    @property
    def promising(self) -> bool:
        """Whether a run may get further than by the host; whether it does, only that shows."""
        return min(self.device, self.afterwards) >= _PROMISING * self.host


def trial(
    paths: Sequence[bytes],
    wanted: Preparation,
    model: Embedder,
    jpegs: JpegDecoder,
    host_rate: float,
) -> tuple[bool, str]:
    """Decode a sample of JPEGs both ways, and embed it.

    Parameters
    ----------
    host_rate : pictures a second that all cores bring

    Returns
    -------
    Whether it is worth leaving decoding to the device; and why not, a clause.

    Raises
    ------
    whatever the device raises
    """
    files, headers, by_host = [], [], []
    for path in paths:
        try:
            data = read_file(path)
            opened = open_image(data, "")
            if wanted.leaves(opened, data):
                by_host.append(wanted.prepare(data, opened=opened).pixels)
                files.append((data, opened[1].size))
                headers.append(opened[1])
        except ImageError:  # changed or gone since
            continue
    if 2 * len(files) < len(paths) or not files:
        return False, f"it suits {len(files)} of {len(paths)} JPEGs"
    exact = np.stack(by_host)
    room = model.room(len(exact))
    found = jpegs.decode(files, room)  # the first time it gets ready
    if not found.all():
        return False, f"it decodes {found.sum()} of {len(files)} JPEGs"
    there = room.copy()  # for the model may use this thread's room for the next batch
    agreement = _cosines(model.embed(exact), model.embed(there))
    if np.median(agreement) < _AGREEMENT or agreement.min() < _LEAST_AGREEMENT:
        return False, f"embeddings agree to no more than {agreement.min():.4f}"
    decoding = min(_seconds(partial(jpegs.decode, files, room)) for _ in range(_ROUNDS))
    # The processor's time alone: to wait for a core meanwhile is not its fault.
    begun = time.thread_time()
    for header, pixels in zip(headers, room, strict=True):
        told(b"", header, pixels)
    telling = time.thread_time() - begun
    rates = Rates(host_rate, len(files) / decoding, len(files) / telling)
    return rates.promising, (
        f"beside the run {jpegs.name} does {rates.device:,.0f} pictures/s, the host's cores "
        f"{host_rate:,.0f}"
    )


def told(digest: bytes, header: Header, pixels: npt.NDArray[np.uint8]) -> Fresh:
    """Say of a device's picture what reading says of the host's."""
    return fresh(digest, Prepared(judged(pixels, header), None))


def _cosines(
    one: Mapping[str, npt.NDArray[np.float32]], other: Mapping[str, npt.NDArray[np.float32]]
) -> npt.NDArray[np.float32]:
    """Compare rows, over all layers."""
    products = [unit_rows(values) * unit_rows(other[layer]) for layer, values in one.items()]
    return np.concatenate([product.sum(axis=1) for product in products])


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
