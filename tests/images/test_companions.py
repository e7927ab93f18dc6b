from __future__ import annotations

from dedup.images.companions import companions


def test_a_raw_image_and_what_was_developed_of_it_are_a_pair() -> None:
    found = companions([b"a/IMG_1.CR2", b"a/img_1.jpg", b"a/IMG_2.jpg", b"b/IMG_1.jpg", b"c.nef"])
    assert found.raws == {b"a/IMG_1.CR2": (b"a/img_1.jpg",)}


def test_several_developments_of_one_raw_image_are_all_named() -> None:
    found = companions([b"x.dng", b"x.heic", b"x.jpg", b"x.png"])
    assert found.raws == {b"x.dng": (b"x.heic", b"x.jpg")}


def test_sidecars_are_named_after_the_stem_or_the_whole_name() -> None:
    found = companions([b"a.cr2", b"a.jpg", b"a.xmp", b"a.jpg.xmp", b"b.jpg", b"b.AAE", b"c.xmp"])
    assert found.sidecars == {
        b"a.cr2": (b"a.xmp",),
        b"a.jpg": (b"a.jpg.xmp", b"a.xmp"),
        b"b.jpg": (b"b.AAE",),
    }


def test_a_live_photo_has_its_film() -> None:
    found = companions([b"IMG_1.HEIC", b"IMG_1.MOV", b"IMG_2.png", b"IMG_2.mov", b"IMG_3.mov"])
    assert found.sidecars == {b"IMG_1.HEIC": (b"IMG_1.MOV",)}


def test_order_and_repetition_do_not_matter() -> None:
    paths = [b"d/a.jpg", b"d/a.nef", b"d/a.xmp", b"d/.xmp", b"d/a", b"\xff.jpg", b"\xff.aae"]
    assert companions(paths) == companions([*reversed(paths), *paths])
    assert companions([]) == ({}, {})
