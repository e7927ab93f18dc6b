"""Image-embedding similarity search and duplicate detection.

`Collection` indexes folders and answers questions about them; `Extractor` runs any
``torch.nn.Module`` once and gives the outputs of named layers. Importing this package imports
neither torch nor NumPy: what needs them is loaded when it is first used.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from dedup.answer import Answer, Progress
from dedup.errors import (
    DISTRIBUTION,
    CollectionError,
    DamagedError,
    DedupError,
    ExtraMissingError,
    FingerprintError,
    FormatError,
    ImageError,
    LayerError,
    LockedError,
    ModelError,
    NoCollectionError,
    PlanError,
    SearchError,
    SourceError,
    UnknownModelError,
    VectorsError,
    WeightsError,
)
from dedup.models.own import OwnModel
from dedup.results import (
    CheckResult,
    Comparison,
    DecidedPair,
    DecisionsAnswer,
    Duplicate,
    DuplicatesAnswer,
    Explanation,
    Group,
    Grouping,
    IndexSummary,
    Layer,
    LayersAnswer,
    Match,
    Neighbour,
    QueryAnswer,
    Skip,
    SkippedAnswer,
    Stages,
    Tier,
    WatchAnswer,
)
from dedup.spec import ModelSpec, Runtime

if TYPE_CHECKING:
    from dedup.actions.outcomes import Acted, ActedFile, Run, RunsAnswer
    from dedup.actions.plan_file import LeftOut, Plan, PlanEntry
    from dedup.binding import layers
    from dedup.collection import Collection
    from dedup.datasets.classes import ClassesAnswer, ClassLeak
    from dedup.datasets.issues import CheckAnswer, Issue
    from dedup.datasets.leaks import Leak, LeaksAnswer
    from dedup.datasets.sample import SampleAnswer, Taken
    from dedup.datasets.split import Placed, Share, SplitAnswer
    from dedup.models.extractor import Extractor
    from dedup.models.features import Features
    from dedup.report.calibration import CalibrationAnswer, FoundShare, Promise
    from dedup.report.evaluation import Evaluation, EvaluationAnswer, Level
    from dedup.report.export import Written
    from dedup.report.features import FeatureTable
    from dedup.report.folders import FolderOverlap, FoldersAnswer
    from dedup.report.html import ReportAnswer
    from dedup.report.integrity import Finding, RepairAnswer, VerifyAnswer
    from dedup.report.looks import layer_maps
    from dedup.report.map import Cluster, MapAnswer
    from dedup.report.neighbours import NeighbourGraph
    from dedup.report.pairs import Pair, PairsAnswer
    from dedup.report.status import Remark, RemarksAnswer, RootsAnswer, RootStatus, Status
    from dedup.verbs.pairs import why

__all__ = [
    "Acted",
    "ActedFile",
    "Answer",
    "CalibrationAnswer",
    "CheckAnswer",
    "CheckResult",
    "ClassLeak",
    "ClassesAnswer",
    "Cluster",
    "Collection",
    "CollectionError",
    "Comparison",
    "DamagedError",
    "DecidedPair",
    "DecisionsAnswer",
    "DedupError",
    "Duplicate",
    "DuplicatesAnswer",
    "Evaluation",
    "EvaluationAnswer",
    "Explanation",
    "ExtraMissingError",
    "Extractor",
    "FeatureTable",
    "Features",
    "Finding",
    "FingerprintError",
    "FolderOverlap",
    "FoldersAnswer",
    "FormatError",
    "FoundShare",
    "Group",
    "Grouping",
    "ImageError",
    "IndexSummary",
    "Issue",
    "Layer",
    "LayerError",
    "LayersAnswer",
    "Leak",
    "LeaksAnswer",
    "LeftOut",
    "Level",
    "LockedError",
    "MapAnswer",
    "Match",
    "ModelError",
    "ModelSpec",
    "Neighbour",
    "NeighbourGraph",
    "NoCollectionError",
    "OwnModel",
    "Pair",
    "PairsAnswer",
    "Placed",
    "Plan",
    "PlanEntry",
    "PlanError",
    "Progress",
    "Promise",
    "QueryAnswer",
    "Remark",
    "RemarksAnswer",
    "RepairAnswer",
    "ReportAnswer",
    "RootStatus",
    "RootsAnswer",
    "Run",
    "RunsAnswer",
    "Runtime",
    "SampleAnswer",
    "SearchError",
    "Share",
    "Skip",
    "SkippedAnswer",
    "SourceError",
    "SplitAnswer",
    "Stages",
    "Status",
    "Taken",
    "Tier",
    "UnknownModelError",
    "VectorsError",
    "VerifyAnswer",
    "WatchAnswer",
    "WeightsError",
    "Written",
    "__version__",
    "layer_maps",
    "layers",
    "why",
]

_LOADED_LATER = {
    "Acted": "dedup.actions.outcomes",
    "ActedFile": "dedup.actions.outcomes",
    "Run": "dedup.actions.outcomes",
    "RunsAnswer": "dedup.actions.outcomes",
    "LeftOut": "dedup.actions.plan_file",
    "Plan": "dedup.actions.plan_file",
    "PlanEntry": "dedup.actions.plan_file",
    "CalibrationAnswer": "dedup.report.calibration",
    "Collection": "dedup.collection",
    "CheckAnswer": "dedup.datasets.issues",
    "ClassLeak": "dedup.datasets.classes",
    "ClassesAnswer": "dedup.datasets.classes",
    "Issue": "dedup.datasets.issues",
    "Leak": "dedup.datasets.leaks",
    "LeaksAnswer": "dedup.datasets.leaks",
    "Placed": "dedup.datasets.split",
    "SampleAnswer": "dedup.datasets.sample",
    "Share": "dedup.datasets.split",
    "SplitAnswer": "dedup.datasets.split",
    "Taken": "dedup.datasets.sample",
    "Evaluation": "dedup.report.evaluation",
    "EvaluationAnswer": "dedup.report.evaluation",
    "Extractor": "dedup.models.extractor",
    "FeatureTable": "dedup.report.features",
    "Features": "dedup.models.features",
    "FolderOverlap": "dedup.report.folders",
    "FoldersAnswer": "dedup.report.folders",
    "FoundShare": "dedup.report.calibration",
    "Level": "dedup.report.evaluation",
    "Cluster": "dedup.report.map",
    "MapAnswer": "dedup.report.map",
    "NeighbourGraph": "dedup.report.neighbours",
    "Pair": "dedup.report.pairs",
    "PairsAnswer": "dedup.report.pairs",
    "Promise": "dedup.report.calibration",
    "Remark": "dedup.report.status",
    "RemarksAnswer": "dedup.report.status",
    "RootStatus": "dedup.report.status",
    "RootsAnswer": "dedup.report.status",
    "Status": "dedup.report.status",
    "Written": "dedup.report.export",
    "Finding": "dedup.report.integrity",
    "RepairAnswer": "dedup.report.integrity",
    "ReportAnswer": "dedup.report.html",
    "VerifyAnswer": "dedup.report.integrity",
    "layer_maps": "dedup.report.looks",
    "layers": "dedup.binding",
    "why": "dedup.verbs.pairs",
}


logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version(DISTRIBUTION)
    if name not in _LOADED_LATER:
        raise AttributeError(f"module 'dedup' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LOADED_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
