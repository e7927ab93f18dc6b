"""The public Python API: a collection of images, and every question that can be asked of it.

One method a verb, the twin of a command; each gives an answer that iterates over rows and carries
notes. Nothing but `apply` and `undo` touches an image. torch is loaded to embed images only.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from dedup.arguments import DEFAULT_TIERS, instance, path_of
from dedup.policy import INFORMATION
from dedup.results import Grouping
from dedup.session import STORE_NAME, Session
from dedup.spec import ModelSpec, Runtime
from dedup.store.schema import CATALOG
from dedup.verbs import integrity, own, pairs, search, watching
from dedup.verbs.acting import ActingVerbs
from dedup.verbs.datasets import DataSetVerbs
from dedup.verbs.decisions import DecisionVerbs
from dedup.verbs.folders import FolderVerbs
from dedup.verbs.holdings import HoldingsVerbs
from dedup.verbs.measure import MeasureVerbs
from dedup.verbs.own import VectorVerbs
from dedup.verbs.reporting import ReportVerbs
from dedup.verbs.reviewing import ReviewVerbs

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from dedup.answer import Progress
    from dedup.report.integrity import RepairAnswer, VerifyAnswer
    from dedup.report.pairs import PairsAnswer
    from dedup.results import (
        Comparison,
        DuplicatesAnswer,
        Explanation,
        IndexSummary,
        QueryAnswer,
        WatchAnswer,
    )

    AnyPath = str | os.PathLike[str]
    Paths = AnyPath | Iterable[AnyPath]


class Collection(
    HoldingsVerbs,
    VectorVerbs,
    FolderVerbs,
    ActingVerbs,
    DecisionVerbs,
    MeasureVerbs,
    ReportVerbs,
    ReviewVerbs,
    DataSetVerbs,
):
    """An open collection. A context manager; `close` it otherwise.

    It can be used from several threads at once, not in a process forked from one that has used it.

    Examples
    --------
    >>> with Collection.open(".dedup", create=True) as collection:  # doctest: +SKIP
    ...     collection.index("Pictures")
    ...     for group in collection.duplicates():
    ...         print(group.keeper, [duplicate.path for duplicate in group.duplicates])
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @classmethod
    def open(
        cls,
        path: AnyPath,
        spec: ModelSpec | None = None,
        *,
        runtime: Runtime | None = None,
        create: bool = False,
    ) -> Collection:
        """Open a collection: its folder, or the folder that holds its `.dedup`.

        Parameters
        ----------
        spec : what the collection has to have been made with; `ModelSpec.weights` also says where
            the weights file is now
        runtime : what runs the model; None: chosen automatically
        create : make a collection at `path` when there is none

        Raises
        ------
        NoCollectionError, FormatError, DamagedError
        FingerprintError : it was made with another model; the text says the way out.
        """
        spec, runtime = instance(spec, ModelSpec, "spec"), instance(runtime, Runtime, "runtime")
        if (
            not ((store := Path(path_of(path, "path"))) / CATALOG).is_file()
            and (store / STORE_NAME / CATALOG).is_file()
        ):
            store = store / STORE_NAME
        if create and not (store / CATALOG).exists():
            return cls(Session.create(store, spec, runtime))
        return cls(Session.open(store, spec, runtime))

    @classmethod
    def create(
        cls, path: AnyPath, spec: ModelSpec | None = None, *, runtime: Runtime | None = None
    ) -> Collection:
        """Make an empty collection for one model.

        Parameters
        ----------
        path : its folder, made when it is missing
        spec, runtime : as in `open`

        Raises
        ------
        ModelError : the model, its weights or a layer is not available.
        CollectionError : there is a collection already.
        """
        spec, runtime = instance(spec, ModelSpec, "spec"), instance(runtime, Runtime, "runtime")
        return cls(Session.create(Path(path_of(path, "path")), spec, runtime))

    @classmethod
    def from_vectors(
        cls,
        ids: Iterable[str | int | os.PathLike[str]] | None,
        vectors: Any,
        *,
        path: AnyPath,
        root: AnyPath | None = None,
        progress: Progress | None = None,
    ) -> Collection:
        """Make a collection of vectors of your own, of any model; whole, or not at all.

        Parameters
        ----------
        ids : (N,) files, or names of anything else; None: the numbers of the rows. What is a file
            is read for proofs; what is not is found by its vector only, and never acted on
        vectors : (N, D) real numbers, of any length but zero; a memory map is read in blocks
        path : the folder of the collection, made when it is missing
        root : what ids are relative to, which then have to be below it; None: the current folder

        Raises
        ------
        VectorsError : ids twice, counts that differ, or a row with NaN, infinity or only zeros.
        CollectionError : there is a collection already; see `add_vectors`.
        """
        return cls(own.made_from(Session, path, ids, vectors, root, progress))

    def close(self) -> None:
        """Release the database and the model; every verb raises `CollectionError` afterwards."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def path(self) -> Path:
        """The folder of the collection."""
        return self._session.path

    @property
    def notes(self) -> tuple[str, ...]:
        """What opening or making it had to say: which model was chosen, a format upgraded."""
        return self._session.notes

    def index(
        self,
        paths: Paths = (),
        progress: Progress | None = None,
        *,
        files: Paths = (),
        exclude: str | Iterable[str] | None = None,
    ) -> IndexSummary:
        """Bring the collection up to date with folders and other sources.

        Parameters
        ----------
        paths : folders, zip and tar archives, files, URLs; without `files` none means all there are
        files : names and URLs of files; one that leads nowhere is a skipped row
        exclude : patterns of what to leave out, by gitignore's rules, kept with the folders instead
            of those from before; "" alone takes those back; None: as before

        Raises
        ------
        LockedError : another process is indexing.
        CollectionError : a folder is missing and was never indexed; the disk is full.
        SourceError : an archive or a server cannot be read.
        FingerprintError : the decoder is another one than the collection was made with.
        """
        return search.index(self._session, paths, progress, exclude, files)

    def watch(
        self, paths: Paths = (), *, tier: str | Iterable[str] = DEFAULT_TIERS
    ) -> Iterator[WatchAnswer]:
        """Keep the collection up to date while folders change; gives an answer after each look.

        The first look, which `index` would take, comes at once, the others after each burst of
        events; between them the iterator waits.

        Parameters
        ----------
        paths : one folder or several; none means all that were indexed before
        tier : as in `compare`; parts are left to `duplicates`

        Raises
        ------
        DedupError : as `index`; or the system has no room to watch so many folders.
        """
        return watching.watch(self._session, paths, tier)

    def query(
        self,
        images: Any = (),
        k: int = 10,
        threshold: float | None = None,
        progress: Progress | None = None,
        *,
        crop: tuple[int, int, int, int] | None = None,
        text: str | Iterable[str] = (),
        not_text: str | Iterable[str] = (),
        vectors: Any = None,
        offline: bool = False,
    ) -> QueryAnswer:
        """Find the indexed images nearest to each query image, or to words.

        Parameters
        ----------
        images : files, URLs, folders, archives, or images in memory (`index_images`): one or more
        k : how many neighbours each; more than there are gives all
        threshold : when given, everything at least this similar (inclusive), and k does not count
        crop : (left, top, width, height), pixels: the part of each to look for
        text, not_text : words added to each image, or alone, and taken off; compares content only
        vectors : (Q, D) instead of images: as wide as those given, or as `export(fused=True)` has
        offline : whether files on drives that are not there now count, too

        Returns
        -------
        By query in the order given, then by falling similarity. An image that is indexed finds
        itself first. What could not be read is in `skipped`.

        Raises
        ------
        ImageError, VectorsError : a single image, not in a list, cannot be read; as `from_vectors`.
        SearchError, ModelError : the collection is empty; words, and its model has no text tower.
        """
        return search.query(
            self._session, images, k, threshold, progress, crop,
            text=text, not_text=not_text, vectors=vectors, offline=offline,
        )  # fmt: skip

    def duplicates(
        self,
        tier: str | Iterable[str] = DEFAULT_TIERS,
        threshold: float | None = None,
        *,
        precision: float | None = None,
        group: str = Grouping.COVER,
        join: str = "auto",
        keep: str | Iterable[str] = INFORMATION,
        offline: bool = False,
        companions: bool = False,
        parts: bool = True,
        under: Paths = (),
        min_bytes: int = 0,
        sort: str = "size",
        progress: Progress | None = None,
    ) -> DuplicatesAnswer:
        """Find the duplicate groups.

        Parameters
        ----------
        tier : the tiers that count: a name, several, or several in one string with commas
        threshold : lowest similarity of tier `similar`, inclusive; None: the model's default
        precision : instead of a threshold, the share of true pairs that it has to promise, in
            (0, 1); needs a calibration
        group : "cover", "clique" or "component"
        join : "exact" compares all images with all; "ivf" compares within overlapping cells, which
            is quicker and misses some pairs (a note says how many of a sample); "auto" takes cells
            where the exact way would take minutes
        keep : which file of a group stays, see `dedup.policy.TERMS`: terms in one string with
            commas, or several; the first that tells two files apart decides
        offline : whether files on drives that are not there now count, too
        companions : whether a raw image and the JPEG or HEIC beside it can be duplicates
        parts : whether images that show a part of another are looked for
        under : only duplicates below one of these folders; their keepers may be elsewhere
        min_bytes : only duplicates that are files of at least this size
        sort : which group comes first: "size", the one with the largest image; "bytes", with the
            most reclaimable bytes; "count", with the most duplicates; "path", by keeper

        Raises
        ------
        CollectionError : nothing below a folder of `under` was ever indexed.
        """
        return pairs.duplicates(
            self._session, tier, threshold, precision, group, join, progress,
            offline=offline, keep=keep, companions=companions, parts=parts,
            under=under, min_bytes=min_bytes, sort=sort,
        )  # fmt: skip

    def pairs(
        self,
        tier: str | Iterable[str] = DEFAULT_TIERS,
        threshold: float | None = None,
        *,
        keep: str | Iterable[str] = INFORMATION,
        offline: bool = False,
        companions: bool = False,
        parts: bool = True,
        progress: Progress | None = None,
    ) -> PairsAnswer:
        """List every pair of images that is proven, whatever groups they are in.

        An image goes by its best file. Files of the same bytes, and images of the same pixels, are
        each paired with the best of them only.

        Parameters
        ----------
        tier, threshold, keep, offline, companions, parts : as in `duplicates`
        """
        return pairs.all_pairs(
            self._session, tier, threshold, progress,
            offline=offline, keep=keep, companions=companions, parts=parts,
        )  # fmt: skip

    def compare(
        self,
        new: Any,
        against: AnyPath | None = None,
        *,
        vectors: Any = None,
        tier: str | Iterable[str] = DEFAULT_TIERS,
        threshold: float | None = None,
        offline: bool = False,
        parts: bool = True,
        progress: Progress | None = None,
    ) -> Comparison:
        """Find out which of some images are in the collection already; one way.

        Parameters
        ----------
        new : as `query` takes images; they need not be indexed, and none matches itself
        against : only matches in this folder count; None: in the whole collection
        vectors : (Q, D), one for each of `new`, which are then ids, in a collection of vectors
        tier, threshold, offline, parts : as in `duplicates`

        Returns
        -------
        The surest match of each image that has one, the surest first.

        Raises
        ------
        CollectionError : nothing of the folder `against` was ever indexed.
        """
        return pairs.compare_new(
            self._session, new, against, tier, threshold, progress,
            vectors=vectors, offline=offline, parts=parts,
        )  # fmt: skip

    def why(
        self,
        first: AnyPath,
        second: AnyPath,
        *,
        image: AnyPath | None = None,
        page: AnyPath | None = None,
    ) -> Explanation:
        """Say in which tier two files are, and the evidence for it.

        Parameters
        ----------
        first, second : files; they need not be indexed
        image : a .png to draw the alignment and the difference into
        page : an .html that shows both, what differs, and every figure

        Returns
        -------
        Without a similarity, and with a note, when the model cannot be loaded.

        Raises
        ------
        ImageError : one of them cannot be read as an image.
        """
        return pairs.explain_pair(self._session, first, second, image, page)

    def verify(self, *, deep: bool = False, progress: Progress | None = None) -> VerifyAnswer:
        """Check that the collection is as it was written; `deep`: and every indexed file, too."""
        return integrity.verify(self._session.catalog.store, progress, deep=deep)

    def repair(self, progress: Progress | None = None) -> RepairAnswer:
        """Make good what can be made good, and read files again whose rows were damaged."""
        return integrity.repair(self._session.catalog.store, progress, self._session)
