"""A list of files, kept column by column."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup.indexing.worklist import Job, WorkList
from dedup.records import FileEntry, Root

ROOTS = [Root(1, b"/a"), Root(2, b"/b \xff")]
FILES = st.builds(
    FileEntry,
    st.binary(min_size=1, max_size=20),
    st.integers(0, 2**63 - 1),
    st.integers(-(2**63), 2**63 - 1),  # a time before 1970 is negative
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    links=st.just(1),
    ctime_ns=st.none() | st.integers(1 - 2**63, 2**63 - 1),
)
JOBS = st.lists(st.builds(Job, st.sampled_from(ROOTS), FILES, st.none()), max_size=30)


@given(JOBS)
def test_it_gives_what_was_added(jobs: list[Job]) -> None:
    found = WorkList()
    for job in jobs:
        found.append(job.root, job.entry)
    assert len(found) == len(jobs)
    assert list(found) == jobs
    assert found == jobs
    assert [found[row] for row in range(-len(jobs), len(jobs))] == jobs * 2
    assert found[1:-1:2] == jobs[1:-1:2]
    if jobs:
        assert found != jobs[:-1]
        assert found != [jobs[0]._replace(root=Root(3, b"/c")), *jobs[1:]]
    with pytest.raises(IndexError):
        found[len(jobs)]


def test_paths_are_absolute() -> None:
    jobs = WorkList()
    jobs.append(ROOTS[1], FileEntry(b"sub/\xfe.jpg", 1, 2, 3, 4))
    assert jobs[0].path == b"/b \xff/sub/\xfe.jpg"
