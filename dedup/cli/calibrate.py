"""`dedup calibrate`."""

from __future__ import annotations

from math import floor
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dedup.answer import row_of
from dedup.cli.formats import chosen_format, report_format_option, to_write
from dedup.cli.options import (
    device_option,
    open_collection,
    seed_option,
    store_option,
    weights_option,
)
from dedup.cli.output import note, progress_bars, say, write_jsonl, write_table

if TYPE_CHECKING:
    from dedup.report.calibration import CalibrationAnswer


@click.command("calibrate")
@store_option
@click.option(
    "--samples",
    type=click.IntRange(min=50),
    default=300,
    show_default=True,
    help="How many images to edit.",
)
@seed_option
@click.option(
    "--truth",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Known pairs, which then need no proof, in a file as `dedup eval` takes it. Required for "
    "your own vectors if their ids are not files.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Draw the curve in an SVG file.",
)
@weights_option
@device_option
@report_format_option
def calibrate_command(
    store: Path | None,
    samples: int,
    seed: int,
    truth: Path | None,
    output: Path | None,
    weights: Path | None,
    device: str,
    kind: str | None,
) -> None:
    """Measure what a similarity is worth in this collection.

    Images drawn from the collection are edited the way people edit theirs, and embedded: how many
    of these copies does a threshold find? The most similar pairs of the collection are checked on
    the images themselves: how many of them are not copies? The result is kept with the collection,
    and `dedup list --precision` goes by it. Calibrate again when the collection has grown a lot.

    \b
    Examples:
      dedup calibrate
      dedup calibrate -o curve.svg
      dedup list --tier similar --precision 0.99     once calibrated
    """
    to_write(output)
    with open_collection(store, device, weights) as collection, progress_bars() as progress:
        answer = collection.calibrate(
            seed=seed, samples=samples, truth=truth, chart=output, progress=progress
        )
    if chosen_format(kind) == "table":
        _write_promises(answer)
        edited = f"{answer.edited:,} edited images and " if answer.edited else ""
        pairs = f"{edited}{answer.checked:,} pairs"
        note(f"Measured on {pairs}; the bounds (≥, ≤) hold in 95 of 100 cases.")
    else:
        write_jsonl(map(row_of, answer))
    note(*collection.notes, *answer.notes)


def _write_promises(answer: CalibrationAnswer) -> None:
    rows = [
        ["threshold", *(f"{one.threshold:.4f}" for one in answer)],
        [
            "true pairs",
            *(f"{one.true_pairs:,.0f} ≥{one.true_low:,.0f}" for one in answer),
        ],
        [
            "false pairs",
            *(f"{one.false_pairs:,.1f} ≤{one.false_high:,.1f}" for one in answer),
        ],
    ]
    if answer[0].found:
        rows.append(["finds of", *[""] * len(answer)])
    for way in answer[0].found:
        shares = [one.found[way] for one in answer]
        cells = [f"{one.share:.0%} ≥{one.low:.0%}" for one in shares]
        rows.append([way, *cells])
    titles = [f"precision ≥ {one.precision or floor(one.promised * 100) / 100:g}" for one in answer]
    write_table([("", "left"), *((title, "right") for title in titles)], rows)
    last = answer[-1]
    if not last.found:
        say(
            f"At {last.threshold:.4f}: expect {last.true_pairs:,.0f} true pairs and "
            f"{last.false_pairs:,.1f} false ones among {answer.images:,} images."
        )
        return
    best = sorted(last.found.items(), key=lambda item: -item[1].share)
    finds = ", ".join(f"{found.share:.0%} of {way}" for way, found in (best[0], best[-1]))
    say(
        f"At {last.threshold:.4f}: finds {finds}; expect {last.false_pairs:,.1f} false pairs "
        f"among {answer.images:,} images."
    )
