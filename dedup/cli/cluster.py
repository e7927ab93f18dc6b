"""What commands do with a collection in object storage."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import click
from click.core import ParameterSource

from dedup.answer import row_of
from dedup.cli.options import EXIT_FOUND, spec_from
from dedup.cli.output import (
    Column,
    bytes_in_words,
    counted,
    note,
    progress_bars,
    shown,
    write_jsonl,
    write_rows,
    write_table,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from dedup.distributed.collection import SharedCollection
    from dedup.distributed.cost import Estimate
    from dedup.distributed.holding import SharedStatus, StageStatus
    from dedup.results import IndexSummary

Command = TypeVar("Command", bound="Callable[..., Any]")

_LOCAL: Final = {
    "vectors", "ids", "root", "files_from", "column", "nul", "verbose", "device", "runtime",
}  # fmt: skip
_ITEMS: Final = {"list": "file", "embed": "file", "prove": "pair", "all": "file"}
"""What an estimate counts in a stage; the others take what could be embedded."""
_ORDER: Final = "list", "embed", "keys", "division", "join", "verdicts", "measured", "groups"
_SKIPS = (
    Column("path", lambda row: shown(row.path), path=True),
    Column("reason", lambda row: row.reason),
)
_FINDINGS = (
    Column("kind", lambda row: row.kind),
    Column("path", lambda row: row.path, path=True),
    Column("detail", lambda row: row.detail),
)


class Place(NamedTuple):
    """Options that go with a collection in object storage; None where they were not given.

    Parameters
    ----------
    engine : what runs the work
    address : of the Ray cluster
    shard : files of a task
    dry_run : whether to tell the costs only
    """

    engine: str | None = None
    address: str | None = None
    shard: int | None = None
    dry_run: bool = False

    def refuse(self) -> None:
        """Refuse them for a collection in a folder."""
        names = ("--engine", "--address", "--shard", "--dry-run")
        for name, value in zip(names, self, strict=True):
            if value:
                raise click.UsageError(
                    f"{name} works only with a collection in object storage: --store s3://bucket/folder"
                )


def cluster_options(command: Command) -> Command:
    """Add --engine and --address, which `Place` holds."""
    engine = click.option(
        "--engine",
        type=click.Choice(["inline", "processes", "ray"]),
        help="With a URL as --store, where the work runs: in this process (inline), on this "
        "machine's cores (processes) or on a Ray cluster (ray). Default: processes.",
    )
    address = click.option(
        "--address",
        metavar="ADDRESS",
        help="With --engine ray: the cluster's address, such as auto. Default: RAY_ADDRESS, else "
        "this machine.",
    )
    return engine(address(command))


def index_options(command: Command) -> Command:
    """Add what `index` takes for a collection in object storage."""
    shard = click.option(
        "--shard",
        type=click.IntRange(1),
        metavar="N",
        help="With a URL as --store, for a new collection: the most images in one task. Default: "
        "8192.",
    )
    dry_run = click.option(
        "--dry-run",
        is_flag=True,
        help="With a URL as --store: measure a sample and estimate the cost; nothing is written.",
    )
    return cluster_options(shard(dry_run(command)))


def taken(options: dict[str, Any]) -> Place:
    """Take the options of `index_options` out of others."""
    return Place(*(options.pop(name) for name in Place._fields))


def opened(
    store: str, where: Place | None = None, *, create: bool = False, **model: Any
) -> SharedCollection:
    """Open the collection at a URL, as options say."""
    from dedup.distributed.collection import SharedCollection
    from dedup.distributed.worker import without_pandas

    without_pandas()
    spec = spec_from(**model) if model else None
    engine, address, shard, _ = where or Place()
    return SharedCollection.open(
        store, spec, create=create, engine=engine or "processes", address=address or "",
        shard=shard or 8192,
    )  # fmt: skip


def index(
    store: str,
    urls: Sequence[str],
    where: Place,
    exclude: Sequence[str],
    **model: Any,
) -> IndexSummary | None:
    """Bring a collection in object storage up to date; None where only the costs were asked for."""
    context = click.get_current_context()
    for option in context.command.params:
        name = option.name or ""
        if name in _LOCAL and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"{option.opts[0]} works only with a collection on this computer"
            )
    for url in urls:
        if "://" not in url:
            raise click.UsageError(
                f"{url} is on this computer, but the collection is in object storage, and its "
                "workers may not see it. Name it as file:///… if they all do, or use --store DIR"
            )
    with opened(store, where, create=bool(urls), **model) as shared:
        with progress_bars("images") as progress:
            if where.dry_run:
                estimate = shared.estimate(urls, progress, exclude=exclude or None)
            else:
                try:
                    summary = shared.index(urls, progress, exclude=exclude or None)
                except KeyboardInterrupt:
                    raise click.Abort from None
        note(*shared.notes)
    if where.dry_run:
        _write_estimate(estimate)
        return None
    return summary


def status(store: str, form: str, *, skipped: bool) -> None:
    """Show what a collection in object storage holds."""
    from dedup.results import Skip

    with opened(store) as shared:
        if skipped:
            write_rows(shared.skipped(), Skip, form, _SKIPS)
            return
        found = shared.status()
    if form == "table":
        _write_status(found)
    else:
        write_jsonl([row_of(found)])
    note(*found.notes)


def _write_status(found: SharedStatus) -> None:
    from dedup.cli.facts import Fact, write_facts

    size, litter = bytes_in_words(found.bytes_listed), bytes_in_words(found.bytes_litter)
    facts = [
        Fact("collection", bytes_in_words(found.bytes_stored), found.path),
        Fact("model", found.model),
        Fact("views", " and ".join(found.views)),
        Fact("kept per image", ", ".join(found.layers)),
        Fact("images", f"{found.indexed:,} of {counted(found.files, 'file')}, {size}"),
        *(Fact("" if number else "folders", "", root) for number, root in enumerate(found.roots)),
        Fact("skipped", counted(found.skipped, "file")),
        *(Fact("", f"{count:,} × {reason}") for reason, count in found.skips.items()),
        Fact("to be read", counted(found.pending, "file")),
        Fact("gone", counted(found.gone, "file")),
    ]
    facts += [Fact("" if number else "stages", one) for number, one in enumerate(_stages(found))]
    stored = f"{counted(found.litter, 'object')}, {litter}"
    facts.append(Fact("litter", f"{stored}: from attempts that were broken off or are under way"))
    write_facts(facts)


def _stages(found: SharedStatus) -> list[str]:
    """Say how far stages are; those of all joins, divisions and groups together."""
    kinds: dict[str, list[StageStatus]] = defaultdict(list)
    for stage in found.stages:
        kinds[stage.stage.partition("/")[0]].append(stage)
    order = sorted(kinds, key=lambda kind: _ORDER.index(kind) if kind in _ORDER else len(_ORDER))
    words = []
    for kind in order:
        done, total = sum(one.done for one in kinds[kind]), kinds[kind][0].total
        shards = counted(done, "shard") if total is None else f"{done:,} of {total:,} shards"
        words.append(f"{kind}: {shards}, {bytes_in_words(sum(one.bytes for one in kinds[kind]))}")
    return words


def verify(store: str, form: str, output: Path | None, *, deep: bool) -> None:
    """Check that the objects of a collection are as they were committed."""
    from dedup.report.integrity import Finding

    with opened(store) as shared, progress_bars("objects") as progress:
        answer = shared.verify(deep=deep, progress=progress)
    write_rows(answer, Finding, form, _FINDINGS, output=output)
    if deep:
        note(f"Read {counted(answer.files_read, 'object')}.")
    if len(answer):
        note(f"{counted(len(answer), 'finding')}. `dedup repair` fixes what it can.")
        raise click.exceptions.Exit(EXIT_FOUND)
    note("Everything is as it was written.")


def repair(store: str, form: str, output: Path | None) -> None:
    """Drop what is damaged in a collection, and what nothing needs any more."""
    from dedup.report.integrity import Finding

    with opened(store) as shared, progress_bars("objects") as progress:
        answer = shared.repair(progress=progress)
    write_rows(answer, Finding, form, _FINDINGS, output=output)
    note(*answer.notes)
    if len(answer):
        note(f"Dropped {counted(len(answer), 'object')}: run dedup index, then dedup list.")


def _write_estimate(found: Estimate) -> None:
    columns = [
        ("stage", "left"),
        ("of", "right"),
        ("read", "right"),
        ("written", "right"),
        ("core-hours", "right"),
        ("requests", "right"),
        ("$", "right"),
    ]
    rows = [
        (
            row.stage,
            counted(row.items, _ITEMS.get(row.stage, "image")),
            bytes_in_words(row.bytes_read),
            bytes_in_words(row.bytes_written),
            f"{row.core_hours:,.4g}",
            f"{row.requests:,}",
            f"{row.dollars:,.2f}",
        )
        for row in (*found, found.total)
    ]
    write_table(columns, rows)
    note(*found.notes)
