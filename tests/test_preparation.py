from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from outcome import SMALL_MODEL
from PIL import Image

from dedup import binding
from dedup.collection import Collection
from dedup.descriptors.vlad import SIDE, load_details
from dedup.edits.catalogue import drawn
from dedup.errors import FingerprintError, ModelError
from dedup.fingerprint import DETAILS, Fingerprint
from dedup.images.decode import DECODER, decode_bounded, decode_square
from dedup.preparation import (
    Preparation,
    embed,
    fused,
    fused_fresh,
    preparation,
    read_rows,
    read_rows_of,
)
from dedup.spec import ModelSpec
from dedup.store.catalog import Catalog
from dedup.store.gallery import read_vectors

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

BOTH = Fingerprint(
    "m", "untrained", "0" * 64, ("pool",), 8, 8, DECODER, ("content", "details"), "1" * 64, 0.3
)


def jpeg(pixels: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def random_rows(count: int, width: int, seed: int) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(count, width))


def cosine(one: npt.NDArray[np.floating], two: npt.NDArray[np.floating]) -> float:
    return float(one @ two / np.linalg.norm(one) / np.linalg.norm(two))


def test_a_fused_cosine_is_the_weighted_mean_of_the_views_cosines() -> None:
    parts = {"pool": random_rows(20, 7, 0) * 50, DETAILS: random_rows(20, 5, 1)}
    rows = fused(BOTH, parts)
    assert rows.shape == (20, 12)
    for one in range(20):
        for two in range(20):
            wanted = 0.3 * cosine(parts["pool"][one], parts["pool"][two])
            wanted += 0.7 * cosine(parts[DETAILS][one], parts[DETAILS][two])
            assert float(rows[one] @ rows[two]) == pytest.approx(wanted, abs=1e-6)


def test_more_rows_than_a_block_come_out_as_each_alone_would() -> None:
    parts = {"pool": random_rows(8195, 2, 0), DETAILS: random_rows(8195, 2, 1)}
    rows = fused(BOTH, parts)
    for place in (0, 8191, 8192, 8194):
        alone = fused(BOTH, {name: part[place : place + 1] for name, part in parts.items()})
        np.testing.assert_array_equal(rows[place], alone[0])


def test_without_texture_the_content_decides_alone() -> None:
    parts = {"pool": random_rows(3, 4, 0), DETAILS: random_rows(3, 5, 1)}
    parts[DETAILS][:2] = 0
    rows = fused(BOTH, parts)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    wanted = cosine(parts["pool"][0], parts["pool"][1])
    assert float(rows[0] @ rows[1]) == pytest.approx(wanted, abs=1e-6)
    # What has no details agrees with what has them by its content at most.
    limit = 0.3**0.5 * cosine(parts["pool"][0], parts["pool"][2])
    assert float(rows[0] @ rows[2]) == pytest.approx(limit, abs=1e-6)


def test_what_was_extracted_beside_the_views_does_not_count() -> None:
    parts = {"pool": random_rows(3, 4, 0), DETAILS: random_rows(3, 5, 1)}
    more = {**parts, "other": random_rows(3, 9, 2)}
    np.testing.assert_array_equal(fused(BOTH, parts), fused(BOTH, more))


def test_one_decoding_gives_what_two_would() -> None:
    for shape in ((90, 400), (700, 500), (64, 64)):
        data = jpeg(drawn(*shape, np.random.default_rng(3)))
        prepared = Preparation(32, 32, details=True).prepare(data)
        bounded = prepared.decoded.bounded
        assert bounded is not None
        assert bounded.shape == decode_bounded(data, SIDE).shape
        np.testing.assert_array_equal(bounded, decode_bounded(data, SIDE))
        assert prepared.pixels.shape == decode_square(data, 32, 32).pixels.shape == (32, 32, 3)
        assert prepared.details is not None
        np.testing.assert_array_equal(prepared.details, load_details().embed(bounded))


def test_equal_squares_of_different_aspects_are_different_inputs() -> None:
    wide, square = np.full((50, 100, 3), 9, np.uint8), np.full((50, 50, 3), 9, np.uint8)
    both, content = Preparation(8, 8, details=True), Preparation(8, 8)
    one, two = (both.prepare(jpeg(pixels)) for pixels in (wide, square))
    assert one.input_digest != two.input_digest
    one, two = (content.prepare(jpeg(pixels)) for pixels in (wide, square))
    assert one.input_digest == two.input_digest


def test_a_collection_stores_both_views_and_compares_them_as_one(
    drawn: Path, tmp_path: Path
) -> None:
    made = Collection.create(tmp_path / "s", ModelSpec(SMALL_MODEL, untrained=True))
    with made as collection:
        collection.index([drawn])
        table = collection.features()
    assert {name: rows.shape[1] for name, rows in table.embeddings.items()} == {
        "global_pool": 288,
        DETAILS: load_details().dimension,
    }
    catalog = Catalog.open(tmp_path / "s")
    count = len(set(table.digests))
    rows = read_rows(catalog, count)
    share = catalog.fingerprint.content_share
    content, details = (read_vectors(catalog, name, count) for name in ("global_pool", DETAILS))
    textured = details.any(axis=1)
    assert 0 < textured.sum() < count  # blank pages among the drawn ones
    wanted = share * content @ content.T + (1 - share) * details @ details.T
    found = rows @ rows.T
    np.testing.assert_allclose(
        found[textured][:, textured], wanted[textured][:, textured], atol=1e-5
    )
    ids = np.arange(1, count + 1)
    np.testing.assert_array_equal(read_rows_of(catalog, ids[::2]), rows[::2])
    catalog.close()


def test_a_fresh_image_equals_itself_as_stored(indexed: Path, drawn: Path) -> None:
    catalog = Catalog.open(indexed)
    runtime = binding.load(catalog)
    names = ("a/0.jpg", "a/7.jpg", "b/2 small.jpg")
    wanted = preparation(catalog)
    images = [wanted.prepare((drawn / name).read_bytes()).inputs for name in names]
    fresh = fused_fresh(catalog.fingerprint, embed(catalog.fingerprint, lambda: runtime, images))
    for name, row in zip(names, fresh, strict=True):
        image = catalog.image_with(hashlib.sha256((drawn / name).read_bytes()).digest())
        assert image is not None
        assert float(read_rows_of(catalog, np.array([image]))[0] @ row) == pytest.approx(
            1, abs=1e-6
        )
    runtime.close()
    catalog.close()


def test_details_alone_need_no_model(drawn: Path, tmp_path: Path) -> None:
    with Collection.create(tmp_path / "s", ModelSpec(views="details")) as collection:
        summary = collection.index([drawn])
        assert collection.query(drawn / "a/3.jpg", k=1)[0].similarity == 1.0
        status = collection.status()
    assert summary.indexed == 14
    assert (status.model, status.views, status.layers) == ("none", (DETAILS,), (DETAILS,))


def test_details_refuse_a_model() -> None:
    with pytest.raises(ModelError, match="uses no model"):
        ModelSpec(SMALL_MODEL, views="details")


def test_another_vocabulary_is_refused(indexed: Path) -> None:
    catalog = Catalog.open(indexed)
    catalog.fingerprint = replace(
        catalog.fingerprint, views=("content", "details"), details_digest="2" * 64
    )
    with pytest.raises(FingerprintError, match="another vocabulary of details"):
        preparation(catalog)
    catalog.close()


def test_other_views_than_the_collections_are_refused(indexed: Path) -> None:
    with pytest.raises(FingerprintError, match="views: content, details, not details"):
        Collection.open(indexed, ModelSpec(views="details"))
