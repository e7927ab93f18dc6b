"""The live images and files of a collection, with what they are compared by."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dedup.duplicates.ranking import rank_files
from dedup.duplicates.tiers import ImageFile
from dedup.store.gallery import leaving_out, read_files, read_images
from dedup.store.pairs import read_decisions

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from dedup.duplicates.given import GivenCandidates
    from dedup.space.space import Space
    from dedup.store.catalog import Catalog
    from dedup.store.gallery import GalleryFiles, GalleryImages
    from dedup.store.pairs import ContentPair, Decision


@dataclass(frozen=True, slots=True)
class Gallery:
    """The live images and files of a collection at one moment.

    Parameters
    ----------
    raw : (N, D) float32, unit rows as stored: what candidates are proposed by
    vectors : (N, D') float32, unit rows as they are compared: what similarity is
    order : (M,) files, from the one most worth keeping
    decisions : what a person said of pairs
    near_floors, pixels_floor : as `candidates.propose` takes them
    join : how pairs are looked for, see `dedup.search.join.JOINS`
    companions : whether a raw image and what was developed from it can be duplicates
    parts : whether images that show a part of another are looked for
    given : candidates that were found elsewhere; None: they are looked for here
    """

    catalog: Catalog
    images: GalleryImages
    files: GalleryFiles
    raw: npt.NDArray[np.float32]
    vectors: npt.NDArray[np.float32]
    order: list[int]
    decisions: Mapping[ContentPair, Decision]
    near_floors: tuple[float, float]
    pixels_floor: float
    join: str = "auto"
    companions: bool = False
    parts: bool = True
    given: GivenCandidates | None = None

    def with_given(self, given: GivenCandidates) -> Gallery:
        """Give the same with candidates that were found elsewhere."""
        return replace(self, given=given)

    def paths(self) -> dict[int, list[bytes]]:
        """Map rows to the files of their images."""
        result: dict[int, list[bytes]] = defaultdict(list)
        for row, path in zip(self.files.row.tolist(), self.files.path, strict=True):
            result[row].append(path)
        return result

    def image_file(self, file: int) -> ImageFile:
        """Give what evidence says of a file."""
        images, row = self.images, int(self.files.row[file])
        width, height = int(images.width[row]), int(images.height[row])
        return ImageFile(images.format[row], width, height, int(self.files.size[file]))


def read_gallery(
    catalog: Catalog,
    space: Space,
    join: str = "auto",
    *,
    companions: bool = False,
    parts: bool = True,
) -> Gallery:
    """Read a collection as it is now.

    Parameters
    ----------
    space : of the collection
    join, companions, parts : as those of `Gallery`
    """

    def read() -> tuple[GalleryImages, GalleryFiles, npt.NDArray[np.float32]]:
        images = read_images(catalog)
        return images, read_files(catalog, images.ids), space.rows(catalog, len(images))

    with catalog.snapshot():
        images, files, raw = leaving_out(catalog, read)
        decisions = read_decisions(catalog)
    return Gallery(
        catalog,
        images,
        files,
        raw=raw,
        vectors=space.vectors(raw),
        order=rank_files(images, files).tolist(),
        decisions=decisions,
        near_floors=space.near_floors,
        pixels_floor=space.pixels_floor,
        join=join,
        companions=companions,
        parts=parts,
    )
