"""Which of several related images is the original."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from tables import files, images, proposals, table

from dedup.duplicates.originals import Candidate, above_derived, may_come_of, ranks
from dedup.duplicates.ranking import KeepOrder, rank_files
from dedup.duplicates.relations import Relations
from dedup.images.history import LOSSLESS
from dedup.images.metadata import Metadata
from dedup.images.traits import NEUTRAL, Traits
from dedup.policy import KeepPolicy
from dedup.results import Tier
from dedup.store.pairs import StoredVerdict

PHOTO = Traits(quality=92, saved=92)

# The first of each case is to stay.
CASES = {
    "larger": [Candidate(800, 600, PHOTO), Candidate(400, 300, PHOTO)],
    "enlarged": [Candidate(400, 300, PHOTO), Candidate(800, 600, PHOTO._replace(detail=0.5))],
    "soft, and enlarged without the camera's data": [
        Candidate(400, 300, PHOTO._replace(camera=True, detail=0.35)),
        Candidate(800, 600, PHOTO._replace(quality=98, detail=0.27)),
    ],
    "without the camera's data, beside a reduction that has them": [
        Candidate(800, 600, PHOTO._replace(detail=0.4)),
        Candidate(400, 300, PHOTO._replace(camera=True, detail=0.44)),
    ],
    "soft, and reduced": [
        Candidate(800, 600, PHOTO._replace(detail=0.6)),
        Candidate(400, 300, PHOTO._replace(detail=0.65)),
    ],
    "border": [Candidate(400, 300, PHOTO), Candidate(500, 400, PHOTO._replace(content=0.6))],
    "plain margins of its own": [
        Candidate(400, 300, PHOTO._replace(content=0.6)),
        Candidate(400, 300, PHOTO._replace(quality=50)),
    ],
    "plain margins that the camera took": [
        Candidate(400, 300, PHOTO._replace(content=0.7, camera=True)),
        Candidate(300, 300, PHOTO),
    ],
    "margins that one of two of a camera's has more": [
        Candidate(400, 300, PHOTO._replace(camera=True)),
        Candidate(500, 400, PHOTO._replace(content=0.6, camera=True)),
    ],
    "cut out": [Candidate(400, 300, PHOTO), Candidate(400, 300, NEUTRAL._replace(holes=0.4))],
    "never compressed": [
        Candidate(400, 300, NEUTRAL, format="PNG"),
        Candidate(400, 300, PHOTO, format="JPEG"),
    ],
    "saved without loss from a JPEG of its own": [
        Candidate(400, 300, PHOTO._replace(camera=True), format="JPEG"),
        Candidate(400, 300, NEUTRAL, format="PNG"),
    ],
    "converted to HEIC, which names no camera": [
        Candidate(400, 300, PHOTO, format="JPEG"),
        Candidate(400, 300, NEUTRAL, format="HEIF"),
    ],
    "grey": [Candidate(400, 300, PHOTO), Candidate(800, 600, PHOTO._replace(grey=True))],
    "screenshot": [
        Candidate(640, 480, PHOTO),
        Candidate(1170, 2532, NEUTRAL._replace(screen=True)),
    ],
    "screenshot, saved again": [
        Candidate(1170, 2532, NEUTRAL._replace(screen=True)),
        Candidate(585, 1266, PHOTO),
    ],
    "recompressed": [Candidate(400, 300, PHOTO), Candidate(400, 300, PHOTO._replace(quality=50))],
    "a little larger, much worse": [
        Candidate(400, 300, PHOTO),
        Candidate(410, 308, PHOTO._replace(quality=50, saved=50)),
    ],
    "saved badly, then well": [
        Candidate(400, 300, PHOTO),
        Candidate(400, 300, PHOTO._replace(quality=50, camera=True)),
    ],
    "traces of a JPEG that an edit wiped out": [
        Candidate(400, 300, PHOTO._replace(quality=50, camera=True), copies=1),
        Candidate(400, 300, PHOTO, copies=2),
    ],
    "camera before a finer table": [
        Candidate(400, 300, PHOTO._replace(camera=True, told=Metadata("2020:01:01 10:00:00"))),
        Candidate(400, 300, PHOTO._replace(quality=LOSSLESS)),
    ],
    "edited later": [
        Candidate(400, 300, PHOTO._replace(told=Metadata("x"))),
        Candidate(400, 300, PHOTO._replace(told=Metadata("x"), edited=True)),
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_original_is_ranked_first(case: list[Candidate]) -> None:
    for order in itertools.permutations(case):
        found = ranks(dict(enumerate(order)))
        assert order[min(found, key=found.__getitem__)] == case[0]
        assert len(set(found.values())) == 2


def test_what_margins_and_tables_leave_open_is_a_tie() -> None:
    alike = [Candidate(400, 300, PHOTO), Candidate(300, 400, PHOTO._replace(quality=96))]
    first, second = ranks(dict(enumerate(alike))).values()
    assert first == second


def test_an_original_takes_the_place_of_what_was_made_from_it() -> None:
    positions = {0: 0, 1: 1, 2: 2, 3: 3}
    assert above_derived(positions, [(2, 0)]) == {2: 0, 0: 1, 1: 2, 3: 3}
    assert above_derived(positions, [(3, 2), (2, 0)]) == {3: 0, 2: 1, 0: 2, 1: 3}
    assert above_derived(positions, []) == positions


def test_pairs_in_a_circle_change_nothing_and_others_still_do() -> None:
    positions = dict.fromkeys(range(5), 0) | {1: 1, 2: 2, 3: 3, 4: 4}
    assert above_derived(positions, [(0, 1), (1, 0)]) == positions
    found = above_derived(positions, [(0, 1), (1, 0), (4, 3)])
    assert sorted(found, key=found.__getitem__) == [0, 1, 2, 4, 3]
    # A circle takes nothing from pairs of the same family that are not in it.
    found = above_derived(positions, [(0, 1), (1, 0), (4, 1)])
    assert found[4] < found[1]


def test_pairs_in_circles_count_as_most_of_them_say_whatever_their_order() -> None:
    # 0 is the original of 1 to 3; 4, made from 3, is said to be its original.
    said = [(0, 1), (0, 2), (0, 3), (3, 4), (4, 0)]
    for numbers in itertools.permutations(range(5)):
        pairs = [(numbers[one], numbers[two]) for one, two in said]
        found = above_derived(dict.fromkeys(range(5), 0), pairs)
        assert [found[number] for number in numbers] == [0, 1, 1, 1, 2]


@pytest.mark.parametrize("seed", range(20))
def test_pairs_in_no_circle_always_count(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = {(one, two) for one, two in rng.integers(0, 12, (18, 2)).tolist() if one != two}
    comes_of = np.eye(12, dtype=np.int64)
    for one, two in pairs:
        comes_of[two, one] = 1
    comes_of = np.linalg.matrix_power(comes_of, 12)
    found = above_derived(dict.fromkeys(range(12), 0), pairs)
    sure = [(one, two) for one, two in pairs if not comes_of[one, two]]
    assert sure
    assert all(found[one] < found[two] for one, two in sure)
    numbers = rng.permutation(100)[:12].tolist()
    other = [(numbers[one], numbers[two]) for one, two in pairs]
    renamed = above_derived(dict.fromkeys(numbers, 0), other)
    assert [renamed[number] for number in numbers] == [found[row] for row in range(12)]


def test_an_image_with_the_cameras_data_was_not_made_from_one_without() -> None:
    taken = PHOTO._replace(camera=True)
    assert may_come_of(PHOTO, taken)
    assert may_come_of(taken, taken)
    assert not may_come_of(taken, PHOTO)
    soft = {0: Candidate(800, 600, taken._replace(detail=0.5)), 1: Candidate(400, 300, PHOTO)}
    assert min(ranks(soft), key=ranks(soft).__getitem__) == 0


def test_a_whole_image_was_not_made_from_one_with_a_part_cut_out() -> None:
    cut_out = PHOTO._replace(holes=0.3)
    assert may_come_of(cut_out, PHOTO)
    assert may_come_of(cut_out, cut_out)
    assert not may_come_of(PHOTO, cut_out)


def order_of(policy: str, *, derived: int = 0, damaged: tuple[int, ...] = ()) -> KeepOrder:
    """Order a small image with a large one; `derived` as a verdict on (small, large) has it."""
    known = images(2, sizes=[(40, 30), (80, 60)], damaged=damaged)
    members = files((0, b"/p/originals/small.jpg", 50, 9), (1, b"/p/large.jpg", 40, 5))
    verdict = StoredVerdict(Tier.NEAR, "rotated 4°, cropped to 60%", "shows more", derived)
    pairs = table(known, {(0, 1): 0.9})
    pairs = pairs.__class__(
        known, pairs.pixel_digest, verdicts={(0, 1): verdict}, proven={(0, 1): 0.9}
    )
    made = list(Relations(pairs, proposals([], {}), 0.9).table.made_from())
    order = rank_files(known, members).tolist()
    said = Relations(pairs, proposals([], {}), 0.9).said
    return KeepOrder(known, members, order, KeepPolicy.of(policy), [[0, 1]], {}, made, said=said)


@pytest.mark.parametrize(
    ("policy", "derived", "first", "why"),
    [
        ("information", 0, 1, "larger"),
        ("information", 1, 1, "the other was made from it (shows more)"),
        ("information", 2, 0, "the other was made from it (cropped)"),
        ("pixels", 2, 1, "more pixels"),
        ("under:originals,information", 1, 0, "under originals"),
        ("under:elsewhere,information", 0, 1, "larger"),
        ("under:elsewhere", 2, 0, "the other was made from it (cropped)"),
        ("bytes", 0, 0, "a larger file"),
        ("oldest", 0, 1, "older"),
        ("newest", 0, 0, "newer"),
        ("shortest", 0, 1, "a shorter path"),
    ],
)
def test_a_policy_decides(policy: str, derived: int, first: int, why: str) -> None:
    order = order_of(policy, derived=derived)
    assert order.files == [first, 1 - first]
    assert order.why(first, [1 - first]) == why


def test_a_folder_without_images_is_named() -> None:
    policy = KeepPolicy.of("under:originals,under:original,pixels")
    assert policy.unmet([b"/p/large.jpg", b"/p/originals/small.jpg"]) == [
        "keep: no image is under 'original'"
    ]


@pytest.mark.parametrize("policy", ["information", "pixels", "oldest"])
def test_what_is_damaged_never_stays_over_what_is_not(policy: str) -> None:
    order = order_of(policy, derived=1, damaged=(1,))
    assert order.files == [0, 1]
    assert order.why(0, [1]) == "undamaged"


def test_ties_end_with_names() -> None:
    known = images(1)
    names = [b"/p/IMG_0541 - Kopie.jpg", b"/p/IMG_0541.jpg", b"/p/IMG_0541 (1).jpg"]
    members = files(*((0, name, 5, 5) for name in names))
    order = KeepOrder(known, members, [0, 1, 2], KeepPolicy(), [], {}, [])
    assert [names[file] for file in order.files] == [names[1], names[2], names[0]]
    assert order.why(1, [2, 0]) == "not named as a copy"


@pytest.mark.parametrize("wrong", ["", "size", "under:", "pixels,,bytes", "under"])
def test_a_wrong_term_lists_those_there_are(wrong: str) -> None:
    with pytest.raises(ValueError, match="terms are under:FOLDER, information, pixels, bytes"):
        KeepPolicy.of(wrong)


def test_a_photograph_as_a_phone_takes_it_stays_before_its_conversion() -> None:
    taken = PHOTO._replace(camera=True)
    pair = {
        0: Candidate(400, 300, taken, format="JPEG"),
        1: Candidate(400, 300, taken, format="HEIF"),
    }
    found = ranks(pair)
    assert found[1] < found[0]
