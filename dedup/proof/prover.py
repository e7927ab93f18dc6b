"""Proofs on pairs of images, each made once in the life of a collection.

`Prover` runs what is in `chunks` on the cores of one machine: it describes every image that a run
needs once, keeps the descriptions in a temporary file (a few hundred KB each, so that memory does
not grow with the collection), checks the pairs, and commits verdicts as they come. Local features
cost most of a description: they are added for the pairs alone that parts do not settle. What makes
two images one is for `prove`.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections import Counter, deque
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import IO, TYPE_CHECKING, Self

from dedup.descriptors.agreement import Agreement
from dedup.descriptors.parts import PARTS_VERSION
from dedup.errors import CollectionError
from dedup.images.traits import Traits
from dedup.parallel.workers import WORTH_PROCESSES, Workers, cores
from dedup.proof import NO_COMMON_PARTS, VERIFIER
from dedup.proof.dealing import dealt, in_chunks, linked
from dedup.proof.work import (
    Agreed,
    Candidates,
    Chunk,
    Copies,
    Images,
    Measured,
    Outline,
    Outlined,
    proving,
)
from dedup.store.pairs import (
    ContentPair,
    StoredVerdict,
    content_pair,
    read_verdicts,
    write_verdicts,
)
from dedup.store.parts import parts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from dedup.proof.work import Done, Slot, Work
    from dedup.store.catalog import Catalog

_log = logging.getLogger(__name__)

COMMIT_EVERY_PAIRS = 256
MAX_SIFTED = 64
"""Pairs that a worker sifts at once."""
PARTS_AT_ONCE = 1024
"""Images whose parts are in memory at once."""
MAX_PENDING = 64
"""Results that may wait for whoever takes them."""

_REFUTED = StoredVerdict(None, NO_COMMON_PARTS, NO_COMMON_PARTS)


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
        self._stack = ExitStack()
        self._stack.callback(self._descriptions.close)
        self._processes: Workers[Work, Done] | None = None
        self.unreadable: set[bytes] = set()
        self._checked: Counter[bool] = Counter()  # by whether they are proven

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        if self._checked:
            _log.info(
                "%s: %d pairs checked, %d of them proven",
                *(self._catalog.store, self._checked.total(), self._checked[True]),
            )

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
        missing = self._missing(pairs)
        if not missing:
            return
        images = len({content for pair in missing for content in pair})
        with self._workers(images + len(missing)) as workers:
            agreed = self._sift(workers, missing)
            self._outline(workers, agreed)
            readable = linked(filter(self._is_readable, agreed))
            self._check_placed(workers, {pair: agreed[pair] for pair in readable})
            rest = [pair for pair in readable if pair not in self._verdicts]
            self._describe(workers, rest)
            self._check(workers, rest)

    def expect(self, pairs: int) -> None:
        """Have processes start, where so many pairs are worth them, while others are looked for."""
        if pairs >= self._worth_processes:
            with self._workers(pairs) as workers:
                workers.begin()

    def _missing(self, pairs: Iterable[ContentPair]) -> list[ContentPair]:
        """List the pairs that were not checked, each once, so that neighbours share an image."""
        return sorted(pair for pair in set(pairs) if pair not in self._verdicts)

    def _is_readable(self, pair: ContentPair) -> bool:
        return not self.unreadable.intersection(pair)

    def sift(self, pairs: Collection[ContentPair]) -> set[ContentPair]:
        """Refute the pairs of which no parts agree.

        Returns
        -------
        The others, whatever a closer look says or said of them.
        """
        missing = self._missing(pairs)
        if missing:
            with self._workers(len(missing)) as workers:
                self._sift(workers, missing)
        return {pair for pair in pairs if self._verdicts.get(pair) != _REFUTED}

    def prove_copies(self, pairs: Collection[ContentPair]) -> None:
        """Check pairs that are likely to be one image saved twice, many times as fast.

        Pairs that are not stay unchecked.
        """
        missing = self._missing(pairs)
        if not missing:
            return
        with self._workers(len(missing)) as workers:
            self._run(workers, dealt(missing, cores()), self._copies, "Comparing copies")

    def measure(self, files: Sequence[tuple[bytes, Sequence[bytes]]]) -> Iterator[Traits | None]:
        """Give the traits of files, by content and paths, in order; None of one that is unreadable.

        Where processes run already, which is quicker than threads of its own.
        """
        with self._workers(len(files)) as workers:
            for found in workers.run((Measured(*file) for file in files), MAX_PENDING):
                yield found if isinstance(found, Traits) else None

    @contextmanager
    def _workers(self, items: int) -> Iterator[Workers[Work, Done]]:
        """Give threads for little work; processes, once they were worth it, are kept for the rest.

        Each takes most of a second to start, and remembers the images that it read.
        """
        processes = items >= self._worth_processes
        if self._processes is None:
            workers: Workers[Work, Done] = Workers(
                partial(proving, self._descriptions.path),
                processes=processes,
                lost=lambda _item, _cause: None,
            )
            if not processes:
                with workers:
                    yield workers
                return
            self._processes = self._stack.enter_context(workers)
        yield self._processes

    def _sift(
        self, workers: Workers[Work, Done], pairs: list[ContentPair]
    ) -> dict[ContentPair, Agreement]:
        """Refute the pairs of which no parts agree, by what the catalog knows of them.

        Returns
        -------
        The others, in order, with what is known of their parts.
        """
        left = dict.fromkeys(pairs, Agreement(0))
        known: deque[tuple[ContentPair, ...]] = deque()
        slots = self._parts({content for pair in pairs for content in pair})

        def work() -> Iterator[Work]:
            described = [pair for pair in pairs if slots.keys() >= set(pair)]
            for chunk in in_chunks(described, MAX_SIFTED):
                known.append(chunk)
                yield Candidates(chunk, {each: slots[each] for pair in chunk for each in pair})

        new: dict[ContentPair, StoredVerdict] = {}
        for done, found in enumerate(workers.run(work(), MAX_PENDING), 1):
            asked = known.popleft()
            if isinstance(found, Agreed):
                new |= dict.fromkeys((pair for pair in asked if pair not in found.pairs), _REFUTED)
                left |= found.pairs
            if len(new) >= COMMIT_EVERY_PAIRS:
                self._keep(new)
                new = {}
            self._report("Comparing parts", min(done * MAX_SIFTED, len(pairs)), len(pairs))
        self._keep(new)
        return {pair: agreed for pair, agreed in left.items() if pair not in self._verdicts}

    def _parts(self, contents: Iterable[bytes]) -> Mapping[bytes, Slot]:
        """Write the parts of images to the file, each once: most are in several chunks of pairs."""
        slots = self._descriptions.parts
        new = sorted(set(contents) - slots.keys())
        for start in range(0, len(new), PARTS_AT_ONCE):
            some = new[start : start + PARTS_AT_ONCE]
            self._descriptions.add_parts(parts_of(self._catalog, PARTS_VERSION, some))
        return slots

    def _outline(self, workers: Workers[Work, Done], pairs: Iterable[ContentPair]) -> None:
        wanted = {content for pair in pairs for content in pair}
        new = sorted(content for content in wanted if content not in self._descriptions)
        lost = self._outline_all(workers, dealt(new, cores()))
        # One image brought its process down, and others with it: now each has its own.
        self.unreadable |= set(self._outline_all(workers, in_chunks(lost, 1)))

    def _outline_all(
        self, workers: Workers[Work, Done], chunks: Sequence[tuple[bytes, ...]]
    ) -> list[bytes]:
        """Describe images chunk by chunk; give back those that were lost."""
        lost: list[bytes] = []
        done, count = 0, sum(map(len, chunks))
        work = (Images({each: self._sources.get(each, ()) for each in chunk}) for chunk in chunks)
        for chunk, found in zip(chunks, workers.run(work, MAX_PENDING), strict=True):
            outlines = found.packed if isinstance(found, Outlined) else {}
            lost += [content for content in chunk if content not in outlines]
            for content, packed in outlines.items():
                if packed is None:
                    self.unreadable.add(content)
                else:
                    self._descriptions.add(content, packed)
            done += len(chunk)
            self._report("Reading", done, count)
        return lost

    def _describe(self, workers: Workers[Work, Done], pairs: Iterable[ContentPair]) -> None:
        wanted = sorted({content for pair in pairs for content in pair})
        new = [content for content in wanted if content not in self._descriptions.whole]
        work = (Outline(self._descriptions.slots[content]) for content in new)
        for done, (content, packed) in enumerate(
            zip(new, workers.run(work, MAX_PENDING), strict=True), 1
        ):
            if isinstance(packed, bytes):
                self._descriptions.add(content, packed)
                self._descriptions.whole.add(content)
            self._report("Describing", done, len(new))

    def _check_placed(
        self, workers: Workers[Work, Done], agreed: Mapping[ContentPair, Agreement]
    ) -> None:
        """Check the pairs that their parts settle."""
        self._run(
            workers,
            dealt(list(agreed), cores()),
            lambda chunk: self._work(chunk, {pair: agreed[pair] for pair in chunk}),
            "Placing",
        )

    def _check(self, workers: Workers[Work, Done], pairs: list[ContentPair]) -> None:
        lost = self._run(workers, dealt(pairs, cores()), self._work, "Proving")
        # One pair brought its process down, and its chunk with it: now each has its own.
        self._run(workers, in_chunks(lost, 1), self._work, "Proving")

    def _run(
        self,
        workers: Workers[Work, Done],
        chunks: Sequence[tuple[ContentPair, ...]],
        work: Callable[[tuple[ContentPair, ...]], Work],
        doing: str,
    ) -> list[ContentPair]:
        """Check pairs chunk by chunk, and keep the verdicts; give back the pairs that were lost."""
        lost: list[ContentPair] = []
        new: dict[ContentPair, StoredVerdict] = {}
        done, count = 0, sum(map(len, chunks))
        results = workers.run(map(work, chunks), MAX_PENDING)
        for chunk, found in zip(chunks, results, strict=True):
            if isinstance(found, dict):
                new |= found
            else:
                lost += chunk
            if len(new) >= COMMIT_EVERY_PAIRS:
                self._keep(new)
                new = {}
            done += len(chunk)
            self._report(doing, done, count)
        self._keep(new)
        return lost

    def _copies(self, chunk: tuple[ContentPair, ...]) -> Copies:
        return Copies(chunk, {each: self._sources.get(each, ()) for pair in chunk for each in pair})

    def _work(
        self, chunk: tuple[ContentPair, ...], agreed: Mapping[ContentPair, Agreement] | None = None
    ) -> Chunk:
        contents = {content for pair in chunk for content in pair}
        return Chunk(
            chunk,
            {content: self._descriptions.slots[content] for content in contents},
            {content: self._sources.get(content, ()) for content in contents},
            agreed,
        )

    def _keep(self, found: dict[ContentPair, StoredVerdict]) -> None:
        if not found:
            return
        self._verdicts |= found
        self._checked.update(verdict.tier is not None for verdict in found.values())
        with suppress(CollectionError):  # a collection that cannot be written to is checked again
            write_verdicts(self._catalog, VERIFIER, found)


class _Descriptions:
    """Packed descriptions by content, in a temporary file that workers read by its path.

    Where the system shows open files (Linux) it has no name: nothing is left of it, however the
    program ends. `whole` are those with local features; `parts` of images are beside them.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by `close`
        self.path = f"/proc/{os.getpid()}/fd/{self._file.fileno()}"
        if not os.path.exists(self.path):
            self._file.close()
            self._file = tempfile.NamedTemporaryFile(prefix="dedup-", buffering=0)  # noqa: SIM115 - as above
            self.path = self._file.name
        self.slots: dict[bytes, Slot] = {}
        self.whole: set[bytes] = set()
        self.parts: dict[bytes, Slot] = {}
        self._end = 0

    def __contains__(self, content: bytes) -> bool:
        return content in self.slots

    def add(self, content: bytes, packed: bytes) -> None:
        self._add(self.slots, {content: packed})

    def add_parts(self, parts: Mapping[bytes, bytes]) -> None:
        self._add(self.parts, parts)

    def _add(self, slots: dict[bytes, Slot], packed: Mapping[bytes, bytes]) -> None:
        self._file.write(b"".join(packed.values()))
        for content, one in packed.items():
            slots[content] = self._end, len(one)
            self._end += len(one)

    def close(self) -> None:
        self._file.close()
