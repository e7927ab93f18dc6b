"""The public Python API: a collection of images, and every question that can be asked of it.

One method a verb, the twin of a command; each returns an answer that iterates over its rows and
carries notes. Nothing here prints, and nothing but `apply` and `undo` touches an image. torch is
loaded only when an image has to be embedded.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

from dedup.arguments import path_of
from dedup.policy import INFORMATION
from dedup.results import Grouping
from dedup.session import STORE_NAME, Session, instance
from dedup.spec import ModelSpec, Runtime
from dedup.store.schema import CATALOG
from dedup.verbs import integrity, measure, pairs, search, watching
from dedup.verbs.acting import ActingVerbs
from dedup.verbs.datasets import DataSetVerbs
from dedup.verbs.decisions import DecisionVerbs
from dedup.verbs.folders import FolderVerbs
from dedup.verbs.holdings import HoldingsVerbs
from dedup.verbs.pairs import DEFAULT_TIERS
from dedup.verbs.reporting import ReportVerbs
from dedup.verbs.reviewing import ReviewVerbs

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from dedup.answer import Progress
    from dedup.report.calibration import CalibrationAnswer
    from dedup.report.evaluation import EvaluationAnswer
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
    HoldingsVerbs, FolderVerbs, ActingVerbs, DecisionVerbs, ReportVerbs, ReviewVerbs, DataSetVerbs
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
        store = Path(path_of(path, "path"))
        spec, runtime = instance(spec, ModelSpec, "spec"), instance(runtime, Runtime, "runtime")
        if not (store / CATALOG).is_file() and (store / STORE_NAME / CATALOG).is_file():
            store = store / STORE_NAME
        if create and not (store / CATALOG).exists():
            return cls(Session.create(store, spec, runtime))
        return cls(Session.open(store, spec, runtime))

    @classmethod
    def create(
        cls, path: AnyPath, spec: ModelSpec | None = None, *, runtime: Runtime | None = None
    ) -> Collection:
        """Make an empty collection for one model, in a folder that need not be there.

        Parameters
        ----------
        path, spec, runtime : as in `open`

        Raises
        ------
        ModelError : the model, its weights or a layer is not available.
        CollectionError : there is a collection already.
        """
        spec, runtime = instance(spec, ModelSpec, "spec"), instance(runtime, Runtime, "runtime")
        return cls(Session.create(Path(path_of(path, "path")), spec, runtime))

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
        exclude: str | Iterable[str] | None = None,
    ) -> IndexSummary:
        """Bring the collection up to date with folders.

        Parameters
        ----------
        paths : one folder or several; none means all that were indexed before
        exclude : what to leave out, by gitignore's rules, kept instead of what was given before;
            "" alone takes that back; None: as before

        Raises
        ------
        LockedError : another process is indexing.
        CollectionError : a folder is missing and was never indexed; the disk is full.
        FingerprintError : the decoder is another one than the collection was made with.
        """
        return search.index(self._session, paths, progress, exclude)

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
        images: Paths = (),
        k: int = 10,
        threshold: float | None = None,
        progress: Progress | None = None,
        *,
        text: str | Iterable[str] = (),
        not_text: str | Iterable[str] = (),
        offline: bool = False,
    ) -> QueryAnswer:
        """Find the indexed images nearest to each query image, or to words.

        Parameters
        ----------
        images : one file or several, which need not be indexed; a folder stands for its images
        k : how many neighbours each; more than there are gives all
        threshold : when given, everything at least this similar (inclusive), and k does not count
        text, not_text : what is to be seen, and what not: added to each image, or alone, and taken
            off it, as unit vectors; only content is compared then
        offline : whether files on drives that are not there now count, too

        Returns
        -------
        By query in the order given, then by falling similarity. An image that is indexed finds
        itself first. What could not be read is in `skipped`.

        Raises
        ------
        ImageError : a single image was given, not in a list, and cannot be read.
        SearchError, ModelError : the collection is empty; words, and its model has no text tower.
        """
        return search.query(
            self._session, images, k, threshold, progress,
            text=text, not_text=not_text, offline=offline,
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
        join : "exact" compares all with all; "ivf" within overlapping cells, missing some pairs
            (a note says how many of a sample); "auto" takes cells where that saves minutes
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
        new: Paths,
        against: AnyPath | None = None,
        *,
        tier: str | Iterable[str] = DEFAULT_TIERS,
        threshold: float | None = None,
        offline: bool = False,
        parts: bool = True,
        progress: Progress | None = None,
    ) -> Comparison:
        """Find out which of some images are in the collection already; one way.

        Gives the surest match of each image that has one, the surest first.

        Parameters
        ----------
        new : files and folders, which need not be indexed; an image never matches itself
        against : only matches in this folder count; None: in the whole collection
        tier, threshold, offline, parts : as in `duplicates`

        Raises
        ------
        CollectionError : nothing of the folder `against` was ever indexed.
        """
        return pairs.compare_new(
            self._session, new, against, tier, threshold, progress, offline=offline, parts=parts
        )

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

    def calibrate(
        self,
        *,
        seed: int = 0,
        samples: int = 300,
        chart: AnyPath | None = None,
        progress: Progress | None = None,
    ) -> CalibrationAnswer:
        """Measure what a similarity is worth in this collection, and keep the answer with it.

        From then on a wanted precision means something, and the default threshold is measured.
        Similarities stay as they are.

        Parameters
        ----------
        seed : equal seeds give equal calibrations of equal collections
        samples : how many images to edit and embed
        chart : an .svg to draw the curve into

        Raises
        ------
        DedupError : there are too few images; the text says how many it takes.
        """
        return measure.calibrate(self._session, seed, samples, chart, progress)

    def evaluate(
        self,
        truth: AnyPath,
        *,
        root: AnyPath | None = None,
        threshold: float | None = None,
        chart: AnyPath | None = None,
        progress: Progress | None = None,
    ) -> EvaluationAnswer:
        """Compare the pairs that are found, in all tiers, with known ones.

        Parameters
        ----------
        truth : groups in JSON, or pairs in a file that ends in .csv
        root : the folder that its names are relative to; None: the indexed folders
        chart : an .svg to draw precision over recall into

        Raises
        ------
        DedupError : the file is neither, with the line.
        """
        return measure.evaluate(self._session, truth, root, threshold, chart, progress)

    def verify(self, *, deep: bool = False, progress: Progress | None = None) -> VerifyAnswer:
        """Check that the collection is as it was written; `deep`: and every indexed file, too."""
        return integrity.verify(self._session.catalog.store, progress, deep=deep)

    def repair(self, progress: Progress | None = None) -> RepairAnswer:
        """Make good what can be made good, and read files again whose rows were damaged."""
        return integrity.repair(self._session.catalog.store, progress, self._session)
