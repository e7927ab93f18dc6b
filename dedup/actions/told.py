"""What is written about files, in them and in XMP files beside them; each is read once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dedup.actions.lacks import Lacks
from dedup.errors import ImageError
from dedup.images.metadata import MAX_XMP_BYTES, Metadata, joined, read_xmp
from dedup.images.sources import read_unchanged
from dedup.images.traits import TRAITS, metadata_of, parsed_traits
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

    def lacks(
        self,
        paths: tuple[str, str],
        contents: tuple[Content, Content],
        sidecars: tuple[Sequence[bytes], Sequence[bytes]],
        folders: tuple[str, str],
    ) -> Lacks:
        """Say what the first of two files has that the second one lacks.

        Parameters
        ----------
        folders : relative to the indexed ones
        """
        told = Metadata()
        beside = [self._in_sidecars(names) for names in sidecars]
        # Files of the same bytes say the same inside.
        if beside[0] != told or contents[0].digest != contents[1].digest:
            mine, other = (
                joined((beside[at], self._in_file(paths[at], contents[at]))) for at in (0, 1)
            )
            told = mine.beyond(other)
        kinds = {_kind(name) for name in sidecars[1]}
        names = [
            os.fsdecode(os.path.basename(one)) for one in sidecars[0] if _kind(one) not in kinds
        ]
        return Lacks(told, tuple(names), folders[0] if folders[0] != folders[1] else "")

    def _in_file(self, path: str, content: Content) -> Metadata:
        found = self._inside.get(content.digest)
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


def _read(path: str, content: Content) -> Metadata:
    found = read_unchanged([os.fsencode(path)], content.digest)
    try:
        return metadata_of(*found) if found else Metadata()
    except ImageError:
        return Metadata()


def _kind(name: bytes) -> bytes:
    return os.path.splitext(name)[1].lower()
