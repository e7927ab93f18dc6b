"""Label conflicts: files that show one image, and have different labels."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from dedup.datasets.issues import CONFLICT, Issue
from dedup.datasets.labels import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dedup.datasets.labels import Label
    from dedup.datasets.together import Together


def conflicts(together: Together, labels: Mapping[int, Label]) -> Iterator[Issue]:
    """List the files whose label differs from that of a copy.

    Of the files of one image those with the most frequent label are taken to be right, of equally
    frequent ones those with the label of the file most worth keeping. Each of the others is listed
    with one that it is directly proven against.

    Parameters
    ----------
    labels : per file; None where it is not known
    """
    for files in together.groups().values():
        known = [file for file in files if labels.get(file) is not None]
        counts = Counter(labels[file] for file in known)
        if len(counts) < 2:  # noqa: PLR2004 - they agree
            continue
        usual = counts.most_common(1)[0][0]  # of equal counts the first, which is in keep order
        for file in known:
            if labels[file] != usual:
                yield from _against(together, file, known, labels, usual)


def _against(
    together: Together,
    file: int,
    known: Sequence[int],
    labels: Mapping[int, Label],
    usual: Label,
) -> Iterator[Issue]:
    files_of: dict[int, list[int]] = defaultdict(list)
    for one in known:
        if labels[one] != labels[file]:
            files_of[together.row(one)].append(one)
    links = list(together.links(file, files_of))
    if not links:  # joined by others only: those are listed
        return
    best = min(links, key=lambda link: labels[link.file] != usual)  # else the surest
    words = together.evidence(best.file, file, best.tier)
    agree = sum(labels[one] == labels[file] for one in known) / len(known)
    own, other = text_of(labels[file]), text_of(labels[best.file])
    yield Issue(
        together.path(file), CONFLICT, agree, 1.0, own, other, together.path(best.file),
        f"{best.tier.value}: {words}",
    )  # fmt: skip
