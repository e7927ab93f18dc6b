"""Videos that cannot be read are skipped, each with a reason, and nothing hangs."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from drawings import scene
from films import RATE, pan, smaller, speech, write_video

from dedup.collection import Collection
from dedup.spec import ModelSpec
from dedup.video.prove import Compared, Digested, Failed, Moments, Read, run_all
from dedup.video.sample import SIDE, TICKS

if TYPE_CHECKING:
    from pathlib import Path


def reason(found: object) -> str:
    assert isinstance(found, Failed), found
    return found.reason


def test_each_has_its_reason(tmp_path: Path) -> None:
    frames = smaller(pan(1, 4))
    whole = write_video(tmp_path / "whole.mp4", frames).read_bytes()
    matroska = write_video(tmp_path / "whole.mkv", frames).read_bytes()
    at = matroska.index(b"\x44\x89\x88") + 3  # the element Duration, in milliseconds
    long = matroska[:at] + struct.pack(">d", 1e12) + matroska[at + 8 :]
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{tmp_path}/whole.mp4\n"
    files = {
        "cut.mp4": (whole[: len(whole) // 2], "not a video, or damaged"),
        "cut.mkv": (matroska[: len(matroska) // 4], "truncated: 1 of its 4 seconds are there"),
        "zero.mp4": (b"", "empty file"),
        "text.mov": (b"no video at all, only words\n" * 99, "not a video, or damaged"),
        "long.mkv": (long, "claims to last 277,778 hours; videos up to 6 are read"),
        "list.mp4": (playlist.encode(), "not a video, or damaged"),
        "gone.mp4": (None, "no such file or directory"),
    }
    for name, (data, _) in files.items():
        if data is not None:
            (tmp_path / name).write_bytes(data)
    write_video(tmp_path / "sound.mp4", sound=speech(1, 1))
    names = [*files, "sound.mp4"]
    found = list(run_all([Read(str(tmp_path / name).encode()) for name in names]))
    for name, one in zip(names, found, strict=True):
        assert files.get(name, (b"", "no video in it"))[1] in reason(one), name


@pytest.mark.parametrize(
    "name", ["a.mp4", *(pytest.param(name, marks=pytest.mark.slow) for name in ("a.ts", "a.avi"))]
)
def test_looks_and_moments_are_those_of_a_plain_decode(tmp_path: Path, name: str) -> None:
    frames = smaller(pan(2, 3))
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    path = write_video(tmp_path / name, frames, codec)
    with av.open(path) as container:
        decoded = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    read, compared = run_all(
        [
            Read(str(path).encode()),
            Moments(str(path).encode(), str(path).encode(), ((1.0, 1.0), (2.0, 2.03))),
        ]
    )
    assert isinstance(read, Digested)
    assert read.sampled is not None
    film = read.sampled.film
    assert (film.facts.width, film.facts.height, film.facts.sound) == (120, 90, False)
    assert film.facts.seconds == pytest.approx(3, abs=0.06)
    assert len(film.looks) == 3 * TICKS
    for tick in range(3 * TICKS - 1):
        shown = decoded[int((tick * RATE) / TICKS + 1e-6)]
        block = shown.reshape(SIDE // 2, 15, SIDE, 10).mean(axis=(1, 3))
        coarse = film.looks[tick].reshape(SIDE // 2, 2, SIDE).mean(axis=1)
        assert np.abs(block - coarse).mean() < 6
    assert isinstance(compared, Compared)
    assert [moment.proven for moment in compared.moments] == [True, True]
    assert [moment.second for moment in compared.moments] == pytest.approx([1.0, 2.0], abs=0.01)


@pytest.mark.usefixtures("without_videos")
def test_without_the_extra_videos_are_passed_over_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    scene(1).save(folder / "photo.jpg")
    write_video(folder / "clip.mp4", smaller(pan(1, 1)))
    spec = ModelSpec(views=("details",))
    with Collection.create(tmp_path / "store", spec) as collection:
        summary = collection.index([folder])
        assert summary.passed_over == {
            "videos (pip install 'dedup-vision[video]' compares them)": 1
        }
        assert (summary.indexed, summary.skipped) == (1, 0)
        assert not (tmp_path / "store" / "videos").exists()
