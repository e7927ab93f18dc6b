"""How far similarities can be trusted in a collection, and how right its answers are."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dedup.arguments import callback_of, count_of, path_of, threshold_of
from dedup.report import evaluation
from dedup.report.calibration import CalibrationAnswer, calibration_answer, calibration_chart
from dedup.report.charts import chart_file
from dedup.report.evaluation import EvaluationAnswer, evaluation_chart
from dedup.report.truth import match, read_truth
from dedup.results import Tier
from dedup.store.gallery import read_files, read_images
from dedup.store.lock import writer_lock
from dedup.store.pairs import content_pair

if TYPE_CHECKING:
    from dedup.answer import Progress
    from dedup.calibration.pair_sampling import KnownPairs
    from dedup.session import Session
    from dedup.store.catalog import Catalog

    AnyPath = str | os.PathLike[str]


class MeasureVerbs:
    """The verbs of a collection that say how far its answers can be trusted."""

    _session: Session

    def calibrate(
        self,
        *,
        seed: int = 0,
        samples: int = 300,
        truth: AnyPath | None = None,
        chart: AnyPath | None = None,
        progress: Progress | None = None,
    ) -> CalibrationAnswer:
        """Measure what a similarity is worth in this collection, and keep the answer with it.

        From then on a wanted precision means something, and the default threshold is measured.
        Similarities stay as they are.

        Parameters
        ----------
        seed : equal seeds give equal calibrations of equal collections
        samples : how many images to edit and embed; none of a collection of given vectors
        truth : what is known of pairs, as `evaluate` takes it, and is not to be proven; names
            without files need it
        chart : an .svg to draw the curve into

        Raises
        ------
        DedupError : there are too few images; the text says how many it takes.
        """
        return calibrate(self._session, seed, samples, truth, chart, progress)

    def evaluate(
        self,
        truth: AnyPath,
        *,
        root: AnyPath | None = None,
        threshold: float | None = None,
        chart: AnyPath | None = None,
        progress: Progress | None = None,
    ) -> EvaluationAnswer:
        """Compare the pairs that are found, in all tiers, with known ones.

        Parameters
        ----------
        truth : groups in JSON, or pairs in a file that ends in .csv
        root : the folder that its names are relative to; None: the indexed folders
        chart : an .svg to draw precision over recall into

        Raises
        ------
        DedupError : the file is neither, with the line.
        """
        return evaluate(self._session, truth, root, threshold, chart, progress)


def calibrate(
    session: Session, seed: Any, samples: Any, truth: Any, chart: Any, progress: Any
) -> CalibrationAnswer:
    """Measure what a similarity is worth."""
    from dedup import calibration

    seed, samples = count_of(seed, "seed", 0), count_of(samples, "samples", 1)
    write_chart, report = chart_file(chart), callback_of(progress)
    file = None if truth is None else Path(path_of(truth, "truth"))
    catalog = session.computing()
    known = None if file is None else _known_pairs(catalog, file)
    before = session.space().threshold()
    with writer_lock(session.path):
        found = calibration.calibrate(
            catalog, session.embedder, report, seed=seed, samples=samples, known=known
        )
    write_chart(lambda: calibration_chart(found))
    answer = calibration_answer(found)
    now = session.space().threshold()
    if f"{now:.4f}" != f"{before:.4f}":
        note = f"The default threshold of the tier similar is now {now:.4f} (it was {before:.4f})"
        answer = replace(answer, notes=(*answer.notes, note))
    return session.noted(answer)


def _known_pairs(catalog: Catalog, file: Path) -> KnownPairs:
    """Read a truth, and turn its names into the contents of what they mean."""
    from dedup.calibration.pair_sampling import KnownPairs

    with catalog.snapshot():
        images = read_images(catalog)
        files = read_files(catalog, images.ids)
    contents = {
        os.fsdecode(path): images.digest[row]
        for path, row in zip(files.path, files.row.tolist(), strict=True)
    }
    roots = [os.fsdecode(one.path) for one in catalog.roots()]
    truth = match(read_truth(file), contents, roots).truth
    same = (
        content_pair(contents[one], contents[two])
        for (one, two), tier in truth.tiers.items()
        if tier is not Tier.SIMILAR
    )
    return KnownPairs(frozenset(contents[path] for path in truth.images), frozenset(same))


def evaluate(
    session: Session, truth: Any, root: Any, threshold: Any, chart: Any, progress: Any
) -> EvaluationAnswer:
    """Compare found pairs with known ones."""
    from dedup.duplicates.gallery import read_gallery
    from dedup.duplicates.listing import tiered_pairs

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
