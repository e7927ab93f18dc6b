"""Taking an undo back: what its run did is done again, as a run of its own with the same proofs."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dedup.actions.apply import apply
from dedup.actions.outcomes import Acted, ActedFile
from dedup.actions.plan_file import Plan, PlanEntry, entry_of
from dedup.actions.system import Facts
from dedup.errors import DedupError
from dedup.store.acted import name_of, plan_key

if TYPE_CHECKING:
    from dedup.actions.journal import History, Item
    from dedup.answer import Progress
    from dedup.store.catalog import Catalog


def act_again(
    history: History, undo: str, catalog: Catalog, report: Progress, *, dry_run: bool
) -> Acted:
    """Carry out again what an undo took back; the caller holds the writer's lock.

    Parameters
    ----------
    history : of the run that was taken back
    undo : name of the undo

    Raises
    ------
    PlanError : as `apply`; nothing was done.
    DedupError : it brought nothing back.
    """
    back = history.undone_by(undo)
    if not back:
        raise DedupError(f"the undo {undo} brought nothing back that could go again")
    items = [item for item in back if item.action != "carry"]
    images = {item.path for item in items if item.about["kind"] == "image" and item.facts}
    reasons = {item.number: _reason(item, images) for item in items}
    plan = _plan([item for item in items if not reasons[item.number]], catalog)
    carried = len(items) < len(back)
    acted = apply(plan, catalog, report, dry_run=dry_run, carry_metadata=carried)
    refused = [
        ActedFile(item.path, item.action, "refused", item.bytes, "", reasons[item.number])
        for item in items
        if reasons[item.number]
    ]
    files = (*refused, *acted.files)
    if not dry_run:
        return replace(acted, files=files)
    told = f"To undo {undo} is to carry the run {history.run} out again"
    return replace(acted, run=undo, files=files, notes=(told, *acted.notes))


def _reason(item: Item, images: set[str]) -> str:
    """Say why a file cannot be in the plan, or ""; the rest is for `apply` to find out."""
    if not item.facts:
        return "the file is gone"
    return "" if images.issuperset(item.about["of"]) else "its image was not brought back"


def _plan(items: list[Item], catalog: Catalog) -> Plan:
    """Make the plan again, of the files as they were brought back."""
    key = plan_key(catalog, make=False)
    return Plan(
        collection=os.path.realpath(catalog.store),
        identity="" if key is None else name_of(key),
        dedup="",
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        roots=(),
        keep=(),
        tiers=(),
        action="",
        entries=tuple(map(_entry, items)),
    )


def _entry(item: Item) -> PlanEntry:
    about, facts = item.about, item.facts or {}
    action = f"{item.action}:{about['folder']}" if item.action == "move" else item.action
    stat = {name: facts.get(name) for name in Facts._fields}
    return entry_of({**about, "action": action, "stat": stat}, item.number)
