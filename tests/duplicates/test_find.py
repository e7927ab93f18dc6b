"""From real files to groups: tiers, evidence, notes, and what is kept for the next time."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawings import scene

from dedup.duplicates.find import Found, find_groups
from dedup.duplicates.gallery import Gallery, read_gallery
from dedup.duplicates.listing import tiered_pairs
from dedup.freshness import Lookout
from dedup.results import Grouping, Tier
from dedup.space.space import Space
from dedup.store.pairs import Decision, content_pair, now, write_decisions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt


SURE = frozenset({Tier.EXACT, Tier.PIXELS, Tier.RESAVED, Tier.NEAR})


def quiet(*_: object) -> None:
    pass


@pytest.fixture
def known(copied: Callable[[Path], Gallery], listed_before: Path) -> Gallery:
    """As `gallery`, with what is proven kept from an earlier list."""
    return copied(listed_before)


def find(
    gallery: Gallery, *tiers: Tier, threshold: float = 0.999, how: Grouping = Grouping.COVER
) -> Found:
    return find_groups(gallery, frozenset(tiers) or SURE, threshold, how, quiet)


def short(path: str) -> str:
    return os.path.join(*path.split(os.sep)[-2:]).removeprefix("images" + os.sep)


def as_table(found: Found) -> dict[str, dict[str, tuple[Tier, str]]]:
    return {
        short(group.keeper): {short(one.path): (one.tier, one.evidence) for one in group.duplicates}
        for group in found.groups
    }


def test_groups_hold_the_surest_tier_and_its_evidence(gallery: Gallery) -> None:
    found = find(gallery)
    half = next(one for group in found.groups for one in group.duplicates if "2 small" in one.path)
    assert as_table(found) == {
        "a/1.jpg": {  # of which the others are conversions
            "b/1.bmp": (Tier.PIXELS, "same pixels, BMP instead of JPEG"),
            "b/1.png": (Tier.PIXELS, "same pixels, PNG instead of JPEG"),
        },
        "a/0.jpg": {
            "b/0 again.jpg": (Tier.EXACT, "same bytes"),
            "b/0 copy.jpg": (Tier.EXACT, "same bytes"),
        },
        "a/2.jpg": {"b/2 small.jpg": (Tier.RESAVED, half.evidence)},
        "blank.bmp": {"blank.png": (Tier.PIXELS, "same pixels, PNG instead of BMP")},
    }
    assert half.evidence.endswith("160×120 instead of 320×240")
    assert 0 < half.similarity <= 1
    assert found.notes == []


def test_groups_add_up(known: Gallery) -> None:
    found = find(known)
    for number, group in enumerate(found.groups, 1):
        assert group.number == number
        assert group.tier == max((one.tier for one in group.duplicates), key=list(Tier).index)
        copies = [one for one in group.duplicates if one.tier is not Tier.NEAR]
        assert group.reclaimable_bytes == sum(os.path.getsize(one.path) for one in copies)
        assert group.min_similarity <= min(one.similarity for one in group.duplicates)


@pytest.mark.parametrize(
    ("tiers", "keepers"),
    [
        ({Tier.EXACT}, {"a/0.jpg"}),
        ({Tier.PIXELS}, {"a/1.jpg", "blank.bmp"}),
        ({Tier.RESAVED}, {"a/2.jpg"}),
    ],
)
def test_only_the_tiers_asked_for_are_found(
    known: Gallery, tiers: set[Tier], keepers: set[str]
) -> None:
    find(known, Tier.PIXELS)  # what is known from before must not be mistaken for more
    again = dataclasses.replace(
        known, images=read_gallery(known.catalog, Space.of(known.catalog)).images
    )
    assert set(as_table(find(again, *tiers))) == keepers


def test_similar_says_what_the_proof_said_where_there_was_one(known: Gallery) -> None:
    found = as_table(find(known, Tier.SIMILAR, threshold=-1))
    words = [word for group in found.values() for _, word in group.values()]
    assert words
    assert all(word.startswith("looks alike, but ") for word in words)
    apart = dataclasses.replace(known, near_floors=(2, 2), parts=False)
    apart.catalog.connection.execute("DELETE FROM verdicts")
    found = as_table(find(apart, Tier.SIMILAR, threshold=-1))
    words = [word for group in found.values() for _, word in group.values()]
    assert words
    assert all(word.startswith("looks alike, not proven, ") for word in words)


def test_what_is_found_is_kept(known: Gallery, images: Path) -> None:
    first = find(known)
    images.rename(images.parent / "unplugged")
    again = read_gallery(known.catalog, Space.of(known.catalog))
    lookout = Lookout(known.catalog.roots(), offline=True)
    found = find_groups(again, SURE, 0.999, Grouping.COVER, quiet, lookout)
    assert as_table(found).keys() == as_table(first).keys()
    for group, before in zip(found.groups, first.groups, strict=True):
        assert group.keeper == before.keeper
        for one, other in zip(group.duplicates, before.duplicates, strict=True):
            offline = dataclasses.replace(
                other, evidence=f"{other.evidence}; the keeper is offline"
            )
            assert one == offline
    assert [note.split(": ", 1)[1] for note in found.notes] == ["10 files of it shown as indexed"]


def test_what_is_offline_is_left_out(known: Gallery, images: Path) -> None:
    assert len(find(known).groups) == 4
    images.rename(images.parent / "unplugged")
    images.mkdir()  # an empty mount point
    found = find(read_gallery(known.catalog, Space.of(known.catalog)))
    assert found.groups == []
    (note,) = found.notes
    assert note.startswith(f"{images} is not there (an unplugged drive?): 10 files of it left out")


def test_what_is_gone_or_changed_is_in_no_group(known: Gallery, images: Path) -> None:
    first = find(known)
    assert set(as_table(first)) == {"a/1.jpg", "a/0.jpg", "a/2.jpg", "blank.bmp"}
    (images / "a/1.jpg").unlink()  # a keeper: the group is formed again
    (images / "b/2 small.jpg").unlink()  # the one duplicate of a group
    stat = (images / "a/0.jpg").stat()
    with (images / "a/0.jpg").open("r+b") as file:  # changed in place, size and time as before
        file.seek(-1, os.SEEK_END)
        file.write(b"\0")
    os.utime(images / "a/0.jpg", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    found = find(read_gallery(known.catalog, Space.of(known.catalog)))
    members = {keeper: set(group) for keeper, group in as_table(found).items()}
    assert members == {
        "b/1.bmp": {"b/1.png"},
        "b/0 again.jpg": {"b/0 copy.jpg"},
        "blank.bmp": {"blank.png"},
    }
    assert found.notes == [
        "3 files are gone or have changed since they were indexed; run: dedup index"
    ]


def test_a_gallery_is_not_changed_by_what_is_found(known: Gallery) -> None:
    before = list(known.images.pixel_digest)
    assert find(known).groups == find(known).groups
    assert known.images.pixel_digest == before
    with pytest.raises(dataclasses.FrozenInstanceError):
        known.join = "ivf"  # type: ignore[misc]


def test_what_cannot_be_read_again_is_counted(gallery: Gallery, images: Path) -> None:
    for name in ("a/1.jpg", "b/2 small.jpg"):
        (images / name).unlink()
    found = find(gallery)
    assert "a/1.jpg" not in as_table(found)["b/1.bmp"]
    assert [note.split(" could")[0] for note in found.notes] == ["1 image", "2 images"]
    assert "compared pixel by pixel (moved" in found.notes[0]
    assert "to be compared" in found.notes[1]


def test_an_ignored_pair_is_in_no_group(known: Gallery) -> None:
    names = dict(zip(map(os.path.basename, known.files.path), known.files.row, strict=True))
    digest = known.images.digest
    for one, two in ((b"2.jpg", b"2 small.jpg"), (b"blank.png", b"blank.bmp")):
        pair = content_pair(digest[names[one]], digest[names[two]])
        write_decisions(known.catalog, [Decision(pair, duplicate=False, decided=now())])
    found = as_table(find(read_gallery(known.catalog, Space.of(known.catalog))))
    assert set(found) == {"a/1.jpg", "a/0.jpg"}


def fan(count: int) -> npt.NDArray[np.float32]:
    """Unit rows 50° apart: each reaches 0.5 with the next ones only."""
    angles = np.deg2rad(50) * np.arange(count)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


@pytest.fixture
def turned(gallery_of: Callable[[Path], Gallery], tmp_path: Path) -> Gallery:
    """One scene in four orientations, the first the largest."""
    folder = tmp_path / "turned"
    folder.mkdir()
    original = scene(1, (640, 480))
    original.save(folder / "0.png")
    for number in (1, 2, 3):
        copy = original.rotate(90 * number, expand=True)
        copy.resize((400 - number, 400 - number)).save(folder / f"{number}.png")
    return gallery_of(folder)


def test_members_of_a_family_are_proven_against_its_keeper(turned: Gallery) -> None:
    """Only 0-1, 1-2 and 2-3 are candidates; what joins them leads to 0-2 and 0-3."""
    gallery = dataclasses.replace(turned, raw=fan(4), near_floors=(0.5, 0.5))
    (group,) = find(gallery, Tier.NEAR).groups
    assert short(group.keeper) == "turned/0.png"
    assert [short(one.path) for one in group.duplicates] == [f"turned/{n}.png" for n in (1, 2, 3)]
    assert {one.tier for one in group.duplicates} == {Tier.NEAR}


def test_components_follow_chains_that_cover_does_not(turned: Gallery) -> None:
    gallery = dataclasses.replace(turned, vectors=fan(4), near_floors=(2, 2), parts=False)
    cover = find(gallery, Tier.SIMILAR, threshold=0.5)
    assert as_table(cover).keys() == {"turned/0.png", "turned/2.png"}
    (chain,) = find(gallery, Tier.SIMILAR, threshold=0.5, how=Grouping.COMPONENT).groups
    assert [short(one.path) for one in chain.duplicates] == [f"turned/{n}.png" for n in (1, 2, 3)]
    assert chain.min_similarity == pytest.approx(np.cos(np.deg2rad(150)), abs=1e-6)
    assert [one.similarity for one in chain.duplicates] == pytest.approx(
        np.cos(np.deg2rad([50, 100, 150])), abs=1e-6
    )


def test_an_empty_gallery_has_no_groups(
    gallery_of: Callable[[Path], Gallery], tmp_path: Path
) -> None:
    (tmp_path / "none").mkdir()
    assert find(gallery_of(tmp_path / "none"), *Tier) == Found([], [])


def test_every_pair_of_files_is_listed_in_its_tier(known: Gallery) -> None:
    pairs = {
        frozenset((short(one), short(two))): (tier, similarity)
        for one, two, tier, similarity in tiered_pairs(known, SURE, 0.999, quiet)
    }
    exact = [{"a/0.jpg", "b/0 again.jpg"}, {"a/0.jpg", "b/0 copy.jpg"}]
    exact.append({"b/0 again.jpg", "b/0 copy.jpg"})
    pixels = [{"a/1.jpg", "b/1.png"}, {"a/1.jpg", "b/1.bmp"}, {"b/1.png", "b/1.bmp"}]
    pixels.append({"blank.png", "blank.bmp"})
    resaved = frozenset({"a/2.jpg", "b/2 small.jpg"})
    assert pairs.pop(resaved)[0] is Tier.RESAVED
    assert pairs == {
        **{frozenset(pair): (Tier.EXACT, 1.0) for pair in exact},
        **{frozenset(pair): (Tier.PIXELS, 1.0) for pair in pixels},
    }
