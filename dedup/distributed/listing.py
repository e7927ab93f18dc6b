"""What is in object storage, listed in generations: what is new, what has changed, what is gone.

A generation is one commit of stage "list", of a manifest that names its objects: the shards of new
and changed files, the ids that are gone, and all that is known by then, in chunks by root and key.
A listing is merged with the chunks of the generation before as it streams in, so that memory does
not grow with it, and chunks that nothing changed in are taken over as they are.
"""

from __future__ import annotations

import json
import re
from array import array
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pyarrow as pa

from dedup.distributed import commits
from dedup.distributed.chunks import Chunks, Shards, Written, rows_of
from dedup.distributed.entries import is_kept, is_same, kept, listed_below
from dedup.distributed.schemas import shard_name
from dedup.distributed.storage import Storage, StorageError
from dedup.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    import numpy.typing as npt

    from dedup.distributed.commits import Done
    from dedup.distributed.entries import Row
    from dedup.distributed.run import Run

STAGE: Final = "list"
_ATTEMPT: Final = re.compile(rf"{STAGE}/(\d+)-[0-9a-f]{{12}}/")  # as `Written` names its objects
_PATIENCE: Final = 5.0  # seconds that an object which could not be read is asked for
_TOLD: Final = 1000  # entries between two reports of progress


@dataclass(frozen=True, slots=True)
class Generation:
    """What a listing found, and what is known since.

    Parameters
    ----------
    roots : URLs, rising
    exclude : patterns of what is left out, by gitignore's rules
    shards : of new and changed files, as `embed` takes them
    gone : ids of files that are not there any more, or have another id now; None: there are none
    known : what is there, by rising root and key
    next_shard : number of the first shard of the next generation
    files : that are there
    size : of all of them, bytes
    new, changed, lost : files, counted
    notes : what a person should know of it
    """

    number: int
    roots: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    shards: tuple[Done, ...] = ()
    gone: Done | None = None
    known: tuple[Done, ...] = ()
    next_shard: int = 0
    files: int = 0
    size: int = 0
    new: int = 0
    changed: int = 0
    lost: int = 0
    notes: tuple[str, ...] = ()

    @property
    def unchanged(self) -> int:
        """Files that are there as they were."""
        return self.files - self.new - self.changed

    @property
    def parts(self) -> tuple[Done, ...]:
        """The objects that it consists of."""
        return (*self.shards, *self.known, *([self.gone] if self.gone else []))

    @property
    def is_empty(self) -> bool:
        """Whether nothing has changed."""
        return not (self.shards or self.gone)

    def to_json(self) -> bytes:
        """Write it as the object that its commit names."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Generation:
        """Read what `to_json` wrote."""
        fields = json.loads(data)
        for name in ("shards", "known"):
            fields[name] = tuple(commits.Done(**one) for one in fields[name])
        for name in ("roots", "exclude", "notes"):
            fields[name] = tuple(fields[name])
        if fields["gone"] is not None:
            fields["gone"] = commits.Done(**fields["gone"])
        return cls(**fields)


def generations(storage: Storage) -> list[Generation]:
    """Read all generations, the oldest first."""
    found = commits.committed(storage, STAGE).values()
    return [Generation.from_json(commits.read_bytes(storage, done)) for done in found]


def latest(storage: Storage) -> Generation | None:
    """Read the last generation; None before the first."""
    done = [*commits.committed(storage, STAGE).values()]
    return Generation.from_json(commits.read_bytes(storage, done[-1])) if done else None


def shards(storage: Storage) -> dict[str, Done]:
    """Name every shard that was ever listed, in order; all of them are embedded."""
    return {one.shard: one for each in generations(storage) for one in each.shards}


class Whole(NamedTuple):
    """The last generation of which all that was listed by then is embedded.

    Parameters
    ----------
    number : of the generation; -1: there is none
    shards : that were listed by then; their numbers are lower; None: whatever is embedded
    left : shards, of all that there are, that are not embedded
    """

    number: int
    shards: int | None
    left: int

    def told(self, store: str) -> str:
        """Say what is left, and how to go on."""
        left = f"shards of what was listed last that are not read yet: {self.left:,}"
        return f"{left}. To go on with them: dedup index --store {store}"


def whole(storage: Storage) -> Whole:
    """Find the last generation of which all that was listed by then is embedded."""
    embedded = commits.names(storage, "embed")
    number, shards, listed = -1, 0, 0
    for done in commits.committed(storage, STAGE).values():
        new = range(listed, listed + done.extra["shards"])
        listed = new.stop
        if shards == new.start and all(shard_name(one) in embedded for one in new):
            number, shards = int(done.shard), listed
    return Whole(number, shards, listed - len(embedded))


def gone_ids(storage: Storage, last: int | None = None) -> npt.NDArray[np.int64]:
    """Read the ids of files that are gone, or were replaced by another; rising.

    Parameters
    ----------
    last : generation up to which they were; None: of all
    """
    found = [
        commits.read(storage, one.gone)["id"].to_numpy()
        for one in generations(storage)
        if one.gone is not None and (last is None or one.number <= last)
    ]
    return np.sort(np.concatenate(found)) if found else np.empty(0, np.int64)


def known_rows(storage: Storage, generation: Generation) -> Iterator[Row]:
    """Give what is there, by rising root and key."""
    for chunk in generation.known:
        yield from rows_of(commits.read(storage, chunk))


def list_generation(
    run: Run,
    roots: Sequence[str] = (),
    exclude: tuple[str, ...] | None = None,
    again: Collection[int] = (),
    progress: Callable[[str, int, int], None] | None = None,
) -> Generation:
    """List folders, and commit a generation if anything has changed.

    Parameters
    ----------
    roots : URLs; none of them: all that were listed before. What is below others stays as it was
    exclude : patterns of what to leave out; None: as before
    again : ids of files that are to be read again, although they have not changed, if they can be

    Returns
    -------
    What counts, which another process may have listed meanwhile; that of before, with counts of
    zero, where nothing has changed.

    Raises
    ------
    SourceError : a new root holds no image, or roots lie in each other.
    StorageError : there is no answer.
    """
    storage = run.storage
    before = latest(storage) or Generation(-1)
    asked = settle(roots, before.roots)
    patterns = before.exclude if exclude is None else exclude
    look = _Look(run, before, asked, patterns, set(again), progress or (lambda *_: None))
    found = look.take()
    if found.is_empty and found.roots == before.roots and patterns == before.exclude:
        look.written.discard()
        return replace(found, number=before.number)
    name = shard_name(found.number)
    extra = {"bytes": found.size, "shards": len(found.shards)}
    done = commits.commit_bytes(storage, STAGE, name, found.to_json(), "json", found.files, extra)
    if done is not None:
        return found
    look.written.discard()
    winner = commits.committed(storage, STAGE)[name]
    return Generation.from_json(commits.read_bytes(storage, winner))


def no_images(root: str) -> str:
    """Say that a folder holds none."""
    return f"{root}: no file below it has the name of an image. Is it the right folder?"


def sweep(storage: Storage) -> None:
    """Delete what listings left that were broken off, or came second; safe while others list."""
    known = generations(storage)
    named = {part.key for one in known for part in one.parts}
    litter = []
    for entry in storage.list(STAGE):
        attempt = _ATTEMPT.match(entry.key)
        if attempt and entry.key not in named and int(attempt[1]) < len(known):
            litter.append(entry.key)
    storage.delete(litter)


def settle(asked: Sequence[str], known: tuple[str, ...]) -> tuple[str, ...]:
    """Say which roots are listed.

    Raises
    ------
    SourceError : one lies in another.
    """
    found = []
    for root in [Storage.at(one).url for one in asked] or known:
        holder = next((one for one in known if root == one or root.startswith(one + "/")), root)
        found.append(holder)
    settled = tuple(sorted(set(found)))
    every = sorted({*settled, *known})
    for first in every:
        for second in every:
            if second.startswith(first + "/"):
                raise SourceError(
                    f"{first} holds {second}, which is listed for itself: a file is listed once. "
                    f"Leave one of the two out, or start another collection with --store"
                )
    if not settled:
        raise SourceError("nothing was listed yet: name a folder, such as s3://bucket/photos")
    return settled


@dataclass
class _Look:
    """One look at the roots, merged with what was known.

    Parameters
    ----------
    asked : the roots that are listed
    """

    run: Run
    before: Generation
    asked: tuple[str, ...]
    exclude: tuple[str, ...]
    again: set[int]
    progress: Callable[[str, int, int], None]
    notes: list[str] = field(default_factory=list)
    new: int = 0
    changed: int = 0
    gone: array[int] = field(default_factory=lambda: array("q"))

    def __post_init__(self) -> None:
        number = self.before.number + 1
        self.written = Written(self.run.storage, f"{STAGE}/{shard_name(number)}")
        self.shards = Shards(self.written, self.before.next_shard, self.run.meta.shard)
        self.chunks = Chunks(self.written)
        self._seen = 0

    def take(self) -> Generation:
        """List, merge and write; nothing counts yet."""
        roots = tuple(sorted({*self.before.roots, *self.asked}))
        listed = self._all_listed(roots)
        try:
            self._merge(listed)
            self.shards.close()
        except BaseException:
            self.written.discard()
            raise
        gone = None
        if self.gone:
            ids = pa.array(np.sort(np.frombuffer(self.gone, np.int64)))
            gone = self.written.put("gone", pa.table({"id": ids}))
        return Generation(
            self.before.number + 1,
            roots,
            self.exclude,
            tuple(self.shards.done),
            gone,
            tuple(self.chunks.done),
            self.shards.number,
            self.chunks.files,
            self.chunks.size,
            self.new,
            self.changed,
            len(self.gone) - self.changed,
            tuple(self.notes),
        )

    def _all_listed(self, roots: tuple[str, ...]) -> Iterator[Row]:
        """Give what is listed, by root and key; first of a root that stays as it was, `kept`."""
        for root in roots:
            entries: Iterator[Row] = iter(())
            first: Row | None = None
            if root in self.asked:
                entries = listed_below(root, self.run.store, self.exclude)
                first = next(entries, None)
            if first is None:
                if root not in self.before.roots:
                    raise SourceError(no_images(root))
                if root in self.asked:
                    self.notes.append(f"{root} lists nothing: its images are kept")
                yield kept(root)
            else:
                yield first
                yield from entries

    def _merge(self, listed: Iterator[Row]) -> None:
        ahead = next(listed, None)
        untouched: set[str] = set()  # roots
        for chunk in self.before.known:
            touched = False
            out: list[Row] = []
            for old in rows_of(commits.read(self.run.storage, chunk)):
                while ahead is not None and ahead[:2] < old[:2]:
                    if is_kept(ahead):
                        untouched.add(ahead.root)
                    else:
                        out.append(self._added(ahead))
                        touched = True
                    ahead = next(listed, None)
                if old.root in untouched:
                    out.append(old)
                elif ahead is None or ahead[:2] != old[:2]:
                    self.gone.append(old.id)
                    touched = True
                elif is_same(old, ahead) and not self._is_due(old):
                    out.append(old)
                    self._told()
                    ahead = next(listed, None)
                else:
                    self.gone.append(old.id)
                    self.changed += 1
                    out.append(self._placed(ahead))
                    touched = True
                    ahead = next(listed, None)
            self.chunks.take(chunk, out, touched=touched)
        while ahead is not None:
            if not is_kept(ahead):
                self.chunks.add(self._added(ahead))
            ahead = next(listed, None)
        self.chunks.close()

    def _is_due(self, row: Row) -> bool:
        """Say whether a file is to be read again: it was asked for, and there is an answer now."""
        if row.id not in self.again:
            return False
        try:
            Storage.at(row.root, _PATIENCE).head(row.key)
        except StorageError:
            return False
        return True

    def _added(self, row: Row) -> Row:
        self.new += 1
        return self._placed(row)

    def _placed(self, row: Row) -> Row:
        self._told()
        return row._replace(id=self.shards.add(row))

    def _told(self) -> None:
        self._seen += 1
        if self._seen % _TOLD == 0:
            self.progress("Listing", self._seen, max(self._seen, self.before.files))
