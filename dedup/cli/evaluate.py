"""`dedup eval`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dedup.answer import row_of
from dedup.cli.formats import chosen_format, report_format_option
from dedup.cli.options import open_collection, store_option
from dedup.cli.output import (
    Column,
    note,
    progress_bars,
    say,
    shown,
    write_jsonl,
    write_rows,
    write_table,
)
from dedup.results import IMAGE_TIERS, Tier

if TYPE_CHECKING:
    from dedup.report.evaluation import Evaluation, EvaluationAnswer

_SHOWN_NAMES = 5


@click.command("eval")
@store_option
@click.option(
    "--truth",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="What is known: groups in JSON, or pairs in a table (.csv, .tsv, .parquet).",
)
@click.option(
    "--root",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The folder that the names in FILE are relative to. Default: the indexed folders; a name "
    "under none of them means the one file whose path ends in it.",
)
@click.option(
    "--plot",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Plot precision against recall in an SVG file.",
)
@report_format_option
def eval_command(
    store: Path | None, truth: Path, root: Path | None, plot: Path | None, kind: str | None
) -> None:
    """Compare the pairs that are found with known pairs.

    FILE holds a JSON list of groups {"tier", "members": [names]}, or CSV with the columns first,
    second and tier (exact, pixels, resaved, near, similar, different) or duplicate (1 or 0). Two
    images that FILE mentions, but not together, are taken to be different; pairs with an image that
    it does not mention are not judged. All tiers but similar mean the same photograph.

    \b
    Examples:
      dedup eval --truth groups.json
      dedup eval --truth pairs.csv --root ~/Pictures --plot curve.svg
    """
    with open_collection(store) as collection, progress_bars() as progress:
        answer = collection.evaluate(truth, root=root, chart=plot, progress=progress)
    _print_names("is not in the collection", "are not in the collection", answer.missing)
    _print_names("means several files", "mean several files", answer.ambiguous)
    if chosen_format(kind) == "table":
        _write_tables(answer.evaluation)
    else:
        write_jsonl([_as_object(answer)])
    if answer.evaluation.unjudged:
        note(
            f"{answer.evaluation.unjudged:,} pairs with an image that the truth does not mention "
            "were not judged."
        )
    note(*collection.notes, *answer.notes)


def _print_names(one: str, several: str, names: tuple[str, ...]) -> None:
    if not names:
        return
    more = f" and {len(names) - _SHOWN_NAMES:,} more" if len(names) > _SHOWN_NAMES else ""
    listed = ", ".join(shown(name) for name in names[:_SHOWN_NAMES])
    what = one if len(names) == 1 else several
    note(f"{len(names):,} of the truth's names {what}: {listed}{more}")


def _as_object(answer: EvaluationAnswer) -> dict[str, object]:
    evaluation = answer.evaluation
    return {
        "images": evaluation.images,
        "missing": len(answer.missing),
        "ambiguous": len(answer.ambiguous),
        "judged_pairs": evaluation.judged,
        "true_pairs": evaluation.true_pairs,
        "unjudged_pairs": evaluation.unjudged,
        "average_precision": _rounded(evaluation.average_precision),
        "average_precision_by_similarity": _rounded(evaluation.average_precision_by_similarity),
        "levels": [row_of(level) for level in answer],
        "confusion": [
            {"truth": truth or "different", "found": found or "nothing", "pairs": pairs}
            for (truth, found), pairs in evaluation.confusion.items()
        ],
    }


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def _write_tables(evaluation: Evaluation) -> None:
    surest = evaluation.levels[0]
    columns = (
        Column(
            "found in",
            lambda row: row.tier.value if row is surest else f"{row.tier.value} or surer",
        ),
        Column("pairs", lambda row: f"{row.found:,}", right=True),
        Column("right", lambda row: f"{row.right:,}", right=True),
        Column("precision", lambda row: _shown(row.precision), right=True),
        Column("recall", lambda row: _shown(row.recall), right=True),
    )
    write_rows(evaluation.levels, type(surest), "table", columns)
    found: tuple[Tier | None, ...] = (*IMAGE_TIERS, None)
    write_table(
        [("in truth \\ found", "left"), *(((tier or "nothing"), "right") for tier in found)],
        (
            (truth or "different", *(f"{evaluation.confusion[truth, tier]:,}" for tier in found))
            for truth in found
        ),
    )
    say(
        f"µAP {_shown(evaluation.average_precision)} ranked by tier and similarity, "
        f"{_shown(evaluation.average_precision_by_similarity)} by similarity alone; "
        f"{evaluation.true_pairs:,} true among {evaluation.judged:,} pairs of "
        f"{evaluation.images:,} images."
    )


def _shown(share: float | None) -> str:
    return "-" if share is None else f"{share:.4f}"
