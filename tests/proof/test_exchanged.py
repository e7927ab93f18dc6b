"""Figures, hands and screens of another content in a photograph, and what is drawn over one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from drawn import photograph
from saved import side

from dedup.proof import Verdict, prove
from dedup.proof.closely import Laid
from dedup.proof.exchanged import continued, exchanged
from dedup.proof.shared_parts import judge

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]


def proven(first: Pixels, second: Pixels) -> Verdict:
    return prove(side(first, quality=90), side(second, quality=80))


def shrunk(pixels: Pixels, width: int) -> Pixels:
    height = round(pixels.shape[0] * width / pixels.shape[1])
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def noisy(pixels: Pixels, seed: int) -> Pixels:
    noise = np.random.default_rng(seed).normal(0, 2, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def with_sign(pixels: Pixels, words: str) -> Pixels:
    """Put a round sign with a number into a picture."""
    made = pixels.copy()
    cv2.circle(made, (300, 280), 110, (200, 25, 35), -1, cv2.LINE_AA)
    cv2.circle(made, (300, 280), 82, (245, 245, 245), -1, cv2.LINE_AA)
    width = cv2.getTextSize(words, cv2.FONT_HERSHEY_DUPLEX, 2.6, 10)[0][0]
    place = (300 - width // 2, 312)
    cv2.putText(made, words, place, cv2.FONT_HERSHEY_DUPLEX, 2.6, (15,) * 3, 10, cv2.LINE_AA)
    return made


def with_clock(pixels: Pixels, hour: float) -> Pixels:
    """Hang a clock into a picture."""
    made = pixels.copy()
    cv2.circle(made, (480, 240), 100, (240, 238, 225), -1, cv2.LINE_AA)
    for turn, length, thick in ((hour / 12, 60, 10), (hour % 1, 88, 6)):
        angle = 2 * np.pi * turn
        end = round(480 + length * np.sin(angle)), round(240 - length * np.cos(angle))
        cv2.line(made, (480, 240), end, (20, 20, 20), thick, cv2.LINE_AA)
    return made


def with_thing(pixels: Pixels, seed: int) -> Pixels:
    """Blend a round part of another picture into one: a dark thing, or a pale one."""
    mask = np.zeros(pixels.shape[:2], np.float32)
    cv2.ellipse(mask, (560, 380), (110, 150), 0, 0, 360, 1, -1)
    share = np.asarray(cv2.GaussianBlur(mask, (0, 0), 1.5), np.float32)[..., None]
    thing = photograph(seed) * 0.4 + (0 if seed % 2 else 150)
    return np.asarray(pixels * (1 - share) + thing * share, np.uint8)


@pytest.mark.parametrize("width", [200, 280, 520])
@pytest.mark.parametrize(("one", "two"), [("70", "50"), ("90", "80")])
def test_a_sign_with_another_number_is_another_sign(one: str, two: str, width: int) -> None:
    pair = [
        shrunk(noisy(with_sign(photograph(3), words), number), width)
        for number, words in enumerate((one, two))
    ]
    assert not proven(*pair).near


@pytest.mark.parametrize("seed", [3, 5, 8])
def test_no_tone_curve_makes_another_number(seed: int) -> None:
    one, two = (shrunk(noisy(with_sign(photograph(seed), words), 1), 200) for words in ("70", "50"))
    one_paler, two_paler = ((255 * (each / 255) ** 0.8).astype(np.uint8) for each in (one, two))
    assert not proven(one, two_paler).near
    assert proven(one, one_paler).near


@pytest.mark.parametrize("width", [200, 280])
def test_a_clock_at_another_time_is_another_photograph(width: int) -> None:
    pair = [
        shrunk(noisy(with_clock(photograph(4), hour), number), width)
        for number, hour in enumerate((2.2, 4.7))
    ]
    assert not proven(*pair).near


@pytest.mark.parametrize("width", [200, 280])
def test_a_thing_on_either_is_no_loss(width: int) -> None:
    one, two = (shrunk(noisy(with_thing(photograph(5), seed), seed), width) for seed in (21, 22))
    whole = np.ones(one.shape[:2], np.bool_)
    found = judge(Laid(one, two, whole, 1, (90, 50)), page=False)
    assert found.refusal
    assert not found.lossy


@pytest.mark.parametrize("width", [200, 280, 520])
def test_words_written_over_one_of_two_are_an_edit(width: int) -> None:
    words = photograph(3).copy()
    for colour, thick in (((0, 0, 0), 14), ((255, 255, 255), 6)):
        cv2.putText(words, "70 OR 50", (60, 330), 2, 3.2, colour, thick, cv2.LINE_AA)
    verdict = proven(shrunk(photograph(3), width), shrunk(words, width))
    assert verdict.near
    assert not verdict.resaved
    assert verdict.derived == 2


def with_sticker(pixels: Pixels, glyph: str) -> Pixels:
    """Stick a yellow disc with a letter on a picture."""
    made = pixels.copy()
    cv2.circle(made, (420, 300), 80, (255, 220, 60), -1, cv2.LINE_AA)
    width = cv2.getTextSize(glyph, cv2.FONT_HERSHEY_DUPLEX, 3.4, 16)[0][0]
    place = (420 - width // 2, 338)
    cv2.putText(made, glyph, place, cv2.FONT_HERSHEY_DUPLEX, 3.4, (60, 20, 20), 16, cv2.LINE_AA)
    return made


@pytest.mark.parametrize("width", [280, 520, 800])
@pytest.mark.parametrize(("one", "two"), [("A", "M"), ("I", "W")])
def test_a_sticker_with_another_letter_is_another_sticker(one: str, two: str, width: int) -> None:
    pair = [
        shrunk(noisy(with_sticker(photograph(4), glyph), number), width)
        for number, glyph in enumerate((one, two))
    ]
    assert not proven(*pair).near


def with_plate(pixels: Pixels, words: str) -> Pixels:
    """Put a number plate into a picture."""
    made = pixels.copy()
    cv2.rectangle(made, (260, 400), (600, 480), (250, 250, 250), -1, cv2.LINE_AA)
    cv2.rectangle(made, (260, 400), (600, 480), (0, 0, 0), 5, cv2.LINE_AA)
    cv2.putText(made, words, (275, 462), 3, 2.1, (0, 0, 0), 8, cv2.LINE_AA)
    return made


@pytest.mark.parametrize("width", [400, 640])
@pytest.mark.parametrize(("one", "two"), [("7", "8"), ("1", "4")])
def test_a_plate_with_another_figure_is_another_plate(one: str, two: str, width: int) -> None:
    pair = [shrunk(with_plate(photograph(6), f"MFE{figure}486"), width) for figure in (one, two)]
    assert not proven(*pair).near


def bar(places: slice, ink: int = 30) -> Pixels:
    """Draw a bar on a ground of 200 levels."""
    pixels = np.full((40, 40, 3), 200, np.uint8)
    pixels[10:30, places] = ink
    return pixels


def test_two_tones_are_exchanged_where_either_has_a_bar_of_its_own() -> None:
    one, two = bar(slice(10, 16)), bar(slice(18, 24))
    own = np.zeros((40, 40), np.bool_)
    own[9:31, 9:25] = True
    assert exchanged(one, two, own)
    assert exchanged(two, one, own)
    assert not exchanged(one, bar(slice(0, 0)), own)  # a bar on one alone
    assert not exchanged(one, bar(slice(18, 24), 130), own)  # of a tone of its own
    assert not exchanged(one, one, own)


def test_two_colours_are_exchanged_however_much_there_is_of_either() -> None:
    one, two = (np.full((40, 40, 3), (250, 210, 40), np.uint8) for _ in range(2))
    one[10:30, 10:24] = two[10:13, 10:24] = two[10:30, 26:28] = (60, 20, 30)
    own = np.zeros((40, 40), np.bool_)
    own[9:31, 9:29] = True
    assert exchanged(one, two, own)
    other = two.copy()
    other[10:30, 26:28] = (20, 60, 200)  # a stroke of a colour of its own
    assert not exchanged(one, other, own)
    assert not exchanged(one // 8, two // 8, own)  # hardly apart


@pytest.mark.parametrize("width", [400, 640])
@pytest.mark.parametrize(("one", "two"), [("F", "E"), ("P", "R"), ("3", "8")])
def test_a_stroke_more_is_another_letter(one: str, two: str, width: int) -> None:
    signs = [shrunk(with_sign(photograph(3), words), width) for words in (one, two)]
    plates = [shrunk(with_plate(photograph(6), f"MF{words}2486"), width) for words in (one, two)]
    assert not proven(*signs).near
    assert not proven(*plates).near


def test_a_stroke_goes_on_where_its_ink_and_its_ground_are_beside_it() -> None:
    ground = np.full((40, 60, 3), (240, 230, 200), np.uint8)
    ground[8:32, 20:26] = ground[8:13, 20:40] = ground[18:23, 20:40] = (30, 30, 90)
    more = ground.copy()
    more[27:32, 20:40] = (30, 30, 90)
    own = np.zeros((40, 60), np.bool_)
    own[25:34, 24:42] = True
    assert continued(ground, more, own)
    assert continued(more, ground, own)
    patch = ground.copy()
    patch[27:32, 26:40] = (200, 40, 40)  # of a colour that nothing beside it has
    assert continued(ground, patch, own) is False
    apart = ground.copy()
    apart[5:12, 48:56] = (30, 30, 90)  # away from all ink
    elsewhere = np.zeros((40, 60), np.bool_)
    elsewhere[3:14, 46:58] = True
    assert continued(ground, apart, elsewhere) is False
    assert continued(ground, ground, own) is None


def with_bird(pixels: Pixels, across: int) -> Pixels:
    """Let a soft dark spot stand before a sky."""
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]].astype(np.float32)
    spot = np.exp(-((((columns - across) / 16) ** 2 + ((rows - 110) / 10) ** 2) ** 2))[..., None]
    return np.asarray(pixels * (1 - 0.9 * spot), np.uint8)


@pytest.mark.parametrize("seed", range(6))
def test_noise_is_no_exchange_of_two_colours(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = rng.normal(128, 30, (12, 14, 1)).repeat(3, axis=2)
    one, two = (
        np.clip(scene + rng.normal(0, 30, scene.shape), 0, 255).astype(np.uint8) for _ in range(2)
    )
    assert not exchanged(one, two, np.ones((12, 14), np.bool_))


def test_a_bird_before_a_blown_out_sky_is_not_lost_by_that() -> None:
    scene = photograph(8).copy()
    scene[:230] = 236
    one, two = (noisy(with_bird(scene, across), across) for across in (200, 560))
    brighter = np.clip(two.astype(np.int32) + 30, 0, 255).astype(np.uint8)
    assert not proven(shrunk(one, 400), shrunk(brighter, 400)).near
    same = np.clip(one.astype(np.int32) + 30, 0, 255).astype(np.uint8)
    assert proven(shrunk(one, 400), shrunk(same, 400)).near
