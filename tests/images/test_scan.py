from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest
from drawn import as_nobody, encode, textured

from dedup.images.formats import KNOWN_EXTENSIONS, readable_formats
from dedup.images.passed_over import LINKS, ODD_NAMES, PATTERNS, VIDEOS, in_words
from dedup.images.scan import scan, walk
from dedup.records import FileEntry

JPEG = encode(textured(20, 30), "JPEG")


def put(root: Path, *names: str | bytes, data: bytes = b"any") -> None:
    for name in names:
        path = os.path.join(os.fsencode(root), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)


def names(root: Path, **options: object) -> list[bytes]:
    return [file.path for file in scan(root, **options).files]  # type: ignore[arg-type]  # passed on


def test_empty_folder_holds_nothing(tmp_path: Path) -> None:
    assert scan(tmp_path) == ([], [], 0, {})


def test_paths_are_relative_and_sorted_by_bytes(tmp_path: Path) -> None:
    put(tmp_path, "b.jpg", "a/z.png", "a.png", "a/b/c.gif", "B.jpg", "é.jpg", "a-.png")
    expected = [b"B.jpg", b"a-.png", b"a.png", b"a/b/c.gif", b"a/z.png", b"b.jpg", "é.jpg".encode()]
    assert names(tmp_path) == expected
    assert names(tmp_path) == sorted(expected)


def test_entries_say_what_stat_says(tmp_path: Path) -> None:
    put(tmp_path, "d/a.jpg", data=JPEG)
    (found,) = scan(tmp_path).files
    stat = (tmp_path / "d/a.jpg").stat()
    expected = (len(JPEG), stat.st_mtime_ns, stat.st_dev, stat.st_ino, 1, stat.st_ctime_ns)
    assert found == FileEntry(b"d/a.jpg", *expected)


def test_known_extensions_count_in_any_case(tmp_path: Path) -> None:
    known = [f"lower.{extension.decode()}" for extension in KNOWN_EXTENSIONS]
    put(tmp_path, *known, *(f"UPPER{name.upper()}" for name in known))
    put(tmp_path, "a.txt", "b.jpg.part", "c.xmp", "d.mp4", "e.svg")
    assert len(names(tmp_path)) == 2 * len(known)


def test_files_without_extension_count_by_content(tmp_path: Path) -> None:
    put(tmp_path, "photo", "jpg", "trailing.", data=JPEG)
    put(tmp_path, "Makefile", "short", data=b"")
    put(tmp_path, "README", "png", data=b"plain words, no image at all")
    assert names(tmp_path) == [b"jpg", b"photo", b"trailing."]


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    put(tmp_path, ".a.jpg", ".dedup/b.jpg", "c/.git/d.jpg", "c/e.jpg")
    assert names(tmp_path) == [b"c/e.jpg"]


def test_hidden_root_is_scanned_when_asked_for(tmp_path: Path) -> None:
    put(tmp_path, ".hidden/a.jpg")
    assert names(tmp_path / ".hidden") == [b"a.jpg"]
    assert names(tmp_path, within=b".hidden") == [b".hidden/a.jpg"]


def test_symbolic_links_are_not_followed(tmp_path: Path) -> None:
    put(tmp_path, "real/a.jpg")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "real/a.jpg")
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "gone")
    assert names(tmp_path) == [b"real/a.jpg"]


def test_root_itself_may_be_a_link(tmp_path: Path) -> None:
    put(tmp_path, "real/a.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert names(tmp_path / "link") == [b"a.jpg"]


def test_first_name_of_hard_links_stays(tmp_path: Path) -> None:
    put(tmp_path, "m.jpg", "other.jpg")
    for name in ("z.jpg", "a.jpg", "b.txt"):
        os.link(tmp_path / "m.jpg", tmp_path / name)
    found = scan(tmp_path)
    assert [file.path for file in found.files] == [b"a.jpg", b"other.jpg"]
    assert found.hard_links == 2
    assert found.files[0].links == 4


def test_link_whose_other_names_lie_outside_stays(tmp_path: Path) -> None:
    put(tmp_path, "outside.jpg", "in/z.jpg")
    os.link(tmp_path / "outside.jpg", tmp_path / "in/a.jpg")
    assert names(tmp_path / "in") == [b"a.jpg", b"z.jpg"]
    assert scan(tmp_path / "in").hard_links == 0


def test_excluded_folders_are_not_entered(tmp_path: Path) -> None:
    put(tmp_path, "a/b.jpg", "store/c.jpg", "store2/d.jpg")
    assert names(tmp_path, exclude={os.fsencode(tmp_path / "store")}) == [
        b"a/b.jpg",
        b"store2/d.jpg",
    ]


def test_exclude_meets_a_linked_root_by_its_real_path(tmp_path: Path) -> None:
    put(tmp_path, "real/store/a.jpg", "real/b.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    exclude = {os.path.realpath(os.fsencode(tmp_path / "real/store"))}
    assert names(tmp_path / "link", exclude=exclude) == [b"b.jpg"]


def test_within_lists_one_part_with_paths_from_the_root(tmp_path: Path) -> None:
    put(tmp_path, "a/b/c.jpg", "a/d.jpg", "ab/e.jpg")
    assert names(tmp_path, within=b"a") == [b"a/b/c.jpg", b"a/d.jpg"]
    assert names(tmp_path, within=b"a/b/") == [b"a/b/c.jpg"]
    with pytest.raises(ValueError, match="out of the root"):
        scan(tmp_path, within=b"a/../..")


def test_special_files_are_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.jpg")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "s.jpg"))
        assert names(tmp_path) == []


def test_names_of_any_bytes_come_back_as_they_are(tmp_path: Path) -> None:
    odd = [b"new\nline.jpg", b"\xff\xfe.png", b" .jpg", b"-rf.jpg", b"x" * 251 + b".jpg"]
    put(tmp_path, *odd)
    assert names(tmp_path) == sorted(odd)


def test_missing_root_is_told(tmp_path: Path) -> None:
    assert scan(tmp_path / "gone") == ([], [(b"", "no such folder")], 0, {})
    put(tmp_path, "a.jpg")
    assert scan(tmp_path / "a.jpg").unreadable == [(b"", "not a folder")]
    assert scan(tmp_path, within=b"no/such").unreadable == [(b"no/such", "no such folder")]


def test_locked_folder_is_told_and_the_rest_is_listed() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        put(root, "locked/a.jpg", "open/b.jpg")
        root.chmod(0o755)
        (root / "locked").chmod(0)
        with as_nobody():
            found = scan(root)
        (root / "locked").chmod(0o700)
    assert found.unreadable == [(b"locked", "permission denied")]
    assert [file.path for file in found.files] == [b"open/b.jpg"]


def test_str_bytes_and_path_roots_agree(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    assert scan(tmp_path) == scan(str(tmp_path)) == scan(os.fsencode(tmp_path))


@pytest.mark.usefixtures("without_videos")
def test_what_is_passed_over_is_counted_by_kind(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "b.psd", "c.PSD", "d.mp4", "e.MOV", "f.mpo", "g.txt", "h.jpg.xmp")
    put(tmp_path, "x.jpg?w=800", "x.jpg_original", "x.JPG~", "x.png.part", "x.jpg.1", "x (1).jpg")
    put(tmp_path, "notjpg", "a.jpgs", "jpg.zip", ".hidden.psd")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "a.jpg")
    (tmp_path / "folder").symlink_to(tmp_path)
    (tmp_path / "link.txt").symlink_to(tmp_path / "g.txt")
    assert scan(tmp_path).passed_over == {
        ".psd files": 2,
        VIDEOS: 2,
        ".mpo files (several images in one)": 1,
        ODD_NAMES: 5,
        LINKS: 2,
    }


def test_optional_formats_are_listed_or_counted(tmp_path: Path) -> None:
    put(tmp_path, "a.CR2", "b.nef", "c.jxl", "d.jpg")
    found = scan(tmp_path)
    readable = readable_formats()
    assert len(found.files) == 1 + 2 * readable["RAW"] + readable["JXL"]
    assert found.passed_over.total() == 4 - len(found.files)


def test_thumbnails_and_bins_of_other_programs_are_left_out(tmp_path: Path) -> None:
    put(tmp_path, "a/@eaDir/x.jpg/thumb.jpg", "#recycle/b.jpg", "c/d.jpg", "My.lrdata/e.jpg")
    found = scan(tmp_path)
    assert [file.path for file in found.files] == [b"c/d.jpg"]
    assert found.passed_over == {
        "folders @eaDir (thumbnails of a NAS)": 1,
        "folders #recycle (the bin of a NAS)": 1,
        "folders *.lrdata (previews of Lightroom)": 1,
    }


def test_patterns_leave_out_what_gitignore_would(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "a.png", "export/b.jpg", "c/export/d.jpg", "c/e.jpg", "c/keep.png")
    put(tmp_path, b"\xff.png")
    patterns = ["*.png", "!keep.png", "/export/"]
    found = scan(tmp_path, patterns=patterns)
    assert [file.path for file in found.files] == [
        b"a.jpg",
        b"c/e.jpg",
        b"c/export/d.jpg",
        b"c/keep.png",
    ]
    assert found.passed_over == {PATTERNS: 3}
    assert names(tmp_path, within=b"c", patterns=["/c/e.*"]) == [b"c/export/d.jpg", b"c/keep.png"]


def test_a_pattern_takes_in_what_the_defaults_leave_out(tmp_path: Path) -> None:
    put(tmp_path, "@eaDir/a.jpg", "#recycle/b.jpg")
    assert names(tmp_path, patterns=["!@eaDir/"]) == [b"@eaDir/a.jpg"]


def test_videos_are_listed_once_and_by_patterns(tmp_path: Path) -> None:
    put(tmp_path, "a/b.jpg", "a/c.MOV", "a/d.mp4", "a/b.mov", "a/.e.mp4", "f.webm", "g/h.mp4")
    os.link(tmp_path / "a/d.mp4", tmp_path / "a/e.mp4")
    listing = walk(tmp_path, patterns=["g/"])
    paths = sorted(file.path for file in listing.films)
    assert paths == [b"a/b.mov", b"a/c.MOV", b"a/d.mp4", b"f.webm"]
    assert listing.passed_over == {PATTERNS: 1}
    assert [file.path for file in scan(tmp_path).files] == [b"a/b.jpg"]


@pytest.mark.usefixtures("without_videos")
def test_what_belongs_to_an_image_is_not_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "a/IMG_1.HEIC", "a/IMG_1.MOV", "a/img_2.jpg", "a/IMG_2.mp4", "a/IMG_1.AAE")
    put(tmp_path, "a/IMG_1.xmp", "a/img_2.jpg.xmp", "a/IMG_3.MOV", "b/IMG_1.MOV", "b/c.png")
    assert scan(tmp_path).passed_over == {VIDEOS: 2}  # those without an image beside them


@pytest.mark.parametrize(
    ("count", "kind", "words"),
    [
        (1, LINKS, "1 symbolic link skipped"),
        (1_200, LINKS, "1,200 symbolic links skipped"),
        (1, PATTERNS, "1 file or folder excluded by a pattern"),
        (5, PATTERNS, "5 files and folders excluded by a pattern"),
        (2, ".psd files", "2 .psd files skipped"),
        (
            1,
            "folders @eaDir (thumbnails of a NAS)",
            "1 folder @eaDir skipped (thumbnails of a NAS)",
        ),
    ],
)
def test_what_is_not_listed_is_said_in_words(count: int, kind: str, words: str) -> None:
    assert in_words(count, kind) == words
