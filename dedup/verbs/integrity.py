"""Check a collection as a whole, and make good what can be made good.

Both work on the folder of a collection, as a damaged one may not open.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from dedup.arguments import callback_of
from dedup.errors import DedupError, LockedError
from dedup.report.integrity import (
    RepairAnswer,
    VerifyAnswer,
    check_contents,
    check_index,
    finding_of,
)
from dedup.session import STORE_NAME, Session
from dedup.spec import ModelSpec, Runtime
from dedup.store.lock import writer_lock
from dedup.store.repair import (
    COPY,
    FOUND_AGAIN,
    is_to_be_read,
    lost_model,
    repair_catalog,
    was_read,
)
from dedup.store.schema import CATALOG, INDEX, open_damaged, translated
from dedup.store.verify import check_catalog, live_files
from dedup.verbs import search

if TYPE_CHECKING:
    from pathlib import Path


def store_in(path: Path) -> Path:
    """Give the folder of a collection: the one named, or the `.dedup` in it."""
    inner = path / STORE_NAME
    return inner if not (path / CATALOG).is_file() and (inner / CATALOG).is_file() else path


def verify(store: Path, progress: Any, *, deep: bool) -> VerifyAnswer:
    """Check the catalog, the index and, where asked, the files' own bytes."""
    report = callback_of(progress)
    files = []
    counted: list[int] = []
    with translated(store), closing(open_damaged(store)) as connection:
        connection.execute("BEGIN")  # one state, also while a writer commits
        findings = [finding_of(one) for one in check_catalog(store, connection)]
        if deep:
            files = list(live_files(connection))
    findings += check_index(store)
    if deep:
        total = len(files)
        findings += check_contents(
            files, lambda done: report("Reading files", done, total), counted
        )
    order = sorted(findings, key=lambda one: (one.kind, one.path, one.detail))
    return VerifyAnswer(tuple(order), len(counted))


def repair(store: Path, progress: Any, session: Session | None = None) -> RepairAnswer:
    """Make good what can be made good, and read the files again whose rows were dropped.

    Parameters
    ----------
    session : of the collection, where it is open
    """
    with writer_lock(store):
        unsound = repair_catalog(store)
        findings = [finding_of(one) for one in unsound]
        for damaged in check_index(store):
            (store / INDEX).unlink(missing_ok=True)
            findings.append(damaged)
    notes = [f"The catalog as it was is kept as {COPY}"] if unsound else []
    lost = [one.table for one in unsound if one.table not in (*FOUND_AGAIN, "", "meta")]
    notes += [
        f"Lost: {lost.count(table)} × {table.removesuffix('s')}; {remedy}"
        for table, remedy in (
            ("decisions", "decide again (dedup ignore), or import them"),
            ("calibration", "calibrate again (dedup calibrate)"),
        )
        if table in lost
    ]
    notes += [search.lost_folder(root.path) for root in findings if root.kind == "root"]
    if (lost_name := lost_model(store)) is not None:
        notes.append(lost_name[0].upper() + lost_name[1:])
    elif is_to_be_read(store):
        notes += _read_again(store, progress, session)
    return RepairAnswer(tuple(findings), tuple(notes))


def _read_again(store: Path, progress: Any, session: Session | None) -> list[str]:
    """Index the folders again; what prevents it is a note, as the catalog is sound by now."""
    opened = session or Session.open(store, ModelSpec(), Runtime())
    try:
        opened.catalog.forget_damage()
        summary = search.index(opened, (), progress)
        was_read(store)
    except LockedError:
        raise
    except DedupError as error:
        return [f"The files whose rows were dropped were not read again: {error}"]
    finally:
        if session is None:
            opened.close()
    return [*summary.notes, f"Read again: {summary.indexed + summary.reused:,} files"]
