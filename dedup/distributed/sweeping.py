"""Deleting what no list needs any more, and what is damaged, so that it is made again.

Nothing but objects of the collection's own stages is ever deleted, by their names; what is younger
than a day stays, since another machine may be reading it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from dedup.distributed import commits
from dedup.distributed.commits import DAY, Swept, committed
from dedup.distributed.cutting import chunk_names
from dedup.distributed.divisions import divisions
from dedup.distributed.settings import join_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dedup.distributed.commits import Damaged
    from dedup.distributed.run import Run
    from dedup.distributed.storage import Entry, Storage

_KEPT: Final = 2
"""Generations whose joins stay: the newest, and the one that proofs are taken over from."""

_JOIN: Final = re.compile(r"join/\d+-[0-9a-f]+")  # as `Settings.join` names them
_DIGEST: Final = 32  # characters of a chunk's name
_TRAINING: Final = ("sample", "exact")  # stages of a division that are read until it is ready
_SERVING: Final = ("served", "places")  # stages whose shards begin with their generation
_CHOSEN: Final = ("coder", "centres", "divided")  # which stay of one that another has replaced


def sweep(run: Run, age: float = DAY, *, litter: bool = True) -> Swept:
    """Delete what earlier lists left: joins, divisions and groups that nothing needs, and litter.

    Parameters
    ----------
    age : seconds for which everything stays
    litter : whether to look, with some requests for every stage, for what no commit names
    """
    storage = run.storage
    oldest = commits.now(storage, "join") - int(age * 1e9)
    kept, counted = _sweep_joins(storage, oldest)
    if all(_has_families(storage, join) for join in kept):  # what is under way may need any
        names = {name for join in kept for name in chunk_names(storage, join)}
        counted += _sweep_groups(storage, names, oldest)
    counted += _sweep_divisions(storage, oldest)
    if litter:
        stages = {entry.key.partition("/_done/")[0] for entry in _commits(storage)}
        counted += [commits.sweep(storage, stage, age) for stage in sorted(stages)]
    return Swept(sum(one.objects for one in counted), sum(one.bytes for one in counted))


def _commits(storage: Storage) -> Iterator[Entry]:
    for place in ("keys", "join", "division", "groups", "verdicts", "measured"):
        yield from (entry for entry in storage.list(place) if "/_done/" in entry.key)


def _sweep_joins(storage: Storage, oldest: int) -> tuple[list[str], list[Swept]]:
    """Delete the joins of all but the newest generations; names those that stay."""
    of: dict[str, list[Entry]] = defaultdict(list)
    for entry in storage.list("join"):
        of["/".join(entry.key.split("/")[:2])].append(entry)
    of = {name: entries for name, entries in of.items() if _JOIN.fullmatch(name)}
    newest = sorted({name.partition("-")[0] for name in of})[-_KEPT:]
    kept, swept = [], []
    for name, entries in of.items():
        if name.partition("-")[0] in newest:
            kept.append(name)
            swept.append(_sweep_gathered(storage, name, entries, oldest))
        elif max(entry.mtime_ns for entry in entries) < oldest:
            # A join counts while its families do.
            swept.append(_delete(storage, entries, f"{name}/families/"))
    return kept, swept


def _sweep_gathered(storage: Storage, join: str, entries: list[Entry], oldest: int) -> Swept:
    """Delete the rows that were gathered for groups which are all made."""
    if not _has_families(storage, join):
        return Swept(0, 0)
    found: list[Entry] = []
    names = set(chunk_names(storage, join))
    for answer in {one.key.removeprefix(f"{join}/gather-").partition("/")[0] for one in entries}:
        stages = f"{join}/gather-{answer}/", f"{join}/rounds-{answer}/"
        some = [entry for entry in entries if entry.key.startswith(stages)]
        young = any(entry.mtime_ns >= oldest for entry in some)
        if some and not young and names <= committed(storage, f"groups/{answer}").keys():
            found += some
    return _delete(storage, found, f"{join}/rounds-")


def _has_families(storage: Storage, join: str) -> bool:
    return "0" in committed(storage, f"{join}/families")


def _sweep_groups(storage: Storage, names: set[str], oldest: int) -> list[Swept]:
    """Delete groups and proofs of chunks that no join has any more.

    What was proven of a chunk is taken over by those that came after it.
    """
    swept = []
    for place in ("groups", "verdicts", "measured"):
        found: dict[str, list[Entry]] = defaultdict(list)
        for entry in storage.list(place):
            words = entry.key.rpartition("/")[2].removesuffix(".json").split("-")
            digest = words[0 if place == "groups" else min(1, len(words) - 1)]
            if len(digest) == _DIGEST and digest not in names:
                found[digest].append(entry)
        swept.append(_delete(storage, _old(found, oldest)))
    return swept


def _old(found: dict[Any, list[Entry]], oldest: int) -> list[Entry]:
    """Give the objects of those kinds of which none is young: a commit goes with what it names."""
    return [
        entry
        for some in found.values()
        if max(entry.mtime_ns for entry in some) < oldest
        for entry in some
    ]


def _sweep_divisions(storage: Storage, oldest: int) -> list[Swept]:
    ready = [name for name, made in divisions(storage) if made and _is_ready(storage, name)]
    swept = []
    for name in ready:
        outdated = _outdated(storage, name)
        found: dict[tuple[str, str], list[Entry]] = defaultdict(list)
        for entry in storage.list(name):
            stage, _, rest = entry.key.removeprefix(f"{name}/").partition("/")
            label = re.split(r"[-.]", rest.removeprefix("_done/"))[0]
            needless = stage in _TRAINING or (stage in _SERVING and label in outdated)
            if name != ready[-1]:
                needless = stage not in _CHOSEN
            if needless:
                found[stage, label if stage in _SERVING else ""].append(entry)
        swept.append(_delete(storage, _old(found, oldest), f"{name}/pair"))
    return swept


def _outdated(storage: Storage, division: str) -> set[str]:
    """Name the generations whose objects were written anew for queries since."""
    made = committed(storage, f"{division}/places")
    if not made:
        return set()
    every = {*made, *(one.partition("-")[0] for one in committed(storage, f"{division}/served"))}
    newest = max(made)
    return {one for one in every if one < newest}.difference(made[newest].extra["labels"])


def _is_ready(storage: Storage, division: str) -> bool:
    return "0" in committed(storage, f"{division}/divided")


def _delete(storage: Storage, entries: Iterable[Entry], first: str = "\0") -> Swept:
    """Delete objects, their commits before them, and those below `first` before all.

    So what is broken off leaves nothing that counts and is not there.
    """
    some = sorted(
        entries, key=lambda one: (not one.key.startswith(first), "/_done/" not in one.key)
    )
    storage.delete([entry.key for entry in some])
    return Swept(len(some), sum(entry.size for entry in some))


def drop(storage: Storage, stage: str, damaged: Damaged) -> bool:
    """Delete what makes a damaged shard count, so that it is made again; with what rests on it.

    Returns
    -------
    False where it cannot be made again: of a listing. Nothing is deleted then.
    """
    place, _, rest = stage.partition("/")
    if place == "list":
        return False
    if place in {"join", "division"}:
        whole = f"{place}/{rest.partition('/')[0]}"
        first = "families" if place == "join" else "pair"
        _delete(storage, storage.list(whole), f"{whole}/{first}")
        for name in join_names(storage) if place == "join" else ():
            if name > whole and not _has_families(storage, name):  # it may be about to read this
                _delete(storage, storage.list(name))
        return True
    stages = ("verdicts", "measured") if place in {"verdicts", "measured"} else (stage,)
    storage.delete([f"{one}/_done/{damaged.shard}.json" for one in stages])
    return True
