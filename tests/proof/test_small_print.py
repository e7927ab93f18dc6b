"""Another figure in small print, where compression leaves as much elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from saved import side

from dedup.edits.catalogue import drawn
from dedup.proof import Verdict, prove
from dedup.proof.small_print import AT_PLACES

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

SHADES = (226, 233, 245), (231, 231, 231), (255, 241, 216)
FIGURES = ("38,964", "30,964"), ("44,418", "48,418"), ("94,584", "94,588")


def table(figure: str, shade: tuple[int, int, int], scale: float) -> Pixels:
    """Draw a table with every other row shaded; its figures are 12 pixels high before scaling."""
    page = Image.new("RGB", (800, 1000), (252, 251, 247))
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(17)
    chance = np.random.default_rng(8)
    for row in range(29):
        y = 40 + 31 * row
        if row % 2:
            pen.rectangle((56, y, 744, y + 30), shade)
        for column in range(5):
            text = f"{chance.integers(100, 99999):,}" if column else f"Item {row + 11}"
            text = figure if (row, column) == (17, 3) else text
            pen.text((68 + 138 * column, y + 5), text, (20, 20, 20), font)
    size = round(800 * scale), round(1000 * scale)
    return np.array(page.resize(size, Image.Resampling.LANCZOS))


def proven(one: Pixels, two: Pixels, quality: int) -> Verdict:
    return prove(side(one, quality=90), side(two, quality=quality))


@pytest.mark.parametrize("quality", [60, 85])
@pytest.mark.parametrize("scales", [(1.0, 0.55), (0.55, 0.55), (0.8, 0.6)])
@pytest.mark.parametrize("number", range(3))
def test_another_figure_in_small_print_makes_another_table(
    number: int, scales: tuple[float, float], quality: int
) -> None:
    one, two = (
        table(figure, SHADES[number], scale)
        for figure, scale in zip(FIGURES[number], scales, strict=True)
    )

    verdict = proven(one, two, quality)

    assert not verdict.near
    assert verdict.evidence == AT_PLACES


@pytest.mark.parametrize("quality", [45, 60, 85])
@pytest.mark.parametrize("scales", [(1.0, 0.7), (0.55, 0.55), (0.8, 0.6)])
def test_a_table_saved_again_is_the_same_image(scales: tuple[float, float], quality: int) -> None:
    one, two = (table(FIGURES[0][0], SHADES[0], scale) for scale in scales)

    assert proven(one, two, quality).resaved


def test_a_stamp_over_a_captioned_photograph_is_an_edit() -> None:
    photograph = drawn(600, 800, np.random.default_rng(5))
    page = Image.fromarray(photograph)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(17)
    for line in range(3):
        pen.text((24, 500 + 28 * line), "What we saw on the way home from the lake", "white", font)
    stamped = page.copy()
    ImageDraw.Draw(stamped).text((560, 40), "PROOF", "white", ImageFont.load_default(60))

    verdict = proven(np.array(page), np.array(stamped), 85)

    assert verdict.near
    assert not verdict.resaved
