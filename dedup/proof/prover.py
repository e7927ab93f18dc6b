"""Proofs on pairs of pictures, each made once in the life of a collection.

`Prover` decodes and describes every picture that a run needs once, keeps the descriptions in a
temporary file (a few hundred KB each, so that memory does not grow with the collection), checks the
pairs on every core, and commits verdicts as they come. What makes two pictures one is for `verify`.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections import OrderedDict
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, Self

from dedup.errors import CollectionError, ImageError
from dedup.images.decode import decode_bounded, read_file
from dedup.parallel.workers import WORTH_PROCESSES, Workers
from dedup.proof import VERIFIER, WORKING_SIDE, Features, describe, verify
from dedup.store.pairs import (
    ContentPair,
    StoredVerdict,
    content_pair,
    read_verdicts,
    write_verdicts,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from types import TracebackType

    from dedup.store.catalog import Catalog

_COMMIT_EVERY = 256
_IN_MEMORY = 64
"""Descriptions that each process keeps, the last used; about 1 MB each with what is derived."""
_AHEAD = 64

_Place = tuple[int, int]  # where a description begins in the file, and its bytes


@dataclass(frozen=True, slots=True)
class _Picture:
    """Wants a packed description, or None where no file gives one."""

    content: bytes
    paths: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class _Pair:
    """Wants a verdict."""

    first: _Place
    second: _Place


_Work = _Picture | _Pair
_Done = bytes | StoredVerdict | None


def described(path: bytes, content: bytes | None = None) -> Features:
    """Describe the picture in a file.

    Parameters
    ----------
    content : SHA-256 that the file must have; None: any

    Raises
    ------
    ImageError : it cannot be read, or has other content now.
    """
    data = read_file(path)
    name = os.fsdecode(path)
    if content is not None and hashlib.sha256(data).digest() != content:
        raise ImageError(name, "has changed since it was indexed", transient=True)
    return describe(decode_bounded(data, WORKING_SIDE, name))


class Prover:
    """Checks pairs of contents; a context manager that holds a temporary file.

    Parameters
    ----------
    sources : per content (SHA-256) the files that have it
    report : told what is being done, how much of it is done, and how much there is
    """

    def __init__(
        self,
        catalog: Catalog,
        sources: Mapping[bytes, Sequence[bytes]],
        report: Callable[[str, int, int], None],
    ) -> None:
        self._catalog = catalog
        self._sources = sources
        self._report = report
        self._descriptions = _Descriptions()
        self._verdicts = read_verdicts(catalog, VERIFIER)
        self.unreadable: set[bytes] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._descriptions.close()

    def verdict(self, first: bytes, second: bytes) -> StoredVerdict | None:
        """Give what is known of a pair of contents; None when it was not checked."""
        return self._verdicts.get(content_pair(first, second))

    def prove(self, pairs: Collection[ContentPair]) -> None:
        """Check the pairs that were not checked before.

        Pairs with a picture that cannot be read stay unchecked; see `unreadable`.
        """
        missing = sorted(pair for pair in set(pairs) if pair not in self._verdicts)
        if not missing:
            return
        wanted = sorted({content for pair in missing for content in pair})
        new = [content for content in wanted if content not in self._descriptions]
        workers: Workers[_Work, _Done] = Workers(
            partial(_prover, self._descriptions.path),
            processes=len(new) + len(missing) >= WORTH_PROCESSES,
            lost=lambda _item, _cause: None,
        )
        with workers:
            self._describe(workers, new)
            self._check(workers, [pair for pair in missing if not self.unreadable & set(pair)])

    def _describe(self, workers: Workers[_Work, _Done], new: list[bytes]) -> None:
        work = (_Picture(content, self._sources.get(content, ())) for content in new)
        for done, (content, packed) in enumerate(
            zip(new, workers.run(work, _AHEAD), strict=True), 1
        ):
            if isinstance(packed, bytes):
                self._descriptions.add(content, packed)
            else:
                self.unreadable.add(content)
            self._report("Describing", done, len(new))

    def _check(self, workers: Workers[_Work, _Done], pairs: list[ContentPair]) -> None:
        found: dict[ContentPair, StoredVerdict] = {}
        work = (_Pair(*(self._descriptions.places[content] for content in pair)) for pair in pairs)
        for done, (pair, verdict) in enumerate(
            zip(pairs, workers.run(work, _AHEAD), strict=True), 1
        ):
            if isinstance(verdict, StoredVerdict):
                found[pair] = verdict
            if len(found) >= _COMMIT_EVERY:
                self._keep(found)
                found = {}
            self._report("Proving", done, len(pairs))
        self._keep(found)

    def _keep(self, found: dict[ContentPair, StoredVerdict]) -> None:
        self._verdicts |= found
        with suppress(CollectionError):  # a collection that cannot be written to is checked again
            write_verdicts(self._catalog, VERIFIER, found)


@contextmanager
def _prover(path: str) -> Iterator[Callable[[_Work], _Done]]:
    """Give what describes pictures and checks pairs of them; for `Workers`.

    Parameters
    ----------
    path : of the file that the descriptions are written to
    """
    with _Reader(path) as descriptions:

        def work(item: _Work) -> _Done:
            if isinstance(item, _Pair):
                verdict = verify(descriptions[item.first], descriptions[item.second])
                return StoredVerdict(verdict.near, verdict.evidence)
            for source in item.paths:
                with suppress(ImageError):
                    return described(source, item.content).to_bytes()
            return None

        yield work


class _Descriptions:
    """Packed features by content, in a temporary file that workers read by its path.

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
        self.places: dict[bytes, _Place] = {}
        self._end = 0

    def __contains__(self, content: bytes) -> bool:
        return content in self.places

    def add(self, content: bytes, packed: bytes) -> None:
        self._file.write(packed)
        self.places[content] = self._end, len(packed)
        self._end += len(packed)

    def close(self) -> None:
        self._file.close()


class _Reader:
    """Features by their place in the file of `_Descriptions`; serves any number of threads."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDONLY)
        self._recent: OrderedDict[_Place, Features] = OrderedDict()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def __getitem__(self, place: _Place) -> Features:
        with self._lock:
            features = self._recent.get(place)
            if features is not None:
                self._recent.move_to_end(place)
                return features
        begin, size = place
        features = Features.from_bytes(os.pread(self._file, size, begin))
        with self._lock:
            self._recent[place] = features
            if len(self._recent) > _IN_MEMORY:
                self._recent.popitem(last=False)
        return features
