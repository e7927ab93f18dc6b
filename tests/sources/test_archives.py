"""Zip and tar archives, sound ones and those that are made to hurt."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
from drawn import encode, textured

from dedup.errors import ImageError, SourceError
from dedup.images.decode import read_file
from dedup.sources import archives

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outcome import Outcome

LIMIT = 1 << 24
IMAGES = {f"d/{number}.png": encode(textured(40, 60, number), "PNG") for number in range(5)}


def make_zip(path: Path, members: dict[str, bytes], kind: int = zipfile.ZIP_STORED) -> bytes:
    with zipfile.ZipFile(path, "w", kind) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return os.fsencode(path)


def make_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> bytes:
    with tarfile.open(path, mode) as file:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return os.fsencode(path)


@pytest.mark.parametrize("kind", ["zip", "deflated.zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_members_are_read_as_they_were_put_in(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    if kind.endswith("zip"):
        method = zipfile.ZIP_DEFLATED if "deflated" in kind else zipfile.ZIP_STORED
        archive = make_zip(path, IMAGES, method)
    else:
        archive = make_tar(path, IMAGES, "w:" + kind.partition(".")[2])
    found = archives.contents(archive)
    assert found.problems == []
    assert {name: one.size for name, one in found.members.items()} == {
        name.encode(): len(data) for name, data in IMAGES.items()
    }
    for name in reversed(IMAGES):  # backwards, which a compressed tar has to begin anew for
        assert archives.read(archive, name.encode(), LIMIT) == IMAGES[name]
        assert read_file(os.path.join(archive, name.encode())) == IMAGES[name]


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_names_that_lead_out_are_refused_and_the_last_of_two_counts(
    tmp_path: Path, make: object
) -> None:
    assert callable(make)
    path = tmp_path / ("a.zip" if make is make_zip else "a.tar")
    members = {"/etc/a.png": b"1", "../b.png": b"2", "x/../../c.png": b"3", "./d.png": b"4"}
    with pytest.warns(UserWarning, match="Duplicate") if make is make_zip else _nothing():
        archive = make(path, members)
        if make is make_zip:
            with zipfile.ZipFile(path, "a") as file:
                file.writestr("d.png", b"new")
                file.writestr("./d.png", b"newer")
        else:
            with tarfile.open(path, "a") as file:
                info = tarfile.TarInfo("d.png")
                info.size = 5
                file.addfile(info, io.BytesIO(b"newer"))
    found = archives.contents(archive)
    assert list(found.members) == [b"d.png"]
    assert archives.read(archive, b"d.png", LIMIT) == b"newer"
    reasons = dict(found.problems)
    assert "absolute path" in reasons["/etc/a.png"]
    assert "leads out" in reasons["../b.png"]
    assert "leads out" in reasons["x/../../c.png"]
    assert "named twice" in reasons[found.problems[-1][0]]


def test_an_archive_of_refused_names_alone_says_why(
    dedup: Callable[..., Outcome], tmp_path: Path
) -> None:
    archive = os.fsdecode(make_tar(tmp_path / "a.tar", {"/etc/a.png": b"1"}))
    done = dedup("index", archive, "-s", tmp_path / "store")
    assert done.code == 1
    assert f"none of the images in {archive} is read: '/etc/a.png' is an absolute path" in done.err
    assert not (tmp_path / "store").exists()


class _nothing:  # noqa: N801 - a context
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def test_a_bomb_is_refused_by_what_it_declares_and_bounded_by_what_it_is(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "bomb.zip", {"zeros.png": bytes(1 << 23)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(ImageError, match=r"zeros\.png: would expand 1,\d\d\d-fold"):
        archives.read(archive, b"zeros.png", LIMIT)
    # One that lies about its size: it is read no further than it says, and then fails its sum.
    data = bytearray((tmp_path / "bomb.zip").read_bytes())
    place = data.rindex(b"PK\x01\x02")
    data[place + 24 : place + 28] = struct.pack("<I", 1000)
    lying = tmp_path / "lying.zip"
    lying.write_bytes(data)
    with pytest.raises(ImageError, match="in the archive"):
        archives.read(os.fsencode(lying), b"zeros.png", LIMIT)


def test_a_compressed_tar_that_unpacks_too_far_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 1 << 20)
    archive = make_tar(tmp_path / "a.tar.gz", {"a.png": bytes(1 << 21), "b.png": b"b"}, "w:gz")
    with pytest.raises(SourceError, match=r"a\.tar\.gz.*unpacks to more|unpacks to more than"):
        archives.contents(archive)


def test_a_header_of_megabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz", format=tarfile.GNU_FORMAT) as file:
        file.addfile(tarfile.TarInfo("n" * (1 << 22)))
    with pytest.raises(SourceError, match="a header of"):
        archives.contents(os.fsencode(path))


def test_encrypted_and_odd_compressions_are_named(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"a.png": b"a" * 100}, zipfile.ZIP_LZMA)
    with pytest.raises(ImageError, match="compressed by method 14"):
        archives.read(archive, b"a.png", LIMIT)
    data = bytearray(make_zip(tmp_path / "b.zip", {"b.png": b"b"}) and b"")
    data[:] = (tmp_path / "b.zip").read_bytes()
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "b.zip").write_bytes(data)
    with pytest.raises(ImageError, match="encrypted"):
        archives.read(os.fsencode(tmp_path / "b.zip"), b"b.png", LIMIT)


def test_a_damaged_member_is_one_error(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", IMAGES)
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[data.index(IMAGES["d/1.png"]) + 20] ^= 255
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(ImageError, match="damaged in the archive"):
        archives.read(archive, b"d/1.png", LIMIT)
    assert archives.read(archive, b"d/2.png", LIMIT) == IMAGES["d/2.png"]


@pytest.mark.parametrize("where", ["data", "header"])
def test_of_a_truncated_tar_what_is_whole_is_read(tmp_path: Path, where: str) -> None:
    archive = make_tar(tmp_path / "a.tar", IMAGES)
    whole = (tmp_path / "a.tar").read_bytes()
    place = (
        whole.index(IMAGES["d/3.png"]) + 100 if where == "data" else whole.index(b"d/3.png") + 99
    )
    (tmp_path / "a.tar").write_bytes(whole[:place])
    found = archives.contents(archive)
    assert list(found.members) == [b"d/0.png", b"d/1.png", b"d/2.png"]
    assert any(not name and "cut off after" in why for name, why in found.problems)
    assert archives.read(archive, b"d/2.png", LIMIT) == IMAGES["d/2.png"]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz"])
@pytest.mark.parametrize("content", [b"", b"no archive at all" * 100, b"\x1f\x8bgarbage"])
def test_what_is_no_archive_says_so(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=name):
        archives.contents(os.fsencode(tmp_path / name))


def test_an_archive_that_changed_is_opened_again(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"a.png": b"old"})
    assert archives.read(archive, b"a.png", LIMIT) == b"old"
    os.unlink(archive)
    make_zip(tmp_path / "a.zip", {"b.png": b"new"})
    assert archives.read(archive, b"b.png", LIMIT) == b"new"
    with pytest.raises(ImageError, match="no longer in the archive"):
        archives.read(archive, b"a.png", LIMIT)


def test_a_path_is_split_at_the_archive(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"d/a.png": b"x"})
    assert archives.split(archive + b"/d/a.png") == (archive, b"d/a.png")
    assert archives.split(archive) is None
    (tmp_path / "plain").write_bytes(b"x")
    assert archives.split(os.fsencode(tmp_path / "plain" / "a.png")) is None
