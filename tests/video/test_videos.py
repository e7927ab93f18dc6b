"""Videos of a collection: what is listed, what may be planned, and what is kept of them."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, NamedTuple

import pytest
from drawings import scene
from films import RATE, pan, smaller, speech, write_video
from PIL import Image

from dedup.collection import Collection
from dedup.errors import DedupError
from dedup.results import Tier
from dedup.spec import ModelSpec
from dedup.verbs.pairs import why

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from outcome import Outcome

    from dedup.results import Duplicate, Group

BOTH = "exact,video"
PROVEN = " 8 of 8 frames proven"


class Place(NamedTuple):
    images: Path
    store: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A listed collection; not to be changed."""
    top = tmp_path_factory.mktemp("videos")
    images = top / "images"
    (images / "live").mkdir(parents=True)
    frames, sound = [*pan(1, 4), *pan(2, 4)], speech(8, 1)
    write_video(images / "film.mp4", frames, sound=sound)
    shutil.copy(images / "film.mp4", images / "film copy.mp4")
    write_video(images / "small.mkv", smaller(frames), "libvpx-vp9", 150, sound)
    write_video(images / "cut.avi", frames[25:65], "mpeg4", 400)
    write_video(images / "other.mp4", pan(3, 2))
    write_video(images / "live" / "IMG_1.mov", smaller(pan(5, 2)))
    frames[22].save(images / "grab.jpg", quality=88)
    smaller(frames)[61].save(images / "small grab.png")
    pan(5, 2)[10].save(images / "live" / "IMG_1.jpg")
    for seed in (11, 12):
        scene(seed).save(images / f"{seed}.jpg")
    (images / "broken.mp4").write_bytes((images / "film.mp4").read_bytes()[:9000])
    with Collection.create(top / "store", ModelSpec(views=("details",))) as collection:
        summary = collection.index([images])
        assert summary.notes == ("6 videos read",)
        assert [skip.path for skip in summary.new_skips] == [str(images / "broken.mp4")]
        assert collection.skipped()[0].reason.startswith("not a video, or damaged")
        collection.duplicates("video")
    return Place(images, top / "store")


@pytest.fixture
def own(made: Place, tmp_path: Path) -> Iterator[tuple[Collection, Path]]:
    """A copy of the collection and its files."""
    images = tmp_path / "images"
    shutil.copytree(made.images, images)
    shutil.copytree(made.store, tmp_path / "store")
    with Collection.open(tmp_path / "store") as collection:
        collection.move_root(made.images, images)
        collection.index()
        yield collection, images


def by_name(group: Group) -> dict[str, Duplicate]:
    return {os.path.basename(one.path): one for one in group.duplicates}


def test_each_is_found_and_said_what_it_is(made: Place) -> None:
    with Collection.open(made.store) as collection:
        groups = {os.path.basename(one.keeper): one for one in collection.duplicates(BOTH)}
    assert set(groups) == {"film.mp4", "IMG_1.mov"}
    found = by_name(groups["film.mp4"])
    words = {name: (one.tier, one.evidence) for name, one in found.items()}
    assert words == {
        "film copy.mp4": (Tier.EXACT, "same bytes"),
        "small.mkv": (
            Tier.VIDEO,
            "the whole of it, saved again, 120×90 instead of 240×180, vp9 instead of h264,"
            + PROVEN,
        ),
        "cut.avi": (
            Tier.VIDEO,
            "a cut: its 0:02–0:06, mpeg4 instead of h264, 4 of 4 frames proven",
        ),
        "grab.jpg": (Tier.VIDEO, "a frame of film.mp4 at 0:02"),
        "small grab.png": (Tier.VIDEO, "a frame of film.mp4 at 0:06"),
    }
    assert min(one.similarity for one in found.values()) > 0.95
    assert groups["film.mp4"].reclaimable_bytes == found["film copy.mp4"].bytes
    live = by_name(groups["IMG_1.mov"])
    assert live["IMG_1.jpg"].evidence == "a frame of IMG_1.mov at 0:01"


def test_without_the_tier_only_copies_are_listed(made: Place) -> None:
    with Collection.open(made.store) as collection:
        (group,) = collection.duplicates("exact")
        assert [one.tier for one in group.duplicates] == [Tier.EXACT]
        assert list(collection.duplicates("pixels,resaved,near")) == []


def test_proofs_are_kept(made: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a video was read again")

    with Collection.open(made.store) as collection:
        first = collection.duplicates(BOTH).groups
        monkeypatch.setattr("dedup.video.prove.Workers", refuse)
        assert collection.duplicates(BOTH).groups == first
        assert collection.index().new_skips == ()


def test_only_copies_and_wholes_are_planned_and_come_back(own: tuple[Collection, Path]) -> None:
    collection, images = own
    assert [os.path.basename(one.path) for one in collection.plan().entries] == ["film copy.mp4"]
    with pytest.raises(ValueError, match="video is not proven in full: only trash and move"):
        collection.plan(tier=BOTH, action="delete")
    away = images.parent / "away"
    plan = collection.plan(tier=BOTH, action=f"move:{away}")
    assert [(os.path.basename(one.path), one.tier) for one in plan.entries] == [
        ("film copy.mp4", Tier.EXACT),
        ("small.mkv", Tier.VIDEO),
    ]
    before = {path.name: path.read_bytes() for path in images.rglob("*.m*")}
    assert {one.outcome for one in collection.apply(plan)} == {"done"}
    assert not (images / "small.mkv").exists()
    (group,) = (one for one in collection.duplicates(BOTH) if one.keeper.endswith("film.mp4"))
    assert set(by_name(group)) == {"cut.avi", "grab.jpg", "small grab.png"}
    collection.undo()
    assert {path.name: path.read_bytes() for path in images.rglob("*.m*")} == before


@pytest.mark.slow
def test_a_better_one_and_one_with_other_sound_stay(own: tuple[Collection, Path]) -> None:
    collection, images = own
    for name in ("film.mp4", "film copy.mp4", "cut.avi"):
        (images / name).unlink()
    frames = smaller([*pan(1, 4), *pan(2, 4)])
    write_video(images / "mute.mp4", frames)
    write_video(images / "dubbed.mp4", frames, sound=speech(8, 2))
    collection.index()
    groups = [one for one in collection.duplicates("video") if "small.mkv" in str(one)]
    assert len(groups) == 1
    assert all("the whole of it, with other sound" in one.evidence for one in groups[0].duplicates
               if not one.path.endswith(("jpg", "png")))  # fmt: skip
    assert collection.plan(tier=BOTH).entries == ()


def test_the_film_of_a_live_photo_goes_with_its_photo_only(own: tuple[Collection, Path]) -> None:
    collection, images = own
    shutil.copytree(images / "live", images / "again")
    collection.index()
    plan = collection.plan(tier="exact")
    assert [
        (os.path.basename(one.path), one.kind) for one in plan.entries if "IMG" in one.path
    ] == [
        ("IMG_1.jpg", "image"),
        ("IMG_1.mov", "sidecar"),
    ]


@pytest.mark.slow
def test_renamed_videos_are_not_read_and_damaged_records_are_made_anew(
    own: tuple[Collection, Path],
) -> None:
    collection, images = own
    before = collection.duplicates(BOTH).groups
    kept = sorted((collection.path / "videos").glob("*.film"))
    times = [path.stat().st_mtime_ns for path in kept]
    (images / "other.mp4").rename(images / "renamed.mp4")
    collection.index()
    assert [path.stat().st_mtime_ns for path in kept] == times
    (images / "renamed.mp4").unlink()
    collection.index()
    assert len(list((collection.path / "videos").glob("*.film"))) == len(kept) - 1
    for path in (*kept[:1], collection.path / "videos" / "files.json"):
        if path.exists():
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
    collection.index()
    assert collection.duplicates(BOTH).groups == before
    (images / "film.mp4").write_bytes(b"changed")
    answer = collection.duplicates(BOTH)
    assert not any("film.mp4" in one.paths for one in answer)
    assert "1 file is gone or has changed since it was indexed; run: dedup index" in answer.notes


@pytest.mark.slow
def test_ignored_pairs_are_left_out(own: tuple[Collection, Path]) -> None:
    collection, images = own
    collection.ignore(images / "film.mp4", images / "cut.avi")
    assert not any("cut.avi" in str(one) for one in collection.duplicates(BOTH))


@pytest.mark.slow
def test_the_commands(made: Place, dedup: Callable[..., Outcome], tmp_path: Path) -> None:
    out = dedup("list", "--store", made.store, "--format", "jsonl").out.decode()
    rows = [json.loads(line) for line in out.splitlines()]
    assert {row["tier"] for row in rows} == {"video"}
    film, cut, strips = made.images / "film.mp4", made.images / "cut.avi", tmp_path / "strips.png"
    why = dedup("why", film, cut, "--store", made.store, "-o", strips, "--format", "table").out
    assert b"video, they share a film" in why
    assert b"a cut: its 0:02" in why
    with Image.open(strips) as drawn:
        assert drawn.width > 4 * 200
    grab = dedup("why", made.images / "grab.jpg", film, "--format", "jsonl").out
    assert json.loads(grab)["evidence"] == "a frame of film.mp4 at 0:02"
    page = dedup("why", film, cut, "--html", tmp_path / "why.html")
    assert (page.code, "videos have no page; to draw strips: -o strips.png" in page.err) == (
        1,
        True,
    )
    with Collection.open(made.store) as collection:
        broken = made.images / "broken.mp4"
        with pytest.raises(DedupError, match=r"broken\.mp4: not a video"):
            collection.why(film, broken)
        assert collection.why(film, made.images / "other.mp4").tier is None
        assert collection.why(film, made.images / "film copy.mp4").tier is Tier.EXACT


@pytest.mark.slow
@pytest.mark.parametrize("run", ["run0", "run3"])
def test_other_moments_of_one_scene_are_not_one_film(
    run: str, shared: Path, tmp_path: Path
) -> None:
    folder = shared / "data" / "photos" / "video" / run
    shots = [Image.open(path).convert("RGB") for path in sorted(folder.iterdir())]
    stills = [shot.resize((320, 240), Image.Resampling.LANCZOS) for shot in shots]
    even, odd = ([one for one in stills[first::2] for _ in range(RATE)] for first in (0, 1))
    takes = write_video(tmp_path / "even.mp4", even), write_video(tmp_path / "odd.mp4", odd)
    again = write_video(tmp_path / "again.avi", even, "mpeg4", 300)
    answer = why(*takes)
    assert answer.tier is None, answer.evidence
    assert why(takes[0], again).evidence.startswith("the whole of it, saved again, mpeg4")
