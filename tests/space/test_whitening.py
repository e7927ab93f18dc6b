"""What the transform does to embeddings, against plain linear algebra."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import safetensors.numpy

from dedup.search.similarity import unit_rows
from dedup.space.whitening import MIN_IMAGES, Transform, fit_transform

Floats = npt.NDArray[np.float32]


def crowded(count: int, seed: int = 0, dimension: int = 48) -> Floats:
    """Rows that share a mean and a few strong directions, as a classifier's features do."""
    rng = np.random.default_rng(seed)
    strong = np.random.default_rng(99).normal(size=(6, dimension))
    common = 4 * np.random.default_rng(98).normal(size=dimension)
    rows = common + 3 * rng.normal(size=(count, 6)) @ strong + rng.normal(size=(count, dimension))
    return unit_rows(rows)


def test_too_few_images_are_left_as_they_are() -> None:
    rows = crowded(MIN_IMAGES - 1)
    transform = fit_transform(rows)
    assert transform.is_identity
    np.testing.assert_allclose(transform.apply(rows), rows, atol=1e-7)
    assert not fit_transform(crowded(MIN_IMAGES)).is_identity


def test_whitening_is_the_textbook_formula() -> None:
    rows = crowded(1500)
    transform = fit_transform(rows)
    centred = rows.astype(np.float64) - rows.astype(np.float64).mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(centred, rowvar=False, bias=True))
    count = len(transform.gains)
    assert count == 1500 // 64
    shrinkage = 0.1 * values.mean()
    evened = np.concatenate(
        [np.full(48 - count, values[: 48 - count].mean()), values[48 - count :]]
    )
    whitened = (centred @ vectors) / np.sqrt(evened + shrinkage)
    expected = unit_rows(whitened)
    made = transform.apply(rows)
    np.testing.assert_allclose(made[:50] @ made.T, expected[:50] @ expected.T, atol=1e-5)


def test_fewer_rows_than_columns_give_the_same_directions() -> None:
    rows = crowded(600, dimension=700)
    transform = fit_transform(rows)
    centred = rows.astype(np.float64) - rows.astype(np.float64).mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    strongest = vectors[:, ::-1][:, :6]
    overlap = np.abs(transform.directions[:6].astype(np.float64) @ strongest)
    np.testing.assert_allclose(np.diag(overlap), 1, atol=1e-3)


def test_copies_stand_out_where_edits_moved_them_along_strong_directions() -> None:
    rng = np.random.default_rng(5)
    strong = rng.normal(size=(6, 48))
    own = rng.normal(size=(1000, 48))
    kinds = 3 * rng.normal(size=(1000, 6))
    rows = unit_rows(kinds @ strong + own)
    copies = unit_rows((kinds + 0.7 * rng.normal(size=kinds.shape)) @ strong + own)

    def found(gallery: Floats, others: Floats) -> float:
        negatives = (gallery @ gallery.T)[np.triu_indices(len(gallery), 1)]
        bar = np.sort(negatives)[-10]
        return float((np.einsum("nd,nd->n", gallery, others) >= bar).mean())

    transform = fit_transform(rows)
    before = found(rows, copies)
    after = found(transform.apply(rows), transform.apply(copies))
    assert before < 0.6
    assert after > before + 0.3


def test_stored_and_read_it_is_the_same() -> None:
    rows = crowded(700)
    transform = fit_transform(rows)
    again = Transform.from_bytes(transform.to_bytes())
    np.testing.assert_array_equal(again.apply(rows), transform.apply(rows))
    assert Transform.from_bytes(Transform.identity(5).to_bytes()).is_identity


@pytest.mark.parametrize("place", [0, 7, 9, 40, 200, 2000, -1])
def test_damage_is_noticed(place: int) -> None:
    packed = bytearray(fit_transform(crowded(700)).to_bytes())
    packed[place] ^= 1
    with pytest.raises(ValueError, match=r"transform"):
        Transform.from_bytes(bytes(packed))


@pytest.mark.parametrize("length", [0, 8, 24, 1000])
def test_a_cut_transform_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=r"transform"):
        Transform.from_bytes(fit_transform(crowded(700)).to_bytes()[:length])


def test_rows_do_not_depend_on_those_beside_them() -> None:
    transform = fit_transform(crowded(700))
    rows = crowded(4100, seed=3)
    together = transform.apply(rows)
    np.testing.assert_allclose(together[4095:4098], transform.apply(rows[4095:4098]), atol=1e-6)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)


def test_rows_of_zeros_stay_zeros() -> None:
    rows = crowded(700)
    transform = fit_transform(rows)
    rows[3] = 0
    assert not transform.apply(rows)[3].any()
    assert transform.apply(np.empty((0, 48), np.float32)).shape == (0, 48)


def test_equal_rows_are_no_reason_to_fail() -> None:
    rows = np.tile(crowded(1), (600, 1))
    transform = fit_transform(rows)
    assert np.isfinite(transform.apply(rows)).all()


def test_another_dimension_is_refused() -> None:
    with pytest.raises(ValueError, match="wanted"):
        fit_transform(crowded(700)).apply(np.zeros((2, 7), np.float32))


def test_what_is_stored_is_safetensors_with_a_checksum() -> None:
    transform = fit_transform(crowded(700))
    tensors = safetensors.numpy.load(transform.to_bytes())
    assert {name: part.shape for name, part in tensors.items()} == {
        "mean": (48,),
        "directions": (10, 48),
        "gains": (10,),
    }
    for name, part in tensors.items():
        np.testing.assert_array_equal(part, getattr(transform, name))
    assert list(safetensors.numpy.load(Transform.identity(5).to_bytes())) == ["mean"]


def test_other_tensors_are_refused() -> None:
    other = safetensors.numpy.save({"mean": np.zeros(3, np.float32)})
    with pytest.raises(ValueError, match="not a transform, or one of another version"):
        Transform.from_bytes(other)
