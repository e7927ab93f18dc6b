"""Panels, and photographs proven in one of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

import dedup
from dedup.descriptors.panels import Box, is_sheet, panels
from dedup.edits.catalogue import EDITS, drawn
from dedup.edits.catalogue import edit as edited
from dedup.images.decode import decode_bounded
from dedup.images.encode import as_jpeg
from dedup.proof import Verdict, describe
from dedup.proof.pasted import continues
from dedup.results import Tier

if TYPE_CHECKING:
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]

RNG = np.random.default_rng


def _grey(height: int, width: int, seed: int) -> Bytes:
    return np.asarray(cv2.cvtColor(drawn(height, width, RNG(seed)), cv2.COLOR_RGB2GRAY), np.uint8)


@pytest.mark.parametrize("sides", [(1, 1), (1, 2), (1, 20_000), (3, 512), (16, 352)])
def test_a_line_or_a_strip_is_no_sheet(sides: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, sides, dtype=np.uint8)
    for grey in (noise, np.full(sides, 90, np.uint8)):
        for turned in (grey, np.ascontiguousarray(grey.T)):
            assert not is_sheet(turned)
            assert panels(turned) == []


def test_one_image_has_no_panels() -> None:
    assert panels(_grey(300, 400, 1)) == []


def test_plain_strips_part_panels() -> None:
    grey = np.full((400, 300), 255, np.uint8)
    one, two = (_grey(120, 200, seed) for seed in (2, 3))
    grey[40:160, 50:250], grey[220:340, 50:250] = one, two
    found = sorted(panels(grey), key=lambda box: box.top)
    assert [
        tuple(np.rint(np.multiply(box, (300, 400, 300, 400))).astype(int)) for box in found
    ] == [
        (51, 41, 249, 159),
        (51, 221, 249, 339),
    ]


@pytest.mark.parametrize(("specks", "parted"), [(0, True), (8, True), (40, False)])
def test_strips_are_plain_but_for_a_few_pixels(specks: int, parted: bool) -> None:  # noqa: FBT001
    grey = np.full((400, 300), 128, np.uint8)
    one, two = (_grey(150, 300, seed) for seed in (2, 3))
    grey[:150], grey[250:] = one, two
    for number, row in enumerate(grey[150:250]):
        places = RNG(number).permutation(300)
        row[places[:specks]], row[places[specks : 2 * specks]] = 0, 255
    assert bool(panels(grey)) is parted


def test_a_straight_seam_parts_panels() -> None:
    one, two = (_grey(300, 200, seed) for seed in (4, 5))
    dark, light = (one * 0.4).astype(np.uint8), (two * 0.4 + 150).astype(np.uint8)
    found = panels(np.hstack([dark, light]))
    assert {round(box.left * 400) for box in found} == {1, 201}


@pytest.fixture
def photo(tmp_path: Path) -> tuple[Bytes, Path]:
    pixels = drawn(600, 800, RNG(6))
    path = tmp_path / "photo.jpg"
    path.write_bytes(as_jpeg(pixels, 92))
    return pixels, path


def _collage(pixels: Bytes, seeds: tuple[int, int, int], path: Path) -> str:
    page = np.full((640, 840, 3), 255, np.uint8)
    parts = [pixels, *(drawn(600, 800, RNG(seed)) for seed in seeds)]
    for part, (top, left) in zip(parts, ((10, 10), (10, 425), (325, 10), (325, 425)), strict=True):
        cut = part[:, 60:740]  # each a little cropped, as collages do
        page[top : top + 305, left : left + 405] = cv2.resize(
            cut, (405, 305), interpolation=cv2.INTER_AREA
        )
    path.write_bytes(as_jpeg(page, 90))
    return str(path)


def test_one_of_four_in_a_collage_is_near(photo: tuple[Bytes, Path], tmp_path: Path) -> None:
    pixels, path = photo
    collage = _collage(pixels, (7, 8, 9), tmp_path / "collage.jpg")
    found = dedup.why(str(path), collage)
    assert found.tier is Tier.NEAR
    assert found.evidence.startswith("shows the other among other things, on 22% of it")
    back = dedup.why(collage, str(path))
    assert back.tier is Tier.NEAR
    assert back.evidence.startswith("shown on 22% of the other, among other things")


def test_two_collages_that_share_a_photograph_are_two(
    photo: tuple[Bytes, Path], tmp_path: Path
) -> None:
    pixels, _ = photo
    one = _collage(pixels, (7, 8, 9), tmp_path / "one.jpg")
    two = _collage(pixels, (10, 11, 12), tmp_path / "two.jpg")
    assert dedup.why(one, two).tier not in {Tier.NEAR, Tier.RESAVED}


def _wall(left: int, seed: int) -> Bytes:
    """Draw a room whose wall ends in a straight line, and a thing before both wall and floor."""
    room = drawn(600, 800, RNG(11))
    room[:240] = room[:240] * 0.4
    room[240:] = room[240:] * 0.4 + 150
    if seed:
        room[60:244, left : left + 300] = drawn(184, 300, RNG(seed))
    return room


def test_a_part_of_one_photograph_is_no_panel(tmp_path: Path) -> None:
    rooms = [_wall(80, 0)[:, :760].copy(), _wall(440, 13)]
    rooms[0][60:200, 90:240] = drawn(140, 150, RNG(14))  # the wall alone differs by it
    assert [bool(panels(np.asarray(cv2.cvtColor(room, cv2.COLOR_RGB2GRAY)))) for room in rooms] == [
        True,
        False,
    ]
    paths = [tmp_path / "one.jpg", tmp_path / "two.jpg"]
    for path, room in zip(paths, rooms, strict=True):
        path.write_bytes(as_jpeg(room, 90))
    assert dedup.why(*paths).tier not in {Tier.NEAR, Tier.RESAVED}


def _sheet(parts: list[Bytes], columns: int, gap: int, paint: int, path: Path) -> str:
    rows = -(-len(parts) // columns)
    page = np.full((gap + rows * (180 + gap), gap + columns * (240 + gap), 3), paint, np.uint8)
    for number, part in enumerate(parts):
        top, left = gap + number // columns * (180 + gap), gap + number % columns * (240 + gap)
        page[top : top + 180, left : left + 240] = part
    path.write_bytes(as_jpeg(page, 90))
    return str(path)


def _on_white(pixels: Bytes, across: int, down: int) -> Bytes:
    """Cut a thing out of an image, as shops do."""
    mask = np.zeros(pixels.shape[:2], np.uint8)
    cv2.ellipse(mask, (120, 90), (across, down), 0, 0, 360, 255, -1)
    soft = cv2.GaussianBlur(mask, (0, 0), 1.5)[..., None] / 255
    return np.asarray(pixels * soft + 252 * (1 - soft), np.uint8)


def _faint(pixels: Bytes) -> Bytes:
    """Lay fog over an image."""
    return np.asarray(0.2 * pixels + 0.8 * 175, np.uint8)


# Sheets, and what one of their panels shows instead; all of them passed for one sheet that had
# something drawn over it.
OTHERS = {
    "fog in a film strip": (3, 1, 14, 10, _faint),
    "fog in a grid": (9, 3, 12, 250, _faint),
    "a smaller thing": (4, 2, 0, 0, lambda pixels: _on_white(pixels, 50, 45)),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("place", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_sheet_with_one_other_image_is_another_sheet(
    name: str, place: int, tmp_path: Path
) -> None:
    count, columns, gap, paint, make = OTHERS[name]
    parts = [drawn(180, 240, RNG(20 + number)) for number in range(count)]
    if make is not _faint:
        parts = [_on_white(part, 90, 80) for part in parts]
    other = [*parts]
    other[place] = make(drawn(180, 240, RNG(40)))
    one = _sheet(parts, columns, gap, paint, tmp_path / "one.jpg")
    two = _sheet(other, columns, gap, paint, tmp_path / "two.jpg")
    assert dedup.why(one, two).tier not in {Tier.NEAR, Tier.RESAVED}


@pytest.mark.parametrize(
    "edit",
    [
        "sticker",
        *(pytest.param(more, marks=pytest.mark.slow) for more in ("text", "watermark", "noise")),
        "filter",
    ],
)
def test_an_edited_sheet_is_near(edit: str, tmp_path: Path) -> None:
    parts = [drawn(180, 240, RNG(20 + number)) for number in range(8)]
    one = _sheet([*parts, _faint(parts[0])], 3, 12, 250, tmp_path / "one.jpg")
    pixels = decode_bounded(Path(one).read_bytes(), 1000)
    two = tmp_path / "two.jpg"
    two.write_bytes(as_jpeg(edited(edit, EDITS[edit].strengths[1], pixels, RNG(3)), 88))
    assert dedup.why(one, str(two)).tier is Tier.NEAR


def test_one_of_many_photographs_on_a_sheet_is_proven(
    photo: tuple[Bytes, Path], tmp_path: Path
) -> None:
    """More are on it than are looked at, the likeliest first."""
    pixels, path = photo
    sheet = np.full((1040, 1300, 3), 250, np.uint8)
    for number in range(20):
        part = pixels if number == 13 else drawn(600, 800, RNG(100 + number))
        top, left = 20 + number // 4 * 204, 20 + number % 4 * 320
        sheet[top : top + 180, left : left + 240] = cv2.resize(
            part, (240, 180), interpolation=cv2.INTER_AREA
        )
    other = tmp_path / "sheet.jpg"
    other.write_bytes(as_jpeg(sheet, 90))
    assert dedup.why(path, other).tier is Tier.NEAR
    stranger = tmp_path / "stranger.jpg"
    stranger.write_bytes(as_jpeg(drawn(600, 800, RNG(7)), 92))
    assert dedup.why(stranger, other).tier is None


@pytest.mark.parametrize(("seen", "goes_on"), [(0.13, True), (0.03, False)])
def test_a_photograph_goes_on_beneath_other_captions(seen: float, goes_on: bool) -> None:  # noqa: FBT001
    """Little of it is seen there, and of two photographs next to nothing agrees."""
    one = RNG(1).integers(0, 256, (240, 256, 3), np.uint8)
    two = one.copy()
    two[170:, round(seen * 256) :] = RNG(2).integers(0, 256, two[170:, round(seen * 256) :].shape)
    both = describe(one), describe(two)
    box = Box(0, 0, 1, 170 / 240)
    found = Verdict(True, "", (), overlap=(0.7, 0.7), transform=np.eye(3), scale=1.0)
    assert continues(*both, found, box, first=True) is goes_on
    assert continues(*both, found, box, first=False) is goes_on
