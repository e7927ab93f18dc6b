"""What every task is given: where things are, and what the collection was made with."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from dedup.descriptors.parts import PARTS_VERSION
from dedup.distributed.storage import MissingObjectError, Storage, StorageError
from dedup.fingerprint import DETAILS, Fingerprint

META = "meta.json"
FORMAT = 1
"""Of everything in a store; a store with a higher one is refused."""


@dataclass(frozen=True, slots=True)
class Meta:
    """What a collection in object storage was made with; it never changes.

    Parameters
    ----------
    fingerprint : as `Fingerprint.to_json` writes it
    shard : files of a shard
    weights : URL of a weights file that workers can read; "" where the model is bundled
    parts : what described the parts of images
    """

    fingerprint: str
    shard: int = 8192
    weights: str = ""
    format: int = FORMAT
    parts: str = PARTS_VERSION

    @property
    def pinned(self) -> Fingerprint:
        """The fingerprint."""
        return Fingerprint.from_json(self.fingerprint)


@dataclass(frozen=True, slots=True)
class Run:
    """A collection in object storage, for tasks; small, and can be pickled.

    Parameters
    ----------
    store : URL of the collection
    """

    store: str
    meta: Meta

    @property
    def storage(self) -> Storage:
        """Where the collection is."""
        return Storage.at(self.store)


def read_meta(storage: Storage) -> Meta | None:
    """Read what a collection was made with; None where there is none yet.

    Raises
    ------
    StorageError : it is of a newer version, holds parts of another one, or cannot be read.
    """
    try:
        data = storage.get(META).data
    except MissingObjectError:
        return None
    try:
        fields = json.loads(data)
        if fields["format"] > FORMAT:
            raise StorageError(
                f"{storage.url} was made by a newer version of dedup (format {fields['format']}; "
                f"this one reads {FORMAT}). Upgrade dedup to use it."
            )
        meta = Meta(**{"parts": "", **fields})
        has_parts = DETAILS in meta.pinned.views
    except (ValueError, TypeError, KeyError) as error:
        raise StorageError(
            f"{storage.url}/{META} is not what dedup writes ({type(error).__name__}: {error}); is "
            "this the place of a collection?"
        ) from error
    if has_parts and meta.parts != PARTS_VERSION:
        raise StorageError(
            f"the parts of images in {storage.url}, by which crops are found, were described by "
            "another version of dedup. Give another --store, and run: dedup index"
        )
    return meta


def write_meta(storage: Storage, meta: Meta) -> Meta:
    """Begin a collection; gives what counts, which another process may have written first."""
    if storage.put_new(META, json.dumps(asdict(meta), sort_keys=True).encode()):
        return meta
    found = read_meta(storage)
    if found is None:
        raise StorageError(f"{storage.url}/{META} was there and is not; try again")
    return found
