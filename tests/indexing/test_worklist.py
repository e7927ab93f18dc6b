"""A list of files, kept column by column."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup.indexing.worklist import Work, WorkList
from dedup.store.records import FileFacts, Root

ROOTS = [Root(1, b"/a"), Root(2, b"/b \xff")]
FILES = st.builds(
    FileFacts,
    st.binary(min_size=1, max_size=20),
    st.integers(0, 2**63 - 1),
    st.integers(-(2**63), 2**63 - 1),  # a time before 1970 is negative
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
)
WORKS = st.lists(st.builds(Work, st.sampled_from(ROOTS), FILES), max_size=30)


@given(WORKS)
def test_it_gives_what_was_added(works: list[Work]) -> None:
    found = WorkList()
    for work in works:
        found.append(work)
    assert len(found) == len(works)
    assert list(found) == works
    assert found == works
    assert [found[row] for row in range(-len(works), len(works))] == works * 2
    assert found[1:-1:2] == works[1:-1:2]
    if works:
        assert found != works[:-1]
        assert found != [works[0]._replace(root=Root(3, b"/c")), *works[1:]]
    with pytest.raises(IndexError):
        found[len(works)]


def test_paths_are_absolute() -> None:
    works = WorkList()
    works.append(Work(ROOTS[1], FileFacts(b"sub/\xfe.jpg", 1, 2, 3, 4)))
    assert works[0].path == b"/b \xff/sub/\xfe.jpg"
