"""Carrying out a plan in object storage, and taking it back.

Each step is written down in the collection before it is taken and after: `acts/RUN/begun/N` and
`acts/RUN/done/N`. A run is named after its plan, so that one which was stopped goes on when it is
called again. Nothing is removed before what stays was looked at, and a copy was read back.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dedup.actions.outcomes import Acted, ActedFile
from dedup.distributed.storage import ChangedObjectError, MissingObjectError, Storage, StorageError
from dedup.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dedup.distributed.plans import SharedEntry, SharedPlan

_AT_ONCE: Final = 8
TAG: Final = "dedup"
"""The tag that the action `tag` puts on an object; its value is the run."""


class Place(NamedTuple):
    """An object: the storage of its root, and its key there."""

    storage: Storage
    key: str


def apply(
    store: Storage,
    plan: SharedPlan,
    *,
    dry_run: bool = False,
    unversioned: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Acted:
    """Carry out a plan; what an earlier call did is not done again.

    Parameters
    ----------
    unversioned : whether `delete` is for buckets, too, that do not keep what is deleted

    Raises
    ------
    PlanError : it is of another collection, or deletes for good and was not told to.
    StorageError : there is no answer; call again to go on.
    """
    if plan.store != store.url:
        raise PlanError(f"the plan is of {plan.store}, not of {store.url}")
    if plan.verb == "delete" and not unversioned:
        for root in plan.roots:
            if not Storage.at(root).keeps_versions():
                raise PlanError(
                    f"{root} keeps no versions: what is deleted there is gone for good. Turn "
                    "versions on, or use move:URL; --unversioned deletes all the same"
                )
    if plan.verb == "move":
        next(Storage.at(plan.target).list(), None)  # which says where there is no such bucket
    run = _name(plan)
    if not dry_run:
        store.put_new(f"acts/{run}/plan.json", _header(plan))
    act = partial(_act, store, plan, run, dry_run=dry_run)
    files = []
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="act") as pool:
        for number, file in enumerate(pool.map(act, range(len(plan.entries))), 1):
            files.append(file)
            if progress is not None:
                progress("Acting", number, len(plan.entries))
    done = any(file.outcome == "done" for file in files)
    return Acted(run if done else "", tuple(files))


def _name(plan: SharedPlan) -> str:
    text = json.dumps([plan.made, plan.action, [asdict(entry) for entry in plan.entries]])
    return f"{plan.made[:10]}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def _header(plan: SharedPlan) -> bytes:
    head = {"made": plan.made, "action": plan.action, "roots": plan.roots}
    return json.dumps(head | {"files": [asdict(entry) for entry in plan.entries]}).encode()


def _act(store: Storage, plan: SharedPlan, run: str, number: int, *, dry_run: bool) -> ActedFile:
    entry = plan.entries[number]
    step = f"{number:07d}.json"
    told = partial(ActedFile, entry.url, plan.verb, bytes=entry.bytes)
    before = _read(store, f"acts/{run}/done/{step}")
    if before is not None:
        if _read(store, f"acts/{run}/back/{step}") is not None:
            return told("refused", reason="it was brought back since; make a new plan")
        return told("done", to=before["to"])
    begun = _read(store, f"acts/{run}/begun/{step}")
    target = _target(plan, entry)
    try:
        version = _check(entry, begun=begun is not None)
    except _RefusedError as refusal:
        return told("refused", reason=str(refusal))
    if dry_run:
        return told("planned", to=target)
    if begun is None:
        begun = asdict(entry) | {"version": version}
        store.put(f"acts/{run}/begun/{step}", json.dumps(begun).encode())
    try:
        with _refusing():
            found = _ACTS[plan.verb](entry, target, run, begun.get("version", version))
    except _RefusedError as refusal:
        return told("refused", reason=str(refusal))
    done = {"entry": asdict(entry), "verb": plan.verb, "to": target, **found}
    store.put(f"acts/{run}/done/{step}", json.dumps(done).encode())
    return told("done", to=target)


class _RefusedError(Exception):
    """An object that is left as it is, and why."""


@contextmanager
def _refusing() -> Iterator[None]:
    """Refuse the one object that the storage will not have touched, and go on with the rest."""
    try:
        yield
    except StorageError as error:
        if error.transient:
            raise
        raise _RefusedError(str(error)) from error


def _check(entry: SharedEntry, *, begun: bool) -> str:
    """See that both objects are what was compared; gives the version of the one that goes."""
    version = ""
    both = (entry.keeper, entry.keeper_etag, True), (entry.url, entry.etag, False)
    for url, etag, is_keeper in both:
        place = place_of(url)
        try:
            with _refusing():
                now = place.storage.head(place.key)
        except _RefusedError as error:
            if not isinstance(error.__cause__, MissingObjectError):
                raise
            if begun and not is_keeper:
                return ""  # it went already, and only that was not written down
            raise _RefusedError("its keeper is gone" if is_keeper else "it is gone") from error
        if now.etag != etag or not etag:
            raise _RefusedError("its keeper has changed" if is_keeper else "it has changed")
        version = now.version
    return version


def _move(entry: SharedEntry, target: str, _run: str, _version: str) -> dict[str, Any]:
    place, there = place_of(entry.url), place_of(target)
    try:
        data = place.storage.get(place.key, entry.etag).data
    except MissingObjectError as error:
        try:
            moved = there.storage.get(there.key).data
        except MissingObjectError:
            raise _RefusedError("it is gone") from error
        return {"sha256": hashlib.sha256(moved).hexdigest()}
    except ChangedObjectError as error:
        raise _RefusedError("it has changed") from error
    if not there.storage.put_new(there.key, data):
        raise _RefusedError(f"there is another file at {target}")
    if there.storage.get(there.key).data != data:
        raise _RefusedError(f"{target} does not read as it was written")
    _remove(place, entry.etag)
    return {"sha256": hashlib.sha256(data).hexdigest()}


def _delete(entry: SharedEntry, _target: str, _run: str, version: str) -> dict[str, Any]:
    with suppress(MissingObjectError):  # it went already, and only that was not written down
        _remove(place_of(entry.url), entry.etag)
    return {"version": version}


def _tag(entry: SharedEntry, _target: str, run: str, _version: str) -> dict[str, Any]:
    place = place_of(entry.url)
    place.storage.label(place.key, {TAG: run})
    return {}


_ACTS: Final = {"move": _move, "delete": _delete, "tag": _tag}


def _remove(place: Place, etag: str) -> None:
    """Remove an object that is still the one; no storage does both at once."""
    if place.storage.head(place.key).etag != etag:
        raise _RefusedError("it has changed")
    place.storage.delete([place.key])


def _target(plan: SharedPlan, entry: SharedEntry) -> str:
    """Say where an object goes: the path below its root is kept, below a folder of the root's."""
    if plan.verb != "move":
        return ""
    root = max((one for one in plan.roots if entry.url.startswith(f"{one}/")), key=len)
    inside = entry.url.removeprefix(f"{root}/")
    folder = "" if len(plan.roots) == 1 else root.rpartition("/")[2] + "/"
    return f"{plan.target}/{folder}{inside}"


def place_of(url: str) -> Place:
    """Tell the storage of a URL, and the key there."""
    scheme, _, rest = url.partition("://")
    if scheme == "file":
        folder, _, name = rest.rpartition("/")
        return Place(Storage.at(f"file://{folder}"), name)
    bucket, _, key = rest.partition("/")
    return Place(Storage.at(f"{scheme}://{bucket}"), key)


def undo(
    store: Storage,
    run: str | None = None,
    *,
    dry_run: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Acted:
    """Bring back what a run took away.

    Parameters
    ----------
    run : None: the newest that has anything to bring back

    Raises
    ------
    PlanError : there is no such run.
    """
    names = sorted({entry.key.split("/")[1] for entry in store.list("acts")})
    if run is None:
        left = [one for one in names if _left(store, one)]
        if not left:
            raise PlanError(f"{store.url}: no run has anything to bring back")
        run = max(left, key=lambda one: _read(store, f"acts/{one}/plan.json")["made"])  # type: ignore[index]
    elif run not in names:
        raise PlanError(
            f"{store.url}: there is no run {run}; there are {', '.join(names) or 'none'}"
        )
    steps = _left(store, run)
    back = partial(_back, store, run, dry_run=dry_run)
    files = []
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="undo") as pool:
        for number, file in enumerate(pool.map(back, steps), 1):
            files.append(file)
            if progress is not None:
                progress("Undoing", number, len(steps))
    return Acted(run, tuple(files))


def _left(store: Storage, run: str) -> list[str]:
    """List the steps of a run that were not taken back."""
    done = {entry.key.rpartition("/")[2] for entry in store.list(f"acts/{run}/done")}
    return sorted(done - {entry.key.rpartition("/")[2] for entry in store.list(f"acts/{run}/back")})


def _back(store: Storage, run: str, step: str, *, dry_run: bool) -> ActedFile:
    done = _read(store, f"acts/{run}/done/{step}")
    if done is None:
        raise StorageError(f"{store.url}/acts/{run}/done/{step}: there is no such object")
    entry = done["entry"]
    told = partial(ActedFile, entry["url"], done["verb"], bytes=entry["bytes"])
    if dry_run:
        return told("planned", to=done["to"])
    try:
        _UNDONE[done["verb"]](done)
    except _RefusedError as refusal:
        return told("refused", reason=str(refusal))
    store.put(f"acts/{run}/back/{step}", b"{}")
    return told("undone", to=done["to"])


def _move_back(done: dict[str, Any]) -> None:
    place, there = place_of(done["entry"]["url"]), place_of(done["to"])
    try:
        found = there.storage.get(there.key)
    except MissingObjectError as error:
        if _digest_at(place) == done["sha256"]:
            return  # it is back already, and only that was not written down
        raise _RefusedError(f"{done['to']} is gone") from error
    if hashlib.sha256(found.data).hexdigest() != done["sha256"]:
        raise _RefusedError(f"{done['to']} has changed")
    if not place.storage.put_new(place.key, found.data):
        raise _RefusedError("there is another file in its place")
    _remove(there, found.etag)


def _digest_at(place: Place) -> str:
    """Give the SHA-256 of an object; "" where there is none."""
    try:
        return hashlib.sha256(place.storage.get(place.key).data).hexdigest()
    except MissingObjectError:
        return ""


def _undelete(done: dict[str, Any]) -> None:
    place = place_of(done["entry"]["url"])
    if not done["version"]:
        raise _RefusedError("its bucket kept no version of it")
    try:
        data = place.storage.get(place.key, version=done["version"]).data
    except MissingObjectError as error:
        raise _RefusedError("its version is gone") from error
    if not place.storage.put_new(place.key, data):
        raise _RefusedError("there is another file in its place")


def _untag(done: dict[str, Any]) -> None:
    place = place_of(done["entry"]["url"])
    place.storage.label(place.key, {TAG: None})


_UNDONE: Final = {"move": _move_back, "delete": _undelete, "tag": _untag}


def _read(store: Storage, key: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(store.get(key).data)
    except MissingObjectError:
        return None
    return found
