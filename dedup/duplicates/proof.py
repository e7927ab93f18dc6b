"""Proofs on pairs of pictures, each made once in the life of a collection.

`Prover` decodes and describes every picture that a run needs once, keeps the descriptions in a
temporary file (a few hundred KB each, so that memory does not grow with the collection), checks the
pairs in threads, and commits verdicts as they come. What makes two pictures one is for `verify`.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from threadpoolctl import threadpool_limits

from dedup.duplicates.verify import VERIFIER, WORKING_SIDE, Features, describe, verify
from dedup.errors import CollectionError, ImageError
from dedup.images.decode import decode_bounded, read_file
from dedup.store.judgements import (
    ContentPair,
    StoredVerdict,
    content_pair,
    read_verdicts,
    write_verdicts,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from types import TracebackType

    from dedup.store.catalog import Catalog

_COMMIT_EVERY = 256
_IN_MEMORY = 256
"""Descriptions kept unpacked, the last used; about 1 MB each with what is derived from them."""


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
        # One thread of BLAS to each of ours: its own pool, spinning on matrices of 600 rows, made a
        # pair cost 30 ms of processor time instead of 5.
        with (
            threadpool_limits(limits=1, user_api="blas"),
            ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="proof") as pool,
        ):
            try:
                self._describe(pool, wanted)
                self._check(pool, [pair for pair in missing if not self.unreadable & set(pair)])
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _describe(self, pool: ThreadPoolExecutor, wanted: list[bytes]) -> None:
        new = [content for content in wanted if content not in self._descriptions]
        outcomes = pool.map(self._describe_one, new)
        for done, (content, readable) in enumerate(zip(new, outcomes, strict=True), 1):
            if not readable:
                self.unreadable.add(content)
            self._report("Describing", done, len(new))

    def _describe_one(self, content: bytes) -> bool:
        for path in self._sources.get(content, ()):
            with suppress(ImageError):
                self._descriptions.add(content, described(path, content))
                return True
        return False

    def _check(self, pool: ThreadPoolExecutor, pairs: list[ContentPair]) -> None:
        found: dict[ContentPair, StoredVerdict] = {}
        for done, (pair, verdict) in enumerate(
            zip(pairs, pool.map(self._check_one, pairs), strict=True), 1
        ):
            found[pair] = verdict
            if len(found) >= _COMMIT_EVERY:
                self._keep(found)
                found = {}
            self._report("Proving", done, len(pairs))
        self._keep(found)

    def _check_one(self, pair: ContentPair) -> StoredVerdict:
        verdict = verify(*(self._descriptions[content] for content in pair))
        return StoredVerdict(verdict.near, verdict.evidence)

    def _keep(self, found: dict[ContentPair, StoredVerdict]) -> None:
        self._verdicts |= found
        with suppress(CollectionError):  # a collection that cannot be written to is checked again
            write_verdicts(self._catalog, VERIFIER, found)


class _Descriptions:
    """Features by content: packed in a temporary file, the last used also in memory."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="dedup-")  # noqa: SIM115 - closed by `close`
        self._places: dict[bytes, tuple[int, int]] = {}
        self._recent: OrderedDict[bytes, Features] = OrderedDict()
        self._end = 0
        self._lock = threading.Lock()

    def __contains__(self, content: bytes) -> bool:
        return content in self._places

    def add(self, content: bytes, features: Features) -> None:
        packed = features.to_bytes()
        with self._lock:
            place, self._end = self._end, self._end + len(packed)
        os.pwrite(self._file.fileno(), packed, place)
        with self._lock:
            self._places[content] = place, len(packed)

    def __getitem__(self, content: bytes) -> Features:
        with self._lock:
            features = self._recent.get(content)
            if features is not None:
                self._recent.move_to_end(content)
                return features
            place, size = self._places[content]
        features = Features.from_bytes(os.pread(self._file.fileno(), size, place))
        with self._lock:
            self._recent[content] = features
            if len(self._recent) > _IN_MEMORY:
                self._recent.popitem(last=False)
        return features

    def close(self) -> None:
        self._file.close()
