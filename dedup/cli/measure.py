"""`dedup calibrate` and `dedup eval`: how far similarity can be trusted, and how right it was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dedup.cli.options import (
    chosen_format,
    device_option,
    open_collection,
    report_format_option,
    shown,
    store_option,
    weights_option,
)
from dedup.cli.output import note, stages, write_jsonl, write_table
from dedup.errors import DedupError
from dedup.results import Tier

if TYPE_CHECKING:
    from dedup.calibration import Calibration, Expectation
    from dedup.report.evaluation import Evaluation

_PRECISIONS = (0.8, 0.9, 0.95, 0.99, 0.999)
_SHOWN_NAMES = 5


@click.command("calibrate")
@store_option
@click.option(
    "--samples",
    type=click.IntRange(min=50),
    default=300,
    show_default=True,
    help="How many pictures to edit.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Equal seeds give equal answers.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Draw the curve into an SVG file.",
)
@weights_option
@device_option
@report_format_option
def calibrate_command(
    store: Path | None,
    samples: int,
    seed: int,
    output: Path | None,
    weights: Path | None,
    device: str,
    kind: str | None,
) -> None:
    """Measure which similarity means what, in this very collection.

    Pictures drawn from the collection are edited as people edit theirs and embedded: how many
    copies does a threshold find? The most similar pairs of the collection are checked on the
    pictures themselves: how many of them are not copies? What was measured is kept with the
    collection, and from then on --precision of list means something. Calibrate again when the
    collection has grown much.

    \b
    Examples:
      dedup calibrate
      dedup calibrate -o curve.svg
      dedup list --tier similar --precision 0.99
    """
    _check_svg(output)
    with open_collection(store) as collection, stages() as report:
        calibration = collection.calibrate(
            seed=seed, samples=samples, weights=weights, device=device, report=report
        )
    levels = _levels(calibration)
    if chosen_format(kind) == "table":
        _write_calibration(calibration, levels)
    else:
        write_jsonl(_as_row(*level) for level in levels)
    if not any(precision for precision, _ in levels):
        note(
            "No similarity promises a precision of even "
            f"{_PRECISIONS[0]:g} here: use --tier exact,pixels,near, which are proven"
        )
    if output is not None:
        _write_file(output, _calibration_chart(calibration))


def _levels(calibration: Calibration) -> list[tuple[float | None, Expectation]]:
    """List the promises that can be made, and where the highest is when there are none."""
    levels: list[tuple[float | None, Expectation]] = []
    for precision in _PRECISIONS:
        try:
            threshold = calibration.threshold_for(precision)
        except DedupError:
            break
        levels.append((precision, calibration.expected_at(threshold)))
    return levels or [(None, calibration.expected_at(calibration.surest()))]


def _as_row(precision: float | None, level: Expectation) -> dict[str, object]:
    return {
        "precision": precision,
        "threshold": round(level.threshold, 4),
        "promised": round(level.precision, 4),
        "false_pairs": round(level.false_pairs, 2),
        "false_high": round(level.false_high, 2),
        "true_pairs": round(level.true_pairs, 2),
        "true_low": round(level.true_low, 2),
        "found": {
            way: {
                "share": round(found.share, 4),
                "low": round(found.low, 4),
                "high": round(found.high, 4),
            }
            for way, found in level.found.items()
        },
    }


def _write_calibration(
    calibration: Calibration, levels: list[tuple[float | None, Expectation]]
) -> None:
    rows = [
        ["threshold", *(f"{level.threshold:.4f}" for _, level in levels)],
        ["true pairs in it", *(f"{level.true_pairs:,.0f}" for _, level in levels)],
        [
            "false pairs in it",
            *(f"{level.false_pairs:,.1f} (at most {level.false_high:,.1f})" for _, level in levels),
        ],
    ]
    for way in calibration.recall:
        cells = []
        for _, level in levels:
            found = level.found[way]
            cells.append(f"{found.share:.0%} ({found.low:.0%} to {found.high:.0%})")
        rows.append([f"finds of {way}", *cells])
    titles = [
        f"precision {precision:g}" if precision else f"precision {level.precision:.2f} at most"
        for precision, level in levels
    ]
    write_table([("", "left"), *((title, "right") for title in titles)], rows)
    _, level = levels[-1]
    best = sorted(level.found.items(), key=lambda item: -item[1].share)
    finds = ", ".join(f"{found.share:.0%} of {way}" for way, found in (best[0], best[-1]))
    click.echo(
        f"At {level.threshold:.4f}: finds {finds}; expect {level.false_pairs:,.1f} false pairs "
        f"among {calibration.images:,} images."
    )
    note(
        f"Measured on {calibration.edited:,} edited images and {calibration.checked:,} pairs; "
        "ranges hold in 95 of 100 cases."
    )


def _calibration_chart(calibration: Calibration) -> str:
    from dedup.report.plots import Axis, Line, line_chart

    expected = [(at, calibration.expected_at(at)) for at in calibration.thresholds]
    lines = [Line("promised precision", [(at, one.precision) for at, one in expected], dashed=True)]
    lines += [
        Line(way, [(at, one.found[way].share) for at, one in expected])
        for way in calibration.recall
    ]
    return line_chart(
        f"What a similarity finds among {calibration.images:,} images",
        Axis("threshold", calibration.thresholds[0], 1.0),
        Axis("share of the copies found", 0.0, 1.0),
        lines,
    )


@click.command("eval")
@store_option
@click.option(
    "--truth",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="What is known: groups in JSON, or pairs in a file that ends in .csv.",
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
    help="Draw precision over recall into an SVG file.",
)
@report_format_option
def eval_command(
    store: Path | None, truth: Path, root: Path | None, plot: Path | None, kind: str | None
) -> None:
    """Compare the pairs that are found with what is known of them.

    FILE holds a JSON list of groups {"tier", "members": [names]}, or CSV with the columns first,
    second and tier (exact, pixels, near, similar, different) or duplicate (1 or 0). A pair of two
    images that FILE mentions, but not together, is taken to be different; pairs with an image that
    it does not mention are not judged. Tiers down to near mean one photograph.

    \b
    Examples:
      dedup eval --truth groups.json
      dedup eval --truth pairs.csv --root ~/Pictures --plot curve.svg
    """
    _check_svg(plot)
    with open_collection(store) as collection, stages() as report:
        result = collection.evaluate(truth, root=root, report=report)
    _tell_names("is not in the collection", "are not in the collection", result.missing)
    _tell_names("means several files", "mean several files", result.ambiguous)
    if chosen_format(kind) == "table":
        _write_evaluation(result.evaluation)
    else:
        write_jsonl([_as_object(result.evaluation, len(result.missing), len(result.ambiguous))])
    if result.evaluation.unjudged:
        note(
            f"{result.evaluation.unjudged:,} pairs with an image that the truth does not mention "
            "were not judged."
        )
    if plot is not None:
        _write_file(plot, _evaluation_chart(result.evaluation))


def _tell_names(one: str, several: str, names: tuple[str, ...]) -> None:
    if not names:
        return
    more = f" and {len(names) - _SHOWN_NAMES:,} more" if len(names) > _SHOWN_NAMES else ""
    listed = ", ".join(shown(name) for name in names[:_SHOWN_NAMES])
    what = one if len(names) == 1 else several
    note(f"{len(names):,} of the truth's names {what}: {listed}{more}")


def _as_object(evaluation: Evaluation, missing: int, ambiguous: int) -> dict[str, object]:
    return {
        "images": evaluation.images,
        "missing": missing,
        "ambiguous": ambiguous,
        "judged_pairs": evaluation.judged,
        "true_pairs": evaluation.true_pairs,
        "unjudged_pairs": evaluation.unjudged,
        "average_precision": _rounded(evaluation.average_precision),
        "average_precision_by_similarity": _rounded(evaluation.average_precision_by_similarity),
        "levels": [
            {
                "tier": level.tier,
                "found": level.found,
                "right": level.right,
                "precision": _rounded(level.precision),
                "recall": _rounded(level.recall),
            }
            for level in evaluation.levels
        ],
        "confusion": [
            {"truth": truth or "different", "found": found or "nothing", "pairs": pairs}
            for (truth, found), pairs in evaluation.confusion.items()
        ],
    }


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def _write_evaluation(evaluation: Evaluation) -> None:
    write_table(
        [
            ("found in", "left"),
            *((title, "right") for title in ("pairs", "right", "precision", "recall")),
        ],
        (
            (
                level.tier.value if number == 0 else f"{level.tier.value} or surer",
                f"{level.found:,}",
                f"{level.right:,}",
                _shown(level.precision),
                _shown(level.recall),
            )
            for number, level in enumerate(evaluation.levels)
        ),
    )
    found: tuple[Tier | None, ...] = (*Tier, None)
    write_table(
        [("in truth \\ found", "left"), *(((tier or "nothing"), "right") for tier in found)],
        (
            (truth or "different", *(f"{evaluation.confusion[truth, tier]:,}" for tier in found))
            for truth in found
        ),
    )
    click.echo(
        f"µAP {_shown(evaluation.average_precision)} ranked by tier and similarity, "
        f"{_shown(evaluation.average_precision_by_similarity)} by similarity alone; "
        f"{evaluation.true_pairs:,} true among {evaluation.judged:,} pairs of "
        f"{evaluation.images:,} images."
    )


def _shown(share: float | None) -> str:
    return "-" if share is None else f"{share:.4f}"


def _evaluation_chart(evaluation: Evaluation) -> str:
    from dedup.report.plots import Axis, Line, line_chart

    return line_chart(
        f"Precision over recall of {evaluation.judged:,} pairs",
        Axis("recall", 0.0, 1.0),
        Axis("precision", 0.0, 1.0),
        [Line("tier, then similarity", evaluation.curve)],
    )


def _check_svg(path: Path | None) -> None:
    """Refuse a file that could not be written, before any work is done."""
    if path is None:
        return
    if path.suffix.lower() != ".svg":
        raise click.UsageError(f"{path}: a chart is written as SVG; let the name end in .svg")
    if not path.parent.is_dir():
        raise DedupError(f"{path}: there is no folder {path.parent}")


def _write_file(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, "utf-8")
        temporary.replace(path)
    except OSError as error:
        raise DedupError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
