"""Taking in images that a caller hands over."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from dedup.arguments import callback_of, count_of
from dedup.errors import DedupError, SourceError
from dedup.records import Kind
from dedup.store.lock import writer_lock
from dedup.verbs.given import Kept, check_data_set, files_of, rows_of
from dedup.verbs.search import index

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dedup.answer import Progress
    from dedup.results import IndexSummary
    from dedup.session import Session

MAX_KEPT_BYTES: Final = 10_000_000_000


class HandingVerbs:
    """The verbs of a collection that take images which lie in memory or in a data set."""

    _session: Session

    def index_images(
        self,
        images: Any,
        name: str,
        *,
        ids: str | Iterable[str | int] | None = None,
        column: str | None = None,
        max_bytes: int = MAX_KEPT_BYTES,
        progress: Progress | None = None,
    ) -> IndexSummary:
        """Bring the collection up to date with images that are handed over.

        Their bytes are kept in the collection, in `kept/NAME`, one file an image, named after its
        id; images of that name that are not given this time are gone. A data set that is made of
        files, as torchvision's ImageFolder, is indexed as those files, and nothing is kept.

        Parameters
        ----------
        images : a mapping of ids to images; a data set of Hugging Face or torchvision; or anything
            that gives images, (image, label), or rows that are mappings. An image is a path, the
            bytes of a file, a Pillow image, or an array or tensor of (H, W), (H, W, C) or
            (C, H, W): uint8, bool, integers in [0, 255], uint16, or floats in [0, 1]
        name : by which these images are told from others
        ids : one a row, or a column that holds them; None: the numbers of rows, from 0
        column : that holds the images; None: the only one, or "image"
        max_bytes : to keep

        Raises
        ------
        SourceError : an id comes twice, there is no such column, or the data set raised: what came
            before is indexed, and the same call goes on from there.
        LockedError : another process is indexing.
        """
        session, report = self._session, callback_of(progress)
        if not isinstance(name, str):
            raise TypeError(f"name is a str, not {type(name).__name__}")
        check_data_set(images)
        session.computing()
        files = files_of(images)
        if files is not None:
            return index(session, (), progress, files=files)
        kept = Kept(session.path, name, count_of(max_bytes, "max_bytes", 1))
        try:
            _keep(kept, rows_of(images, ids, column), _length(images), report)
        except DedupError:
            if kept.written:
                _index(session, kept, progress)
            raise
        kept.drop_others()
        summary = _index(session, kept, progress)
        skips = (*summary.new_skips, *kept.skips)
        note = f"{kept.written:,} images ({kept.bytes:,} bytes) are kept in {kept.folder}"
        return replace(
            summary,
            skipped=summary.skipped + len(kept.skips),
            new_skips=skips,
            notes=(*summary.notes, note),
        )


def _keep(kept: Kept, rows: Any, total: int, report: Progress) -> None:
    while True:
        try:
            row = next(rows, None)
        except DedupError:
            raise
        except Exception as error:  # whatever the data set raises
            raise SourceError(
                f"the data set raised {type(error).__name__} after {kept.count:,} images "
                f"({error}); these are indexed, and the same call goes on from there"
            ) from error
        if row is None:
            return
        kept.add(*row)
        report("Keeping images", kept.count, max(total, kept.count))


def _length(images: Any) -> int:
    try:
        return len(images)
    except TypeError:
        return 0


def _index(session: Session, kept: Kept, progress: Any) -> IndexSummary:
    with writer_lock(session.path):
        session.catalog.add_roots([os.fsencode(kept.folder)], Kind.KEPT)
    return index(session, [kept.folder], progress)
