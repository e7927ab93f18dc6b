"""An open catalog with what is loaded for it when first needed: the model and the index.

A session can be used from several threads; one of them loads, the others wait. It refuses to work
when it is closed, and to compute in a process that was forked from one that did.
"""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from dedup import binding
from dedup.errors import CollectionError, NoCollectionError
from dedup.query import fresh_index
from dedup.space.space import Space
from dedup.store.catalog import Catalog
from dedup.store.lock import writer_lock
from dedup.store.repair import bind, lost_model
from dedup.store.schema import CATALOG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dedup.models.loaded import TextTower
    from dedup.runtimes.embedder import Embedder
    from dedup.runtimes.select import Runtime as ReadyRuntime
    from dedup.search.index import VectorIndex
    from dedup.spec import ModelSpec, Runtime

STORE_NAME = ".dedup"

_UNFINISHED = (
    "Indexing is under way, or was broken off: what it did not come to is missing here. "
    "To go on: dedup index"
)

AnyAnswer = TypeVar("AnyAnswer", bound=Any)
Value = TypeVar("Value")


def find_store(start: str | os.PathLike[str] = ".") -> Path:
    """Find the nearest collection at or above a folder.

    Raises
    ------
    NoCollectionError
    """
    here = Path(start).resolve()
    for folder in (here, *here.parents):
        if (folder / STORE_NAME / CATALOG).is_file():
            return folder / STORE_NAME
    raise NoCollectionError(
        here,
        "there is no collection here or above. Make one with: dedup index FOLDER; or name one "
        "with --store DIR",
    )


class Session:
    """What a `Collection` works with.

    Attributes
    ----------
    path : the folder of the collection
    notes : what opening or making it has to say
    """

    _computed_in: ClassVar[int] = 0  # the process in which libraries have started threads

    def __init__(self, catalog: Catalog, runtime: Runtime, spec: ModelSpec) -> None:
        self.path = catalog.store
        self.notes: tuple[str, ...] = catalog.notes
        self._catalog = catalog
        self._closed = False
        self._where = runtime
        self._spec = spec
        self._runtime: ReadyRuntime | None = None
        self._text: TextTower | None = None
        self._index: tuple[int, VectorIndex] | None = None
        self._runtime_lock = threading.Lock()
        self._index_lock = threading.Lock()

    @classmethod
    def open(cls, path: Path, spec: ModelSpec, runtime: Runtime) -> Session:
        """Open a collection that has to be as the spec says, or becomes so if its model is lost."""
        if spec.model is not None and lost_model(path) is not None:
            cls._bind(path, spec)
        catalog = Catalog.open(path)
        try:
            binding.check(catalog.fingerprint, catalog.store, spec)
        except BaseException:
            catalog.close()
            raise
        return cls(catalog, runtime, spec)

    @staticmethod
    def _bind(path: Path, spec: ModelSpec) -> None:
        chosen = binding.prepare(spec)
        with writer_lock(path):
            bind(path, chosen.fingerprint)
        if spec.weights is not None:
            with closing(Catalog.open(path)) as catalog:
                catalog.weights_path = os.path.abspath(spec.weights)

    @classmethod
    def create(cls, path: Path, spec: ModelSpec, runtime: Runtime) -> Session:
        """Make a collection; nothing is made when the model or a layer is not available."""
        if (path / CATALOG).exists():
            raise CollectionError(path, "there is a collection already")
        chosen = binding.prepare(spec)
        ready = binding.start(chosen, runtime)
        catalog = Catalog.create(path, chosen.fingerprint)
        if spec.weights is not None:
            catalog.weights_path = os.path.abspath(spec.weights)
        session = cls(catalog, runtime, spec)
        session._runtime = ready
        if chosen.note:
            session.notes += (chosen.note,)
        return session

    def close(self) -> None:
        """Release the database and the model."""
        self._closed = True
        if self._runtime is not None:
            self._runtime.close()
            self._runtime = None
        self._text = None
        self._catalog.close()

    @property
    def catalog(self) -> Catalog:
        """The catalog, to read and to write.

        Raises
        ------
        CollectionError : it was closed.
        """
        if self._closed:
            raise CollectionError(self.path, "the collection is closed")
        return self._catalog

    def computing(self, *, decodes: bool = True) -> Catalog:
        """Give the catalog to a verb that computes.

        Parameters
        ----------
        decodes : images become embeddings, which takes the collection's own decoder

        Raises
        ------
        CollectionError : it was closed; or this process was forked from one that had computed.
        FingerprintError : the decoder is another one.
        """
        catalog = self.catalog
        if Session._computed_in not in {0, os.getpid()}:
            raise CollectionError(
                self.path,
                "this process was forked from one that had used dedup, and the threads of its "
                "libraries do not survive a fork. Start the process by multiprocessing's method "
                "'spawn' instead, or use dedup in the forked process only",
            )
        Session._computed_in = os.getpid()
        if decodes:
            binding.require_decoder(catalog.fingerprint, catalog.store)
        return catalog

    def embedder(self) -> Embedder:
        """Give the collection's own model, loaded when first needed."""
        with self._runtime_lock:
            if self._runtime is None:
                spec = self._spec
                self._runtime = binding.load(self.catalog, spec.weights, self._where, spec.own)
            return self._runtime

    def text(self) -> TextTower:
        """Give the text tower of the collection's model, loaded when first needed.

        Raises
        ------
        ModelError : it has none.
        """
        with self._runtime_lock:
            if self._text is None:
                self._text = binding.text_tower(self.catalog, self._spec.weights, self._spec.own)
            return self._text

    def noted(self, answer: AnyAnswer) -> AnyAnswer:
        """Add to an answer what the model's runtime and the catalog have to say of themselves."""
        notes = () if self._runtime is None else self._runtime.notes
        unfinished = (_UNFINISHED,) if self.catalog.is_unfinished else ()
        notes = (*notes, *unfinished, *self.catalog.damage)
        self.catalog.mark_damage()
        return replace(answer, notes=(*answer.notes, *notes)) if notes else answer

    def space(self) -> Space:
        """Give the space that images are compared in, as it is now."""
        return Space.of(self.catalog)

    @contextmanager
    def searching(self, space: Space) -> Iterator[Callable[[], VectorIndex]]:
        """Read one state of the catalog; yields a function that returns its index.

        The index is loaded, or built, by one thread while the others wait, and kept.
        """
        catalog = self.catalog
        with ExitStack() as stack:
            stack.enter_context(catalog.snapshot())
            if self._index is None or self._index[0] != catalog.version:
                stack.enter_context(self._index_lock)
            ready = stack.enter_context(fresh_index(catalog, space, self._index))

            def index() -> VectorIndex:
                self._index = ready()
                return self._index[1]

            yield index
