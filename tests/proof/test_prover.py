"""The prover: the same verdicts in threads and in processes, and images that are gone."""

from __future__ import annotations

import hashlib
import itertools
import os
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from dedup.edits.catalogue import drawn, edit
from dedup.errors import ImageError
from dedup.fingerprint import Fingerprint
from dedup.images.decode import DECODER, read_file
from dedup.images.encode import as_jpeg, write_png
from dedup.images.traits import measure
from dedup.proof import Features, Original, Side, prove
from dedup.proof.chunks import outline_bytes, prove_chunk, prove_copies_chunk, with_features
from dedup.proof.dealing import MAX_CHUNK, dealt, linked
from dedup.proof.prover import Prover
from dedup.results import Tier
from dedup.store.catalog import Catalog
from dedup.store.pairs import content_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCENES = 2
FINGERPRINT = Fingerprint("blocks", "none", "0" * 64, ("blocks",), 32, 32, DECODER)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog.create(tmp_path / "store", FINGERPRINT)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A few scenes and a copy of each, by name."""
    folder = tmp_path_factory.mktemp("scenes")
    found = {}
    for seed in range(SCENES):
        original = drawn(240, 320, np.random.default_rng(seed))
        write_png(original, folder / f"{seed}.png")
        found[f"{seed}.png"] = (folder / f"{seed}.png").read_bytes()
        copy = edit("crop", 0.8, original, np.random.default_rng(seed))
        found[f"{seed}.jpg"] = as_jpeg(copy, 85)
    return found


@pytest.fixture
def sources(files: dict[str, bytes], tmp_path: Path) -> dict[bytes, list[bytes]]:
    """The files, by content."""
    found = {}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        found[hashlib.sha256(data).digest()] = [os.fsencode(tmp_path / name)]
    return found


@pytest.fixture(params=[10**6, 1], ids=["threads", "processes"])
def worth(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def quiet(*_: object) -> None:
    pass


@cache
def description(data: bytes) -> bytes:
    return with_features(outline_bytes(data))


def described(sources: dict[bytes, list[bytes]]) -> dict[bytes, bytes]:
    return {
        content: description(Path(os.fsdecode(paths[0])).read_bytes())
        for content, paths in sources.items()
    }


def reader(sources: dict[bytes, list[bytes]]) -> Callable[[bytes], tuple[bytes, str]]:
    def read(content: bytes) -> tuple[bytes, str]:
        path = os.fsdecode(sources[content][0])
        return Path(path).read_bytes(), path

    return read


def test_a_chunk_is_checked_as_its_pairs_are_alone(sources: dict[bytes, list[bytes]]) -> None:
    packed, read = described(sources), reader(sources)
    pairs = [content_pair(*pair) for pair in itertools.combinations(sources, 2)]
    expected = {
        (one, other): prove(
            *(
                Side(Features.from_bytes(packed[each]), partial(Original, *read(each)))
                for each in (one, other)
            )
        ).stored
        for one, other in pairs
    }
    assert prove_chunk(pairs, packed.get, read) == expected
    assert prove_chunk(pairs[::-1], packed.get, read) == expected
    assert sum(verdict.tier is not None for verdict in expected.values()) == SCENES


def test_a_chunk_leaves_out_what_has_no_description(sources: dict[bytes, list[bytes]]) -> None:
    packed = described(sources)
    gone = next(iter(packed))
    del packed[gone]
    pairs = [content_pair(*pair) for pair in itertools.combinations(sources, 2)]
    assert set(prove_chunk(pairs, packed.get, reader(sources))) == {
        pair for pair in pairs if gone not in pair
    }
    assert prove_chunk([], packed.get, reader(sources)) == {}


@pytest.mark.parametrize(
    "worth", [10**6, pytest.param(1, marks=pytest.mark.slow)], ids=["threads", "processes"]
)
def test_copies_are_told_without_descriptions(
    catalog: Catalog, sources: dict[bytes, list[bytes]], tmp_path: Path, worth: int
) -> None:
    for seed in range(SCENES):
        pixels = drawn(240, 320, np.random.default_rng(seed))
        path = tmp_path / f"saved again {seed}.jpg"
        path.write_bytes(as_jpeg(pixels, 80))
        sources[hashlib.sha256(path.read_bytes()).digest()] = [os.fsencode(path)]
    packed, read = described(sources), reader(sources)
    pairs = [content_pair(*pair) for pair in itertools.combinations(sources, 2)]
    expected = {
        pair: verdict
        for pair, verdict in prove_chunk(pairs, packed.get, read).items()
        if verdict.tier is Tier.RESAVED
    }
    assert len(expected) == SCENES
    assert prove_copies_chunk(pairs, read) == expected
    with Prover(catalog, sources, quiet, worth_processes=worth) as prover:
        prover.prove_copies(pairs)
        known = {pair: prover.verdict(*pair) for pair in pairs}
    assert {pair: verdict for pair, verdict in known.items() if verdict} == expected


def test_what_is_no_image_cannot_be_described() -> None:
    with pytest.raises(ImageError, match=r"note\.txt"):
        outline_bytes(b"no image", "note.txt")


def test_the_prover_says_what_a_chunk_says(
    catalog: Catalog, sources: dict[bytes, list[bytes]], worth: int
) -> None:
    packed = described(sources)
    pairs = [content_pair(*pair) for pair in itertools.combinations(sources, 2)]
    expected = prove_chunk(pairs, packed.get, reader(sources))
    steps: list[tuple[str, int, int]] = []
    with Prover(catalog, sources, lambda *step: steps.append(step), worth_processes=worth) as one:
        one.prove(pairs[:4])
        one.prove(pairs)
        assert {pair: one.verdict(*pair) for pair in pairs} == expected
    ended = [step for step in steps if step[1] == step[2]]
    assert [step for step in ended if step[0] == "Proving"] == [
        ("Proving", 4, 4),
        ("Proving", len(pairs) - 4, len(pairs) - 4),
    ]


def test_the_prover_measures_traits(
    catalog: Catalog, sources: dict[bytes, list[bytes]], worth: int
) -> None:
    gone, *_ = sources
    expected = [measure(read_file(paths[0])) for paths in sources.values()]
    os.remove(sources[gone][0])
    with Prover(catalog, sources, quiet, worth_processes=worth) as prover:
        assert list(prover.measure(list(sources.items()))) == [None, *expected[1:]]


def test_pairs_with_an_image_that_is_gone_stay_unchecked(
    catalog: Catalog, sources: dict[bytes, list[bytes]], worth: int
) -> None:
    gone, changed, *rest = sources
    os.remove(sources[gone][0])
    with open(sources[changed][0], "ab") as file:
        file.write(b"more")
    pairs = [content_pair(*pair) for pair in itertools.combinations(sources, 2)]
    with Prover(catalog, sources, quiet, worth_processes=worth) as prover:
        prover.prove(pairs)
        assert prover.unreadable == {gone, changed}
        for pair in pairs:
            assert (prover.verdict(*pair) is None) == bool({gone, changed} & set(pair))
    with Prover(catalog, sources, quiet) as again:
        assert again.verdict(*rest[:2]) is not None  # kept in the collection


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="open files are not shown")
def test_a_prover_that_is_killed_leaves_nothing(
    catalog: Catalog,
    sources: dict[bytes, list[bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    worth: int,
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", os.fspath(temporary))
    seen: list[list[str]] = []
    pairs = [content_pair(*pair) for pair in itertools.combinations(sources, 2)]

    def look(*_: object) -> None:
        seen.append(os.listdir(temporary))

    with Prover(catalog, sources, look, worth_processes=worth) as prover:
        prover.prove(pairs)
    assert seen
    assert not any(seen)


@pytest.mark.parametrize("count", [0, 1, 7, 2000])
def test_pairs_are_dealt_in_order_and_towards_the_end_one_by_one(count: int) -> None:
    pairs = [(bytes([n // 256]), bytes([n % 256])) for n in range(count)]
    chunks = dealt(pairs, 2)
    assert [pair for chunk in chunks for pair in chunk] == pairs
    sizes = [len(chunk) for chunk in chunks]
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes, default=0) == (MAX_CHUNK if count == 2000 else min(count, 1))
    assert sizes[-8:] == [1] * min(count, 8)


def test_pairs_of_linked_images_follow_each_other() -> None:
    pairs = [(b"a", b"z"), (b"b", b"c"), (b"d", b"y"), (b"y", b"z"), (b"c", b"x"), (b"f", b"g")]
    assert linked(pairs) == [
        (b"a", b"z"), (b"d", b"y"), (b"y", b"z"), (b"b", b"c"), (b"c", b"x"), (b"f", b"g")
    ]  # fmt: skip
    assert linked(reversed(pairs)) == linked(pairs)
    assert linked([]) == []


def test_long_chains_of_pairs_are_followed() -> None:
    names = [number.to_bytes(2) for number in range(3000)]
    chain = [*itertools.pairwise(names)]
    assert linked(chain[::-1]) == chain
