"""Archives and files by name in a collection: found, compared, shown, and never acted on."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from drawn import encode, textured

from dedup.collection import Collection
from dedup.errors import DedupError, PlanError, SourceError
from dedup.results import Tier
from dedup.sources import archives
from dedup.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from outcome import Outcome

DETAILS = ModelSpec(views=("details",))
IMAGES = {f"{number}.png": encode(textured(120, 160, number), "PNG") for number in range(4)}


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Collection]:
    with Collection.create(tmp_path / "store", DETAILS) as collection:
        yield collection


def pack(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def spread(folder: Path, members: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, data in members.items():
        (folder / name).write_bytes(data)
    return folder


def tarred(path: Path, folder: Path) -> Path:
    with tarfile.open(path, "w") as file:
        file.add(folder, ".")
    return path


def indexed_paths(collection: Collection) -> list[str]:
    return sorted(collection.features().paths)


def test_members_are_images_like_any_others(new: Collection, tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.zip", {**IMAGES, "notes.txt": b"x", "__MACOSX/0.png": b"x"})
    tar = tarred(tmp_path / "shard.tar", spread(tmp_path / "plain", {"0.png": IMAGES["0.png"]}))
    summary = new.index([archive, tar])
    assert (summary.indexed, summary.reused, summary.skipped) == (4, 1, 0)
    assert indexed_paths(new) == sorted([*(f"{archive}/{name}" for name in IMAGES), f"{tar}/0.png"])
    (group,) = new.duplicates()
    assert {*group.paths} == {f"{archive}/0.png", f"{tar}/0.png"}
    assert [(root.path, root.kind) for root in new.roots()] == [
        (str(archive), "archive"), (str(tar), "archive"),
    ]  # fmt: skip
    found = new.query(tmp_path / "plain" / "0.png", k=2)
    assert {one.path for one in found} == {*group.paths}
    assert len(new.verify(deep=True).findings) == 0
    assert new.verify(deep=True).files_read == 5
    assert new.why(f"{archive}/0.png", f"{tar}/0.png").tier is Tier.EXACT


def test_an_unchanged_archive_is_not_opened(
    new: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = pack(tmp_path / "a.zip", IMAGES)
    new.index(archive)
    opened: list[bytes] = []
    contents = archives.contents

    def watched(path: bytes) -> archives.Contents:
        opened.append(path)
        return contents(path)

    monkeypatch.setattr(archives, "contents", watched)
    summary = new.index()
    assert (summary.unchanged, summary.stages, opened) == (4, None, [])
    os.utime(archive)
    summary = new.index()
    assert (summary.reused, summary.indexed) == (4, 0)  # read again, and nothing embedded
    assert opened
    del opened[:]
    assert (new.index().unchanged, opened) == (4, [])


def test_a_changed_archive_is_stale_until_it_is_indexed(new: Collection, tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.zip", IMAGES)
    folder = spread(tmp_path / "plain", IMAGES)
    new.index([archive, folder])
    assert len(new.duplicates()) == 4
    pack(archive, {"1.png": IMAGES["1.png"], "new.png": IMAGES["2.png"]})
    answer = new.duplicates()
    assert len(answer) == 0
    assert "4 files are gone or have changed" in " ".join(answer.notes)
    summary = new.index()
    assert (summary.gone, summary.reused, summary.indexed) == (2, 2, 0)  # one was renamed
    assert len(new.duplicates()) == 2
    archive.unlink()
    assert len(new.duplicates()) == 0
    assert "is not there (an unplugged drive?)" in " ".join(new.duplicates().notes)
    summary = new.index()
    assert summary.gone == 0  # a missing archive is kept, as a missing folder is
    assert "its images are kept" in " ".join(summary.notes)
    new.forget_root(archive)
    assert [root.path for root in new.roots()] == [str(folder)]


def test_members_are_read_again_for_the_proof(new: Collection, tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.zip", IMAGES)
    new.index(archive)
    other = tmp_path / "0.jpg"
    other.write_bytes(encode(textured(120, 160, 0), "JPEG", quality=70))
    assert [match.tier for match in new.compare(other)] == [Tier.RESAVED]


def test_only_plain_files_are_acted_on(new: Collection, tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.zip", IMAGES)
    folder = spread(tmp_path / "plain", {**IMAGES, "copy.png": IMAGES["0.png"]})
    new.index([archive, folder])
    new.index_images({"mine": IMAGES["0.png"]}, "memory")
    (group, *_) = [one for one in new.duplicates() if len(one.paths) == 4]
    assert {os.path.basename(os.path.dirname(path)) for path in group.paths} == {
        "a.zip", "plain", "memory",
    }  # fmt: skip
    plan = new.plan(action=f"move:{tmp_path / 'out'}")
    assert [Path(entry.path).parent for entry in plan.entries] == [folder]
    assert [Path(str(entry.keeper)).parent for entry in plan.entries] == [folder]
    assert "a.zip: 4 files left out; only plain files are acted on" in " ".join(plan.notes)
    # What a person chose in a review is planned by its groups, and refused one by one.
    chosen = new.plan_of([group])
    reasons = {left.path: left.reason for left in chosen.left_out}
    assert len(reasons) + len(chosen.entries) == 3
    for left in reasons.values():
        assert "only plain files are acted on" in left
    # A plan that was edited is refused whole, by name.
    (entry,) = plan.entries
    for keeper in (f"{archive}/0.png", next(path for path in group.paths if "memory" in path)):
        with pytest.raises(PlanError, match=r"its keeper is in .* only plain files are acted on"):
            new.apply(replace(plan, entries=(replace(entry, keeper=keeper),)))
    with pytest.raises(PlanError, match=r"it is in .*a\.zip"):
        new.apply(replace(plan, entries=(replace(entry, path=f"{archive}/0.png"),)))
    assert (folder / "copy.png").exists()
    assert new.apply(plan).files[0].outcome == "done"
    assert archive.exists()


def test_files_by_name_go_to_the_folder_that_holds_them(new: Collection, tmp_path: Path) -> None:
    folder = spread(tmp_path / "plain", IMAGES)
    odd = tmp_path / "photograph"
    odd.write_bytes(IMAGES["0.png"])
    (tmp_path / "notes.txt").write_text("no image")
    names = [odd, folder / "1.png", tmp_path / "missing.png", folder, tmp_path / "notes.txt"]
    summary = new.index(files=names)
    assert summary.indexed == 2
    assert {(Path(skip.path).name, skip.reason) for skip in summary.new_skips} == {
        ("missing.png", "there is no such file"),
        ("plain", "is a folder, not a file"),
        ("notes.txt", "not an image, or of a format that is not read"),
    }
    assert [(root.path, root.kind, root.files) for root in new.roots()] == [("/", "files", 2)]
    assert set(indexed_paths(new)) == {str(odd), str(folder / "1.png")}
    assert new.index().unchanged == 2
    # A folder takes its files over, none twice.
    new.index(folder)
    assert {(root.path, root.files) for root in new.roots()} == {("/", 1), (str(folder), 4)}
    assert len(indexed_paths(new)) == 5
    new.index(files=[folder / "2.png"])
    assert len(indexed_paths(new)) == 5
    # A file that is missing is gone; one whose folder is, too, is kept.
    odd.unlink()
    assert new.index().gone == 1
    lone = spread(tmp_path / "drive", {"a.png": IMAGES["3.png"]})
    new.index(lone / "a.png")
    shutil.rmtree(lone)
    summary = new.index()
    assert summary.gone == 0
    assert "unplugged drive" in " ".join(summary.notes)


def test_named_files_may_be_acted_on(new: Collection, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(IMAGES["0.png"])
    new.index([tmp_path / "a.png", tmp_path / "b.png"])
    (entry,) = new.plan(action=f"move:{tmp_path / 'out'}").entries
    assert entry.path == str(tmp_path / "b.png")


def test_what_is_no_archive_leaves_no_trace(new: Collection, tmp_path: Path) -> None:
    (tmp_path / "bad.zip").write_bytes(b"no zip")
    with pytest.raises(SourceError, match=r"bad\.zip: not a sound archive"):
        new.index(tmp_path / "bad.zip")
    assert list(new.roots()) == []
    with pytest.raises(DedupError, match="no images in"):
        new.index(pack(tmp_path / "none.zip", {"notes.txt": b"x"}))


def test_a_truncated_tar_gives_what_is_whole_and_one_row(new: Collection, tmp_path: Path) -> None:
    tar = tarred(tmp_path / "a.tar", spread(tmp_path / "plain", IMAGES))
    whole = tar.read_bytes()
    new.index(tar)
    tar.write_bytes(whole[: whole.index(IMAGES["2.png"]) + 100])
    summary = new.index()
    assert [skip.path for skip in summary.new_skips if "cut off after" in skip.reason] == [str(tar)]
    assert summary.gone == 0  # of what was not seen nothing is known
    assert summary.reused >= 1


def test_lists_and_archives_from_the_command_line(
    dedup: Callable[..., Outcome], tmp_path: Path
) -> None:
    folder = spread(tmp_path / "plain", IMAGES)
    archive = pack(tmp_path / "a.zip", {"x/0.png": IMAGES["0.png"]})
    table = tmp_path / "t.csv"
    table.write_text("image,label\nplain/0.png,a\nplain/nowhere.png,b\n")
    options = ["--views", "details", "--store", tmp_path / "s"]
    done = dedup("index", archive, "--files-from", table, "--column", "image", *options)
    assert (done.code, "nowhere.png: there is no such file" in done.err) == (0, True)
    kinds = [(row["kind"], row["files"]) for row in dedup("roots", "--store", tmp_path / "s").rows]
    assert kinds == [("files", 1), ("archive", 1)]
    (row,) = dedup("list", "--store", tmp_path / "s").rows
    assert {row["keeper"], row["duplicates"][0]["path"]} == {
        f"{archive}/x/0.png", str(folder / "0.png"),
    }  # fmt: skip
    rows = dedup("query", archive, "-k", "1", "--store", tmp_path / "s").rows
    assert [row["query"] for row in rows] == [f"{archive}/x/0.png"]
    rows = dedup(
        "query", "--files-from", table, "--column", "image", "-k", "1", "--store", tmp_path / "s"
    ).rows
    assert [(row["query"], row["similarity"]) for row in rows] == [(str(folder / "0.png"), 1.0)]
    assert dedup("query", "--store", tmp_path / "s").code == 2
    assert dedup("index", folder, "--column", "x", *options).code == 2
    assert dedup("index", folder, "-0", *options).code == 2
    found = dedup("compare", archive, "--against", folder, *options[2:])
    assert [one["tier"] for one in found.rows] == ["exact"]


def test_images_in_memory_are_compared_by_their_names(new: Collection, tmp_path: Path) -> None:
    folder = spread(tmp_path / "in", IMAGES)
    new.index(folder)
    jpeg = encode(textured(120, 160, 2), "JPEG")
    found = new.compare({"upload b": jpeg, "upload a": IMAGES["1.png"], "broken": b"no image"})
    assert [(one.path, one.tier, one.match) for one in found] == [
        ("upload a", Tier.EXACT, f"{folder}/1.png"),
        ("upload b", Tier.RESAVED, f"{folder}/2.png"),
    ]
    assert [skip.path for skip in found.skipped] == ["broken"]
    assert found.compared == 2
    (mixed,) = new.compare([textured(120, 160, 3), folder / "none.png"], tier="pixels")
    assert (mixed.path, mixed.match) == ("image 1", f"{folder}/3.png")
    with pytest.raises(TypeError, match="new is a path"):
        new.compare(3)


def test_lists_are_compared_from_the_command_line(
    dedup: Callable[..., Outcome], tmp_path: Path
) -> None:
    folder = spread(tmp_path / "in", IMAGES)
    spread(tmp_path / "asked", {"x.png": IMAGES["0.png"], "y.png": b"other"})
    table = tmp_path / "asked" / "t.csv"
    table.write_text("label,path\ncat,x.png\n")
    asked = ["compare", "--files-from", table, "--against", folder]
    with Collection.create(tmp_path / "s", DETAILS):
        pass
    (row,) = dedup(*asked, "-s", tmp_path / "s").rows
    assert (row["path"], row["tier"], row["match"]) == (
        f"{tmp_path}/asked/x.png", "exact", f"{folder}/0.png",
    )  # fmt: skip
    assert (
        "--files-from cannot be combined with --vectors" in dedup(*asked, "--vectors", "x.npy").err
    )
    by_class = dedup(*asked, "-s", tmp_path / "s", "--labels", table, "--column", "label")
    assert [(one["label"], one["images"], one["found"]) for one in by_class.rows] == [("cat", 1, 1)]


def test_a_part_of_a_vector_is_refused(new: Collection) -> None:
    with pytest.raises(TypeError, match="give crop or vectors, not both"):
        new.query(vectors=[[1.0, 0.0]], crop=(0, 0, 4, 4))
