"""What goes through the catalog in bulk: files found against files known, and batches to commit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dedup.records import is_unchanged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from dedup.records import FileEntry, ImageFacts, KnownFile, Root, Settled
    from dedup.store.vectors import Packed


class Differences:
    """Iterates once over what differs between files found and files known, both sorted by path.

    Neither side has to fit in memory. Gives (entry, what was known of it or None) for a file to
    read, and (None, what was known) for a file that was not found.

    Parameters
    ----------
    decoders : what can be decoded now; a file that was skipped with the same is not read again
    keeps_inodes : whether another inode means another file

    Attributes
    ----------
    found, unchanged, still_skipped : entries so far; complete after the last difference
    undated : ids of unchanged files whose time of change was not known, each with that time
    """

    def __init__(
        self,
        known: Iterable[KnownFile],
        entries: Iterable[FileEntry],
        decoders: str,
        *,
        keeps_inodes: bool = True,
    ) -> None:
        self._known = iter(known)
        self._entries = iter(entries)
        self._decoders = decoders
        self._keeps_inodes = keeps_inodes
        self.found = 0
        self.unchanged = 0
        self.still_skipped = 0
        self.undated: list[tuple[int, int]] = []

    def __iter__(self) -> Iterator[tuple[FileEntry | None, KnownFile | None]]:
        entry, known = next(self._entries, None), next(self._known, None)
        while entry is not None or known is not None:
            if known is None or (entry is not None and entry.path < known.path):
                self.found += 1
                yield entry, None
                entry = next(self._entries, None)
            elif entry is None or known.path < entry.path:
                yield None, known
                known = next(self._known, None)
            else:
                self.found += 1
                if not self._same(entry, known):
                    yield entry, known
                entry, known = next(self._entries, None), next(self._known, None)

    def _same(self, entry: FileEntry, known: KnownFile) -> bool:
        if not is_unchanged(entry, known, keeps_inodes=self._keeps_inodes):
            return False
        if known.state == "indexed":
            self.unchanged += 1
        elif (known.state, known.tried_with) == ("skipped", self._decoders):
            self.still_skipped += 1
        else:
            return False
        if known.ctime_ns is None and entry.ctime_ns is not None:
            self.undated.append((known.id, entry.ctime_ns))
        return True


@dataclass(slots=True)
class Batch:
    """Everything that one transaction is to record.

    Parameters
    ----------
    images : with embeddings; those whose content is known already are ignored
    embeddings : per layer, one row for each of `images`
    parts : of what is among `images`, by its SHA-256: what described them, and what it gave
    files : each with the SHA-256 of its content, which is among `images` or known
    skipped : files that gave no image, each with the reason, and what it was tried with: it is
        tried again when it changes or when that differs; None: at every run
    vanished : files that were there when they were found
    gone : ids of known files that were not found
    settled : how roots look that have nothing left to do
    undated : ids of files whose time of change was not known, each with that time
    ends_run : whether a run of indexing ends with this batch
    """

    images: list[ImageFacts] = field(default_factory=list)
    embeddings: Mapping[str, Packed] = field(default_factory=dict)
    files: list[tuple[Root, FileEntry, bytes]] = field(default_factory=list)
    parts: dict[bytes, tuple[str, bytes]] = field(default_factory=dict)
    skipped: list[tuple[Root, FileEntry, str, str | None]] = field(default_factory=list)
    vanished: list[tuple[Root, FileEntry]] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    settled: dict[Root, Settled] = field(default_factory=dict)
    undated: list[tuple[int, int]] = field(default_factory=list)
    ends_run: bool = False

    @property
    def changes_gallery(self) -> bool:
        """Whether indexes built before it are stale."""
        return bool(self.files or self.skipped or self.vanished or self.gone)
