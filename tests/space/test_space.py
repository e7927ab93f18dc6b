"""The space of a collection: parts, weights, transform and thresholds in one object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from dedup.errors import DamagedError, SearchError
from dedup.fingerprint import DETAILS, Fingerprint
from dedup.records import FileEntry, ImageFacts
from dedup.search.similarity import unit_rows
from dedup.space.curve import Calibration, Recall
from dedup.space.fusion import content_weight, fuse
from dedup.space.space import Space
from dedup.space.thresholds import default_threshold
from dedup.space.whitening import Transform, fit_transform
from dedup.store.catalog import Catalog
from dedup.store.changes import Batch
from dedup.store.pairs import write_calibration
from dedup.store.vectors import as_stored, pack

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

BOTH = Fingerprint(
    "m", "untrained", "0" * 64, ("pool",), 8, 8, "d", ("content", "details"), "1" * 64, 0.3
)
CONTENT = Fingerprint("m", "untrained", "0" * 64, ("pool",), 8, 8, "d")


class ThreeParts(Fingerprint):
    """As a collection with a text tower would have it: two parts, and a further one."""

    @property
    def compared(self) -> dict[str, float]:
        return {"pool": 0.2, DETAILS: 0.5, "text": 0.3}


THREE = ThreeParts("m", "hub", "0" * 64, ("pool", "text"), 8, 8, "d", ("content", "details"))


def random_rows(count: int, width: int, seed: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


def cosine(one: npt.NDArray[np.floating], two: npt.NDArray[np.floating]) -> float:
    return float(one @ two / np.linalg.norm(one) / np.linalg.norm(two))


def curve(images: int = 100) -> Calibration:
    """A calibration whose precision rises with the threshold, in steps of a tenth."""
    steps = np.linspace(0, 1, 11)
    return Calibration(
        images=images,
        edited=10,
        checked=10,
        seed=0,
        verifier="v",
        thresholds=tuple(steps.tolist()),
        false_pairs=tuple((1000 * (1 - steps) ** 4).tolist()),
        false_spread=(0.0,) * 11,
        true_pairs=tuple((50 * (1 - steps**6) + 1).tolist()),
        true_spread=(0.0,) * 11,
        recall={"re-encoded": Recall((10,) * 11, 10)},
    )


def filled(
    store: Path, fingerprint: Fingerprint, parts: dict[str, npt.NDArray[np.float32]]
) -> Catalog:
    """A collection of images that never were, with these embeddings."""
    catalog = Catalog.create(store, fingerprint)
    (root,) = catalog.add_roots([b"/nowhere"])
    digests = [number.to_bytes(32, "big") for number in range(len(next(iter(parts.values()))))]
    facts = [ImageFacts(digest, "JPEG", 9, 9, 1, False, digest[16:]) for digest in digests]
    packed = {name: pack(name, rows) for name, rows in parts.items()}
    files = [
        (root, FileEntry(b"%d" % number, 1, 1, 1, number), digest)
        for number, digest in enumerate(digests)
    ]
    catalog.commit(Batch(facts, packed, files))
    return catalog


# -- fusion ----------------------------------------------------------------------------------------


def test_a_fused_cosine_is_the_weighted_mean_of_the_parts_cosines() -> None:
    parts = {"pool": random_rows(20, 7, 0) * 50, DETAILS: random_rows(20, 5, 1)}
    rows = Space(BOTH).fuse(parts)
    assert rows.shape == (20, 12)
    for one in range(20):
        for two in range(20):
            wanted = 0.3 * cosine(parts["pool"][one], parts["pool"][two])
            wanted += 0.7 * cosine(parts[DETAILS][one], parts[DETAILS][two])
            assert float(rows[one] @ rows[two]) == pytest.approx(wanted, abs=1e-6)


def test_more_rows_than_a_block_come_out_as_each_alone_would() -> None:
    parts = {"pool": random_rows(8195, 2, 0), DETAILS: random_rows(8195, 2, 1)}
    rows = fuse(BOTH.compared, parts)
    for row in (0, 8191, 8192, 8194):
        alone = fuse(BOTH.compared, {name: part[row : row + 1] for name, part in parts.items()})
        np.testing.assert_array_equal(rows[row], alone[0])


def test_without_texture_the_content_decides_alone() -> None:
    parts = {"pool": random_rows(3, 4, 0), DETAILS: random_rows(3, 5, 1)}
    parts[DETAILS][:2] = 0
    rows = fuse(BOTH.compared, parts)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    wanted = cosine(parts["pool"][0], parts["pool"][1])
    assert float(rows[0] @ rows[1]) == pytest.approx(wanted, abs=1e-6)
    # What has no details agrees with what has them by its content at most.
    limit = 0.3**0.5 * cosine(parts["pool"][0], parts["pool"][2])
    assert float(rows[0] @ rows[2]) == pytest.approx(limit, abs=1e-6)


def test_parts_that_are_not_compared_are_ignored() -> None:
    parts = {"pool": random_rows(3, 4, 0), DETAILS: random_rows(3, 5, 1)}
    more = {**parts, "other": random_rows(3, 9, 2)}
    np.testing.assert_array_equal(fuse(BOTH.compared, parts), fuse(BOTH.compared, more))


def test_content_weighs_less_without_training() -> None:
    assert content_weight(untrained=False) == 0.2
    assert content_weight(untrained=True) == 0.05


def test_a_third_part_takes_its_place_in_every_row(tmp_path: Path) -> None:
    parts = {
        "pool": random_rows(30, 6, 0),
        DETAILS: random_rows(30, 8, 1),
        "text": random_rows(30, 4, 2),
    }
    catalog = filled(tmp_path / "s", THREE, parts)
    space = Space(THREE)
    rows = space.rows(catalog, 30)
    assert rows.shape == (30, 18)
    units = {name: unit_rows(as_stored(name, part)).astype(float) for name, part in parts.items()}
    wanted = sum(
        weight * units[name] @ units[name].T
        for name, weight in {"pool": 0.2, DETAILS: 0.5, "text": 0.3}.items()
    )
    np.testing.assert_allclose(rows @ rows.T, wanted, atol=1e-6)
    np.testing.assert_array_equal(space.rows_of(catalog, np.array([2, 7])), rows[[1, 6]])
    np.testing.assert_allclose(space.fuse_fresh(parts), rows, atol=2e-7)
    assert space.vectors(rows) is rows
    assert space.threshold() == default_threshold(THREE)
    catalog.close()


def test_a_single_part_is_read_as_it_is_stored(tmp_path: Path) -> None:
    part = random_rows(5, 6, 0)
    catalog = filled(tmp_path / "s", CONTENT, {"pool": part})
    space = Space.of(catalog)
    np.testing.assert_allclose(space.rows(catalog, 5), unit_rows(part), atol=1e-3)
    np.testing.assert_array_equal(
        space.rows_of(catalog, np.array([3])), space.rows(catalog, 5)[2:3]
    )
    assert space.rows(catalog, 0).shape == (0, 0)
    catalog.close()


# -- transform -------------------------------------------------------------------------------------


def test_vectors_go_through_the_transform() -> None:
    rows = unit_rows(random_rows(600, 12, 0) + 2)
    transform = fit_transform(rows)
    space = Space(CONTENT, transform)
    np.testing.assert_array_equal(space.vectors(rows), transform.apply(rows))
    empty = np.empty((0, 0), np.float32)
    assert space.vectors(empty) is empty
    assert Space(CONTENT).vectors(rows) is rows


def test_a_collection_gives_the_transform_and_the_curve_it_has(tmp_path: Path) -> None:
    part = unit_rows(random_rows(520, 6, 0) + 1)
    catalog = filled(tmp_path / "s", CONTENT, {"pool": part})
    before = Space.of(catalog)
    assert (before.transform, before.calibration) == (None, None)
    transform = fit_transform(part)
    write_calibration(catalog, curve().to_json(), transform.to_bytes())
    assert before.transform is None  # a space does not change
    after = Space.of(catalog)
    assert after.calibration == curve()
    np.testing.assert_array_equal(after.vectors(part), transform.apply(part))
    # Counts grow from the 100 images of the curve to the 520 of the collection.
    assert after.threshold() == curve().default_threshold(520) > curve().default_threshold()
    assert after.threshold(count=100) == curve().default_threshold()
    catalog.close()


def test_a_damaged_calibration_says_what_to_do(tmp_path: Path) -> None:
    catalog = filled(tmp_path / "s", CONTENT, {"pool": random_rows(3, 6, 0)})
    write_calibration(catalog, "{", b"x")
    space = Space.of(catalog)
    with pytest.raises(DamagedError, match="Run: dedup calibrate"):
        space.threshold()
    with pytest.raises(DamagedError, match="Run: dedup calibrate"):
        space.vectors(space.rows(catalog, 3))
    assert space.threshold(0.5) == 0.5  # nothing has to be read for that
    catalog.close()


# -- thresholds ------------------------------------------------------------------------------------


def test_what_is_asked_for_comes_before_everything_else() -> None:
    space = Space(BOTH, calibration=curve())
    assert space.threshold(0.123) == 0.123
    assert space.threshold(-1.0) == -1
    with pytest.raises(ValueError, match=r"cosine in \[-1, 1\], got 1.5"):
        space.threshold(1.5)


def test_a_precision_needs_a_calibration() -> None:
    with pytest.raises(SearchError, match="Run: dedup calibrate"):
        Space(BOTH).threshold(precision=0.9)
    calibrated = Space(BOTH, calibration=curve())
    assert calibrated.threshold(precision=0.5) == curve().threshold_for(0.5)
    assert calibrated.threshold(precision=0.5, count=400) == curve().threshold_for(0.5, 400)
    assert calibrated.threshold() == curve().default_threshold()


@pytest.mark.parametrize(
    ("model", "weights", "views", "threshold", "near", "pixels"),
    [
        ("copies-2", "bundled", ("content", "details"), 0.35, (0.25, 0.15), 0.5),
        ("mobilenetv2_100.ra_in1k", "hub", ("content", "details"), 0.38, (0.25, 0.15), 0.5),
        ("resnet50", "hub", ("content", "details"), 0.40, (0.25, 0.15), 0.5),
        ("resnet50", "untrained", ("content", "details"), 0.30, (0.25, 0.15), 0.5),
        ("mobilenetv2_100", "hub", ("content",), 0.80, (0.4, 0.3), 0.95),
        ("resnet50", "hub", ("content",), 0.90, (0.4, 0.3), 0.95),
        ("resnet50", "untrained", ("content",), 0.996, (0.97, 0.95), 0.95),
        ("", "", ("details",), 0.26, (0.25, 0.15), 0.5),
    ],
)
def test_defaults_go_by_model_and_views(
    model: str,
    weights: str,
    views: tuple[str, ...],
    threshold: float,
    near: tuple[float, float],
    pixels: float,
) -> None:
    layers = ("pool",) if "content" in views else ()
    space = Space(Fingerprint(model, weights, "", layers, 8, 8, "d", views))
    assert (space.threshold(), space.near_floors, space.pixels_floor) == (threshold, near, pixels)


def test_an_identity_transform_is_no_reason_to_change_rows() -> None:
    rows = unit_rows(random_rows(9, 5, 0))
    np.testing.assert_allclose(Space(CONTENT, Transform.identity(5)).vectors(rows), rows, atol=1e-7)
