"""Proofs on pairs of images, each made once in the life of a collection.

`Prover` runs what is in `chunks` on the cores of one machine: it describes every image that a run
needs once, keeps the descriptions in a temporary file (a few hundred KB each, so that memory does
not grow with the collection), checks the pairs, and commits verdicts as they come. What makes two
images one is for `prove`.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, Self

from dedup.descriptors.agreement import may_agree
from dedup.descriptors.parts import unpack
from dedup.descriptors.vlad import PARTS_VERSION
from dedup.errors import CollectionError, ImageError
from dedup.images.sources import read_unchanged
from dedup.parallel.workers import WORTH_PROCESSES, Workers, cores
from dedup.proof import NO_COMMON_DETAIL, VERIFIER
from dedup.proof.chunks import describe_bytes, prove_chunk, prove_copies_chunk
from dedup.store.pairs import (
    ContentPair,
    StoredVerdict,
    content_pair,
    read_verdicts,
    write_verdicts,
)
from dedup.store.parts import parts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from dedup.store.catalog import Catalog

COMMIT_EVERY_PAIRS = 256
MAX_CHUNK_PAIRS = 32
"""Pairs that a worker checks at once. Sorted, they share their first image, which is then unpacked
once; more would make the last worker's wait longer."""
MAX_SIFTED = 64
"""Pairs that a worker sifts at once."""
MAX_PENDING = 64
"""Results that may wait for whoever takes them."""

_Slot = tuple[int, int]  # where a description begins in the file, and its bytes


@dataclass(frozen=True, slots=True)
class _Image:
    """Wants a packed description, or None where no file gives one."""

    content: bytes
    paths: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Wants the verdicts on pairs whose descriptions are all in the file."""

    pairs: tuple[ContentPair, ...]
    slots: Mapping[bytes, _Slot]
    paths: Mapping[bytes, Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Wants the pairs of which no more parts agree than by chance."""

    pairs: tuple[ContentPair, ...]
    parts: Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class _Copies:
    """Wants the verdicts on those pairs that are one image saved twice."""

    pairs: tuple[ContentPair, ...]
    paths: Mapping[bytes, Sequence[bytes]]


_Work = _Image | _Chunk | _Candidates | _Copies
_Done = bytes | dict[ContentPair, StoredVerdict] | None


class Prover:
    """Checks pairs of contents; a context manager that holds a temporary file.

    Parameters
    ----------
    sources : per content (SHA-256) the files that have it
    report : called with what is being done, how much of it is done, and how much there is
    worth_processes : images and pairs from which on processes are started instead of threads
    """

    def __init__(
        self,
        catalog: Catalog,
        sources: Mapping[bytes, Sequence[bytes]],
        report: Callable[[str, int, int], None],
        *,
        worth_processes: int = WORTH_PROCESSES,
    ) -> None:
        self._catalog = catalog
        self._sources = sources
        self._report = report
        self._worth_processes = worth_processes
        self._descriptions = _Descriptions()
        self._verdicts = read_verdicts(catalog, VERIFIER)
        self.unreadable: set[bytes] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._descriptions.close()

    def verdict(self, first: bytes, second: bytes) -> StoredVerdict | None:
        """Give what is known of a pair of contents, seen from the first; None: not checked."""
        pair = content_pair(first, second)
        verdict = self._verdicts.get(pair)
        return verdict.turned() if verdict is not None and pair[0] != first else verdict

    def proven(self) -> Iterator[ContentPair]:
        """List the pairs that were proven, now or before."""
        return (pair for pair, verdict in self._verdicts.items() if verdict.tier is not None)

    def prove(self, pairs: Collection[ContentPair]) -> None:
        """Check the pairs that were not checked before.

        Pairs with an image that cannot be read stay unchecked; see `unreadable`.
        """
        missing = sorted(pair for pair in set(pairs) if pair not in self._verdicts)
        if not missing:
            return
        wanted = sorted({content for pair in missing for content in pair})
        new = [content for content in wanted if content not in self._descriptions]
        with self._workers(len(new) + len(missing)) as workers:
            missing = self._sift(workers, missing)
            left = {content for pair in missing for content in pair}
            self._describe(workers, [content for content in new if content in left])
            self._check(workers, [pair for pair in missing if not self.unreadable & set(pair)])

    def prove_copies(self, pairs: Collection[ContentPair]) -> None:
        """Check pairs that are likely to be one image saved twice, many times as fast.

        Pairs that are not stay unchecked.
        """
        missing = sorted(pair for pair in set(pairs) if pair not in self._verdicts)
        if not missing:
            return
        size = min(MAX_CHUNK_PAIRS, max(1, len(missing) // (8 * cores())))
        chunks = [tuple(missing[start : start + size]) for start in range(0, len(missing), size)]
        work = (
            _Copies(chunk, {each: self._sources.get(each, ()) for pair in chunk for each in pair})
            for chunk in chunks
        )
        with self._workers(len(missing)) as workers:
            for done, found in enumerate(workers.run(work, MAX_PENDING), 1):
                if isinstance(found, dict):
                    self._keep(found)
                self._report("Comparing copies", min(done * size, len(missing)), len(missing))

    def _workers(self, items: int) -> Workers[_Work, _Done]:
        return Workers(
            partial(_prover, self._descriptions.path),
            processes=items >= self._worth_processes,
            lost=lambda _item, _cause: None,
        )

    def _sift(self, workers: Workers[_Work, _Done], pairs: list[ContentPair]) -> list[ContentPair]:
        """Refute the pairs of which no parts agree, by what the catalog knows of them."""
        chunks = [pairs[start : start + MAX_SIFTED] for start in range(0, len(pairs), MAX_SIFTED)]

        def work() -> Iterator[_Work]:
            for chunk in chunks:
                contents = {content for pair in chunk for content in pair}
                parts = parts_of(self._catalog, PARTS_VERSION, contents)
                known = tuple(pair for pair in chunk if parts.keys() >= set(pair))
                if known:
                    yield _Candidates(known, parts)

        for done, found in enumerate(workers.run(work(), MAX_PENDING), 1):
            if isinstance(found, dict):
                self._keep(found)
            self._report("Comparing parts", min(done * MAX_SIFTED, len(pairs)), len(pairs))
        return [pair for pair in pairs if pair not in self._verdicts]

    def _describe(self, workers: Workers[_Work, _Done], new: list[bytes]) -> None:
        work = (_Image(content, self._sources.get(content, ())) for content in new)
        for done, (content, packed) in enumerate(
            zip(new, workers.run(work, MAX_PENDING), strict=True), 1
        ):
            if isinstance(packed, bytes):
                self._descriptions.add(content, packed)
            else:
                self.unreadable.add(content)
            self._report("Describing", done, len(new))

    def _check(self, workers: Workers[_Work, _Done], pairs: list[ContentPair]) -> None:
        size = min(MAX_CHUNK_PAIRS, max(1, len(pairs) // (8 * cores())))
        lost = self._check_chunks(workers, pairs, size)
        # One pair brought its process down, and its chunk with it: now each has its own.
        self._check_chunks(workers, lost, 1)

    def _check_chunks(
        self, workers: Workers[_Work, _Done], pairs: list[ContentPair], size: int
    ) -> list[ContentPair]:
        """Check pairs, so many at once, and keep the verdicts; give back those that were lost."""
        chunks = [tuple(pairs[start : start + size]) for start in range(0, len(pairs), size)]
        lost: list[ContentPair] = []
        new: dict[ContentPair, StoredVerdict] = {}
        results = workers.run(map(self._work, chunks), MAX_PENDING)
        for done, (chunk, found) in enumerate(zip(chunks, results, strict=True), 1):
            if isinstance(found, dict):
                new |= found
            else:
                lost += chunk
            if len(new) >= COMMIT_EVERY_PAIRS:
                self._keep(new)
                new = {}
            self._report("Proving", min(done * size, len(pairs)), len(pairs))
        self._keep(new)
        return lost

    def _work(self, chunk: tuple[ContentPair, ...]) -> _Chunk:
        contents = {content for pair in chunk for content in pair}
        return _Chunk(
            chunk,
            {content: self._descriptions.slots[content] for content in contents},
            {content: self._sources.get(content, ()) for content in contents},
        )

    def _keep(self, found: dict[ContentPair, StoredVerdict]) -> None:
        if not found:
            return
        self._verdicts |= found
        with suppress(CollectionError):  # a collection that cannot be written to is checked again
            write_verdicts(self._catalog, VERIFIER, found)


@contextmanager
def _prover(path: str) -> Iterator[Callable[[_Work], _Done]]:
    """Give what describes images and checks pairs of them; for `Workers`.

    Parameters
    ----------
    path : of the file that the descriptions are written to
    """
    file = os.open(path, os.O_RDONLY)

    def work(item: _Work) -> _Done:
        if isinstance(item, _Image):
            return _described(item)
        if isinstance(item, _Candidates):
            return _sifted(item)
        if isinstance(item, _Copies):
            return prove_copies_chunk(item.pairs, partial(_read, item.paths))
        return prove_chunk(
            item.pairs, partial(_fetch, file, item.slots), partial(_read, item.paths)
        )

    try:
        yield work
    finally:
        os.close(file)


def _described(image: _Image) -> bytes | None:
    found = read_unchanged(image.paths, image.content)
    if found is None:
        return None
    try:
        return describe_bytes(*found)
    except ImageError:
        return None


def _sifted(item: _Candidates) -> dict[ContentPair, StoredVerdict]:
    parts = {content: unpack(packed) for content, packed in item.parts.items()}
    refuted = StoredVerdict(None, NO_COMMON_DETAIL, NO_COMMON_DETAIL)
    return {
        (first, second): refuted
        for first, second in item.pairs
        if not may_agree(parts[first], parts[second])
    }


def _fetch(file: int, slots: Mapping[bytes, _Slot], content: bytes) -> bytes:
    begin, size = slots[content]
    return os.pread(file, size, begin)


def _read(paths: Mapping[bytes, Sequence[bytes]], content: bytes) -> tuple[bytes, str] | None:
    return read_unchanged(paths[content], content)


class _Descriptions:
    """Packed descriptions by content, in a temporary file that workers read by its path.

    Where the system shows open files (Linux) it has no name: nothing is left of it, however the
    program ends.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by `close`
        self.path = f"/proc/{os.getpid()}/fd/{self._file.fileno()}"
        if not os.path.exists(self.path):
            self._file.close()
            self._file = tempfile.NamedTemporaryFile(prefix="dedup-", buffering=0)  # noqa: SIM115 - as above
            self.path = self._file.name
        self.slots: dict[bytes, _Slot] = {}
        self._end = 0

    def __contains__(self, content: bytes) -> bool:
        return content in self.slots

    def add(self, content: bytes, packed: bytes) -> None:
        self._file.write(packed)
        self.slots[content] = self._end, len(packed)
        self._end += len(packed)

    def close(self) -> None:
        self._file.close()
