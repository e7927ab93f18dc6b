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
from dedup.fingerprint import DETAILS
from dedup.images.decode import decode_bounded, decode_square
from dedup.preparation import Preparation, embed, preparation
from dedup.space.space import Space
from dedup.spec import ModelSpec
from dedup.store.catalog import Catalog
from dedup.store.gallery import read_vectors

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt


def jpeg(pixels: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def test_one_decoding_gives_what_two_would() -> None:
    for shape in ((90, 400), (700, 500), (64, 64)):
        data = jpeg(drawn(*shape, np.random.default_rng(3)))
        prepared = Preparation(32, 32, details=True).prepare(data)
        bounded = prepared.decoded.bounded
        assert bounded is not None
        assert bounded.shape == decode_bounded(data, SIDE).shape
        np.testing.assert_array_equal(bounded, decode_bounded(data, SIDE))
        assert prepared.pixels.shape == decode_square(data, 32, 32).pixels.shape == (32, 32, 3)
        assert prepared.counted is not None
        details = load_details()
        embedded = details.project(prepared.counted[None])[0]
        np.testing.assert_allclose(embedded, details.embed(bounded), atol=1e-6)


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
    space = Space.of(catalog)
    rows = space.rows(catalog, count)
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
    np.testing.assert_array_equal(space.rows_of(catalog, ids[::2]), rows[::2])
    catalog.close()


def test_a_fresh_image_equals_itself_as_stored(indexed: Path, drawn: Path) -> None:
    catalog = Catalog.open(indexed)
    runtime = binding.load(catalog)
    names = ("a/0.jpg", "a/7.jpg", "b/2 small.jpg")
    wanted = preparation(catalog)
    images = [wanted.prepare((drawn / name).read_bytes()).inputs for name in names]
    space = Space.of(catalog)
    fresh = space.fuse_fresh(embed(catalog.fingerprint, lambda: runtime, images))
    for name, row in zip(names, fresh, strict=True):
        image = catalog.image_with(hashlib.sha256((drawn / name).read_bytes()).digest())
        assert image is not None
        assert float(space.rows_of(catalog, np.array([image]))[0] @ row) == pytest.approx(
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
