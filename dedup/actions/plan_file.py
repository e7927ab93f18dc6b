"""A plan: which files are to go, why, and which proven ones stay; as a file for people to read.

The file is one JSON object with one file a line, by path. What is read is checked before anything
is done: one entry that makes no sense refuses the whole plan. What a person may change is which
entries there are, and their `action`; what was proven is sealed with a key of the collection
(`certificate`), so that no file goes for the sake of one that it was never compared with.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

from dedup.actions.lacks import NOTHING, Lacks
from dedup.actions.plan_text import read_json, write_lines
from dedup.actions.system import Facts
from dedup.answer import Answer
from dedup.errors import PlanError
from dedup.results import Tier

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dedup.actions.outcomes import Acted
    from dedup.answer import Progress

VERSION: Final = 1
_STARTS_WITHIN: Final = 4096  # bytes
ACTIONS: Final = ("trash", "move", "delete", "hardlink", "reflink", "symlink")
KNOWN: Final = "actions are trash, move:FOLDER, delete, hardlink, reflink and symlink"
LOOSE: Final = frozenset({Tier.SIMILAR, Tier.VIDEO})
"""The tiers of which not all was compared; what goes by them can be brought back."""
LINKS: Final = frozenset({"hardlink", "reflink", "symlink"})

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_SURROGATE: Final = re.compile(
    "[\ud800-\udfff\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)


@dataclass(frozen=True, slots=True)
class PlanEntry:
    """A file that is to go.

    Parameters
    ----------
    path : absolute
    kind : "image", or "sidecar" of images that go
    action : of `ACTIONS`; "move:" is followed by a folder
    tier, why, evidence : of the pair that it forms with the keeper; tier None of a sidecar
    keeper : the file that stays for it; None of a sidecar
    bytes : size
    sha256, keeper_sha256 : in hexadecimal digits
    stat, keeper_stat : what they were when the plan was made
    of : the images of a sidecar
    keeper_lacks : what the file has and its keeper lacks
    certificate : seals the two contents and the tier
    """

    path: str
    kind: str
    action: str
    tier: Tier | None
    why: str
    evidence: str
    keeper: str | None
    bytes: int
    sha256: str
    stat: Facts
    keeper_sha256: str | None = None
    keeper_stat: Facts | None = None
    of: tuple[str, ...] = ()
    keeper_lacks: Lacks = NOTHING
    certificate: str = ""

    @property
    def verb(self) -> str:
        """The action without its folder."""
        return self.action.partition(":")[0]

    @property
    def is_final(self) -> bool:
        """Whether nothing brings it back: it is deleted, and no file with its bytes stays."""
        return self.verb == "delete" and self.sha256 != self.keeper_sha256

    @property
    def folder(self) -> str:
        """Where files are moved to; "" of other actions."""
        return self.action.partition(":")[2]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A duplicate that stays all the same, and why."""

    path: str
    bytes: int
    reason: str


@dataclass(frozen=True, slots=True)
class Plan(Answer[PlanEntry]):
    """Which files are to go, by path. Iterates over `entries`; nothing was done yet.

    Parameters
    ----------
    collection, identity : path and name of the collection that it is of
    dedup : version that made it
    made : when, ISO 8601 in UTC
    roots : the indexed folders
    keep, tiers, action : as they were asked for
    left_out : duplicates that stay, by path; not in the file
    """

    rows_in: ClassVar[str] = "entries"
    collection: str
    identity: str
    dedup: str
    made: str
    roots: tuple[str, ...]
    keep: tuple[str, ...]
    tiers: tuple[str, ...]
    action: str
    entries: tuple[PlanEntry, ...]
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    applier: Callable[..., Acted] | None = field(default=None, repr=False, compare=False)

    @property
    def bytes(self) -> int:
        """Sizes of all files together."""
        return sum(entry.bytes for entry in self.entries)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, for `dedup apply` or `Collection.apply`.

        Raises
        ------
        DedupError : the file cannot be written.
        """
        write_lines(path, header_texts(self), map(entry_text, self.entries))

    def apply(
        self,
        *,
        dry_run: bool = False,
        carry_metadata: bool = False,
        progress: Progress | None = None,
    ) -> Acted:
        """Do it; as `Collection.apply`."""
        if self.applier is None:
            raise PlanError("this plan is of no open collection: use Collection.apply")
        return self.applier(self, dry_run=dry_run, carry_metadata=carry_metadata, progress=progress)


def action_of(action: str, tiers: frozenset[Tier]) -> str:
    """Check an action that is asked for; gives it with the real path of its folder.

    Raises
    ------
    ValueError : it is none, or not for one of the tiers.
    """
    verb, _, folder = action.partition(":")
    if verb not in ACTIONS or (verb == "move") != bool(folder) or "\0" in folder:
        raise ValueError(f"{action!r} is not an action; {KNOWN}")
    loose = tiers & LOOSE
    if loose and verb not in ("trash", "move"):
        raise ValueError(
            f"the tier {min(loose)} is not proven in full: only trash and move take it"
        )
    return f"move:{os.path.realpath(os.path.expanduser(folder))}" if folder else action


def certificate(key: bytes, sha256: str, keeper_sha256: str, tier: str) -> str:
    """Seal that a content was proven against another one."""
    text = f"{sha256} {keeper_sha256} {tier}".encode()
    return hashlib.blake2b(text, key=key, digest_size=16, person=b"certificate").hexdigest()


def header_texts(plan: Plan) -> dict[str, str]:
    """Give what stands above the files of a plan, as JSON by key."""
    header = {
        "plan": VERSION,
        "dedup": plan.dedup,
        "collection": plan.collection,
        "identity": plan.identity,
        "made": plan.made,
        "roots": plan.roots,
        "keep": plan.keep,
        "tiers": plan.tiers,
        "action": plan.action,
        "totals": {"files": len(plan.entries), "bytes": plan.bytes},
    }
    return {key: _json(value) for key, value in header.items()}


def entry_text(entry: PlanEntry) -> str:
    """Give the line of a plan that is about one file, as JSON."""
    return _json(object_of(entry))


def object_of(entry: PlanEntry) -> dict[str, Any]:
    """Give one file of a plan as it is written."""
    return {
        "path": entry.path,
        "kind": entry.kind,
        "action": entry.action,
        "tier": entry.tier,
        "why": entry.why,
        "evidence": entry.evidence,
        "keeper": entry.keeper,
        "bytes": entry.bytes,
        "sha256": entry.sha256,
        "stat": entry.stat._asdict(),
        "keeper_sha256": entry.keeper_sha256,
        "keeper_stat": entry.keeper_stat and entry.keeper_stat._asdict(),
        "of": entry.of,
        "keeper_lacks": entry.keeper_lacks.as_json(),
        "certificate": entry.certificate,
    }


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def read_plan(path: str | os.PathLike[str]) -> Plan:
    """Read a plan; each entry is whole, and none is checked against anything else yet.

    Raises
    ------
    PlanError : it cannot be read, or is no plan; the text names the entry.
    """
    value = read_json(path)
    try:
        return _plan(value)
    except PlanError as error:
        raise PlanError(f"{os.fspath(path)}: {error}") from error


def may_be_a_plan(path: Path) -> bool:
    """Tell a file that a plan may be written over: an earlier plan, or an empty file."""
    with path.open("rb") as file:
        start = file.read(_STARTS_WITHIN).lstrip()
    return not start or (start.startswith(b"{") and b'"plan"' in start)


def _plan(value: Any) -> Plan:
    if not isinstance(value, dict) or "plan" not in value:
        raise PlanError("is not a plan")
    if value["plan"] != VERSION or isinstance(value["plan"], bool):
        raise PlanError(f"is a plan of version {value['plan']!r}, and this dedup reads {VERSION}")
    head = _Fields(value, "the header")
    files = value.get("files")
    if not isinstance(files, list):
        raise PlanError("has no list of files")
    return Plan(
        collection=head.text("collection"),
        identity=head.text("identity"),
        dedup=head.text("dedup"),
        made=head.text("made"),
        roots=head.texts("roots"),
        keep=head.texts("keep"),
        tiers=head.texts("tiers"),
        action=head.text("action"),
        entries=tuple(entry_of(one, number) for number, one in enumerate(files, 1)),
    )


def entry_of(value: Any, number: int) -> PlanEntry:
    """Read one file of a plan.

    Raises
    ------
    PlanError : the text names the entry.
    """
    if not isinstance(value, dict):
        raise PlanError(f"file {number}: is not an object")
    name = value.get("path")
    fields = _Fields(value, f"file {number}" + (f" ({name})" if isinstance(name, str) else ""))
    kind = fields.text("kind")
    if kind not in ("image", "sidecar"):
        raise fields.error(f"kind {kind!r} is neither image nor sidecar")
    image = kind == "image"
    return PlanEntry(
        path=fields.path("path"),
        kind=kind,
        action=fields.action(),
        tier=fields.tier() if image else None,
        why=fields.text("why"),
        evidence=fields.text("evidence"),
        keeper=fields.path("keeper") if image else None,
        bytes=fields.count("bytes"),
        sha256=fields.digest("sha256"),
        stat=fields.facts("stat"),
        keeper_sha256=fields.digest("keeper_sha256") if image else None,
        keeper_stat=fields.facts("keeper_stat") if image else None,
        of=fields.texts("of"),
        keeper_lacks=fields.lacks("keeper_lacks"),
        certificate=fields.text("certificate"),
    )


class _Fields:
    """Reads the fields of one object, each of its type."""

    def __init__(self, value: dict[str, Any], name: str) -> None:
        self._value = value
        self._name = name

    def error(self, text: str) -> PlanError:
        return PlanError(f"{self._name}: {text}")

    def text(self, key: str) -> str:
        value = self._value.get(key)
        if not isinstance(value, str):
            raise self.error(f"{key} is not text")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._value.get(key)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self.error(f"{key} is not a list of strings")
        return tuple(value)

    def count(self, key: str) -> int:
        value = self._value.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 64:
            raise self.error(f"{key} is not a whole number")
        return value

    def digest(self, key: str) -> str:
        value = self.text(key)
        if not _DIGEST.fullmatch(value):
            raise self.error(f"{key} is not a SHA-256")
        return value

    def path(self, key: str) -> str:
        return self.checked_path(self.text(key), key)

    def checked_path(self, path: str, key: str) -> str:
        if "\0" in path:
            raise self.error(f"{key} has a NUL in it")
        try:
            os.fsencode(path)
        except UnicodeEncodeError:
            raise self.error(f"{key} cannot be the name of a file") from None
        if not os.path.isabs(path) or os.path.normpath(path) != path or path.startswith("//"):
            raise self.error(f"{key} is not an absolute path without '.' and '..'")
        return path

    def action(self) -> str:
        value = self.text("action")
        verb, colon, folder = value.partition(":")
        if verb not in ACTIONS or (verb == "move") != bool(colon):
            raise self.error(f"{value!r} is not an action; {KNOWN}")
        if colon:
            self.checked_path(folder, "the folder of move")
        return value

    def tier(self) -> Tier:
        value = self.text("tier")
        if value not in set(Tier):
            raise self.error(f"{value!r} is not a tier")
        return Tier(value)

    def facts(self, key: str) -> Facts:
        value = self._value.get(key)
        if not isinstance(value, dict) or value.keys() != set(Facts._fields):
            raise self.error(f"{key} does not hold {', '.join(Facts._fields)}")
        if not all(isinstance(one, int) and not isinstance(one, bool) for one in value.values()):
            raise self.error(f"{key} holds something other than whole numbers")
        return Facts(**value)

    def lacks(self, key: str) -> Lacks:
        try:
            return Lacks.of_json(self._value.get(key, {}))
        except ValueError as error:
            raise self.error(f"{key}: {error}") from error
