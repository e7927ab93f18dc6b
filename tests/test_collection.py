"""Every verb of the public API, asked directly."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from drawings import scene
from outcome import SMALL_MODEL
from PIL import Image

from dedup import (
    Collection,
    CollectionError,
    DedupError,
    FingerprintError,
    Group,
    ImageError,
    LayerError,
    ModelError,
    ModelSpec,
    NoCollectionError,
    RootStatus,
    Runtime,
    SearchError,
    Tier,
    WeightsError,
    layers,
    why,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DETAILS = ModelSpec(views="details")


@pytest.fixture(scope="module")
def made(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of `drawn` by details alone, which take no model; not to be changed."""
    store = tmp_path_factory.mktemp("details") / "store"
    with Collection.create(store, DETAILS) as collection:
        summary = collection.index(drawn)
    assert (summary.indexed, summary.reused, summary.skipped, summary.found) == (14, 2, 2, 18)
    assert [os.path.basename(skip.path) for skip in summary] == ["cut.jpg", "text.jpg"]
    return store


@pytest.fixture
def weights(shared: Path, tmp_path: Path) -> Path:
    """A copy of real weights of `mobilenetv2_100`."""
    file = shared / "weights" / "mobilenetv2_100.safetensors"
    if not file.is_file():
        pytest.skip("needs ../shared/weights/mobilenetv2_100.safetensors")
    return Path(shutil.copy(file, tmp_path / file.name))


@pytest.fixture
def collection(made: Path, tmp_path: Path) -> Iterator[Collection]:
    """A copy of `made` of the test's own."""
    with Collection.open(shutil.copytree(made, tmp_path / "copied")) as opened:
        yield opened


def named(paths: list[str], folder: Path) -> list[str]:
    return [os.path.relpath(path, os.path.realpath(folder)) for path in paths]


# -- opening and making ----------------------------------------------------------------------------


def test_a_device_that_is_not_there_leaves_no_collection(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'cuda:99' is not there"):
        Collection.create(tmp_path / "store", runtime=Runtime("cuda:99"))
    assert list(tmp_path.iterdir()) == []


def test_open_with_create_makes_what_is_not_there_and_opens_what_is(
    tmp_path: Path, drawn: Path
) -> None:
    for indexed, unchanged in ((9, 0), (0, 9)):
        with Collection.open(tmp_path / "new" / ".dedup", DETAILS, create=True) as opened:
            summary = opened.index(drawn / "a")
            assert (summary.indexed, summary.unchanged) == (indexed, unchanged)
    with Collection.open(tmp_path / "new", create=True) as opened:  # the .dedup in it
        assert opened.path == tmp_path / "new" / ".dedup"
        assert opened.status().files == 9


def test_open_without_create_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(NoCollectionError, match="there is no collection here"):
        Collection.open(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_create_refuses_a_collection_that_is_there(made: Path) -> None:
    with pytest.raises(CollectionError, match="there is a collection already"):
        Collection.create(made, DETAILS)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (ModelSpec("resnet18"), "model: none, not resnet18"),
        (ModelSpec(views=["details", "content"]), "views: details, not content, details"),
        (ModelSpec(layers="blocks"), "layers: none, not blocks"),
        (ModelSpec(untrained=True), "weights: none, not untrained"),
    ],
)
def test_a_spec_that_differs_is_refused_with_the_way_out(
    made: Path, spec: ModelSpec, says: str
) -> None:
    with pytest.raises(FingerprintError, match=f"{says}.*--store NEW_FOLDER"):
        Collection.open(made, spec)


def test_the_spec_it_was_made_with_is_welcome(made: Path) -> None:
    with Collection.open(made, DETAILS, runtime=Runtime("cpu", "torch")) as opened:
        assert opened.status().views == ("details",)


def test_weights_that_have_moved_are_found_by_the_spec(
    tmp_path: Path, drawn: Path, weights: Path
) -> None:
    spec = ModelSpec(weights=weights, views="content")
    cpu = Runtime("cpu", "torch")
    with Collection.create(tmp_path / "store", spec, runtime=cpu) as made:
        made.index(drawn / "b")
    elsewhere = weights.rename(tmp_path / "any name.safetensors")
    with Collection.open(tmp_path / "store", runtime=cpu) as lost:
        with pytest.raises(WeightsError, match="no longer there"):
            lost.query(drawn / "a/5.jpg")
        assert lost.query(drawn / "b/1.png")[0].similarity == 1.0  # known: takes no model
    with Collection.open(tmp_path / "store", ModelSpec(weights=elsewhere), runtime=cpu) as found:
        assert found.query(drawn / "a/0.jpg", k=1)[0].path.endswith("b/0 again.jpg")
        assert found.query(drawn / "a/5.jpg", k=1)[0].similarity < 1
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"something else")
    with pytest.raises(FingerprintError, match="weights: file, not"):
        Collection.open(tmp_path / "store", ModelSpec(weights=other))


# -- the verbs -------------------------------------------------------------------------------------


def test_index_tells_its_progress(tmp_path: Path, drawn: Path) -> None:
    told: list[tuple[str, int, int]] = []
    with Collection.create(tmp_path / "s", DETAILS) as made:
        made.index([drawn / "a"], lambda *progress: told.append(progress))
    assert told[0] == ("Indexing", 0, 9)
    assert told[-1] == ("Indexing", 9, 9)


def test_query_iterates_over_neighbours(collection: Collection, drawn: Path) -> None:
    answer = collection.query(drawn / "a/0.jpg", k=4)
    assert len(answer) == 4
    assert named([one.path for one in answer[:3]], drawn) == [
        "a/0.jpg",
        "b/0 again.jpg",
        "b/0 copy.jpg",
    ]
    assert [one.similarity for one in answer][:3] == [1.0, 1.0, 1.0]
    assert [one.rank for one in answer] == [1, 2, 3, 4]
    assert answer.skipped == ()
    assert answer.notes == ()
    assert len(collection.query(drawn / "a/0.jpg", threshold=1.0)) == 3
    assert len(collection.query(drawn / "a/0.jpg", k=1000)) == 16


def test_a_query_that_cannot_be_read_raises_alone_and_is_skipped_among_others(
    collection: Collection, drawn: Path
) -> None:
    with pytest.raises(ImageError, match=r"cut\.jpg: truncated"):
        collection.query(drawn / "cut.jpg")
    for images in ([drawn / "cut.jpg"], drawn):
        answer = collection.query(images, k=1)
        assert os.path.basename(answer.skipped[0].path) == "cut.jpg"
    assert len(answer) == 16
    assert collection.query([]).neighbours == ()


def test_an_empty_collection_cannot_be_searched(tmp_path: Path, drawn: Path) -> None:
    with (
        Collection.create(tmp_path / "s", DETAILS) as empty,
        pytest.raises(SearchError, match="the collection is empty"),
    ):
        empty.query(drawn / "a/0.jpg")


@pytest.fixture
def own(images: Path, tmp_path: Path) -> Iterator[Collection]:
    """A collection of `images`, whose files are the test's own."""
    with Collection.create(tmp_path / "own", DETAILS) as opened:
        opened.index(images)
        yield opened


def test_a_query_goes_on_past_what_is_gone(own: Collection, images: Path, drawn: Path) -> None:
    before = named([one.path for one in own.query(drawn / "a/0.jpg", k=16)], images)
    assert before[:3] == ["a/0.jpg", "b/0 again.jpg", "b/0 copy.jpg"]
    for name in (*before[:2], *before[3:7]):
        (images / name).unlink()
    (images / before[7]).write_bytes(b"something else")
    answer = own.query(drawn / "a/0.jpg", k=4)
    assert named([one.path for one in answer], images) == [before[2], *before[8:11]]
    assert [one.rank for one in answer] == [1, 2, 3, 4]
    assert answer.notes == (
        "7 files are gone or have changed since they were indexed; run: dedup index",
    )
    assert len(own.query(drawn / "a/0.jpg", k=100)) == 9
    assert len(own.query(drawn / "a/0.jpg", threshold=1.0)) == 1


def test_offline_files_are_shown_when_asked_for(own: Collection, images: Path, drawn: Path) -> None:
    assert own.roots().roots == (RootStatus(os.fspath(images), 16, present=True),)
    assert len(own.duplicates()) == 4  # proven, and kept
    images.rename(images.parent / "unplugged")
    assert own.roots().roots == (RootStatus(os.fspath(images), 16, present=False),)
    for answer in (own.query(drawn / "a/0.jpg"), own.duplicates(), own.compare(drawn / "a/0.jpg")):
        assert len(answer) == 0
        assert "not there (an unplugged drive?)" in answer.notes[-1]
    assert len(own.query(drawn / "a/0.jpg", offline=True)) == 10
    assert len(own.duplicates(offline=True)) == 4
    (match,) = own.compare(drawn / "a/0.jpg", offline=True)
    assert (match.tier, match.note.split(":")[0]) == (Tier.EXACT, "offline")
    assert own.status().files == 16


def test_a_root_can_be_moved_and_forgotten(own: Collection, images: Path) -> None:
    elsewhere = images.rename(images.parent / "elsewhere")
    with pytest.raises(CollectionError, match=r"is not an indexed folder"):
        own.move_root(elsewhere, elsewhere)
    with pytest.raises(CollectionError, match=r"there is no such folder"):
        own.move_root(images, images.parent / "nowhere")
    moved = own.move_root(images, elsewhere)
    assert moved.roots == (RootStatus(os.fspath(elsewhere), 16, present=True),)
    assert moved.notes == (f"{images} is now {elsewhere}; run: dedup index",)
    with pytest.raises(CollectionError, match=r"is an indexed folder already"):
        own.move_root(elsewhere, elsewhere)
    assert len(own.duplicates()) == 4
    assert own.index().unchanged == 16
    forgotten = own.forget_root(elsewhere)
    assert forgotten.roots == moved.roots
    assert (own.status().files, len(own.roots())) == (0, 0)
    assert (elsewhere / "a/0.jpg").is_file()
    assert (own.index(elsewhere).indexed, own.status().files) == (0, 16)


def test_patterns_are_kept_with_the_folder(tmp_path: Path, images: Path) -> None:
    with Collection.create(tmp_path / "s", DETAILS) as made:
        assert made.index(images, exclude=["b/", "*.bmp", "text.*", "cut.*"]).found == 10
        assert made.index().found == 10
        assert made.index(exclude="a/").found == 9
        assert made.index(exclude="").found == 18
        with pytest.raises(ValueError, match="each of exclude is one line"):
            made.index(exclude="a\nb")
        with pytest.raises(DedupError, match="makes no sense"):
            made.index(exclude="!")


def test_remarks_and_keepers_of_damaged_images(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    scene(1, (640, 480)).save(folder / "sound.jpg", quality=70)
    scene(1, (640, 480)).save(folder / "damaged.jpg", quality=95)
    data = bytearray((folder / "damaged.jpg").read_bytes())
    data[-1500:-1300] = bytes(200)
    (folder / "damaged.jpg").write_bytes(data)
    with Collection.create(tmp_path / "s", DETAILS) as made:
        made.index(folder)
        remark = (os.fspath(folder / "damaged.jpg"), "damaged: parts of it are lost")
        assert [(one.path, one.remark) for one in made.remarks()] == [remark]
        (group,) = made.duplicates("near,similar", 0.5)
        assert group.keeper == os.fspath(folder / "sound.jpg")
        found = made.why(folder / "damaged.jpg", folder / "sound.jpg")
        assert found.remarks == (": ".join(remark),)


def test_duplicates_iterates_over_groups(collection: Collection, drawn: Path) -> None:
    answer = collection.duplicates()
    assert {named([group.keeper], drawn)[0]: group.tier for group in answer} == {
        "a/0.jpg": Tier.EXACT,
        "a/1.jpg": Tier.PIXELS,
        "a/2.jpg": Tier.RESAVED,
        "blank.bmp": Tier.PIXELS,
    }
    assert [group.number for group in answer] == [1, 2, 3, 4]
    assert sum(len(group.duplicates) for group in answer) == 6
    assert answer.notes == ()


def test_tiers_are_a_name_several_or_one_string_with_commas(collection: Collection) -> None:
    sure = [len(collection.duplicates(tier)) for tier in ("exact", Tier.EXACT, ["exact"])]
    assert sure == [1, 1, 1]
    several = [
        collection.duplicates(tier).groups
        for tier in ("exact, pixels", [Tier.EXACT, "pixels"], {"pixels", "exact"})
    ]
    assert len(several[0]) == 3
    assert several[0] == several[1] == several[2]


def test_notes_of_an_answer_reach_the_caller(collection: Collection) -> None:
    answer = collection.duplicates("similar", 0.9, join="ivf")
    assert any("overlapping cells" in note for note in answer.notes)
    assert answer.threshold == 0.9


def test_compare_goes_one_way(collection: Collection, drawn: Path, tmp_path: Path) -> None:
    scene(1000).save(tmp_path / "other.jpg")
    answer = collection.compare([drawn / "b", tmp_path / "other.jpg"], drawn / "a")
    assert answer.compared == 6
    assert [(os.path.basename(one.path), one.tier.value) for one in answer] == [
        ("0 again.jpg", "exact"),
        ("0 copy.jpg", "exact"),
        ("1.bmp", "pixels"),
        ("1.png", "pixels"),
        ("2 small.jpg", "resaved"),
    ]
    assert {os.path.dirname(one.match) for one in answer} == {os.path.realpath(drawn / "a")}
    everywhere = collection.compare(drawn / "a/0.jpg")
    assert named([everywhere[0].match], drawn) == ["b/0 again.jpg"]
    with pytest.raises(CollectionError, match="is not indexed"):
        collection.compare(drawn, tmp_path)


@pytest.mark.parametrize(
    ("second", "tier"), [("b/0 copy.jpg", "exact"), ("a/1.jpg", None), ("a/0.jpg", "exact")]
)
def test_why_explains_two_files(
    collection: Collection, drawn: Path, second: str, tier: str | None
) -> None:
    answer = collection.why(drawn / "a/0.jpg", drawn / second)
    assert answer.tier == tier
    assert answer[0].name == "same bytes"
    assert answer[0].passed == (tier == "exact")
    neighbours = collection.query(drawn / "a/0.jpg", k=16)
    similarity = {os.path.basename(one.path): one.similarity for one in neighbours}
    assert answer.similarity == pytest.approx(similarity[os.path.basename(second)], abs=1e-6)
    alone = why(drawn / "a/0.jpg", drawn / second)
    assert (alone.tier, alone.similarity, alone.threshold) == (tier, None, None)


def test_why_draws(collection: Collection, drawn: Path, tmp_path: Path) -> None:
    collection.why(drawn / "a/2.jpg", drawn / "b/2 small.jpg", image=tmp_path / "why.png")
    with Image.open(tmp_path / "why.png") as drawing:
        assert drawing.size[0] > 800


def test_why_without_the_model_still_explains(tmp_path: Path, drawn: Path, weights: Path) -> None:
    cpu = Runtime("cpu", "torch")
    Collection.create(tmp_path / "s", ModelSpec(weights=weights), runtime=cpu).close()
    weights.unlink()
    with Collection.open(tmp_path / "s", runtime=cpu) as lost:
        answer = lost.why(drawn / "a/2.jpg", drawn / "b/2 small.jpg")
    assert (answer.tier, answer.similarity) == (Tier.RESAVED, None)
    assert answer.notes[0].startswith("Similarity not known: ")


def test_decisions_are_made_listed_taken_back_and_carried(
    collection: Collection, made: Path, drawn: Path, tmp_path: Path
) -> None:
    pair = drawn / "a/2.jpg", drawn / "b/2 small.jpg"
    (decided,) = collection.ignore(*pair)
    assert decided.duplicate is False
    assert decided.first < decided.second
    assert collection.decisions().pairs == (decided,)
    assert collection.why(*pair).ignored
    assert len(collection.duplicates()) == 3
    written = collection.export_decisions(tmp_path / "decisions.jsonl")
    assert (written.rows, written.path) == (1, os.fspath(tmp_path / "decisions.jsonl"))
    (line,) = map(json.loads, Path(written.path).read_text().splitlines())
    assert list(line) == list(written)
    with Collection.open(shutil.copytree(made, tmp_path / "other")) as other:
        assert other.import_decisions(written.path).pairs == (decided,)
        assert other.import_decisions(written.path).pairs == ()  # nothing new
    assert collection.unignore(*pair).pairs == (decided,)
    assert collection.unignore(*pair).pairs == ()
    assert len(collection.duplicates()) == 4
    assert len(collection.ignore(drawn / "a/0.jpg", *pair)) == 3  # every pair of three
    with pytest.raises(ValueError, match="images are two or more, not 1"):
        collection.ignore(pair[0])
    with pytest.raises(DedupError, match="same bytes"):
        collection.ignore(drawn / "a/0.jpg", drawn / "b/0 copy.jpg")


def test_a_collection_is_calibrated_and_keeps_its_promise(tmp_path: Path) -> None:
    for seed in range(52):
        scene(seed, (64, 48)).save(tmp_path / f"{seed}.jpg", quality=90)
    told: list[str] = []
    with Collection.create(tmp_path / "s", DETAILS) as made:
        assert made.index(tmp_path).indexed == 52
        with pytest.raises(SearchError, match="dedup calibrate"):
            made.duplicates("similar", precision=0.8)
        before = made.duplicates("similar").threshold
        answer = made.calibrate(
            samples=50, chart=tmp_path / "c.svg", progress=lambda stage, *_: told.append(stage)
        )
        promise = answer[0]
        assert answer.images == 52
        assert -1 <= promise.threshold <= 1
        assert set(promise.found) == set(answer[-1].found)
        assert all(0 <= one.low <= one.share <= one.high <= 1 for one in promise.found.values())
        assert (tmp_path / "c.svg").read_text().startswith("<svg")
        assert told
        now = made.duplicates("similar").threshold
        assert answer.notes[-1] == (
            f"The default threshold of the tier similar is now {now:.4f} (it was {before:.4f})"
        )
        if promise.precision is not None:
            similar = made.duplicates("similar", precision=promise.precision)
            assert similar.threshold == promise.threshold


def test_evaluate_counts_against_the_truth(
    collection: Collection, drawn: Path, tmp_path: Path
) -> None:
    truth = tmp_path / "truth.json"
    members = ["a/0.jpg", "b/0 copy.jpg", "b/0 again.jpg"]
    truth.write_text(json.dumps([{"tier": "exact", "members": members}]))
    answer = collection.evaluate(truth, root=drawn, chart=tmp_path / "curve.svg")
    assert (answer[0].tier, answer[0].found, answer[0].right) == (Tier.EXACT, 3, 3)
    assert answer.evaluation.true_pairs == 3
    assert (answer.missing, answer.ambiguous) == ((), ())
    assert (tmp_path / "curve.svg").read_text().startswith("<svg")
    with pytest.raises(DedupError, match=r"written as SVG"):
        collection.evaluate(truth, chart=tmp_path / "curve.png")


def test_status_and_skipped_say_what_is_held(collection: Collection, drawn: Path) -> None:
    status = collection.status()
    assert (status.files, status.images, status.skipped) == (16, 14, 2)
    assert [root.path for root in status] == [os.path.realpath(drawn)]
    skipped = collection.skipped()
    assert named([skip.path for skip in skipped], drawn) == ["cut.jpg", "text.jpg"]
    assert skipped[0].reason.startswith("truncated")


def test_features_and_export_give_what_is_stored(collection: Collection, tmp_path: Path) -> None:
    table = collection.features()
    assert len(table) == 16
    assert list(table) == table.paths
    assert table["details"].shape == (16, 1024)
    written = collection.export(tmp_path / "features.npz", "details")
    assert (written.rows, list(written)[-1]) == (16, "details")
    with np.load(tmp_path / "features.npz", allow_pickle=False) as loaded:
        np.testing.assert_array_equal(loaded["details"], table["details"])
    with pytest.raises(LayerError, match="stored: details"):
        collection.features("global_pool")
    with pytest.raises(DedupError, match=r"\.npz, \.parquet"):
        collection.export(tmp_path / "features.csv")


def test_layers_have_a_python_twin(collection: Collection, indexed: Path) -> None:
    answer = layers(ModelSpec(SMALL_MODEL))
    found = {layer.name: layer for layer in answer}
    assert answer.model == SMALL_MODEL
    assert found["global_pool"].shape == (288, 1, 1)
    assert found["conv_stem"].type == "Conv2d"
    with Collection.open(indexed) as other:
        assert other.layers() == answer
    assert len(collection.layers()) == 0
    assert "uses no model" in collection.layers().notes[0]
    with pytest.raises(ModelError, match="no model 'no_such_model'"):
        layers(ModelSpec("no_such_model"))


# -- bad input -------------------------------------------------------------------------------------


def test_a_plain_string_is_one_path(collection: Collection, drawn: Path, tmp_path: Path) -> None:
    image = os.fspath(drawn / "a/0.jpg")
    assert [one.query for one in collection.query(image, k=2)] == [image, image]
    assert collection.compare(image).compared == 1
    assert collection.compare(os.fspath(drawn / "b")).compared == 5
    (tmp_path / "images").mkdir()
    scene(50).save(tmp_path / "images" / "50.jpg")
    assert collection.index(os.fspath(tmp_path / "images")).indexed == 1


IMAGE = "image.jpg"
ANY: Any = Collection
ANY_SPEC: Any = ModelSpec
ANY_RUNTIME: Any = Runtime
WRONG: list[tuple[str, Callable[[Any], object], type[Exception], str]] = [
    ("paths int", lambda c: c.index(3), TypeError, "paths is a path .* not int"),
    ("paths None", lambda c: c.index(None), TypeError, "paths is a path .* not NoneType"),
    ("paths bytes", lambda c: c.index(b"a"), TypeError, "paths is a path .* not bytes"),
    ("paths of int", lambda c: c.index([3]), TypeError, "each of paths is a path .* not int"),
    ("paths empty", lambda c: c.index(""), ValueError, "paths is an empty path"),
    ("paths NUL", lambda c: c.index("a\0b"), ValueError, "paths is a path with a NUL"),
    ("progress", lambda c: c.index((), 3), TypeError, "progress is callable or None, not int"),
    ("images None", lambda c: c.query(None), TypeError, "images is a path .* not NoneType"),
    ("images bytes", lambda c: c.query(b"a"), ImageError, "image: not an image"),
    ("k zero", lambda c: c.query(IMAGE, 0), ValueError, "k is at least 1, not 0"),
    ("k float", lambda c: c.query(IMAGE, 1.5), TypeError, "k is a whole number, not float"),
    ("k bool", lambda c: c.query(IMAGE, True), TypeError, "k is a whole number, not bool"),
    ("k None", lambda c: c.query(IMAGE, None), TypeError, "k is a whole number, not NoneType"),
    ("high", lambda c: c.query(IMAGE, threshold=2), ValueError, "threshold is a similarity"),
    ("nan", lambda c: c.query(IMAGE, threshold=float("nan")), ValueError, "threshold is a sim"),
    ("text", lambda c: c.query(IMAGE, threshold="1"), TypeError, "threshold is a number or None"),
    (
        "tier",
        lambda c: c.duplicates("certain"),
        ValueError,
        "tier is one of exact, .*similar, video, not 'certain'",
    ),
    ("tier empty", lambda c: c.duplicates([]), ValueError, "tier is one or more of exact"),
    ("tier int", lambda c: c.duplicates(3), TypeError, "tier is a name or several"),
    ("tier of int", lambda c: c.duplicates([3]), TypeError, "tier is one of exact.* not int"),
    (
        "group",
        lambda c: c.duplicates(group="blob"),
        ValueError,
        "group is one of cover, clique, component, not 'blob'",
    ),
    ("group type", lambda c: c.duplicates(group=None), TypeError, "group is one of cover"),
    (
        "join",
        lambda c: c.duplicates(join="fast"),
        ValueError,
        "join is one of auto, exact, ivf, not 'fast'",
    ),
    ("precision", lambda c: c.duplicates(precision=0), ValueError, "precision is above 0"),
    (
        "both",
        lambda c: c.duplicates(threshold=0.5, precision=0.9),
        ValueError,
        "threshold and precision exclude each other",
    ),
    ("new", lambda c: c.compare(5), TypeError, "new is a path .* not int"),
    ("against", lambda c: c.compare(IMAGE, [IMAGE]), TypeError, "against is a path .* not list"),
    ("first", lambda c: c.why(None, IMAGE), TypeError, "first is a path .* not NoneType"),
    ("image", lambda c: c.why(IMAGE, IMAGE, image=3), TypeError, "image is a path .* not int"),
    ("ignore", lambda c: c.ignore(IMAGE, 3), TypeError, "each of images is a path .* not int"),
    ("output", lambda c: c.export(None), TypeError, "output is a path .* not NoneType"),
    ("layers", lambda c: c.features(3), TypeError, "layers is a name or several"),
    ("layers of", lambda c: c.features([3]), TypeError, "each of layers is a name"),
    ("truth", lambda c: c.evaluate(3), TypeError, "truth is a path .* not int"),
    ("root", lambda c: c.evaluate(IMAGE, root=3), TypeError, "root is a path .* not int"),
    ("chart", lambda c: c.evaluate(IMAGE, chart=3), TypeError, "chart is a path .* not int"),
    ("seed", lambda c: c.calibrate(seed=-1), ValueError, "seed is at least 0, not -1"),
    ("samples", lambda c: c.calibrate(samples="9"), TypeError, "samples is a whole number"),
    ("decisions", lambda c: c.import_decisions(3), TypeError, "path is a path .* not int"),
]


@pytest.mark.parametrize(
    ("act", "error", "says"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG]
)
def test_wrong_values_are_named_with_what_is_accepted(
    collection: Collection, act: Callable[[Any], object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        act(collection)


@pytest.mark.parametrize(
    ("act", "error", "says"),
    [
        (lambda: ANY.open(3), TypeError, "path is a path"),
        (lambda: ANY.open("x", "resnet18"), TypeError, "spec is a ModelSpec or None"),
        (lambda: ANY.create("x", runtime="cpu"), TypeError, "runtime is a Runtime or None"),
        (lambda: ANY_SPEC(3), TypeError, "model is a name, an OwnModel.* or None, not int"),
        (lambda: ANY_SPEC(""), ValueError, "model is an empty name"),
        (lambda: ANY_SPEC(weights=b"w"), TypeError, "weights is a path .* not bytes"),
        (lambda: ANY_SPEC(untrained=1), TypeError, "untrained is True or False, not int"),
        (lambda: ANY_SPEC(layers=1), TypeError, "layers is a name or several of them, not int"),
        (lambda: ANY_SPEC(layers=["a", "a"]), ModelError, "a layer is named twice"),
        (lambda: ANY_SPEC(layers="details"), ModelError, "'details' is a view, not a layer"),
        (lambda: ANY_SPEC(views="detail"), ValueError, "views is one of content, details"),
        (lambda: ANY_SPEC("m", views="details"), ModelError, "the view details uses no model"),
        (lambda: ANY_SPEC(weights="w", untrained=True), ValueError, "exclude each other"),
        (lambda: ANY_RUNTIME("gpu"), ValueError, "device is one of auto, cpu, cuda, not 'gpu'"),
        (lambda: ANY_RUNTIME(0), TypeError, "device is one of auto, cpu, cuda, not int"),
        (lambda: ANY_RUNTIME(engine="onnx"), ValueError, "engine is one of auto, torch"),
    ],
)
def test_wrong_specs_are_refused_where_they_are_made(
    act: Callable[[], object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        act()


def test_a_plain_string_is_one_layer_and_one_view() -> None:
    spec = ModelSpec("m", layers="blocks", views="content")
    assert (spec.layers, spec.views) == (("blocks",), ("content",))
    assert ModelSpec(views=["details", "content"]).views == ("content", "details")


VERBS: dict[str, Callable[[Collection], object]] = {
    "index": lambda c: c.index(),
    "watch": lambda c: c.watch(),
    "query": lambda c: c.query(IMAGE),
    "contains": lambda c: c.contains("a", "b"),
    "folders": lambda c: c.folders(),
    "duplicates": lambda c: c.duplicates(),
    "pairs": lambda c: c.pairs(),
    "report": lambda c: c.report("report.html"),
    "map": lambda c: c.map("map.html"),
    "check": lambda c: c.check(),
    "split": lambda c: c.split([0.5, 0.5]),
    "leaks": lambda c: c.leaks("folders"),
    "sample": lambda c: c.sample(1),
    "compare_classes": lambda c: c.compare_classes(IMAGE),
    "plan": lambda c: c.plan(),
    "plan_of": lambda c: c.plan_of([]),
    "contents": lambda c: c.contents([]),
    "kept_instead": lambda c: c.kept_instead(Group(1, Tier.EXACT, IMAGE, 1, 0, ()), IMAGE),
    "apply": lambda c: c.apply("plan.json"),
    "undo": lambda c: c.undo(),
    "recover": lambda c: c.recover(),
    "runs": lambda c: c.runs(),
    "run": lambda c: c.run("20260101-000000-0000"),
    "compare": lambda c: c.compare(IMAGE),
    "why": lambda c: c.why(IMAGE, IMAGE),
    "ignore": lambda c: c.ignore(IMAGE, "other.jpg"),
    "unignore": lambda c: c.unignore(IMAGE, "other.jpg"),
    "decisions": lambda c: c.decisions(),
    "export_decisions": lambda c: c.export_decisions("decisions.jsonl"),
    "import_decisions": lambda c: c.import_decisions("decisions.jsonl"),
    "calibrate": lambda c: c.calibrate(),
    "evaluate": lambda c: c.evaluate("truth.json"),
    "index_images": lambda c: c.index_images({"id": np.zeros((9, 9), np.uint8)}, "name"),
    "roots": lambda c: c.roots(),
    "forget_root": lambda c: c.forget_root("images"),
    "move_root": lambda c: c.move_root("images", "others"),
    "remarks": lambda c: c.remarks(),
    "status": lambda c: c.status(),
    "verify": lambda c: c.verify(),
    "repair": lambda c: c.repair(),
    "skipped": lambda c: c.skipped(),
    "layers": lambda c: c.layers(),
    "features": lambda c: c.features(),
    "export": lambda c: c.export("features.npz"),
    "add_vectors": lambda c: c.add_vectors(None, [[1.0]]),
    "neighbours": lambda c: c.neighbours(),
    "export_neighbours": lambda c: c.export_neighbours("graph.npz"),
}


def test_the_table_of_verbs_holds_them_all() -> None:
    public = {name for name in dir(Collection) if not name.startswith("_")}
    assert public - {"open", "create", "from_vectors", "close", "path", "notes"} == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_a_closed_collection_says_that_it_is_closed(
    collection: Collection, verb: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    collection.close()
    collection.close()  # twice is no error
    with pytest.raises(CollectionError, match="the collection is closed"):
        VERBS[verb](collection)


def test_threads_get_the_same_answers(collection: Collection, drawn: Path) -> None:
    images = sorted((drawn / "a").glob("*.jpg"))
    barrier = threading.Barrier(len(images))

    def ask(image: Path) -> list[tuple[str, float]]:
        barrier.wait()
        return [(one.path, one.similarity) for one in collection.query(image, k=3)]

    with ThreadPoolExecutor(len(images)) as pool:
        answers = list(pool.map(ask, images))
    assert answers == [
        [(one.path, one.similarity) for one in collection.query(image, k=3)] for image in images
    ]
    assert [answer[0][1] for answer in answers] == [1.0] * 9


def _asked(queue: Any, path: Path, image: Path) -> None:
    try:
        with Collection.open(path) as opened:
            queue.put(len(opened.query(image, k=1)))
    except CollectionError as error:
        queue.put(str(error))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize(("method", "says"), [("fork", "was forked from one"), ("spawn", 1)])
def test_a_forked_child_is_refused_in_words_and_a_spawned_one_works(
    collection: Collection, drawn: Path, method: str, says: object
) -> None:
    collection.query(drawn / "a/3.jpg", k=1)
    context: Any = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=_asked, args=(queue, collection.path, drawn / "a/4.jpg"))
    child.start()
    answer = queue.get(timeout=120)
    child.join(60)
    assert child.exitcode == 0
    assert answer == says or str(says) in str(answer)
