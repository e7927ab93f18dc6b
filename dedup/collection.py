"""The public Python API: a collection of pictures, and every question that can be asked of it.

Each method is one use case and the twin of a command. Nothing here prints, and nothing here ever
changes or deletes a picture. torch is loaded only when a picture has to be embedded.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

from dedup import binding
from dedup.binding import ModelChoice
from dedup.errors import (
    CollectionError,
    ImageError,
    NoCollectionError,
    SearchError,
)
from dedup.indexing.diff import count_images, find_changes, require_images
from dedup.indexing.pipeline import run
from dedup.query import answer, embed_queries, expand, fresh_index
from dedup.report.decisions import Decisions
from dedup.report.evaluation import EvaluationAnswer
from dedup.report.status import tell_status
from dedup.results import (
    Comparison,
    DuplicatesAnswer,
    Explanation,
    Group,
    Grouping,
    IndexSummary,
    Neighbour,
    QueryAnswer,
    Skip,
    Status,
    Tier,
)
from dedup.space.space import Space
from dedup.store.catalog import Catalog
from dedup.store.lock import writer_lock
from dedup.store.schema import CATALOG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

    from dedup.calibration import Calibration
    from dedup.report.export import FeatureTable
    from dedup.runtimes.embedder import Embedder
    from dedup.runtimes.select import Runtime
    from dedup.search.index import VectorIndex

STORE_NAME = ".dedup"
DEFAULT_TIERS = (Tier.EXACT, Tier.PIXELS, Tier.NEAR)

__all__ = ["STORE_NAME", "Collection", "count_images", "find_store", "why"]


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


class Collection:
    """An open collection. A context manager; `close` it otherwise.

    Examples
    --------
    >>> with Collection.create(".dedup", untrained=True) as collection:  # doctest: +SKIP
    ...     collection.index(["Pictures"])
    ...     for group in collection.duplicates():
    ...         print(group.keeper, [duplicate.path for duplicate in group.duplicates])
    """

    def __init__(self, catalog: Catalog, runtime: str = "auto") -> None:
        self._catalog = catalog
        self._runtime_kind = runtime
        self._runtime: Runtime | None = None
        self._index: tuple[int, VectorIndex] | None = None
        self.chosen = ""
        """How the content model came to be chosen, in a new collection; "" when it was named."""

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, runtime: str = "auto") -> Collection:
        """Open a collection: its folder, or the folder that holds its `.dedup`.

        Parameters
        ----------
        runtime : what runs the model: "auto" (on CPUs the faster one of "openvino" and
            "onnxruntime", else torch), or one of "torch", "openvino", "onnxruntime"

        Raises
        ------
        NoCollectionError, FormatError, DamagedError
        """
        store = Path(path)
        if not (store / CATALOG).is_file() and (store / STORE_NAME / CATALOG).is_file():
            store = store / STORE_NAME
        return cls(Catalog.open(store), runtime)

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        *,
        model: str | None = None,
        weights: str | os.PathLike[str] | None = None,
        untrained: bool = False,
        layers: Sequence[str] = (),
        views: Sequence[str] = (),
        device: str = "auto",
        runtime: str = "auto",
    ) -> Collection:
        """Make an empty collection for one model.

        Parameters
        ----------
        path : its folder, made when it is missing
        model : timm name, or one that dedup brings along; None: the one that `weights` are of,
            else the default, which `chosen` tells
        weights : safetensors file
        untrained : seeded random weights: enough for copies and light edits, and for no more
        layers : what the extractor hooks; the first is the one that similarity is measured on
        views : "content" (the model's), "details" (local features, no model) or both, the default
        device, runtime : "auto", "cpu" or "cuda"; as in `open`

        Raises
        ------
        ModelError : the model, its weights or a layer cannot be had.
        CollectionError : there is a collection already.
        """
        store = Path(path)
        if (store / CATALOG).exists():
            raise CollectionError(store, "there is a collection already")
        choice = ModelChoice(
            model,
            None if weights is None else Path(weights),
            untrained,
            tuple(layers),
            tuple(views),
        )
        chosen = binding.prepare(choice)
        ready = None
        if chosen.loaded is not None:  # an unknown layer ends here, before anything is made
            ready = binding.runtime(chosen.loaded, chosen.fingerprint, device, runtime)
        collection = cls(Catalog.create(store, chosen.fingerprint), runtime)
        collection.chosen = chosen.note
        if choice.weights is not None:
            collection._catalog.weights_path = os.path.abspath(choice.weights)
        collection._runtime = ready
        return collection

    def close(self) -> None:
        """Release the database and the model."""
        if self._runtime is not None:
            self._runtime.close()
        self._catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def path(self) -> Path:
        """The folder of the collection."""
        return self._catalog.store

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the runtime; empty as long as no picture needed it."""
        return () if self._runtime is None else self._runtime.notes

    # -- indexing --------------------------------------------------------------------------------

    def require(
        self,
        *,
        model: str | None = None,
        weights: str | os.PathLike[str] | None = None,
        untrained: bool = False,
        layers: Sequence[str] = (),
        views: Sequence[str] = (),
    ) -> None:
        """Refuse settings that differ from what the collection was made with.

        Raises
        ------
        FingerprintError : with the differences, and the way out.
        """
        binding.check(
            self._catalog,
            ModelChoice(
                model,
                None if weights is None else Path(weights),
                untrained,
                tuple(layers),
                tuple(views),
            ),
        )

    def index(
        self,
        paths: Iterable[str | os.PathLike[str]] = (),
        *,
        weights: str | os.PathLike[str] | None = None,
        device: str = "auto",
        progress: Callable[[int, int], None] | None = None,
    ) -> IndexSummary:
        """Bring the collection up to date with folders.

        Parameters
        ----------
        paths : folders; none means all that were indexed before
        weights : where the weights file is now, when it has moved
        device : "auto", "cpu" or "cuda"
        progress : told (files handled, files to handle) after every batch

        Raises
        ------
        LockedError : another process is indexing.
        CollectionError : a folder is missing and was never indexed; the disk is full.
        FingerprintError : the decoder is another one than the collection was made with.
        """
        paths = list(paths)
        self.require()
        with writer_lock(self.path):
            changes = find_changes(self._catalog, paths)
            require_images(self._catalog, changes, paths)
            return run(self._catalog, changes, self._embedder(weights, device), progress)

    def _embedder(
        self, weights: str | os.PathLike[str] | None, device: str
    ) -> Callable[[], Embedder]:
        def load() -> Embedder:
            if self._runtime is None:
                path = None if weights is None else Path(weights)
                self._runtime = binding.load(self._catalog, path, device, self._runtime_kind)
            return self._runtime

        return load

    # -- search ----------------------------------------------------------------------------------

    def query(
        self,
        image: str | os.PathLike[str],
        k: int = 10,
        threshold: float | None = None,
    ) -> tuple[Neighbour, ...]:
        """Find the indexed pictures nearest to one.

        Parameters
        ----------
        image : a file; it need not be indexed, and finds itself when it is
        k : how many; more than there are gives all
        threshold : when given, everything at least this similar (inclusive), and k does not count

        Returns
        -------
        By falling similarity.

        Raises
        ------
        ImageError : the file cannot be read as a picture.
        SearchError : the collection is empty.
        """
        answer = self.query_many([image], k, threshold)
        if answer.skipped:
            raise ImageError(answer.skipped[0].path, answer.skipped[0].reason)
        return answer.neighbours

    def query_many(
        self,
        images: Iterable[str | os.PathLike[str]],
        k: int = 10,
        threshold: float | None = None,
        *,
        weights: str | os.PathLike[str] | None = None,
        device: str = "auto",
    ) -> QueryAnswer:
        """Find the indexed pictures nearest to each of several; folders stand for their pictures.

        Parameters and order are those of `query`; queries come in the order given. What cannot be
        read is in `skipped`.
        """
        if threshold is not None and not -1 <= threshold <= 1:
            raise ValueError(f"a threshold is a cosine in [-1, 1], got {threshold}")
        self.require()
        space = Space.of(self._catalog)
        with self._catalog.snapshot(), fresh_index(self._catalog, space, self._index) as ready:
            if not self._catalog.has_images():
                raise SearchError(f"{self.path}: the collection is empty; index a folder first")
            queries = embed_queries(
                self._catalog, space, expand(images), self._embedder(weights, device)
            )
            self._index = ready()
            _, structure = self._index
            return answer(
                self._catalog,
                space,
                structure,
                queries,
                k if threshold is None else None,
                threshold,
            )

    # -- duplicates ------------------------------------------------------------------------------

    def duplicates(
        self,
        tier: str | Iterable[str] = DEFAULT_TIERS,
        threshold: float | None = None,
        group: str = Grouping.COVER,
    ) -> tuple[Group, ...]:
        """Find the duplicate groups.

        Parameters
        ----------
        tier : the tiers that count: a name, several, or several in one string with commas
        threshold : lowest similarity of tier `similar`, inclusive; None: the model's default
        group : "cover", "clique" or "component"

        Returns
        -------
        By the keep order of their keepers: most pixels, most bytes, oldest, path.
        """
        return self.find_duplicates(tier, threshold, group).groups

    def find_duplicates(
        self,
        tier: str | Iterable[str] = DEFAULT_TIERS,
        threshold: float | None = None,
        group: str = Grouping.COVER,
        report: Callable[[str, int, int], None] | None = None,
        *,
        precision: float | None = None,
        join: str = "auto",
    ) -> DuplicatesAnswer:
        """Find the duplicate groups, with notes and progress; parameters as in `duplicates`.

        Parameters
        ----------
        precision : instead of a threshold, the share of true pairs that it has to promise, in
            (0, 1); needs a calibration
        report : told what is being done, how much of it is done, and how much there is
        join : "exact" compares all pictures with all; "ivf" those within overlapping cells, which
            is quicker and misses some pairs (a note says how many of a sample); "auto" takes cells
            where the exact way would take minutes
        """
        from dedup.duplicates.find import find_groups, read_gallery

        space = Space.of(self._catalog)
        threshold = space.threshold(threshold, precision)
        found = find_groups(
            read_gallery(self._catalog, space, join),
            _tiers(tier),
            threshold,
            Grouping(group),
            report or (lambda *_: None),
        )
        return DuplicatesAnswer(tuple(found.groups), threshold, tuple(found.notes))

    def compare(
        self,
        new: Iterable[str | os.PathLike[str]],
        *,
        within: str | os.PathLike[str] | None = None,
        tier: str | Iterable[str] = DEFAULT_TIERS,
        threshold: float | None = None,
        weights: str | os.PathLike[str] | None = None,
        device: str = "auto",
        report: Callable[[str, int, int], None] | None = None,
    ) -> Comparison:
        """Find out which of some pictures are in the collection already; one way.

        Parameters
        ----------
        new : files and folders, which need not be indexed; a picture never matches itself
        within : only matches in this folder count
        tier, threshold, report : as in `find_duplicates`

        Returns
        -------
        The surest match of each picture that has one, the surest first.
        """
        from dedup.duplicates.compare import NewImages, compare
        from dedup.duplicates.find import read_gallery

        self.require()
        space = Space.of(self._catalog)
        queries = embed_queries(self._catalog, space, expand(new), self._embedder(weights, device))
        matches, notes = compare(
            read_gallery(self._catalog, space),
            None if within is None else os.path.realpath(os.fsencode(within)),
            NewImages(
                queries.paths,
                queries.facts,
                queries.raw,
                space.vectors(queries.raw),
            ),
            _tiers(tier),
            space.threshold(threshold),
            report or (lambda *_: None),
        )
        return Comparison(tuple(matches), len(queries.paths), tuple(queries.skipped), tuple(notes))

    def why(
        self,
        first: str | os.PathLike[str],
        second: str | os.PathLike[str],
        *,
        picture: str | os.PathLike[str] | None = None,
        weights: str | os.PathLike[str] | None = None,
        device: str = "auto",
    ) -> Explanation:
        """Say in which tier two files are, and what speaks for it.

        Parameters
        ----------
        first, second : files; they need not be indexed
        picture : a .png to draw the alignment and the difference into

        Raises
        ------
        ImageError : one of them cannot be read as a picture.
        """
        from dedup.duplicates.explain import explain

        self.require()
        names = os.fspath(first), os.fspath(second)
        space = Space.of(self._catalog)
        queries = embed_queries(self._catalog, space, [*names], self._embedder(weights, device))
        for skip in queries.skipped:
            raise ImageError(skip.path, skip.reason)
        one, two = space.vectors(queries.raw).astype(float)
        return explain(
            *names,
            round(float(one @ two), 6),
            space.threshold(),
            ignored=self.decisions.refused(*names),
            picture=None if picture is None else Path(picture),
        )

    def calibrate(
        self,
        *,
        seed: int = 0,
        samples: int = 300,
        weights: str | os.PathLike[str] | None = None,
        device: str = "auto",
        report: Callable[[str, int, int], None] | None = None,
    ) -> Calibration:
        """Measure what a similarity is worth on this collection, and keep the answer with it.

        From then on embeddings are centred before they are compared (and whitened, where that
        helps), and a wanted precision means something. `features` and `export` still give what the
        extractor gave.

        Parameters
        ----------
        seed : equal seeds give equal calibrations of equal collections
        samples : how many pictures to edit and embed

        Raises
        ------
        DedupError : there are too few pictures; the text says how many it takes.
        """
        from dedup.calibration import calibrate

        self.require()
        with writer_lock(self.path):
            return calibrate(
                self._catalog,
                self._embedder(weights, device),
                report or (lambda *_: None),
                seed=seed,
                samples=samples,
            )

    def evaluate(
        self,
        truth: str | os.PathLike[str],
        *,
        root: str | os.PathLike[str] | None = None,
        threshold: float | None = None,
        report: Callable[[str, int, int], None] | None = None,
    ) -> EvaluationAnswer:
        """Compare the pairs that are found, in all tiers, with what is known of them.

        Parameters
        ----------
        truth : groups in JSON, or pairs in a file that ends in .csv
        root : the folder that its names are relative to; None: the indexed folders

        Raises
        ------
        DedupError : the file is none of either, with the line.
        """
        from dedup.duplicates.find import read_gallery, tiered_pairs
        from dedup.report.evaluation import evaluate
        from dedup.report.truth import match, read_truth

        known = read_truth(Path(truth))
        space = Space.of(self._catalog)
        gallery = read_gallery(self._catalog, space)
        roots = [os.fsdecode(one.path) for one in self._catalog.roots()]
        matched = match(
            known,
            map(os.fsdecode, gallery.files.path),
            roots if root is None else [os.path.realpath(root)],
        )
        pairs = tiered_pairs(
            gallery,
            frozenset(Tier),
            space.threshold(threshold),
            report or (lambda *_: None),
        )
        return EvaluationAnswer(evaluate(matched.truth, pairs), matched.missing, matched.ambiguous)

    @property
    def decisions(self) -> Decisions:
        """What a person said of pairs of pictures."""
        return Decisions(self._catalog)

    # -- looking ---------------------------------------------------------------------------------

    def status(self) -> Status:
        """Tell the story of the collection at a glance."""
        return tell_status(self._catalog)

    def skipped(self) -> tuple[Skip, ...]:
        """List the files that could not be read, by path, with their reasons."""
        return tuple(Skip(os.fsdecode(path), reason) for path, reason in self._catalog.skips())

    # -- export ----------------------------------------------------------------------------------

    def features(self, layers: Sequence[str] = ()) -> FeatureTable:
        """Hand over the stored embeddings as the extractor gave them, one row per file.

        Parameters
        ----------
        layers : of those that are stored; none means all

        Raises
        ------
        LayerError : a layer is not stored.
        """
        from dedup.report.export import collect

        return collect(self._catalog, layers)

    def export(self, output: str | os.PathLike[str], layers: Sequence[str] = ()) -> int:
        """Write the stored embeddings to a .npz or .parquet file; gives the number of rows.

        Parameters
        ----------
        layers : of those that are stored; none means all

        Raises
        ------
        LayerError : a layer is not stored.
        DedupError : another ending, or the file cannot be written.
        ExtraMissingError : .parquet without pyarrow.
        """
        from dedup.report.export import check_output, write

        check_output(Path(output))
        features = self.features(layers)
        write(features, Path(output))
        return len(features.paths)


def why(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    *,
    picture: str | os.PathLike[str] | None = None,
) -> Explanation:
    """Say in which tier two files are, without a collection; see `Collection.why`.

    Two files that are only similar get no tier: that takes a model.
    """
    from dedup.duplicates.explain import explain

    names = os.fspath(first), os.fspath(second)
    return explain(*names, None, None, picture=None if picture is None else Path(picture))


def _tiers(tier: str | Iterable[str]) -> frozenset[Tier]:
    return frozenset(map(Tier, tier.split(",") if isinstance(tier, str) else tier))
