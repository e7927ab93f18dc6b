"""The images of a collection in the plane, as a page, an image or a table: `dedup map`.

`layout` says where they are. A page shows a point for each file, drawn by WebGL without any
library: with 100,000 points plotly's stops for a third of a second and more where this one is
fluent (`scripts/bench map`), weighs 4.8 MB more, and needs a policy that allows `eval`.
"""

from __future__ import annotations

import colorsys
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

import numpy as np

from dedup.answer import Answer
from dedup.arrow import with_pyarrow
from dedup.errors import DedupError
from dedup.files import check_folder, output_file
from dedup.images.decode import decode_bounded
from dedup.images.encode import write_png
from dedup.report.forms import text_of
from dedup.report.pages import PAGES, Kind, write_page
from dedup.report.thumbnails import Thumbnail, read_thumbnails
from dedup.store.gallery import leaving_out, read_files, read_images, read_vectors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from dedup.answer import Progress
    from dedup.freshness import Lookout
    from dedup.report.layout import Layout
    from dedup.results import Group
    from dedup.store.catalog import Catalog
    from dedup.store.gallery import GalleryFiles, GalleryImages

    Pixels = npt.NDArray[np.uint8]

MOST_THUMBNAILS: Final = 20_000
"""Of a page: with all of them it has some 60 MB."""

_THUMBNAIL_SIDE, _THUMBNAIL_BYTES = 96, 2_400
_STEPS: Final = (1 << 20) - 1  # of a place on the page: a third of a pixel at the closest look
_COLOURS: Final = 48
_GOLDEN: Final = 0.61803398875  # of a circle of hues: any few of them lie apart
MAP: Final = Kind(
    "Map of images",
    "map.html",
    ("style.css", "map.css"),
    ("text", "data", "points", "view", "marks", "legend", "map"),
)

_SHEET_PIXELS, _MARGIN_PIXELS, _DOT_RADIUS = 1600, 80, 3
_FRAME_PIXELS, _REPRESENTATIVE_PIXELS = 3, 90
_PAPER, _NO_CLUSTER = (250, 250, 251), (176, 181, 188)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Images that lie together on a map.

    Parameters
    ----------
    number : from 1, by falling size
    images : how many
    representative : the file of the member nearest to the mean of their embeddings
    """

    number: int
    images: int
    representative: str


@dataclass(frozen=True, slots=True)
class MapAnswer(Answer[Cluster]):
    """A map. Iterates over its clusters.

    Parameters
    ----------
    path : of the file that was written
    files, images : that are on it; several files may hold one image
    outliers : images, the hundredth that is furthest from its nearest neighbours
    how : what laid it out
    """

    rows_in: ClassVar[str] = "clusters"
    path: str
    files: int
    images: int
    outliers: int
    how: str
    clusters: tuple[Cluster, ...]
    notes: tuple[str, ...] = ()


class Points(NamedTuple):
    """The M files and N images of a map.

    Parameters
    ----------
    paths : M of them
    row : (M,) the row of each file's image
    ids, digests : N of them
    vectors : (N, D) float32
    """

    paths: list[str]
    row: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]
    digests: list[bytes]
    vectors: npt.NDArray[np.float32]


class Shown(NamedTuple):
    """What a map shows of its points beside their places.

    Parameters
    ----------
    labels : of each file; None: its folder
    labelled : what the labels are
    facts : of the map itself: "version", "made", "collection", "notes"
    """

    groups: Sequence[Group]
    labels: Sequence[str] | None
    labelled: str
    facts: Mapping[str, Any]


def check_map(path: Path) -> None:
    """Check where a map is to be written, before any work is done.

    Raises
    ------
    DedupError : another ending, or the folder is not there.
    ExtraMissingError : .parquet without pyarrow.
    """
    if path.suffix.lower() not in (*PAGES, ".png", ".parquet"):
        raise DedupError(f"{path}: the ending says what is made: .html, .png or .parquet")
    check_folder(path)
    if path.suffix.lower() == ".parquet":
        with_pyarrow()


def read_points(catalog: Catalog, lookout: Lookout) -> Points:
    """Read the files that are here, and the first stored layer of their images."""
    layer = catalog.fingerprint.stored[0]

    def read() -> tuple[GalleryImages, GalleryFiles, npt.NDArray[np.float32]]:
        images = read_images(catalog)
        vectors = read_vectors(catalog, layer, len(images))
        return images, read_files(catalog, images.ids), vectors

    with catalog.snapshot():
        images, files, vectors = leaving_out(catalog, read)
    here = [number for number in range(len(files)) if lookout.shows(files.facts(number))]
    rows, row = np.unique(files.row[here], return_inverse=True)
    return Points(
        [os.fsdecode(files.path[number]) for number in here],
        row,
        images.ids[rows],
        [images.digest[one] for one in rows.tolist()],
        vectors[rows],
    )


def write_map(
    points: Points, layout: Layout, shown: Shown, path: Path, report: Progress
) -> MapAnswer:
    """Write a map.

    Raises
    ------
    DedupError : the file cannot be written.
    """
    notes: tuple[str, ...] = layout.notes
    if path.suffix.lower() == ".parquet":
        _write_table(points, layout, path)
    elif path.suffix.lower() == ".png":
        write_png(_draw(points, layout, report), path)
    else:
        notes += _write_page(points, layout, shown, path, report)
    first = _first_files(points)
    sizes = np.bincount(layout.cluster[layout.cluster >= 0])
    clusters = tuple(
        Cluster(number, int(size), points.paths[first[row]])
        for number, (size, row) in enumerate(zip(sizes, layout.representatives, strict=True), 1)
    )
    count, outliers = len(points.ids), int(layout.outliers.sum())
    name = os.fspath(path)
    return MapAnswer(name, len(points.paths), count, outliers, layout.how, clusters, notes)


def _first_files(points: Points) -> list[int]:
    """Give the first file of each image."""
    first: list[int] = np.unique(points.row, return_index=True)[1].tolist()
    return first


def on_sheet(places: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Move places into the unit square, y downwards, with one scale for both axes."""
    low, high = places.min(axis=0).astype(np.float64), places.max(axis=0).astype(np.float64)
    scaled = (places - (low + high) / 2) / (float((high - low).max()) or 1.0)
    return np.asarray(scaled * (1, -1) + 0.5)


def _colour(number: int) -> tuple[int, int, int]:
    """Give the colour of a cluster or label."""
    light = (0.46, 0.58, 0.38)[number % 3]
    parts = colorsys.hls_to_rgb(number * _GOLDEN % 1, light, 0.62)
    red, green, blue = (round(255 * part) for part in parts)
    return red, green, blue


def _write_table(points: Points, layout: Layout, path: Path) -> None:
    arrow = with_pyarrow()
    columns = {
        "id": points.ids[points.row],
        "path": arrow.array(map(text_of, points.paths), arrow.string()),
        "x": layout.places[points.row, 0],
        "y": layout.places[points.row, 1],
        "cluster": arrow.array(layout.cluster[points.row] + 1, mask=layout.cluster[points.row] < 0),
    }
    import pyarrow.parquet

    with output_file(path) as file:
        pyarrow.parquet.write_table(arrow.table(columns), file)


def _write_page(
    points: Points, layout: Layout, shown: Shown, path: Path, report: Progress
) -> tuple[str, ...]:
    """Write the page; gives what there is to say of its thumbnails."""
    number = {name: at for at, name in enumerate(points.paths)}
    members = [[number[name] for name in one.paths if name in number] for one in shown.groups]
    groups = [
        {"number": one.number, "tier": one.tier, "members": among}
        for one, among in zip(shown.groups, members, strict=True)
    ]
    grouped = [int(points.row[member]) for among in members for member in among]
    chosen = _with_thumbnails(layout, grouped)
    images, thumbnail = _thumbnails(points, chosen, report)
    folders, folder = _numbered([os.path.dirname(name) for name in points.paths])
    labels, label = _numbered(shown.labels) if shown.labels is not None else (None, None)
    places = np.rint(on_sheet(layout.places) * _STEPS).astype(np.int64)[points.row]
    first = _first_files(points)
    notes = []
    if len(chosen) < len(points.ids):
        notes.append(
            f"{len(chosen):,} of {len(points.ids):,} images have a thumbnail: representatives, "
            "duplicates, outliers, and some of the others"
        )
    data = {
        **shown.facts,
        "how": layout.how,
        "notes": [*shown.facts["notes"], *layout.notes, *notes],
        "folders": folders,
        "folder": folder,
        "names": [os.path.basename(name) for name in points.paths],
        "labelled": shown.labelled,
        "labels": labels,
        "label": label,
        "steps": _STEPS,
        "x": places[:, 0].tolist(),
        "y": places[:, 1].tolist(),
        "thumbnail": thumbnail[points.row].tolist(),
        "cluster": layout.cluster[points.row].tolist(),
        "representatives": [first[row] for row in layout.representatives],
        "outliers": np.flatnonzero(layout.outliers[points.row]).tolist(),
        "groups": groups,
        "colours": [_colour(number) for number in range(_COLOURS)],
    }
    write_page(MAP, path, data, images)
    return tuple(notes)


def _numbered(texts: Sequence[str]) -> tuple[list[str], list[int]]:
    """Replace texts by numbers, from 0 for the most frequent."""
    names, place, count = np.unique(
        np.array(texts, np.object_), return_inverse=True, return_counts=True
    )
    order = np.argsort(-count, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return names[order].tolist(), rank[place].tolist()


def _with_thumbnails(layout: Layout, grouped: Sequence[int]) -> list[int]:
    """Choose the images that have a thumbnail; the remarkable ones before an even choice."""
    remarkable = [*layout.representatives, *grouped, *np.flatnonzero(layout.outliers).tolist()]
    first = list(dict.fromkeys(remarkable))[:MOST_THUMBNAILS]
    rest = np.setdiff1d(np.arange(len(layout.cluster)), first)
    room = min(len(rest), MOST_THUMBNAILS - len(first))
    evenly = rest[np.linspace(0, len(rest) - 1, room).astype(np.int64)] if room else rest[:0]
    return [*first, *evenly.tolist()]


def _thumbnails(
    points: Points, rows: Sequence[int], report: Progress
) -> tuple[list[bytes], npt.NDArray[np.int64]]:
    """Give thumbnails, and the number of each image's one; -1 where there is none."""
    made = _read(points, rows, _THUMBNAIL_SIDE, _THUMBNAIL_BYTES, report)
    images: list[bytes] = []
    number = np.full(len(points.ids), -1, np.int64)
    for row in rows:
        one = made[points.digests[row]]
        if isinstance(one, Thumbnail):
            number[row] = len(images)
            images.append(one.webp)
    return images, number


def _read(
    points: Points, rows: Sequence[int], side: int, most: int, report: Progress
) -> dict[bytes, Thumbnail | str]:
    files: dict[bytes, list[bytes]] = {points.digests[row]: [] for row in rows}
    for name, row in zip(points.paths, points.row.tolist(), strict=True):
        if points.digests[row] in files:
            files[points.digests[row]].append(os.fsencode(name))
    return read_thumbnails(files, report, side=side, most=most)


def _draw(points: Points, layout: Layout, report: Progress) -> Pixels:
    """Draw the points in their clusters' colours, and over them the representatives."""
    sheet = np.full((_SHEET_PIXELS, _SHEET_PIXELS, 3), _PAPER, np.uint8)
    span = _SHEET_PIXELS - 2 * _MARGIN_PIXELS
    places = np.rint(on_sheet(layout.places) * span).astype(np.int64) + _MARGIN_PIXELS
    count = int(layout.cluster.max()) + 1
    palette = np.array([*map(_colour, range(count)), _NO_CLUSTER], np.uint8)
    steps = range(-_DOT_RADIUS, _DOT_RADIUS + 1)
    for down in steps:
        for right in steps:
            if down**2 + right**2 <= _DOT_RADIUS**2:
                sheet[places[:, 1] + down, places[:, 0] + right] = palette[layout.cluster]
    made = _read(points, layout.representatives, _REPRESENTATIVE_PIXELS, 10_000, report)
    taken = np.zeros(sheet.shape[:2], np.bool_)
    for number, row in enumerate(layout.representatives):
        one = made[points.digests[row]]
        if isinstance(one, Thumbnail):
            pixels = decode_bounded(one.webp, _REPRESENTATIVE_PIXELS, "thumbnail")
            _put(sheet, taken, pixels, places[row], _colour(number))
    return sheet


def _put(
    sheet: Pixels,
    taken: npt.NDArray[np.bool_],
    pixels: Pixels,
    place: npt.NDArray[np.int64],
    colour: tuple[int, int, int],
) -> None:
    """Lay an image in a frame over its place, unless a larger cluster's is there."""
    framed = np.pad(pixels, ((_FRAME_PIXELS,) * 2, (_FRAME_PIXELS,) * 2, (0, 0)))
    framed[...] = colour
    framed[_FRAME_PIXELS:-_FRAME_PIXELS, _FRAME_PIXELS:-_FRAME_PIXELS] = pixels
    height, width = framed.shape[:2]
    left, top = int(place[0]) - width // 2, int(place[1]) - height // 2
    box = slice(top, top + height), slice(left, left + width)
    if not taken[box].any():
        sheet[box] = framed
        taken[box] = True
