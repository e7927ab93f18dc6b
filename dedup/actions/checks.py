"""Whether a plan may be carried out in a collection: nothing is touched when one entry may not."""

from __future__ import annotations

import hmac
import os
from collections import Counter
from typing import TYPE_CHECKING

from dedup.actions.moves import clone, exchange
from dedup.actions.plan_file import LINKS, LOOSE, certificate
from dedup.actions.system import RefusedError, in_words, remove
from dedup.errors import PlanError
from dedup.files import not_created
from dedup.freshness import ONLY_PLAIN
from dedup.images.companions import companions
from dedup.records import Kind
from dedup.results import Tier
from dedup.store.acted import name_of, plan_key

if TYPE_CHECKING:
    from dedup.actions.journal import Journal
    from dedup.actions.plan_file import Plan, PlanEntry
    from dedup.actions.trash import Trashes
    from dedup.records import Root
    from dedup.store.catalog import Catalog


def check_plan(plan: Plan, catalog: Catalog) -> None:
    """Check a plan as a whole.

    Raises
    ------
    PlanError : the text names the entry.
    """
    key = plan_key(catalog, make=False)
    store = os.path.realpath(catalog.store)
    if key is None or plan.identity != name_of(key) or plan.collection != store:
        raise PlanError(
            f"this plan is of another collection ({plan.collection}); plans are carried out in "
            "the collection that they were made in"
        )
    known = catalog.roots()
    for number, entry in enumerate(plan.entries, 1):
        try:
            _check_places(entry, known, store)
            if entry.kind == "image":
                _check_proof(entry, key)
        except PlanError as error:
            raise PlanError(f"file {number} ({entry.path}): {error}") from error
    _check_together(plan)


def _check_places(entry: PlanEntry, known: list[Root], store: str) -> None:
    for name, path in (("it", entry.path), ("its keeper", entry.keeper)):
        if path is not None and (apart := not_plain(path, known)):
            raise PlanError(f"{name} is {apart}")
        if path is not None and root_of(path, acted_roots(known)) is None:
            raise PlanError(f"{name} is outside the indexed folders")
        if path is not None and is_below(path, store):
            raise PlanError(f"{name} is a file of the collection itself")
    if entry.folder:
        check_target(entry.folder, known, store)
    if entry.path == entry.keeper:
        raise PlanError("it is its own keeper")


def acted_roots(known: list[Root]) -> list[str]:
    """List the roots whose files may be acted on."""
    return [os.fsdecode(root.path) for root in known if root.is_plain]


def not_plain(path: str, known: list[Root]) -> str:
    """Say why a file may never be acted on: it is no plain file of its owner's; "" where it is."""
    name = os.fsencode(path)
    for root in known:
        if not root.is_plain and (root.holds(name) or root.path == name):
            return f"in {os.fsdecode(root.path)} ({root.kind.value}); {ONLY_PLAIN}"
    return ""


def check_target(folder: str, known: list[Root], store: str) -> None:
    """Check where files are to be moved to.

    Raises
    ------
    PlanError
    """
    real = os.path.realpath(folder)
    for root in (os.fsdecode(one.path) for one in known if one.kind is not Kind.FILES):
        if is_below(real, root):
            raise PlanError(
                f"{folder} is inside the indexed folder {root}, where files would be found again; "
                "choose a folder outside"
            )
    if is_below(real, store):
        raise PlanError(f"{folder} is inside the collection")


def _check_proof(entry: PlanEntry, key: bytes) -> None:
    tier, kept = str(entry.tier), str(entry.keeper_sha256)
    same = entry.sha256 == kept
    if (entry.tier is Tier.EXACT) != same:
        raise PlanError("its tier does not fit the SHA-256 of the two files")
    if not same and not hmac.compare_digest(
        entry.certificate.encode("utf-8", "surrogatepass"),
        certificate(key, entry.sha256, kept, tier).encode(),
    ):
        raise PlanError("nothing proves that its keeper holds the same image; make the plan again")
    if entry.verb in LINKS and not same:
        raise PlanError(f"{entry.verb} is for files of the same bytes only")
    if entry.tier in LOOSE and entry.verb not in ("trash", "move"):
        raise PlanError(f"the tier {entry.tier} is not proven in full: only trash and move take it")


def _check_together(plan: Plan) -> None:
    paths = Counter(entry.path for entry in plan.entries)
    inodes = Counter(entry.stat[2:] for entry in plan.entries)
    images = {entry.path for entry in plan.entries if entry.kind == "image"}
    for number, entry in enumerate(plan.entries, 1):
        name = f"file {number} ({entry.path})"
        if paths[entry.path] > 1:
            raise PlanError(f"{name}: is named twice")
        if inodes[entry.stat[2:]] > 1:
            raise PlanError(f"{name}: is the same file as another entry (a hard link)")
        if entry.keeper is not None and (
            entry.keeper in paths or (entry.keeper_stat and inodes[entry.keeper_stat[2:]])
        ):
            raise PlanError(f"{name}: its keeper {entry.keeper} is also to go")
        if entry.kind == "sidecar":
            _check_sidecar(entry, images, name)


def _check_sidecar(entry: PlanEntry, images: set[str], name: str) -> None:
    if entry.verb not in ("trash", "move"):
        raise PlanError(f"{name}: a sidecar has no other copy: only trash and move take it")
    if not entry.of:
        raise PlanError(f"{name}: is a sidecar of no image")
    for image in entry.of:
        if image not in images:
            raise PlanError(f"{name}: its image {image} is not in the plan")
        belongs = companions([os.fsencode(image), os.fsencode(entry.path)]).sidecars
        if os.fsencode(entry.path) not in belongs.get(os.fsencode(image), ()):
            raise PlanError(f"{name}: is not a sidecar of {image}")


def is_below(path: str, folder: str) -> bool:
    """Say whether a path is a folder or below it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def root_of(path: str, roots: list[str]) -> str | None:
    """Find the innermost folder that a path is below."""
    holding = [root for root in roots if path != root and is_below(path, root)]
    return max(holding, key=len, default=None)


def check_trash(plan: Plan, trashes: Trashes) -> None:
    """See that there is a trash for what goes there, before the first file is touched.

    Raises
    ------
    PlanError
    """
    try:
        trashes.check(entry.path for entry in plan.entries if entry.verb == "trash")
    except RefusedError as error:
        raise PlanError(
            f"{error}. Nothing was done; to put the files in a folder instead: "
            "dedup plan --action move:FOLDER"
        ) from error


def make_folders(plan: Plan) -> None:
    """Make the folders that files are moved to, before the first one is touched.

    Raises
    ------
    PlanError
    """
    for folder in sorted({entry.folder for entry in plan.entries if entry.folder}):
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise PlanError(f"{folder}: {not_created(error)}") from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PlanError(f"{folder}: cannot be written; nothing was done")


def try_links(plan: Plan, journal: Journal) -> None:
    """Link and swap two small files on each file system where files are to become links.

    Raises
    ------
    PlanError : that is not possible.
    """
    tried = set()
    for entry in plan.entries:
        if entry.verb in LINKS and (entry.verb, entry.stat.device) not in tried:
            tried.add((entry.verb, entry.stat.device))
            if os.path.isdir(os.path.dirname(entry.path)):
                _try_link(entry, journal)


def _try_link(entry: PlanEntry, journal: Journal) -> None:
    start = os.path.join(os.path.dirname(entry.path), f".dedup-{journal.run}-trial-")
    journal.write("trial", start=start)
    first, second = start + "1", start + "2"
    try:
        with open(first, "xb") as file:
            file.write(b"dedup")
        if entry.verb == "hardlink":
            os.link(first, second)
        elif entry.verb == "symlink":
            os.symlink(first, second)
        else:
            clone(first, second)
        exchange(first, second)
    except OSError as error:
        raise PlanError(
            f"{entry.verb} is not possible in {os.path.dirname(entry.path)} ({in_words(error)}). "
            "Nothing was done; choose another action"
        ) from error
    finally:
        remove(first)
        remove(second)
