"""Whether what a collection holds is what was written, and the files what was indexed."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from dedup.answer import Answer
from dedup.errors import ImageError
from dedup.images.decode import MAX_FILE_BYTES
from dedup.records import is_url
from dedup.search.index_file import saved_facts, whole
from dedup.sources.opening import elsewhere, entry_of
from dedup.store.schema import INDEX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from dedup.store.verify import LiveFile, Unsound

_KINDS: Final = {
    "": "catalog",
    "meta": "meta",
    "roots": "root",
    "images": "image",
    "files": "file",
    "embeddings": "embedding",
    "verdicts": "verdict",
    "traits": "trait",
    "parts": "part",
    "decisions": "decision",
    "calibration": "calibration",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was written.

    Parameters
    ----------
    kind : "catalog" (the database as a whole), "meta", "root", "image", "file", "embedding",
        "verdict", "trait", "part", "decision", "calibration", "index", or "content" (a file's
        own bytes); in object storage "object" and "commit"
    path : the file or folder that it is about; of verdicts and decisions the SHA-256 of the first
        image; "" where nothing can be named
    detail : a few words
    """

    kind: str
    path: str
    detail: str


@dataclass(frozen=True, slots=True)
class VerifyAnswer(Answer[Finding]):
    """What `verify` found; no rows where everything is sound.

    Parameters
    ----------
    files_read : files whose content was compared; 0 without `deep`
    """

    rows_in: ClassVar[str] = "findings"
    findings: tuple[Finding, ...]
    files_read: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RepairAnswer(Answer[Finding]):
    """What `repair` dropped, or built anew."""

    rows_in: ClassVar[str] = "findings"
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()


def finding_of(unsound: Unsound) -> Finding:
    """Name what is not sound in the catalog."""
    return Finding(_KINDS[unsound.table], os.fsdecode(unsound.path), unsound.detail)


def check_index(store: Path) -> Iterator[Finding]:
    """Check the saved index, where there is one."""
    path = store / INDEX
    if path.exists():
        facts = saved_facts(path)
        if facts is None or whole(path, facts.version) is None:
            yield Finding("index", os.fspath(path), "fails its checksum; is built anew when needed")


def check_contents(
    files: Iterable[LiveFile], report: Callable[[int], None], counted: list[int]
) -> Iterator[Finding]:
    """Read files whose size and times are those that were recorded, and compare their SHA-256.

    Parameters
    ----------
    report : called with how many were looked at
    counted : gets a 1 for every file that was read
    """
    for number, (path, size, mtime_ns, digest) in enumerate(files, 1):
        try:
            facts = None if is_url(path) else entry_of(path, follow=True)
            if facts is not None and (facts.size, facts.mtime_ns) == (size, mtime_ns):
                found = _sha256(path)
                counted.append(1)
                if found != digest:
                    yield Finding(
                        "content",
                        os.fsdecode(path),
                        "its bytes changed while size and times did not: put back a backup of it",
                    )
        except FileNotFoundError:
            pass  # what is gone or offline is for indexing to say
        except OSError as error:
            yield Finding("content", os.fsdecode(path), f"cannot be read: {error.strerror}")
        except ImageError as error:
            yield Finding("content", os.fsdecode(path), f"cannot be read: {error.reason}")
        report(number)


def _sha256(path: bytes) -> bytes:
    if (place := elsewhere(path)) is not None:
        return hashlib.sha256(place.read(MAX_FILE_BYTES)).digest()
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
