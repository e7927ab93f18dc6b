"""URLs: a real web server, a bucket of a real S3 server, and fsspec's file system in memory."""

from __future__ import annotations

import os
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from drawn import encode, textured

from dedup.collection import Collection
from dedup.errors import SourceError
from dedup.results import Tier
from dedup.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

fsspec = pytest.importorskip("fsspec", reason="needs the extra remote")

IMAGES = {f"{number}.png": encode(textured(120, 160, number), "PNG") for number in range(3)}


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Collection]:
    with Collection.create(tmp_path / "store", ModelSpec(views=("details",))) as collection:
        yield collection


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[Path, str, ThreadingHTTPServer]]:
    pytest.importorskip("aiohttp", reason="needs the extra remote")
    folder = tmp_path / "www"
    (folder / "photos").mkdir(parents=True)
    for name, data in IMAGES.items():
        (folder / "photos" / name).write_bytes(data)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=os.fspath(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder / "photos", f"http://127.0.0.1:{server.server_port}", server
    server.shutdown()
    server.server_close()
    thread.join()


def test_files_and_folders_of_a_web_server(
    new: Collection, web: tuple[Path, str, Any], tmp_path: Path
) -> None:
    folder, server, running = web
    summary = new.index(f"{server}/photos/")
    assert (summary.indexed, summary.skipped) == (3, 0)
    assert [(root.path, root.kind, root.files) for root in new.roots()] == [
        (f"{server}/photos", "remote", 3)
    ]
    assert new.index().unchanged == 3
    local = tmp_path / "copy.jpg"
    local.write_bytes(encode(textured(120, 160, 1), "JPEG", quality=70))
    new.index(local)
    (group,) = new.duplicates()
    assert {*group.paths} == {f"{server}/photos/1.png", str(local)}
    assert group.tier is Tier.RESAVED
    plan = new.plan()
    assert plan.entries == ()
    assert f"{server}/photos: 1 file left out; only plain files" in " ".join(plan.notes)
    (folder / "2.png").unlink()
    (folder / "1.png").write_bytes(encode(textured(120, 160, 9), "PNG"))
    os.utime(folder / "1.png", (1, 1))
    summary = new.index()
    assert (summary.indexed, summary.gone, summary.unchanged) == (1, 1, 2)
    (found,) = new.query(f"{server}/photos/0.png", k=1)
    assert found.path == f"{server}/photos/0.png"
    # The server goes away: nothing is lost by it.
    running.shutdown()
    running.server_close()
    summary = new.index()
    assert summary.gone == 0
    assert [skip.path for skip in summary.new_skips] == [f"{server}/photos"]
    assert {root.path: root.files for root in new.roots()}[f"{server}/photos"] == 2
    with pytest.raises(SourceError, match=r"no answer .* Is the network there"):
        new.index(f"{server}/other/")
    assert len(new.roots()) == 2
    (skip,) = new.query([f"{server}/photos/7.png"], k=1).skipped
    assert (skip.path, skip.reason) == (
        f"{server}/photos/7.png",
        "no such file there, or no answer",
    )


def test_files_of_a_web_server_by_name(new: Collection, web: tuple[Path, str, Any]) -> None:
    _, server, _ = web
    names = [f"{server}/photos/0.png", f"{server}/photos/missing.png"]
    summary = new.index(files=names)
    assert summary.indexed == 1
    assert [(skip.path, skip.reason) for skip in summary.new_skips] == [
        (names[1], "there is no such file")
    ]
    assert [(root.path, root.kind) for root in new.roots()] == [(server, "files")]
    assert new.index(f"{server}/photos/0.png").unchanged == 1
    new.index(f"{server}/photos/")  # which holds it from now on
    assert [(root.path, root.files) for root in new.roots()] == [(f"{server}/photos", 3)]


def test_a_file_system_in_memory(new: Collection) -> None:
    system = fsspec.filesystem("memory")
    for name, data in IMAGES.items():
        system.pipe(f"/bucket/a/{name}", data)
    system.pipe("/bucket/a/notes.txt", b"x")
    try:
        assert new.index("memory://bucket/a").indexed == 3
        assert new.index().unchanged == 3
        system.rm("/bucket/a/0.png")
        assert new.index().gone == 1
        with pytest.raises(SourceError, match="there is no such file or folder"):
            new.index("memory://nowhere")
        with pytest.raises(SourceError, match="nonsense://a"):
            new.index("nonsense://a")
    finally:
        system.rm("/bucket", recursive=True)


@pytest.mark.slow
def test_a_bucket(new: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    server = pytest.importorskip("moto.server", reason="needs moto[server]")
    s3fs = pytest.importorskip("s3fs", reason="needs the extra remote")
    running = server.ThreadedMotoServer(port=0)
    running.start()
    try:
        host, port = running.get_host_and_port()
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("FSSPEC_S3_ENDPOINT_URL", f"http://{host}:{port}")
        fsspec.config.set_conf_env(fsspec.config.conf)
        s3fs.S3FileSystem.clear_instance_cache()
        system = fsspec.filesystem("s3")
        system.mkdir("photos")
        for name, data in IMAGES.items():
            system.pipe(f"photos/set/{name}", data)
        assert new.index("s3://photos/set").indexed == 3
        assert [(root.path, root.kind) for root in new.roots()] == [("s3://photos/set", "remote")]
        assert new.index().unchanged == 3
        system.pipe("photos/set/3.png", IMAGES["0.png"])
        assert new.index().reused == 1
        (group,) = new.duplicates()
        assert {*group.paths} == {"s3://photos/set/0.png", "s3://photos/set/3.png"}
        assert new.index("s3://photos/set/3.png").unchanged == 4
    finally:
        fsspec.config.conf.pop("s3", None)
        s3fs.S3FileSystem.clear_instance_cache()
        running.stop()
