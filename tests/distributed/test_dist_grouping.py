"""What tasks group is what one machine lists, line by line."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from distributed.shards import embedded, joined

from dedup.collection import Collection
from dedup.distributed.commits import committed, read
from dedup.distributed.engine import Inline
from dedup.distributed.grouping import make_groups, read_groups
from dedup.distributed.joining import join
from dedup.distributed.settings import Settings
from dedup.distributed.storage import Storage
from dedup.duplicates.select import in_order
from dedup.results import Tier
from dedup.spec import ModelSpec
from dedup.store.catalog import Catalog

if TYPE_CHECKING:
    from pathlib import Path

PROVEN = (Tier.EXACT.value, Tier.PIXELS.value, Tier.RESAVED.value, Tier.NEAR.value)


@pytest.fixture(scope="module")
def one(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ordinary collection of the URL of `drawn`."""
    folder = tmp_path_factory.mktemp("one") / "one"
    with Collection.create(folder, ModelSpec()) as collection:
        collection.index([f"file://{drawn}"])
    return folder


@pytest.mark.parametrize(
    ("tiers", "by"),
    [
        (PROVEN, "one machine"),
        (PROVEN, "stages"),
        ((*PROVEN, "similar"), "stages"),
        (("exact", "pixels"), "stages"),
        pytest.param((*PROVEN, "similar"), "one machine", marks=pytest.mark.slow),
        pytest.param(("exact", "pixels"), "one machine", marks=pytest.mark.slow),
    ],
)
def test_groups_are_those_of_one_machine(
    one: Path, drawn: Path, tmp_path: Path, tiers: tuple[str, ...], by: str
) -> None:
    root = f"file://{drawn}"
    with Collection.open(one) as collection:
        answer = collection.duplicates(tiers, group="cover")
    assert len(answer.groups) >= 3
    storage = Storage.at(f"file://{tmp_path}/store")
    settings = Settings(1, answer.threshold, tiers)
    with closing(Catalog.open(one)) as catalog:
        run = embedded(catalog, storage, root, shard=7)
        ids: dict[bytes, list[int]] = {}
        for done in committed(storage, "embed").values():
            for row in read(storage, done, ["id", "digest"]).to_pylist():
                ids.setdefault(row["digest"], []).append(row["id"])
        if by == "one machine":
            joined(catalog, run, settings, ids)
    with Inline() as engine:
        if by == "stages":
            join(run, engine, settings, lambda *_: None)
        make_groups(run, engine, settings, lambda *_: None)
    groups, _ = read_groups(storage, settings)
    assert in_order(groups, "size") == [replace(group) for group in answer.groups]
