"""How far similarities can be trusted in a collection, and how right its answers are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dedup.arguments import callback_of, count_of, path_of, threshold_of
from dedup.report import evaluation
from dedup.report.calibration import CalibrationAnswer, calibration_answer, calibration_chart
from dedup.report.charts import chart_file
from dedup.report.evaluation import EvaluationAnswer, evaluation_chart
from dedup.report.truth import match, read_truth
from dedup.results import Tier
from dedup.store.lock import writer_lock

if TYPE_CHECKING:
    from dedup.session import Session


def calibrate(
    session: Session, seed: Any, samples: Any, chart: Any, progress: Any
) -> CalibrationAnswer:
    """Measure what a similarity is worth."""
    from dedup import calibration

    seed, samples = count_of(seed, "seed", 0), count_of(samples, "samples", 1)
    write_chart, report = chart_file(chart), callback_of(progress)
    catalog = session.computing()
    with writer_lock(session.path):
        found = calibration.calibrate(catalog, session.embedder, report, seed=seed, samples=samples)
    write_chart(lambda: calibration_chart(found))
    return session.noted(calibration_answer(found))


def evaluate(
    session: Session, truth: Any, root: Any, threshold: Any, chart: Any, progress: Any
) -> EvaluationAnswer:
    """Compare found pairs with known ones."""
    from dedup.duplicates.gallery import read_gallery
    from dedup.duplicates.relate import tiered_pairs

    file, threshold = Path(path_of(truth, "truth")), threshold_of(threshold)
    write_chart, report = chart_file(chart), callback_of(progress)
    folder = None if root is None else os.path.realpath(path_of(root, "root"))
    catalog = session.computing(decodes=False)
    known = read_truth(file)
    space = session.space()
    gallery = read_gallery(catalog, space)
    roots = [os.fsdecode(one.path) for one in catalog.roots()]
    files = map(os.fsdecode, gallery.files.path)
    matched = match(known, files, roots if folder is None else [folder])
    pairs = tiered_pairs(gallery, frozenset(Tier), space.threshold(threshold), report)
    found = evaluation.evaluate(matched.truth, pairs)
    write_chart(lambda: evaluation_chart(found))
    return EvaluationAnswer(found, matched.missing, matched.ambiguous)
