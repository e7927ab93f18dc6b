"""Calibration: its arithmetic by plain counting, its promise on made-up worlds, and in full."""

from __future__ import annotations

import shutil
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawings import scene
from PIL import Image

from dedup import binding
from dedup.calibration import Calibration, Recall, calibrate
from dedup.calibration.calibrate import curve
from dedup.calibration.edited_copies import EDIT_MIX, Copies
from dedup.calibration.pair_sampling import PairSampler
from dedup.collection import Collection
from dedup.edits.catalogue import EDITS, edit
from dedup.errors import DamagedError, DedupError
from dedup.preparation import Preparation
from dedup.results import Tier
from dedup.search.similarity import unit_rows
from dedup.space.bounds import Events, Tail, proportion_bounds
from dedup.space.space import Space
from dedup.spec import ModelSpec
from dedup.store.catalog import Catalog
from dedup.store.gallery import read_images
from dedup.store.pairs import (
    Decision,
    StoredVerdict,
    content_pair,
    read_verdicts,
    write_calibration,
    write_decisions,
)

if TYPE_CHECKING:
    from collections.abc import Collection as Many
    from pathlib import Path

    import numpy.typing as npt

    from dedup.store.pairs import ContentPair

SMALL = ModelSpec("mobilenetv3_small_050", untrained=True)
PICTURES = 56


def quiet(*_: object) -> None:
    pass


# -- arithmetic ------------------------------------------------------------------------------------


def test_bounds_of_a_share_are_wilsons() -> None:
    assert proportion_bounds(0, 0) == (0, 1)
    low, high = proportion_bounds(8, 10)
    assert low == pytest.approx(0.4901625, abs=1e-5)
    assert high == pytest.approx(0.9433178, abs=1e-5)
    assert proportion_bounds(0, 50)[0] == 0
    assert proportion_bounds(50, 50)[1] == 1


def test_events_are_counted_inclusively() -> None:
    events = Events(np.array([0.9, 0.8, 0.8, 0.5]), np.array([1.0, 2.0, 2.0, 4.0]))
    counts = events.at(np.array([0.95, 0.9, 0.8, 0.1]))
    np.testing.assert_allclose(counts.expected, [0, 1, 5, 9])
    np.testing.assert_allclose(counts.spread, [1, 1, 3 / 5, 5 / 9])


def test_a_tail_is_found_again_beyond_what_was_seen() -> None:
    # 100,000 neighbours in a space of 10 dimensions: counts fall with (1 - s) to the 5
    rng = np.random.default_rng(0)
    similarity = np.sort(1 - rng.random(100_000) ** (1 / 5))[::-1]
    tail = Tail.fitted(Events(similarity, np.ones(len(similarity))))
    assert tail.exponent == pytest.approx(5, rel=0.4)
    beyond = 1 - (1 - similarity[0]) / 2
    known = 100_000 * (1 - beyond) ** 5
    counts = tail.at(np.array([beyond]))
    assert abs(np.log(counts.expected[0] / known)) < 3 * counts.spread[0]
    assert counts.expected[0] < 1


def example(**changes: object) -> Calibration:
    thresholds = tuple(np.linspace(0, 1, 101).tolist())
    left = 1 - np.linspace(0, 1, 101)
    made = Calibration(
        images=1000,
        edited=100,
        checked=500,
        seed=0,
        verifier="v",
        thresholds=thresholds,
        false_pairs=tuple((400_000 * left**8).tolist()),
        false_spread=(0.0,) * 101,
        true_pairs=tuple((200 * (1 - np.linspace(0, 1, 101) ** 6)).tolist()),
        true_spread=(0.0,) * 101,
        recall={"re-encoded": Recall(tuple(range(100, -1, -1)), 100)},
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # fields by name


def test_a_higher_promise_takes_a_higher_threshold() -> None:
    calibration = example()
    thresholds = [calibration.threshold_for(precision) for precision in (0.5, 0.9, 0.99, 0.999)]
    assert thresholds == sorted(set(thresholds))
    for precision, threshold in zip((0.5, 0.9, 0.99, 0.999), thresholds, strict=True):
        assert calibration.expected_at(threshold).precision >= precision
        assert calibration.expected_at(threshold - 0.01).precision < precision


def test_a_grown_collection_takes_a_higher_threshold() -> None:
    calibration = example()
    assert calibration.threshold_for(0.99, 100_000) > calibration.threshold_for(0.99)
    grown = calibration.expected_at(0.7, 2000)
    assert grown.false_pairs == pytest.approx(
        calibration.expected_at(0.7).false_pairs * 4, rel=1e-3
    )
    assert grown.true_pairs == pytest.approx(calibration.expected_at(0.7).true_pairs * 2)


def test_less_certain_counts_take_a_higher_threshold() -> None:
    sure, unsure = example(), example(false_spread=(0.7,) * 101)
    assert unsure.threshold_for(0.99) > sure.threshold_for(0.99)
    assert unsure.expected_at(0.7).false_high > sure.expected_at(0.7).false_high


def test_without_true_pairs_one_in_a_hundred_images_is_assumed() -> None:
    none = example(true_pairs=(0.0,) * 101, true_spread=(1.0,) * 101)
    place = 70
    least = 0.01 * 1000 * 0.30
    assert none.thresholds[place] == pytest.approx(0.7)
    assert none.expected_at(0.7).precision == pytest.approx(
        least / (least + none.false_pairs[place])
    )


def test_certainty_is_not_for_sale() -> None:
    with pytest.raises(
        DedupError, match=r"no similarity is certain.*--tier exact,pixels,resaved,near"
    ):
        example().threshold_for(1.0)
    with pytest.raises(ValueError, match="above 0"):
        example().threshold_for(0.0)


def test_a_promise_that_cannot_be_made_says_which_can() -> None:
    calibration = example(false_pairs=(500.0,) * 101)
    with pytest.raises(
        DedupError, match=r"no similarity promises .* 0\.99; the highest promise is 0\.28"
    ):
        calibration.threshold_for(0.99)
    assert calibration.expected_at(calibration.surest()).precision == pytest.approx(
        0.2857, abs=1e-3
    )


def test_the_default_promises_nine_of_ten_where_that_can_be_promised() -> None:
    calibration = example()
    assert calibration.default_threshold() == calibration.threshold_for(0.9)
    hopeless = example(false_pairs=(500.0,) * 101)
    assert hopeless.default_threshold() == hopeless.surest()


def test_written_and_read_it_is_the_same() -> None:
    calibration = example()
    assert Calibration.from_json(calibration.to_json()) == calibration
    for text in ("[]", "{}", "no", '{"calibration": 3}', '{"calibration": 1, "recall": {}}'):
        with pytest.raises(ValueError, match=r"calibration|Expecting"):
            Calibration.from_json(text)


# -- the sample and the promise, in made-up worlds ---------------------------------------------


class Oracle:
    """Stands for the proof, and is always right."""

    def __init__(self, label: dict[bytes, int]) -> None:
        self.label = label
        self.asked: set[ContentPair] = set()

    def prove(self, pairs: Many[ContentPair]) -> None:
        self.asked.update(pairs)

    def verdict(self, first: bytes, second: bytes) -> StoredVerdict | None:
        if content_pair(first, second) not in self.asked:
            return None
        return StoredVerdict(Tier.NEAR if self.label[first] == self.label[second] else None, "", "")


class World:
    """Embeddings in a few dimensions, some of them copies of others."""

    def __init__(self, count: int, copies: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        places = rng.normal(size=(count, 12))
        places[count - copies :] = places[:copies] + rng.normal(size=(copies, 12)) * rng.uniform(
            0.02, 0.4, (copies, 1)
        )
        self.rows = unit_rows(places)
        self.contents = [number.to_bytes(32, "big") for number in range(count)]
        label = [*range(count - copies), *range(copies)]
        self.oracle = Oracle(dict(zip(self.contents, label, strict=True)))
        self.label = np.array(label)

    def pairs(self, threshold: float) -> tuple[int, int]:
        """Count the pairs at or above a threshold, and the true ones."""
        first, second = np.triu_indices(len(self.rows), 1)
        similarity = np.round(np.einsum("pd,pd->p", self.rows[first], self.rows[second]), 6)
        kept = similarity >= threshold - 5e-7
        same = self.label[first] == self.label[second]
        return int(kept.sum()), int((kept & same).sum())

    def calibration(
        self, seed: int, decisions: dict[ContentPair, Decision] | None = None
    ) -> Calibration:
        rng = np.random.default_rng(seed)
        sampler = PairSampler(self.rows, self.contents, decisions or {}, self.oracle)  # type: ignore[arg-type]  # stands for a Prover
        way = np.arange(len(EDIT_MIX) * 10) % len(EDIT_MIX)
        copies = Copies(way, np.full(len(way), 0.95, np.float32), 100, 0)
        return curve(len(self.rows), copies, sampler.sample(rng, quiet), seed)


def test_the_sample_counts_as_if_it_had_looked_at_every_pair() -> None:
    world = World(1500, 300, 3)
    calibration = world.calibration(0)
    assert len(world.oracle.asked) < 1500
    for threshold in (0.97, 0.95, 0.9):
        found, right = world.pairs(threshold)
        expected = calibration.expected_at(threshold)
        # thresholds of the curve are a quarter of a hundredth apart
        assert expected.true_pairs == pytest.approx(right, rel=0.1)
        assert expected.false_pairs == pytest.approx(found - right, rel=0.35, abs=3)


def test_what_a_person_decided_counts_more_than_the_proof() -> None:
    world = World(300, 60, 1)
    said = {
        pair: Decision(pair, duplicate=False, decided="2026-01-01")
        for copy in range(60)
        for pair in [content_pair(world.contents[copy], world.contents[240 + copy])]
    }
    assert world.calibration(0).expected_at(0.95).true_pairs > 20
    assert world.calibration(0, said).expected_at(0.95).true_pairs == 0


@pytest.mark.parametrize("count", [300, 1000])
def test_a_promise_is_kept_on_images_that_were_not_calibrated_on(count: int) -> None:
    found = right = promised = 0
    for seed in range(10):
        try:
            threshold = World(count, count // 4, 2 * seed).calibration(seed).threshold_for(0.99)
        except DedupError:
            continue
        promised += 1
        more, good = World(count, count // 4, 2 * seed + 1).pairs(threshold)
        found, right = found + more, right + good
    assert promised >= 8
    assert right / found >= 0.985


# -- in full -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of small scenes and copies of a quarter of them, calibrated."""
    folder = tmp_path_factory.mktemp("calibrated")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    for seed in range(PICTURES):
        image = scene(seed, (160, 120))
        image.save(folder / "images" / f"{seed}.jpg", quality=90)
        if seed % 4 == 0:
            copy = edit("jpeg", EDITS["jpeg"].strengths[1], np.asarray(image), rng)
            Image.fromarray(copy).save(folder / "images" / f"{seed} copy.png")
    with Collection.create(folder / "store", SMALL) as made:
        made.index([folder / "images"])
    run(folder / "store")
    return folder / "store"


def run(store: Path, seed: int = 0) -> Calibration:
    catalog = Catalog.open(store)
    try:
        with binding.load(catalog) as runtime:
            return calibrate(catalog, lambda: runtime, quiet, seed=seed, samples=50)
    finally:
        catalog.close()


def test_a_calibration_is_kept_with_the_collection(calibrated: Path) -> None:
    catalog = Catalog.open(calibrated)
    space = Space.of(catalog)
    calibration = space.calibration
    assert calibration is not None
    assert space.transform is None  # too few images for one
    assert (calibration.images, calibration.edited) == (PICTURES + PICTURES // 4, 50)
    assert list(calibration.recall) == list(EDIT_MIX)
    assert {one.total for one in calibration.recall.values()} <= {22, 23}
    lowest = calibration.expected_at(calibration.thresholds[0])
    assert lowest.true_pairs == pytest.approx(PICTURES // 4, abs=2)
    assert lowest.found["re-encoded"].share > 0.9
    verdicts = read_verdicts(catalog, calibration.verifier)
    assert len(verdicts) == calibration.checked  # proofs are kept for `list`
    catalog.close()


@pytest.mark.slow
def test_equal_seeds_give_equal_calibrations(calibrated: Path) -> None:
    catalog = Catalog.open(calibrated)
    first = Space.of(catalog).calibration
    catalog.close()
    assert run(calibrated) == first


@pytest.mark.slow
def test_decisions_are_labels(calibrated: Path, tmp_path: Path) -> None:
    store = shutil.copytree(calibrated, tmp_path / "store")
    catalog = Catalog.open(store)
    digests = read_images(catalog).digest
    space = Space.of(catalog)
    rows, before = space.rows(catalog, len(digests)), space.calibration
    assert before is not None
    similarity = np.triu(rows @ rows.T, 1)
    pairs = [divmod(int(place), len(rows)) for place in np.argsort(-similarity, axis=None)]
    contents = [content_pair(digests[one], digests[two]) for one, two in pairs[:100]]
    verdicts = read_verdicts(catalog, before.verifier)
    # The most similar negatives, which every calibration looks at.
    negatives = [pair for pair in contents if pair in verdicts and verdicts[pair].tier is None][:12]
    write_decisions(
        catalog, [Decision(pair, duplicate=True, decided="2026-01-01") for pair in negatives]
    )
    catalog.close()
    after = run(store)
    assert len(negatives) == 12
    assert after.true_pairs[0] == pytest.approx(before.true_pairs[0] + 12)


def forget_verdicts(store: Path, contents: list[bytes]) -> None:
    """Have the pairs of some contents proven again."""
    catalog = Catalog.open(store)
    with catalog.transaction():
        forgotten = [
            catalog.connection.execute(
                "DELETE FROM verdicts WHERE first = ? OR second = ?", (content, content)
            ).rowcount
            for content in contents
        ]
    catalog.close()
    assert min(forgotten) > 0


@pytest.mark.slow
def test_files_that_cannot_be_read_any_more_are_passed_over(
    calibrated: Path, tmp_path: Path
) -> None:
    images = shutil.copytree(calibrated.parent / "images", tmp_path / "images")
    shutil.copytree(calibrated, tmp_path / "store")
    with Collection.open(tmp_path / "store") as opened:
        opened.move_root(calibrated.parent / "images", images)
    lost = [images / f"{seed}.jpg" for seed in (1, 2, 3, 7)]
    forget_verdicts(tmp_path / "store", [sha256(file.read_bytes()).digest() for file in lost])
    for file in lost[:3]:
        file.unlink()
    lost[3].write_bytes(b"other")
    calibration = run(tmp_path / "store")
    assert calibration.edited == 50
    for seed in range(40):
        (tmp_path / "images" / f"{seed}.jpg").unlink(missing_ok=True)
    with pytest.raises(DedupError, match=r"at least 50 different images.*that can be read"):
        run(tmp_path / "store")


def test_too_few_images_are_refused_with_the_number_it_takes(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for seed in range(3):
        scene(seed, (64, 48)).save(tmp_path / "images" / f"{seed}.jpg")
    with Collection.create(tmp_path / "store", SMALL) as made:
        made.index([tmp_path / "images"])
    with pytest.raises(DedupError, match=r"needs at least 50 different images.*has 3"):
        run(tmp_path / "store")
    catalog = Catalog.open(tmp_path / "store")
    assert Space.of(catalog).calibration is None
    catalog.close()


def test_a_damaged_calibration_says_what_to_do(calibrated: Path, tmp_path: Path) -> None:
    catalog = Catalog.open(shutil.copytree(calibrated, tmp_path / "store"))
    write_calibration(catalog, "{", b"x")
    with pytest.raises(DamagedError, match="Run: dedup calibrate"):
        Space.of(catalog).threshold()
    with pytest.raises(DamagedError, match="Run: dedup calibrate"):
        Space.of(catalog).vectors(np.eye(2, dtype=np.float32))
    catalog.close()


def test_every_way_of_editing_is_a_known_edit() -> None:
    for edits in EDIT_MIX.values():
        for kind, strengths in edits.items():
            assert set(strengths) <= set(EDITS[kind].strengths)


def test_copies_depend_on_the_seed_alone() -> None:
    from dedup.calibration.edited_copies import copied

    pixels: npt.NDArray[np.uint8] = np.asarray(scene(1))
    wanted = Preparation(64, 64)
    for way in range(len(EDIT_MIX)):
        one, two = (copied(pixels, way, (3, 1), wanted).pixels for _ in range(2))
        np.testing.assert_array_equal(one, two)
        assert not np.array_equal(one, copied(pixels, way, (4, 1), wanted).pixels)
