"""Of files that have labels, what joins several labels is found by proofs of few pairs."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawings import scene

from dedup.collection import Collection
from dedup.edits.catalogue import edit
from dedup.images.encode import as_jpeg
from dedup.proof import VERIFIER
from dedup.spec import ModelSpec
from dedup.store.catalog import Catalog
from dedup.store.pairs import read_verdicts

if TYPE_CHECKING:
    from pathlib import Path

WAYS = (("resize", 0.5), ("crop", 0.6), ("crop", 0.35), ("rotate", 6), ("brightness", 1.2))
SCENES = 4


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Index scenes and edited copies of them twice; in the second collection all is proven."""
    folder = tmp_path_factory.mktemp("across")
    rng = np.random.default_rng(0)
    for number in range(SCENES):
        pixels = np.asarray(scene(number, (320, 240)))
        (folder / f"{number}.jpg").write_bytes(as_jpeg(pixels, 90))
        for kind, strength in WAYS:
            drawn = edit(kind, strength, pixels, rng)
            (folder / f"{number}-{kind}-{strength}.jpg").write_bytes(as_jpeg(drawn, 90))
    new, proven = folder / "new", folder / "proven"
    with Collection.create(new, ModelSpec(views="details")) as collection:
        assert collection.index(folder).found == SCENES * (1 + len(WAYS))
    shutil.copytree(new, proven)
    with Collection.open(proven) as collection:
        assert len(collection.pairs()) > SCENES * len(WAYS)
    return new, proven


def verdicts(store: Path) -> int:
    """Count the pairs that were looked at."""
    catalog = Catalog.open(store)
    found = read_verdicts(catalog, VERIFIER)
    catalog.close()
    return len(found)


def paths_of(store: Path) -> list[str]:
    """List the files, sorted."""
    with Collection.open(store) as collection:
        return sorted(one.path for one in collection.split([0.5, 0.5]))


SLOW = [pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2)]


@pytest.mark.parametrize("seed", [0, *SLOW])
def test_conflicts_are_those_of_a_collection_in_which_all_is_proven(
    stores: tuple[Path, Path], tmp_path: Path, seed: int
) -> None:
    new, proven = stores
    rng = np.random.default_rng(seed)
    names = np.array(["cat", "cat", "cat", "cat", "dog", ""])
    labels = dict(zip(paths_of(proven), rng.choice(names, SCENES * 6).tolist(), strict=True))
    known = {path: label for path, label in labels.items() if label}
    found = []
    for store in (shutil.copytree(new, tmp_path / "store"), proven):
        with Collection.open(store) as collection:
            found.append(collection.check(labels=known, issues="conflict"))
    assert found[0].issues == found[1].issues
    assert len(found[0].issues) >= 2


def test_a_pair_of_one_label_is_proven_only_where_it_leads_to_another(
    stores: tuple[Path, Path], tmp_path: Path
) -> None:
    new, proven = stores
    paths = paths_of(proven)
    labels = {path: path.rsplit("/", 1)[1][0] for path in paths}
    lone = next(path for path in paths if path.endswith("2-crop-0.35.jpg"))
    labels[lone] = "other"
    store = shutil.copytree(new, tmp_path / "store")
    with Collection.open(store) as collection:
        (conflict,) = collection.check(labels=labels, issues="conflict").issues
    assert conflict.path == lone
    assert conflict.score == pytest.approx(1 / 6)  # all six of its image were found
    assert verdicts(store) < verdicts(proven) / 2


def test_leaks_are_those_of_a_collection_in_which_all_is_proven(
    stores: tuple[Path, Path], tmp_path: Path
) -> None:
    new, proven = stores
    table = tmp_path / "split.csv"
    lines = [f"{path},{('train', 'test')[at % 7 == 0]}" for at, path in enumerate(paths_of(proven))]
    table.write_text("\n".join(["path,subset", *lines]))
    found = []
    for store in (shutil.copytree(new, tmp_path / "store"), proven):
        with Collection.open(store) as collection:
            found.append(collection.leaks(table))
    assert found[0].leaks == found[1].leaks
    assert len(found[0].leaks) >= 3
