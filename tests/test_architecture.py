"""The floors and fences of docs/architecture.md, read off the imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "dedup"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Longest prefix wins. A module may import from lower floors, and from its own room.
FLOORS = {
    "dedup": 7,
    "dedup.errors": 1,
    "dedup.results": 1,
    "dedup.fingerprint": 1,
    "dedup.hardware": 1,
    "dedup.workers": 1,
    "dedup.shelf": 1,
    "dedup.models": 2,
    "dedup.images": 2,
    "dedup.search": 2,
    "dedup.store": 2,
    "dedup.views": 3,
    "dedup.indexing": 4,
    "dedup.embedding": 4,
    "dedup.querying": 4,
    "dedup.duplicates": 4,
    "dedup.report": 4,
    "dedup.collection": 5,
    "dedup.cli": 6,
    "dedup.__main__": 7,
}
# querying is the pipeline's reading and batching, pointed at query images.
NEIGHBOURS = {("dedup.querying", "dedup.indexing")}
FENCES = {
    "torch": ("dedup.models", "dedup.search.tiles"),
    "timm": ("dedup.models",),
    "torchvision": ("dedup.models",),
    "torchcodec": ("dedup.models",),
    "safetensors": ("dedup.models",),
    "onnxruntime": ("dedup.models.onnx_runtime",),
    "openvino": ("dedup.models.openvino_runtime", "dedup.models.conversion"),
    "loky": ("dedup.workers",),
    "platformdirs": ("dedup.models.graph_cache",),
    "faiss": ("dedup.search",),
    "cv2": (
        "dedup.images",
        "dedup.models.details",
        "dedup.duplicates.verify",
        "dedup.duplicates.edits",
    ),
    "PIL": ("dedup.images", "dedup.duplicates.edits"),
    "pillow_heif": ("dedup.images",),
    "sqlite3": ("dedup.store",),
    "click": ("dedup.cli",),
    "rich": ("dedup.cli",),
    "pyarrow": ("dedup.report",),
}
FORBIDDEN_ROOMS = {"utils", "helpers", "core", "common", "misc"}


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            # `from dedup import embedding` names a module too.
            if node.module == "dedup":
                found |= {f"dedup.{alias.name}" for alias in node.names}
                found.discard("dedup")
    return found


def room(module: str) -> str:
    return max((name for name in FLOORS if f"{module}.".startswith(f"{name}.")), key=len)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_downwards_only(path: Path) -> None:
    own = room(name_of(path))
    for module in imports_of(path):
        if module.split(".")[0] != "dedup":
            continue
        other = room(module)
        assert other == own or FLOORS[other] < FLOORS[own] or (own, other) in NEIGHBOURS, (
            f"{name_of(path)} (floor {FLOORS[own]}) imports {module} (floor {FLOORS[other]})"
        )


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_foreign_packages_stay_behind_their_fences(path: Path) -> None:
    own = name_of(path)
    for module in imports_of(path):
        fence = FENCES.get(module.split(".")[0])
        if fence is not None:
            assert own.startswith(fence), f"{own} imports {module}"


def test_the_floors_name_every_module() -> None:
    strays = [name_of(path) for path in MODULES if room(name_of(path)) == "dedup"]
    assert strays == ["dedup"]


def test_no_room_is_named_for_nothing() -> None:
    assert not [path for path in MODULES if FORBIDDEN_ROOMS & set(path.with_suffix("").parts)]


def test_no_module_has_outgrown_its_name() -> None:
    long = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    long.pop("dedup.collection")  # the public API: one method a use case, mostly docstrings
    assert {name: lines for name, lines in long.items() if lines > 450} == {}


@pytest.mark.parametrize("module", ["dedup", "dedup.cli", "dedup.collection"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    heavy = {"torch", "timm", "faiss", "cv2", "openvino", "onnxruntime"}
    if module == "dedup.collection":
        heavy = {"torch", "timm", "faiss", "openvino", "onnxruntime"}
    code = f"import {module}, sys; print(*sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
