"""A raw image and the JPEG developed from it: a pair, no duplicates unless that is asked for."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from blocks import BlockMeans
from drawn import dng, encode, textured

from dedup.duplicates.compare import NewImages, compare
from dedup.duplicates.explain import explain
from dedup.duplicates.find import find_groups
from dedup.duplicates.gallery import Gallery, read_gallery
from dedup.duplicates.listing import tiered_pairs
from dedup.query import embed_queries
from dedup.results import Grouping, Tier
from dedup.space.space import Space

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dedup.results import Match

pytest.importorskip("rawpy")

SURE = frozenset({Tier.EXACT, Tier.PIXELS, Tier.RESAVED, Tier.NEAR})
SHOT = textured(900, 1200)
RAW = dng(SHOT, encode(SHOT, "JPEG", quality=95))
JPEG = encode(SHOT, "JPEG", quality=80)
SMALL = encode(SHOT[::2, ::2], "JPEG", quality=85)


def quiet(*_: object) -> None:
    pass


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw image with its JPEG, copies of both elsewhere, and a small version of other name."""
    folder = tmp_path_factory.mktemp("shots")
    files = (
        ("card/IMG_1.DNG", RAW),
        ("card/IMG_1.jpg", JPEG),
        ("backup/IMG_1.DNG", RAW),
        ("sent/holiday.jpg", JPEG),
        ("sent/small.jpg", SMALL),
    )
    for hour, (name, data) in enumerate(files):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
        os.utime(folder / name, (1.6e9 + 3600 * hour,) * 2)
    return folder


def groups(
    gallery: Gallery, folder: Path, tiers: frozenset[Tier] = SURE, how: Grouping = Grouping.COVER
) -> tuple[dict[str, dict[str, str]], list[str]]:
    found = find_groups(gallery, tiers, 0.9, how, quiet)
    return {
        os.path.relpath(group.keeper, folder): {
            os.path.relpath(one.path, folder): one.tier.value for one in group.duplicates
        }
        for group in found.groups
    }, found.notes


NOTE = "2 RAW files and the JPEGs beside them count as pairs, not duplicates"


@pytest.mark.parametrize(
    "how",
    [
        Grouping.COVER,
        Grouping.COMPONENT,
        pytest.param(Grouping.CLIQUE, marks=pytest.mark.slow),
    ],
)
def test_they_are_never_in_one_group(
    how: Grouping, gallery_of: Callable[[Path], Gallery], shots: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(shots, tmp_path / "shots")
    shutil.copy(folder / "card/IMG_1.jpg", folder / "backup/IMG_1.jpg")
    for time, name in enumerate(("card/IMG_1.DNG", "backup/IMG_1.DNG", "card/IMG_1.jpg")):
        os.utime(folder / name, (1.6e9 + 3600 * time,) * 2)
    gallery = gallery_of(folder)
    for tiers in (SURE, SURE | {Tier.SIMILAR}):
        found, notes = groups(gallery, folder, tiers, how)
        for keeper, members in found.items():
            together = {keeper, *members}
            jpegs = {name for name in together if name.endswith(".jpg") and "small" not in name}
            assert not (any(name.endswith("DNG") for name in together) and jpegs), found
        assert found["card/IMG_1.DNG"]["backup/IMG_1.DNG"] == "exact"
        assert notes == [f"{NOTE}; --companions lists them"]
    _, notes = groups(gallery, folder, frozenset({Tier.EXACT}), how)
    assert notes == []  # where they could not be


def test_they_are_duplicates_where_that_is_asked_for(
    gallery_of: Callable[[Path], Gallery], shots: Path
) -> None:
    gallery = gallery_of(shots)
    apart, notes = groups(gallery, shots)
    assert apart["card/IMG_1.jpg"] == {"sent/holiday.jpg": "exact"}
    assert notes == [
        "1 RAW file and the JPEG beside it count as a pair, not duplicates; --companions lists them"
    ]
    gallery = read_gallery(gallery.catalog, Space.of(gallery.catalog), companions=True)
    (together,), notes = groups(gallery, shots)[0].items(), groups(gallery, shots)[1]
    assert together[1].keys() | {together[0]} == {
        "card/IMG_1.DNG",
        "backup/IMG_1.DNG",
        "card/IMG_1.jpg",
        "sent/holiday.jpg",
        "sent/small.jpg",
    }
    assert notes == []


def test_they_are_no_pair_of_any_tier(gallery_of: Callable[[Path], Gallery], shots: Path) -> None:
    pairs = {
        frozenset((os.path.relpath(one, shots), os.path.relpath(two, shots)))
        for one, two, *_ in tiered_pairs(gallery_of(shots), SURE | {Tier.SIMILAR}, 0.5, quiet)
    }
    raws, jpegs = ("card/IMG_1.DNG", "backup/IMG_1.DNG"), ("card/IMG_1.jpg", "sent/holiday.jpg")
    assert frozenset(raws) in pairs
    assert frozenset(jpegs) in pairs
    assert not pairs & {frozenset((raw, jpeg)) for raw in raws for jpeg in jpegs}


def test_other_names_and_folders_are_no_companions(
    gallery_of: Callable[[Path], Gallery], tmp_path: Path
) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/IMG_1.DNG").write_bytes(RAW)
    (tmp_path / "lib/IMG_2.jpg").write_bytes(JPEG)
    found, notes = groups(gallery_of(tmp_path / "lib"), tmp_path / "lib")
    assert found == {"IMG_1.DNG": {"IMG_2.jpg": "resaved"}}
    assert notes == []


def compared(gallery: Gallery, *files: Path) -> tuple[dict[str, Match], list[str]]:
    names = [os.fspath(file) for file in files]
    new = embed_queries(gallery.catalog, Space.of(gallery.catalog), names, BlockMeans)
    images = NewImages(new.paths, new.facts, new.raw, new.raw, new.parts)
    found, notes = compare(gallery, None, images, SURE, 0.999, quiet)
    return {match.path: match for match in found}, notes


def test_a_raw_image_is_not_there_because_its_jpeg_is(
    gallery_of: Callable[[Path], Gallery], shots: Path, tmp_path: Path
) -> None:
    """It would be lost if the card were wiped."""
    library = tmp_path / "library"
    library.mkdir()
    shutil.copy(shots / "card/IMG_1.jpg", library / "2026-05.jpg")
    gallery = gallery_of(library)
    raw, jpeg = shots / "card/IMG_1.DNG", shots / "card/IMG_1.jpg"
    found, notes = compared(gallery, raw, jpeg)
    assert {path: match.tier for path, match in found.items()} == {os.fspath(jpeg): Tier.EXACT}
    assert notes == ["1 RAW file and the JPEG beside it count as a pair, not duplicates"]
    shutil.copy(shots / "card/IMG_1.DNG", library / "2026-05.dng")  # of an indexed one, not indexed
    assert compared(gallery, library / "2026-05.dng")[0] == {}
    lonely = tmp_path / "other.dng"
    shutil.copy(raw, lonely)
    assert compared(gallery, lonely)[0][os.fspath(lonely)].tier is Tier.RESAVED


def test_why_says_that_they_are_companions(shots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shots / "card")
    for pair in (("IMG_1.DNG", "IMG_1.jpg"), ("IMG_1.jpg", "../card/IMG_1.DNG")):
        assert explain(*pair, None, None).companions
    for pair in (("IMG_1.DNG", "../sent/holiday.jpg"), ("IMG_1.DNG", "../backup/IMG_1.DNG")):
        assert not explain(*pair, None, None).companions
