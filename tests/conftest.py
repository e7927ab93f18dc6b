"""What tests share: the real photographs, drawn images, and a small indexed collection."""

from __future__ import annotations

import gc
import importlib.metadata
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from drawings import draw_folder
from outcome import SMALL_MODEL, Outcome

from dedup.cli import main
from dedup.collection import Collection
from dedup.images import formats
from dedup.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while tests are collected, nor later among what is there then."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Let BLAS do with one core, and threads of OpenMP sleep while they wait, also in processes.

    They spin otherwise, before and after each product, on cores of which every one has a worker of
    pytest: a third of the suite's processor time went there. And let Python keep what it compiled,
    as it does unless told otherwise: each worker and process would compile it again.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep converted models of tests out of the user's cache; each is converted once a session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path_factory.mktemp("cache")))
        patch.delenv("DEDUP_RUNTIME", raising=False)
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real photographs beside the clone."""
    folder = Path(__file__).parent.parent.parent / "shared"
    if not (folder / "data" / "photos").is_dir():
        pytest.skip("needs the photographs of ../shared/data beside the clone")
    return folder


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of drawn images with copies among them; not to be changed."""
    folder = tmp_path_factory.mktemp("drawn") / "images"
    draw_folder(folder)
    return folder


@pytest.fixture
def images(drawn: Path, tmp_path: Path) -> Path:
    """A copy of `drawn` of the test's own."""
    return Path(shutil.copytree(drawn, tmp_path / "images"))


@pytest.fixture(scope="session")
def indexed(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of `drawn`, listed once, so that what is proven is kept; not to be changed."""
    store = tmp_path_factory.mktemp("indexed") / "store"
    with Collection.create(store, ModelSpec(SMALL_MODEL, untrained=True)) as collection:
        collection.index([drawn])
        collection.duplicates()
    return store


@pytest.fixture
def store(indexed: Path, tmp_path: Path) -> Path:
    """A copy of `indexed` of the test's own; its root is `drawn`."""
    return Path(shutil.copytree(indexed, tmp_path / "store"))


@pytest.fixture
def collection(store: Path) -> Iterator[Collection]:
    with Collection.open(store) as opened:
        yield opened


@pytest.fixture
def own(store: Path, drawn: Path, images: Path) -> Iterator[Collection]:
    """A collection of `images`; contents are known, so that nothing is embedded."""
    with Collection.open(store) as opened:
        opened.move_root(drawn, images)
        opened.index()
        yield opened


@pytest.fixture
def dedup(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> Callable[..., Outcome]:
    """Run the command line in this process, from an empty folder, through its error boundary."""
    monkeypatch.delenv("DEDUP_STORE", raising=False)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)

    def run(*arguments: object) -> Outcome:
        monkeypatch.setenv("COLUMNS", "200")  # paths of temporary folders are long
        monkeypatch.setattr(sys, "argv", ["dedup", *map(os.fspath, map(_text, arguments))])
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        sys.stdout.flush()
        captured = capfdbinary.readouterr()
        code = stop.value.code
        assert isinstance(code, int)
        err = captured.err.decode(errors="surrogateescape")
        assert "Traceback" not in err
        return Outcome(code, captured.out, err)

    return run


def _text(argument: object) -> str:
    if isinstance(argument, bytes):
        return os.fsdecode(argument)
    return os.fspath(argument) if isinstance(argument, os.PathLike) else str(argument)


@pytest.fixture
def without_videos(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Be an installation without the extra `video`."""
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "av":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    formats.reads_videos.cache_clear()
    yield
    monkeypatch.undo()
    formats.reads_videos.cache_clear()


@pytest.fixture
def ordinary_user(tmp_path: Path) -> Iterator[Path]:
    """Be somebody who may not list every folder, in a folder of one's own."""
    if os.geteuid() != 0:
        yield tmp_path
        return
    importlib.metadata.version(
        "numpy"
    )  # reads metadata by modules that only root may be able to import
    folder = Path(tempfile.mkdtemp())
    os.chown(folder, 65534, 65534)
    os.seteuid(65534)
    try:
        yield folder
    finally:
        os.seteuid(0)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser without a window, for tests with the marker `browser`."""
    api = pytest.importorskip("playwright.sync_api", reason="needs the extra browser")
    with api.sync_playwright() as playwright:
        own = shutil.which("chromium") or shutil.which("google-chrome")
        try:
            browser = playwright.chromium.launch(executable_path=own, chromium_sandbox=False)
        except api.Error as error:
            pytest.skip(f"needs Chromium: playwright install chromium ({error.message[:80]})")
        yield browser
        browser.close()
