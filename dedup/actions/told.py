"""What is written about files, in them and in XMP files beside them; each is read once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dedup.errors import ImageError
from dedup.images.metadata import MAX_XMP_BYTES, Metadata, joined, read_xmp
from dedup.images.sources import read_unchanged
from dedup.images.traits import metadata_of, parsed_traits
from dedup.records import TRAITS
from dedup.results import Tier
from dedup.store.traits import read_traits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dedup.store.acted import Content
    from dedup.store.catalog import Catalog


class Told:
    """Compares what is written about two files.

    Parameters
    ----------
    images : ids of those that will be asked for, as far as that is known
    """

    def __init__(self, catalog: Catalog, images: Iterable[int]) -> None:
        self._traits = read_traits(catalog, TRAITS, images)
        self._inside: dict[bytes, Metadata] = {}
        self._beside: dict[bytes, Metadata] = {}

    def beyond(
        self,
        paths: tuple[str, str],
        contents: tuple[Content, Content],
        sidecars: tuple[Sequence[bytes], Sequence[bytes]],
    ) -> Metadata:
        """Give what the first of two files says and the second one does not."""
        mine, other = (
            joined((self._in_sidecars(sidecars[at]), self._in_file(paths[at], contents[at])))
            for at in (0, 1)
        )
        return mine.beyond(other)

    def _in_file(self, path: str, content: Content) -> Metadata:
        found = self._inside.get(content.digest)
        if content.format == Tier.VIDEO:
            return Metadata()  # what a film says of itself is not compared
        if found is None:
            known = parsed_traits(self._traits.get(content.image, ""))
            found = known.told if known else _read(path, content)
            self._inside[content.digest] = found
        return found

    def _in_sidecars(self, names: Iterable[bytes]) -> Metadata:
        return joined(self._in_sidecar(name) for name in names if _kind(name) == b".xmp")

    def _in_sidecar(self, name: bytes) -> Metadata:
        found = self._beside.get(name)
        if found is None:
            try:
                with open(name, "rb") as file:
                    found = read_xmp(file.read(MAX_XMP_BYTES + 1))
            except (OSError, ValueError):
                found = Metadata()
            self._beside[name] = found
        return found


def names_beyond(sidecars: Sequence[bytes], others: Sequence[bytes]) -> tuple[str, ...]:
    """Name the sidecars of kinds that the other file has none of."""
    kinds = {_kind(name) for name in others}
    return tuple(
        os.fsdecode(os.path.basename(name)) for name in sidecars if _kind(name) not in kinds
    )


def _read(path: str, content: Content) -> Metadata:
    found = read_unchanged([os.fsencode(path)], content.digest)
    try:
        return metadata_of(*found) if found else Metadata()
    except ImageError:
        return Metadata()


def _kind(name: bytes) -> bytes:
    return os.path.splitext(name)[1].lower()
