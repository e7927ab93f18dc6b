"""What tasks group is what one machine lists, line by line."""

from __future__ import annotations

import itertools
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from distributed.shards import embedded, joined

from dedup.collection import Collection
from dedup.distributed import sifting
from dedup.distributed.commits import commit, committed, read
from dedup.distributed.engine import Inline
from dedup.distributed.grouping import make_groups, read_groups
from dedup.distributed.joining import join
from dedup.distributed.schemas import PAIRS
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
        (PROVEN, "sifted"),
        ((*PROVEN, "similar"), "stages"),
        pytest.param(("exact", "pixels"), "stages", marks=pytest.mark.slow),
        pytest.param((*PROVEN, "similar"), "one machine", marks=pytest.mark.slow),
        pytest.param(("exact", "pixels"), "one machine", marks=pytest.mark.slow),
    ],
)
def test_groups_are_those_of_one_machine(
    one: Path,
    drawn: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tiers: tuple[str, ...],
    by: str,
) -> None:
    if by == "sifted":
        monkeypatch.setattr(sifting, "CHUNK_PAIRS", 0)
        monkeypatch.setattr(sifting, "ASKED_AT_ONCE", 5)
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
        if by != "one machine":
            join(run, engine, settings, lambda *_: None)
        if by == "sifted":
            all_with_all(storage, settings)
        make_groups(run, engine, settings, lambda *_: None)
    groups, _ = read_groups(storage, settings)
    assert (by == "sifted") == bool(sifting.refutations(storage, settings.join).num_rows)
    assert in_order(groups, "size") == [replace(group) for group in answer.groups]


def all_with_all(storage: Storage, settings: Settings) -> None:
    """Have all classes be worth a proof, whether they are alike or not."""
    (done,) = committed(storage, f"{settings.join}/fold").values()
    rows = read(storage, done).to_pylist()
    names = sorted({row["class"] for row in rows if not row["trivial"]})
    pairs = [
        {"first": one, "second": two, "similarity": 0.5}
        for one, two in itertools.combinations(names, 2)
    ]
    commit(storage, f"{settings.join}/best", "more", pa.Table.from_pylist(pairs, schema=PAIRS))
