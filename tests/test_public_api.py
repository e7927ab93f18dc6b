"""What `import dedup` promises: names, documentation, annotations, and errors that travel."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import dedup
from dedup import errors, results
from dedup.errors import DedupError

ROOT = Path(__file__).parent.parent

EXPORTED = {
    "Collection ModelSpec Runtime Progress layer_maps layers why __version__",
    "Extractor Features OwnModel",
    "Tier Grouping",
    "Answer IndexSummary Stages Skip QueryAnswer Neighbour DuplicatesAnswer Group Duplicate",
    "Comparison Match Explanation CheckResult DecisionsAnswer DecidedPair SkippedAnswer",
    "WatchAnswer FolderOverlap FoldersAnswer",
    "CalibrationAnswer Promise FoundShare EvaluationAnswer Evaluation Level Status RootStatus",
    "RootsAnswer Remark RemarksAnswer Pair PairsAnswer",
    "LayersAnswer Layer FeatureTable NeighbourGraph Written VerifyAnswer",
    "RepairAnswer ReportAnswer Finding",
    "MapAnswer Cluster",
    "CheckAnswer Issue SplitAnswer Placed Share LeaksAnswer Leak SampleAnswer Taken",
    "ClassesAnswer ClassLeak",
    "DedupError ImageError ModelError UnknownModelError LayerError WeightsError",
    "CollectionError NoCollectionError LockedError FingerprintError FormatError DamagedError",
    "SearchError VectorsError PlanError SourceError ExtraMissingError",
    "Plan PlanEntry LeftOut Acted ActedFile Run RunsAnswer",
}
NAMES = {name for line in EXPORTED for name in line.split()}

ERRORS: list[DedupError] = [
    DedupError("text"),
    errors.ImageError("a.jpg", "truncated", transient=True),
    errors.ModelError("text"),
    errors.UnknownModelError("mobilenet", ["mobilenetv2_100"]),
    errors.LayerError("text"),
    errors.WeightsError("text"),
    errors.CollectionError("store", "reason"),
    errors.NoCollectionError("store", "reason"),
    errors.LockedError(Path("store"), "reason"),
    errors.FingerprintError("store", "reason"),
    errors.FormatError("store", "reason"),
    errors.DamagedError("store", "reason"),
    errors.SearchError("text"),
    errors.VectorsError("text"),
    errors.PlanError("text"),
    errors.SourceError("text"),
    errors.ExtraMissingError("writing Parquet", "parquet"),
]


def members(module: Any) -> dict[str, type]:
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__
    }


def test_all_is_the_documented_list() -> None:
    assert set(dedup.__all__) == NAMES
    assert dir(dedup) == sorted(NAMES)
    for name in NAMES:
        assert getattr(dedup, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = dedup.nothing


def test_every_result_and_every_error_is_exported() -> None:
    public = {*members(results), *members(errors)}
    assert public <= NAMES


def test_the_version_is_the_distributions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == errors.DISTRIBUTION
    assert dedup.__version__.split(".")[0].isdigit()


def test_importing_the_package_loads_no_library() -> None:
    code = "import dedup, sys; print({'torch', 'numpy', 'click', 'faiss'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def public_callables() -> dict[str, Any]:
    found = {}
    for name in sorted(NAMES - {"__version__", "Progress"}):
        value = getattr(dedup, name)
        found[name] = value
        if inspect.isclass(value):
            found |= {
                f"{name}.{key}": getattr(value, key)
                for key, member in vars(value).items()
                if not key.startswith("_")
                and (inspect.isfunction(member) or isinstance(member, classmethod))
            }
    return found


@pytest.mark.parametrize("name", sorted(public_callables()))
def test_everything_public_is_documented_and_annotated(name: str) -> None:
    value = public_callables()[name]
    assert value.__doc__, name
    first, *rest = inspect.cleandoc(value.__doc__).splitlines()
    assert first.rstrip().endswith((".", ":", "?")) or not rest or rest[0], first
    if not inspect.isclass(value):
        signature = inspect.signature(value)
        assert signature.return_annotation is not inspect.Signature.empty
        for parameter in list(signature.parameters.values()):
            if parameter.name != "self":
                assert parameter.annotation is not inspect.Parameter.empty, parameter.name


def test_answers_iterate_over_rows_and_carry_notes() -> None:
    answers = [
        getattr(dedup, name)
        for name in NAMES - {"Progress", "Answer", "__version__"}
        if inspect.isclass(getattr(dedup, name)) and issubclass(getattr(dedup, name), dedup.Answer)
    ]
    assert len(answers) == 30
    for answer in answers:
        names = [field.name for field in dataclasses.fields(answer)]
        assert "notes" in names
        assert answer.rows_in in {*names, "levels"}
    skips = (dedup.Skip("a", "x"), dedup.Skip("b", "y"))
    answer = dedup.SkippedAnswer(skips, ("a note",))
    assert (list(answer), len(answer), answer[1], answer[:1]) == ([*skips], 2, skips[1], skips[:1])
    assert skips[0] in answer
    assert pickle.loads(pickle.dumps(answer)) == answer  # noqa: S301 - our own bytes


def test_the_table_of_errors_holds_them_all() -> None:
    assert {type(error) for error in ERRORS} == set(members(errors).values())


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_travel_between_processes(error: DedupError) -> None:
    error.add_note("a note")
    for again in (
        pickle.loads(pickle.dumps(error)),  # noqa: S301 - our own bytes
        copy.copy(error),
        copy.deepcopy(error),
    ):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert again.args == error.args
        assert vars(again) == vars(error)
