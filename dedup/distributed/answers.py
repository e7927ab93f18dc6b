"""What a collection in object storage answers: the verbs of `Collection` that work there."""

from __future__ import annotations

import os
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from dedup.arguments import (
    COPY_TIERS,
    DEFAULT_TIERS,
    callback_of,
    count_of,
    one_of,
    path_of,
    paths_of,
    threshold_of,
    tiers_of,
)
from dedup.distributed.commits import committed, done_of, read
from dedup.distributed.grouping import make_groups, proofs, read_etags, read_groups
from dedup.distributed.joining import join
from dedup.distributed.listing import Whole, gone_ids, known_rows, latest, whole
from dedup.distributed.schemas import MEASURED, ROW_BITS, shard_name
from dedup.distributed.settings import Settings, join_names
from dedup.distributed.sifting import refutations
from dedup.distributed.sweeping import sweep
from dedup.duplicates.select import SORTS, Wanted, in_order
from dedup.duplicates.tiers import capped_note, group_of
from dedup.errors import CollectionError
from dedup.policy import INFORMATION, KeepPolicy
from dedup.results import DuplicatesAnswer, Grouping, Neighbour, QueryAnswer, Tier
from dedup.space.space import Space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dedup.actions.outcomes import Acted
    from dedup.answer import Progress
    from dedup.collection import Collection
    from dedup.distributed.engine import Engine
    from dedup.distributed.joining import Joined
    from dedup.distributed.plans import SharedPlan
    from dedup.distributed.run import Run
    from dedup.results import Explanation, Group
    from dedup.store.catalog import Catalog

    AnyPath = str | os.PathLike[str]
    Paths = AnyPath | Iterable[AnyPath]

_NOTHING: Final = "nothing was indexed yet. Run: dedup index URL"

MOST_FETCHED: Final = 20_000_000
"""Images up to which a machine can hold a collection."""


class SharedAnswers:
    """The verbs of a collection in object storage that answer questions."""

    _run: Run
    _engine: Callable[[], Engine]

    def duplicates(
        self,
        tier: str | Iterable[str] = DEFAULT_TIERS,
        threshold: float | None = None,
        *,
        group: str = "cover",
        under: Iterable[str] = (),
        min_bytes: int = 0,
        sort: str = "size",
        companions: bool = False,
        parts: bool = True,
        keep: str | Iterable[str] = INFORMATION,
        progress: Progress | None = None,
    ) -> DuplicatesAnswer:
        """Find the duplicate groups; what an earlier call or run has done is not done again.

        Parameters
        ----------
        under : URLs of folders
        the others : as in `Collection.duplicates`

        Raises
        ------
        CollectionError : of a folder of `under` nothing was indexed.
        StorageError, SearchError
        """
        return self._listed(
            tier, threshold, progress, group=group, under=under, min_bytes=min_bytes, sort=sort,
            companions=companions, parts=parts, keep=keep,
        )[1]  # fmt: skip

    def _listed(
        self,
        tier: Any,
        threshold: Any,
        progress: Progress | None,
        *,
        under: Iterable[str] = (),
        min_bytes: int = 0,
        sort: str = "size",
        **options: Any,
    ) -> tuple[Settings, DuplicatesAnswer]:
        """Find the duplicate groups, as `duplicates`; gives what they depend on as well."""
        report = callback_of(progress)
        of = whole(self._run.storage)
        settings = self._settings(tier, threshold, of=of, **options)
        sort = one_of(sort, SORTS, "sort")
        wanted = Wanted(self._indexed(under), count_of(min_bytes, "min_bytes", 0))
        with self._engine() as engine:
            told = join(self._run, engine, settings, report)
            is_new = make_groups(self._run, engine, settings, report)
        if is_new:
            sweep(self._run, litter=False)
        groups, notes = read_groups(self._run.storage, settings)
        chosen = [one for one in (_chosen(each, wanted) for each in groups) if one is not None]
        notes = [*told.notes, *_cells_notes(told), *notes]
        if of.left:
            notes.insert(0, f"This is of the files listed before: {of.told(self._run.store)}")
        found = in_order(chosen, sort)
        return settings, DuplicatesAnswer(tuple(found), settings.threshold, tuple(notes))

    def why(self, first: AnyPath, second: AnyPath) -> Explanation:
        """Say in which tier two files are, as `Collection.why`; files of this computer or URLs."""
        names = path_of(first, "first"), path_of(second, "second")
        rows = self._rows_of(names)
        with self._small(rows) as collection:
            return collection.why(*names)

    def query(self, paths: Paths, k: int = 10, *, progress: Progress | None = None) -> QueryAnswer:
        """Find the images most similar to some images, as `Collection.query`.

        Looked for in the cells that a query falls in, once a list has divided the collection.
        """
        from dedup.distributed.searching import named, nearest, searched_notes
        from dedup.query import embed_queries, expand

        names, k = [*paths_of(paths, "paths")], count_of(k, "k", 1)
        with self._small([]) as collection:
            session = collection._session  # noqa: SLF001 - the one way to its model
            space, report = session.space(), callback_of(progress)
            asked = embed_queries(session.catalog, space, expand(names), session.embedder, report)
        settings = self._settings()
        wanted = k
        while True:
            found = nearest(self._run, asked.raw, wanted)
            files = named(self._run, settings, found.near)
            # Of what the cells hold, all files may be gone meanwhile.
            if all(
                len(some) >= k or len(near.ids) < wanted
                for some, near in zip(files, found.near, strict=True)
            ):
                break
            wanted *= 4
        neighbours = [
            Neighbour(name, rank, url, similarity)
            for name, some in zip(asked.paths, files, strict=True)
            for rank, (url, similarity) in enumerate(some[:k], 1)
        ]
        return QueryAnswer(tuple(neighbours), tuple(asked.skipped), tuple(searched_notes(found)))

    def plan(
        self,
        action: str,
        tier: str | Iterable[str] = COPY_TIERS,
        *,
        progress: Progress | None = None,
        **options: Any,
    ) -> SharedPlan:
        """Plan which duplicates are to go; nothing is touched.

        Parameters
        ----------
        action : "move:URL", "tag" or "delete"
        the others : as in `duplicates`

        Raises
        ------
        ValueError : there is no such action, or a tier is not proven.
        PlanError : the place of "move" is inside an indexed folder or the collection.
        """
        from dedup.distributed.plans import check_target, check_tiers, make_plan

        tiers = tiers_of(tier)
        check_tiers(tiers)
        roots = self._roots()
        check_target(action, self._run.store, roots)
        settings, found = self._listed(tiers, options.pop("threshold", None), progress, **options)
        etags = read_etags(self._run.storage, settings)
        return make_plan(self._run.store, roots, action, found, etags, found.notes)

    def apply(
        self,
        plan: SharedPlan,
        *,
        dry_run: bool = False,
        unversioned: bool = False,
        progress: Progress | None = None,
    ) -> Acted:
        """Carry out a plan; as `acting.apply`."""
        from dedup.distributed import acting

        report = callback_of(progress)
        return acting.apply(
            self._run.storage, plan, dry_run=dry_run, unversioned=unversioned, progress=report
        )

    def undo(
        self, run: str | None = None, *, dry_run: bool = False, progress: Progress | None = None
    ) -> Acted:
        """Bring back what a run of `apply` took away; as `acting.undo`."""
        from dedup.distributed import acting

        report = callback_of(progress)
        return acting.undo(self._run.storage, run, dry_run=dry_run, progress=report)

    def fetch(self, folder: AnyPath, *, progress: Progress | None = None) -> Collection:
        """Make an ordinary collection of this one, with all that is known of its images.

        Parameters
        ----------
        folder : where there is no collection yet

        Returns
        -------
        The collection, open. Its files are known by their URLs.

        Raises
        ------
        CollectionError : there is a collection already, or this one is too large for a machine.
        """
        # These take long to import, as what other methods import themselves.
        from dedup.collection import Collection
        from dedup.distributed.importing import Known, add_known, make_catalog
        from dedup.duplicates.relate import compared_state

        storage, report = self._run.storage, callback_of(progress)
        path = Path(path_of(folder, "folder"))
        done = committed(storage, "embed")
        if sum(one.rows for one in done.values()) > MOST_FETCHED:
            raise CollectionError(
                path,
                f"{storage.url} holds more than {MOST_FETCHED:,} images, too many for one machine",
            )
        if path.exists() and any(path.iterdir()):
            raise CollectionError(path, "is not empty: name a new folder")
        gone = pa.array(gone_ids(storage))

        def rows() -> Iterator[pa.Table]:
            for number, one in enumerate(done.values()):
                table = read(storage, one)
                yield table.filter(pc.invert(pc.is_in(table["id"], gone)))
                report("Fetching images", number + 1, len(done))

        with closing(make_catalog(path, self._run.meta.pinned, rows())) as catalog:
            proven = proofs(storage)
            for number, (verdicts, measured) in enumerate(proven.values()):
                add_known(catalog, Known(read(storage, verdicts), read(storage, measured)))
                report("Fetching proofs", number + 1, len(proven))
            generation = latest(storage)
            joins = [] if generation is None else self._voted(generation.number)
            for name in joins:
                add_known(catalog, Known(refutations(storage, name), MEASURED.empty_table()))
            if joins:
                catalog.parts_compared = compared_state(catalog, few=True)
            _name_weights(catalog, self._run)
        return Collection.open(path)

    def _voted(self, generation: int) -> list[str]:
        """Name the joins of a generation for which parts were compared."""
        storage = self._run.storage
        start = f"join/{generation:06d}-"
        return [
            one for one in join_names(storage)
            if one.startswith(start) and "0" in committed(storage, f"{one}/votes")
        ]  # fmt: skip

    def _indexed(self, under: Iterable[str]) -> tuple[bytes, ...]:
        """Check that of each folder something was indexed."""
        roots = self._roots()
        folders = tuple(one.rstrip("/") for one in paths_of(under, "under"))
        for folder in folders:
            below, inside = f"{folder}/", (f"{root}/" for root in roots)
            if not any(one.startswith(below) or below.startswith(one) for one in inside):
                raise CollectionError(
                    folder,
                    f"is not indexed in {self._run.store}, which holds {', '.join(roots)}; name "
                    "a folder of these by its URL, or index it first",
                )
        return tuple(map(os.fsencode, folders))

    def _roots(self) -> tuple[str, ...]:
        """Give the URLs that were indexed."""
        generation = latest(self._run.storage)
        return () if generation is None else generation.roots

    def _settings(
        self,
        tier: Any = DEFAULT_TIERS,
        threshold: Any = None,
        *,
        group: Any = Grouping.COVER.value,
        keep: Any = INFORMATION,
        companions: bool = False,
        parts: bool = True,
        of: Whole | None = None,
    ) -> Settings:
        if of is None:
            newest = latest(self._run.storage)
            of = Whole(-1 if newest is None else newest.number, None, 0)
        if of.number < 0:
            words = of.told(self._run.store) if of.left else _NOTHING
            raise CollectionError(self._run.store, words)
        tiers = tiers_of(tier) - {Tier.VIDEO}
        return Settings(
            of.number,
            Space(self._run.meta.pinned).threshold(threshold_of(threshold)),
            tuple(sorted(one.value for one in tiers)),
            Grouping(one_of(group, Grouping, "group")).value,
            KeepPolicy.of(keep).texts,
            companions=companions,
            parts=parts,
            shards=of.shards,
        )

    def _rows_of(self, names: Iterable[str]) -> list[pa.Table]:
        """Read the rows of those of some files that are in the collection."""
        storage, wanted = self._run.storage, set(names)
        generation = latest(storage)
        if generation is None or not any(
            name.startswith(f"{root}/") for name in wanted for root in generation.roots
        ):
            return []
        ids = [
            row.id for row in known_rows(storage, generation) if f"{row.root}/{row.key}" in wanted
        ]
        found = []
        for shard in sorted({one >> ROW_BITS for one in ids}):
            table = read(storage, done_of(storage, "embed", shard_name(shard)))
            found.append(table.filter(pc.is_in(table["id"], pa.array(ids))))
        return found

    @contextmanager
    def _small(self, tables: list[pa.Table]) -> Iterator[Collection]:
        """Make a small collection of some rows, whose images are read from object storage."""
        from dedup.collection import Collection
        from dedup.distributed.images import reading
        from dedup.distributed.importing import make_catalog

        roots = {root for table in tables for root in table["root"].unique().to_pylist()}
        with (
            tempfile.TemporaryDirectory(prefix="dedup-") as folder,
            reading(roots, Path(folder)),
        ):
            path = Path(folder) / "few"
            with closing(make_catalog(path, self._run.meta.pinned, tables)) as catalog:
                _name_weights(catalog, self._run)
            with Collection.open(path) as collection:
                yield collection


def _name_weights(catalog: Catalog, run: Run) -> None:
    """Say where the weights are that a run brings along."""
    from dedup.distributed.weights import weights_file

    weights = weights_file(run)
    if weights is not None:
        catalog.weights_path = os.fspath(weights)


def _chosen(group: Group, wanted: Wanted) -> Group | None:
    """Keep the duplicates of a group that are wanted; None where none is."""
    members = [one for one in group.duplicates if wanted.takes(os.fsencode(one.path), one.bytes)]
    if not members:
        return None
    return group_of(group.number, group.keeper, members, group.min_similarity, group.kept_because)


def _cells_notes(told: Joined) -> list[str]:
    notes = []
    if told.cells > 1:
        notes.append(
            f"Pairs were looked for within {told.cells:,} cells, each image in {told.overlap} of "
            f"them; of {told.pairs:,} pairs of sampled images that finds {told.recall:.2%}"
        )
    if told.capped:
        notes.append(capped_note(told.capped))
    return notes
