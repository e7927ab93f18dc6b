"""Plans for object storage: which objects are to go, why, and which proven ones stay.

The file is one JSON object with one object of the storage a line, as plans for files are. Every
object is named with the tag that it had, so that one which was changed since is left alone.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

from dedup.actions.plan_text import read_json, write_lines
from dedup.answer import Answer
from dedup.errors import PlanError
from dedup.results import Tier

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dedup.results import Group

VERSION: Final = 1
VERBS: Final = ("move", "tag", "delete")
KNOWN: Final = "in object storage, actions are move:URL, tag and delete"
_PLANNED: Final = frozenset({Tier.EXACT, Tier.PIXELS, Tier.RESAVED, Tier.NEAR})


@dataclass(frozen=True, slots=True)
class SharedEntry:
    """An object that is to go.

    Parameters
    ----------
    url, etag : the object, and the tag that it has to have
    keeper, keeper_etag : the object that stays for it
    tier, evidence : of the pair
    bytes : size
    """

    url: str
    etag: str
    bytes: int
    tier: str
    evidence: str
    keeper: str
    keeper_etag: str


@dataclass(frozen=True, slots=True)
class SharedPlan(Answer[SharedEntry]):
    """Which objects are to go, by URL. Iterates over `entries`; nothing was done yet.

    Parameters
    ----------
    store : URL of the collection
    made : when, ISO 8601 in UTC
    action : "move:URL", "tag" or "delete"
    roots : URLs that were indexed; only what is below them goes
    """

    rows_in: ClassVar[str] = "entries"
    store: str
    made: str
    action: str
    roots: tuple[str, ...]
    entries: tuple[SharedEntry, ...]
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def verb(self) -> str:
        """The action without its target."""
        return self.action.partition(":")[0]

    @property
    def target(self) -> str:
        """Where objects are moved to; "" of other actions."""
        return self.action.partition(":")[2]

    @property
    def bytes(self) -> int:
        """Sizes of all objects together."""
        return sum(entry.bytes for entry in self.entries)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file.

        Raises
        ------
        DedupError : the file cannot be written.
        """
        head = {
            "shared_plan": VERSION, "store": self.store, "made": self.made, "action": self.action,
            "roots": self.roots, "totals": {"files": len(self.entries), "bytes": self.bytes},
        }  # fmt: skip
        texts = {key: json.dumps(value) for key, value in head.items()}
        write_lines(path, texts, (json.dumps(asdict(entry)) for entry in self.entries))


def action_of(action: str) -> str:
    """Check an action for object storage.

    Raises
    ------
    ValueError : it is none.
    """
    verb, _, target = action.partition(":")
    if verb not in VERBS or (verb == "move") != bool(target):
        raise ValueError(f"{action!r} is not an action; {KNOWN}")
    if target and "://" not in target:
        raise ValueError(f"{action!r}: name the place to move to by its URL; {KNOWN}")
    return action.rstrip("/")


def check_tiers(tiers: Iterable[Tier]) -> None:
    """Check that tiers are proven.

    Raises
    ------
    ValueError : one is not.
    """
    if not _PLANNED.issuperset(tiers):
        raise ValueError("only exact, pixels, resaved and near are proven, and may be planned")


def check_target(action: str, store: str, roots: Iterable[str]) -> None:
    """Check where objects are to be moved to.

    Raises
    ------
    PlanError
    """
    target = action_of(action).partition(":")[2]
    for root in roots:
        if f"{target}/".startswith(f"{root}/"):
            raise PlanError(
                f"{target} is inside the indexed folder {root}, where files would be found "
                "again; choose a place outside"
            )
    if f"{target}/".startswith(f"{store}/"):
        raise PlanError(f"{target} is inside the collection {store}; choose a place outside")


def make_plan(
    store: str,
    roots: tuple[str, ...],
    action: str,
    groups: Iterable[Group],
    etags: dict[str, str],
    notes: tuple[str, ...],
) -> SharedPlan:
    """Plan that the duplicates of groups go.

    Parameters
    ----------
    etags : of all files of the groups, by URL
    """
    entries = [
        SharedEntry(
            one.path, etags[one.path], one.bytes, one.tier.value, one.evidence,
            group.keeper, etags[group.keeper],
        )
        for group in groups
        for one in group.duplicates
        if one.tier in _PLANNED
    ]  # fmt: skip
    entries.sort(key=lambda entry: os.fsencode(entry.url))
    made = datetime.now(UTC).isoformat(timespec="seconds")
    return SharedPlan(store, made, action_of(action), roots, tuple(entries), notes)


def is_shared_plan(path: str | os.PathLike[str]) -> bool:
    """Say whether a file is a plan for object storage."""
    try:
        with open(path, "rb") as file:
            return b'"shared_plan"' in file.read(64)
    except OSError:
        return False


def read_shared_plan(path: str | os.PathLike[str]) -> SharedPlan:
    """Read a plan.

    Raises
    ------
    PlanError : it cannot be read, or is no plan; the text names the entry.
    """
    name = os.fspath(path)
    value = read_json(path)
    if not isinstance(value, dict) or value.get("shared_plan") != VERSION:
        raise PlanError(f"{name}: is no plan for object storage that this version reads")
    try:
        entries = [_entry(one, number) for number, one in enumerate(value["files"], 1)]
        plan = SharedPlan(
            _text(value, "store", "the header"), _text(value, "made", "the header"),
            action_of(_text(value, "action", "the header")),
            tuple(_text({"root": one}, "root", "the header") for one in value["roots"]),
            tuple(entries),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise PlanError(f"{name}: {error}") from error
    check_target(plan.action, plan.store, plan.roots)
    goes = {entry.url for entry in plan.entries}
    for entry in plan.entries:
        if entry.keeper in goes:
            raise PlanError(f"{name}: {entry.keeper} is to stay for {entry.url}, and to go itself")
        if not any(entry.url.startswith(f"{root}/") for root in plan.roots):
            raise PlanError(f"{name}: {entry.url} is below no folder that was indexed")
    if len(goes) != len(plan.entries):
        raise PlanError(f"{name}: a file is named twice")
    return plan


def _entry(value: Any, number: int) -> SharedEntry:
    where = f"file {number}"
    if not isinstance(value, dict):
        raise ValueError(f"{where}: is not an object")  # noqa: TRY004 - as `_text`
    size = value.get("bytes")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError(f"{where}: bytes is no count")
    texts = [one.name for one in fields(SharedEntry) if one.name != "bytes"]
    return SharedEntry(bytes=size, **{name: _text(value, name, where) for name in texts})


def _text(value: dict[str, Any], key: str, where: str) -> str:
    text = value.get(key)
    if not isinstance(text, str):
        raise ValueError(f"{where}: {key} is not text")  # noqa: TRY004 - all become PlanError
    return text
