"""The floors and fences of docs/architecture.md, read off the imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "dedup"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Longest prefix wins. A module may import from lower floors, and from its own room.
FLOORS = {
    "dedup": 12,
    "dedup.errors": -1,
    "dedup.answer": 0,
    "dedup.arrow": 0,
    "dedup.results": 1,
    "dedup.policy": 1,
    "dedup.fingerprint": 1,
    "dedup.records": 0,
    "dedup.files": 1,
    "dedup.mounts": 1,
    "dedup.placing": 1,
    "dedup.vectors": 2,
    "dedup.sources": 1,
    "dedup.freshness": 2,
    "dedup.arguments": 2,
    "dedup.spec": 3,
    "dedup.parallel": 1,
    "dedup.models": 2,
    "dedup.images": 2,
    "dedup.descriptors": 2,
    "dedup.search": 2,
    "dedup.store": 2,
    "dedup.edits": 2,
    "dedup.runtimes": 3,
    "dedup.space": 3,
    "dedup.proof": 3,
    "dedup.preparation": 4,
    "dedup.binding": 4,
    "dedup.indexing": 5,
    "dedup.duplicates": 5,
    "dedup.report": 5,
    "dedup.actions": 5,
    "dedup.query": 6,
    "dedup.sklearn": 6,
    "dedup.video": 6,
    "dedup.words": 7,
    "dedup.calibration": 6,
    "dedup.datasets": 6,
    "dedup.session": 7,
    "dedup.verbs": 8,
    "dedup.collection": 9,
    "dedup.review": 10,
    "dedup.distributed": 10,
    "dedup.cli": 11,
    "dedup.__main__": 12,
}
FENCES = {
    "torch": ("dedup.models", "dedup.runtimes", "dedup.search.tiles"),
    "timm": ("dedup.models",),
    "open_clip": ("dedup.models",),
    "safetensors": (
        "dedup.models",
        "dedup.descriptors",
        "dedup.space",
        "dedup.proof",
        "dedup.report.forms",
        "dedup.store.format_2",
    ),
    "onnx": ("dedup.models", "dedup.runtimes"),
    "onnxruntime": ("dedup.runtimes.onnx_runtime",),
    "openvino": ("dedup.runtimes.openvino_runtime",),
    "loky": ("dedup.parallel",),
    "faiss": ("dedup.search",),
    "cv2": ("dedup.images", "dedup.descriptors", "dedup.proof", "dedup.edits"),
    "PIL": ("dedup.images", "dedup.edits"),
    "pillow_heif": ("dedup.images",),
    "simplejpeg": ("dedup.images.jpeg",),
    "rawpy": ("dedup.images.raw",),
    "pillow_jxl": ("dedup.images.header",),
    "pathspec": ("dedup.images.scan",),
    "watchfiles": ("dedup.indexing.watch",),
    "sqlite3": ("dedup.store",),
    "click": ("dedup.cli",),
    "rich": ("dedup.cli",),
    "pyarrow": (
        "dedup.arrow",
        "dedup.report",
        "dedup.models.stores",
        "dedup.distributed",
        "dedup.sources.tables",
    ),
    "yaml": ("dedup.datasets",),
    "fsspec": ("dedup.sources.remote",),
    "pandas": ("dedup.report.tables",),
    "lance": ("dedup.report.forms",),
    "qdrant_client": ("dedup.report.databases",),
    "pymilvus": ("dedup.report.databases",),
    "psycopg": ("dedup.report.databases",),
    "pgvector": ("dedup.report.databases",),
    "starlette": ("dedup.review",),
    "uvicorn": ("dedup.review",),
    "h11": ("dedup.review",),
    "sklearn": ("dedup.report", "dedup.sklearn"),
    "umap": ("dedup.report",),
    "av": ("dedup.video.decode",),
    "obstore": ("dedup.distributed.bucket",),
    "ray": ("dedup.distributed.ray_engine",),
}
FORBIDDEN_ROOMS = {"utils", "helpers", "core", "common", "misc"}


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    return [*ast.walk(ast.parse(path.read_text(encoding="utf-8")))]


@cache
def imports_of(path: Path) -> set[str]:
    found = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            # `from dedup.search import join` names a module, `from dedup.errors import X` does not.
            named = {f"{node.module}.{alias.name}" for alias in node.names} & NAMES
            found |= named or {node.module or ""}
    return found


NAMES = {name_of(path) for path in MODULES}


@cache
def room(module: str) -> str:
    return max((name for name in FLOORS if f"{module}.".startswith(f"{name}.")), key=len)


def imported() -> list[tuple[str, str]]:
    """List who imports what."""
    return [(name_of(path), module) for path in MODULES for module in sorted(imports_of(path))]


def test_imports_go_downwards_only() -> None:
    inside = [(own, other) for own, other in imported() if other.split(".")[0] == "dedup"]
    assert len(inside) > len(MODULES)
    wrong = [
        f"{own} (floor {FLOORS[room(own)]}) imports {other} (floor {FLOORS[room(other)]})"
        for own, other in inside
        if room(own) != room(other) and FLOORS[room(other)] >= FLOORS[room(own)]
    ]
    assert wrong == []


def test_foreign_packages_stay_behind_their_fences() -> None:
    fenced = [(own, other.split(".")[0]) for own, other in imported()]
    assert {other for _, other in fenced} >= {"torch", "faiss", "cv2", "sqlite3", "click"}
    wrong = [
        f"{own} imports {other}"
        for own, other in fenced
        if other in FENCES and not own.startswith(FENCES[other])
    ]
    assert wrong == []


def test_no_circles_between_files() -> None:
    arrows = {name_of(path): imports_of(path) & NAMES - {name_of(path)} for path in MODULES}
    circles = [sorted(circle) for circle in strongly_connected(arrows) if len(circle) > 1]
    assert circles == []


def strongly_connected(arrows: dict[str, set[str]]) -> list[set[str]]:
    """Sort nodes into sets of which each member reaches every other."""
    reach = {node: _reached(node, arrows) for node in arrows}
    return [
        {other for other in reach[node] if node in reach[other]} | {node} for node in sorted(arrows)
    ]


def _reached(node: str, arrows: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    ahead = [node]
    while ahead:
        for other in arrows[ahead.pop()] - seen:
            seen.add(other)
            ahead.append(other)
    return seen


def test_the_floors_name_every_module() -> None:
    strays = [name_of(path) for path in MODULES if room(name_of(path)) == "dedup"]
    assert strays == ["dedup"]


def test_no_room_is_named_for_nothing() -> None:
    assert not [path for path in MODULES if FORBIDDEN_ROOMS & set(path.with_suffix("").parts)]


def test_no_file_has_more_than_400_lines() -> None:
    lines = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {name: count for name, count in lines.items() if count > 400} == {}


def test_no_function_has_more_than_60_lines() -> None:
    long = {}
    for path in MODULES:
        for node in nodes_of(path):
            if isinstance(node, ast.FunctionDef):
                count = (node.end_lineno or node.lineno) - node.lineno + 1
                if count > 60:
                    long[f"{name_of(path)}.{node.name}"] = count
    assert long == {}


@pytest.mark.parametrize("module", ["dedup", "dedup.cli", "dedup.collection"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    heavy = {"torch", "timm", "faiss", "cv2", "openvino", "onnxruntime"}
    if module == "dedup.collection":
        heavy = {"torch", "timm", "faiss", "openvino", "onnxruntime"}
    code = f"import {module}, sys; print(*sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
