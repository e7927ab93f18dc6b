"""How duplicate groups, pairs and their sums look: what `dedup list` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dedup.answer import keys_of, row_of
from dedup.cli.output import (
    Column,
    bytes_in_words,
    counted,
    note,
    shown,
    similarity_in_words,
    write_csv,
    write_jsonl,
    write_parquet,
    write_paths,
    write_rows,
    write_table,
)
from dedup.results import Duplicate, DuplicatesAnswer, Group, Tier

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dedup.report.pairs import PairsAnswer

_COLUMNS = (
    ("group", "right"),
    ("tier", "left"),
    ("similarity", "right"),
    ("path", "path"),
    ("evidence", "left"),
)

_PAIR_COLUMNS = (
    Column("tier", lambda row: row.tier.value),
    Column("similarity", similarity_in_words, right=True),
    Column("first", lambda row: shown(row.first), path=True),
    Column("second", lambda row: shown(row.second), path=True),
    Column("evidence", lambda row: row.evidence),
)


def _counted(tier: Tier) -> Column:
    """Make a column of the duplicates in one tier; nothing stands for none."""
    return Column(
        tier.value,
        lambda row: f"{getattr(row, tier):,}".removeprefix("0"),
        right=True,
        optional=True,
    )


_SUMMARY_COLUMNS = (
    Column("folder", lambda row: shown(row.folder), path=True),
    *map(_counted, Tier),
    Column("reclaimable", lambda row: bytes_in_words(row.reclaimable_bytes), right=True),
)


class Output(NamedTuple):
    """How rows are written; as `write_rows` takes it."""

    form: str
    nul: bool = False
    csv_safe: bool = False
    output: Path | None = None


def print_found(
    answer: DuplicatesAnswer | PairsAnswer,
    out: Output,
    limit: int | None,
    tiers: frozenset[Tier],
    *,
    explain: bool,
    by: str | None,
) -> list[Tier]:
    """Print pairs, groups, or the sums of folders, and what it all comes to.

    Parameters
    ----------
    limit : rows that are printed
    tiers : that were asked for
    explain : whether it is said why keepers are kept
    by : the order of the folders whose sums are printed; None: groups are printed

    Returns
    -------
    The tiers of what was found, printed or not.
    """
    if not isinstance(answer, DuplicatesAnswer):
        return _print_pairs(answer, out)
    if by is None:
        _print_groups(answer[:limit], out, explain=explain)
        note_left_out(len(answer), limit, "group")
    else:
        from dedup.report.summary import FolderSummary, by_folder

        folders = by_folder(answer, by)
        write_rows(
            folders[:limit], FolderSummary, out.form, _SUMMARY_COLUMNS, csv_safe=out.csv_safe,
            output=out.output,
        )  # fmt: skip
        note_left_out(len(folders), limit, "folder")
    _note_totals(answer)
    if Tier.SIMILAR in tiers:
        note(
            f"The tier similar (from {answer.threshold:.4f}) is not proven: two shots of one scene "
            "look alike, too. Look before you act."
        )
    return [one.tier for group in answer for one in group.duplicates]


def note_left_out(total: int, limit: int | None, thing: str) -> None:
    """Say how many rows a limit left out."""
    if limit is not None and total > limit:
        note(f"The first {limit:,} of {counted(total, thing)}; --limit hides the rest.")


def _print_groups(groups: Sequence[Group], out: Output, *, explain: bool) -> None:
    if out.form == "paths":
        write_paths((one.path for group in groups for one in group.duplicates), nul=out.nul)
    elif out.form == "table":
        _write_table(groups, explain=explain)
    elif out.form == "parquet":
        write_parquet(groups, Group, out.output)
    elif out.form == "csv":
        heads = ("group", "group_tier", "keeper", "min_similarity", "reclaimable_bytes")
        write_csv(
            [*heads, *keys_of(Duplicate)],
            (
                {head: row_of(group)[head.removeprefix("group_")] for head in heads} | row_of(one)
                for group in groups
                for one in group.duplicates
            ),
            safe=out.csv_safe,
        )
    else:
        write_jsonl(
            row_of(group) | ({"why": group.kept_because} if explain else {}) for group in groups
        )


def _write_table(groups: Sequence[Group], *, explain: bool) -> None:
    rows = []
    for group in groups:
        words = f"keeper: {group.kept_because}" if explain else "keeper"
        if group.tier is Tier.SIMILAR:
            words += f"; lowest similarity {group.min_similarity:.4f}"
        rows.append((str(group.number), "", "", shown(group.keeper), words))
        rows += [
            ("", one.tier.value, similarity_in_words(one), shown(one.path), one.evidence)
            for one in group.duplicates
        ]
    if rows:
        write_table(_COLUMNS, rows, ruled=True)


def _print_pairs(answer: PairsAnswer, out: Output) -> list[Tier]:
    """Print pairs, and how many there are; gives their tiers."""
    from dedup.report.pairs import Pair

    write_rows(answer, Pair, out.form, _PAIR_COLUMNS, csv_safe=out.csv_safe, output=out.output)
    note(counted(len(answer), "pair"))
    return [pair.tier for pair in answer]


def _note_totals(answer: DuplicatesAnswer) -> None:
    found = [one for group in answer for one in group.duplicates]
    copies = [one for one in found if one.tier.looseness < Tier.NEAR.looseness]
    versions = [one for one in found if one.tier is Tier.NEAR]
    films = sum(one.tier is Tier.VIDEO for one in found)
    alike = len(found) - len(copies) - len(versions) - films
    size = sum(group.reclaimable_bytes for group in answer)
    parts = []
    if copies:
        number = f"{len(copies):,} {'copy' if len(copies) == 1 else 'copies'}"
        parts.append(f"{number}, {bytes_in_words(size)} reclaimable")
    if versions:
        used = bytes_in_words(sum(one.bytes for one in versions))
        parts.append(f"{counted(len(versions), 'edited version')}, {used}")
    if alike:
        parts.append(counted(alike, "look-alike"))
    if films:
        parts.append(counted(films, "file") + " of the same film")
    if parts:
        note(f"{counted(len(answer), 'group')}: {'; '.join(parts)}")
    else:
        note("No duplicates found.")
