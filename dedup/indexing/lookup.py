"""Read and embed images that are not to be indexed, as indexing does: in batches, on every core."""

from __future__ import annotations

import os
from collections import deque
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dedup.indexing.forward import MAX_PASSES, Forward
from dedup.indexing.readahead import ReadAhead
from dedup.indexing.reader import Embeddable
from dedup.indexing.worklist import Job
from dedup.indexing.writer import NOT_FINITE
from dedup.preparation import embed, preparation
from dedup.records import FileEntry, Root, is_url
from dedup.sources.opening import entry_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    import numpy.typing as npt

    from dedup.indexing.readahead import ReadPolicy
    from dedup.indexing.reader import Outcome
    from dedup.runtimes.embedder import Embedder
    from dedup.store.catalog import Catalog

    Rows = dict[str, npt.NDArray[np.float32]]

_NOWHERE = Root(0, b"")


class Looked(NamedTuple):
    """What became of images, in no order.

    Parameters
    ----------
    numbers : (B,) of the images, from 0 in the order given
    outcomes : (B,)
    rows : per stored name (B, D) float32, as the extractors gave them; of `Embeddable` ones alone
    """

    numbers: list[int]
    outcomes: list[Outcome]
    rows: Rows


class _Batch(NamedTuple):
    numbers: list[int]
    outcomes: list[Embeddable]
    slots: list[int | None]


def look_up(
    catalog: Catalog,
    paths: Sequence[str],
    embedder: Callable[[], Embedder],
    report: Callable[[int], None],
    policy: ReadPolicy | None = None,
) -> Iterator[Looked]:
    """Read images and embed those whose content is not known, batch after batch.

    Parameters
    ----------
    paths : of files, members of archives and URLs
    embedder : called once, when the first image needs it
    report : called with how many were read
    policy : how files are spread over workers
    """
    jobs = [_job(path) for path in paths]
    with (
        ReadAhead(catalog.store, preparation(catalog), jobs, policy) as reader,
        Forward(catalog.fingerprint, embedder, reader.buffer, embed) as forward,
        closing(reader.outcomes()) as outcomes,
    ):
        batch = _Batch([], [], [])
        passes: deque[tuple[_Batch, Future[Rows]]] = deque()
        for number, (job, outcome) in enumerate(outcomes):
            report(number)
            if not isinstance(outcome, Embeddable):
                yield Looked([number], [outcome], {})
                continue
            batch.numbers.append(number)
            batch.outcomes.append(outcome)
            batch.slots.append(job.slot)
            if len(batch.numbers) < forward.batch_size:
                continue
            passes.append((batch, _begun(forward, batch)))
            batch = _Batch([], [], [])
            if len(passes) > MAX_PASSES:
                yield _ended(reader, *passes.popleft())
        if batch.numbers:
            passes.append((batch, _begun(forward, batch)))
        while passes:
            yield _ended(reader, *passes.popleft())


def _begun(forward: Forward[Rows], batch: _Batch) -> Future[Rows]:
    return forward.submit([outcome.inputs for outcome in batch.outcomes], batch.slots)


def _ended(reader: ReadAhead, batch: _Batch, future: Future[Rows]) -> Looked:
    rows = future.result()
    for slot in batch.slots:
        reader.buffer.release(slot)
    finite = np.ones(len(batch.numbers), np.bool_)
    for values in rows.values():
        finite &= np.isfinite(values).all(axis=1)
    outcomes: list[Outcome] = [
        outcome if whole else NOT_FINITE
        for outcome, whole in zip(batch.outcomes, finite.tolist(), strict=True)
    ]
    return Looked(batch.numbers, outcomes, {name: each[finite] for name, each in rows.items()})


def _job(path: str) -> Job:
    """Describe a file as it is now; what is not there is found when it is read."""
    name = os.fsencode(path)
    if not is_url(name) and os.path.islink(name):
        name = os.path.realpath(name)
    entry = None if is_url(name) else entry_of(name)
    return Job(_NOWHERE, entry or FileEntry(name, 0, 0, 0, 0))
