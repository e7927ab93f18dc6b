"""Images that a caller hands over, as files: queries for a moment, others inside the collection.

What is kept of them lies in the collection's folder `kept`, one file an image, named after its id,
so that the proof, thumbnails and the next run read them as they read any file.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dedup.arguments import paths_of
from dedup.errors import CollectionError, DedupError, ImageError, SourceError
from dedup.images.memory import cropped, encoded, extension_of
from dedup.results import Skip

if TYPE_CHECKING:
    from pathlib import Path

    from dedup.query import QueryVectors

_log = logging.getLogger(__name__)

KEPT: Final = "kept"
_LONGEST_NAME: Final = 240  # bytes, of 255 that file systems take
_COLUMNS: Final = ("image", "img", "jpg", "png")  # of rows that are mappings, unless it is told
_ODD: Final = re.compile(r"[/%\x00-\x1f\x7f]|^\.")


class Given(NamedTuple):
    """Query images as files.

    Parameters
    ----------
    paths : to read
    names : as whom each is answered
    skips : what was no image
    """

    paths: list[str]
    names: dict[str, str]
    skips: list[Skip]

    def named(self, queries: QueryVectors) -> QueryVectors:
        """Give what was read by the names of the images, and what was none."""
        return replace(
            queries,
            paths=[self.names.get(path, path) for path in queries.paths],
            skipped=[
                *(Skip(self.names.get(one.path, one.path), one.reason) for one in queries.skipped),
                *self.skips,
            ],
        )


@contextmanager
def as_files(images: Any, crop: Any = None, what: str = "images") -> Iterator[Given]:
    """Give query images as files; those that are none lie in a temporary folder meanwhile.

    Parameters
    ----------
    images : paths, or images in memory: one, several, or by name
    crop : (left, top, width, height) in pixels, of each; None: the whole of it
    what : the argument's name
    """
    box = _box(crop)
    if isinstance(images, str | os.PathLike) or (
        isinstance(images, Iterable) and not is_image(images)
    ):
        images = images if isinstance(images, Mapping | str | os.PathLike) else list(images)
    elif not is_image(images):
        paths_of(images, what)  # which says what is accepted
    several = isinstance(images, list)
    if box is None and (
        isinstance(images, str | os.PathLike)
        or (several and all(isinstance(one, str | os.PathLike) for one in images))
    ):
        yield Given(paths_of(images, what), {}, [])
        return
    named = _named(images)
    with tempfile.TemporaryDirectory(prefix="dedup-") as folder:
        given = Given([], {}, [])
        for number, (name, image) in enumerate(named):
            if box is None and isinstance(image, str | os.PathLike):
                given.paths.append(paths_of(image, what)[0])
                continue
            try:
                data = encoded(image, name)
                data = data if box is None else cropped(data, box, name)
            except ImageError as error:
                given.skips.append(Skip(name, error.reason))
                continue
            path = os.path.join(folder, f"{number}.{extension_of(data)}")
            with open(path, "xb") as file:
                file.write(data)
            given.paths.append(path)
            given.names[path] = name
        yield given


def _named(images: Any) -> list[tuple[str, Any]]:
    if isinstance(images, Mapping) and not is_image(images):
        return [(str(name), image) for name, image in images.items()]
    if not isinstance(images, list):
        return [(os.fspath(images) if isinstance(images, str | os.PathLike) else "image", images)]
    return [
        (os.fspath(image) if isinstance(image, str | os.PathLike) else f"image {number}", image)
        for number, image in enumerate(images, 1)
    ]


def is_image(value: Any) -> bool:
    """Tell one image in memory from several."""
    if isinstance(value, bytes | bytearray | memoryview):
        return True
    if isinstance(value, Mapping):
        return set(value) <= {"bytes", "path"} and bool(value)
    return hasattr(value, "__array__") or hasattr(value, "detach") or hasattr(value, "getbands")


def _box(crop: Any) -> tuple[int, int, int, int] | None:
    if crop is None:
        return None
    try:
        left, top, width, height = (int(value) for value in crop)
    except (TypeError, ValueError):
        raise ValueError(f"crop is (left, top, width, height) in pixels, not {crop!r}") from None
    if min(left, top) < 0 or min(width, height) < 1:
        raise ValueError(f"crop is (left, top, width, height) in pixels, not {crop!r}")
    return left, top, width, height


class Kept:
    """The folder in which a collection keeps images of one name.

    Parameters
    ----------
    max_bytes : that it may hold
    """

    def __init__(self, store: Path, name: str, max_bytes: int) -> None:
        self.folder = os.path.join(os.path.realpath(store), KEPT, file_name(name))
        self.skips: list[Skip] = []
        self.bytes = 0
        self._max = max_bytes
        self._name = name
        self._files: dict[str, str] = {}
        self._seen: set[str] = set()
        self.written = 0
        try:
            os.makedirs(self.folder, exist_ok=True)
            for found in os.listdir(self.folder):
                self._files[found.rpartition(".")[0]] = found
        except OSError as error:
            raise CollectionError(store, f"cannot be written: {error.strerror}") from error

    @property
    def count(self) -> int:
        """How many ids were given."""
        return len(self._seen)

    def add(self, name: str, image: Any) -> None:
        """Keep one image; one that is kept already is left as it is.

        Raises
        ------
        SourceError : the id came before, or there are too many bytes.
        """
        stem = file_name(name)
        if stem in self._seen:
            raise SourceError(
                f"{self._name}: the id {name!r} occurs twice; each id names one image"
            )
        self._seen.add(stem)
        try:
            data = encoded(image, name)
            if not data:
                raise ImageError(name, "empty")  # noqa: TRY301
        except ImageError as error:
            self.skips.append(Skip(f"{self._name}/{name}", error.reason))
            _log.warning("skipped %r: %s", self.skips[-1].path, error.reason)
            return
        self.bytes += len(data)
        if self.bytes > self._max:
            raise SourceError(
                f"{self._name}: more than {self._max:,} bytes to keep in the collection; allow "
                "more by max_bytes, or write the images to a folder and index that"
            )
        file = f"{stem}.{extension_of(data)}"
        self._write(os.path.join(self.folder, file), data)
        self.written += 1
        before = self._files.pop(stem, file)
        if before != file:
            os.unlink(os.path.join(self.folder, before))

    def _write(self, path: str, data: bytes) -> None:
        try:
            if os.path.isfile(path) and os.path.getsize(path) == len(data):
                with open(path, "rb") as file:
                    if file.read() == data:
                        return
            temporary = os.path.join(self.folder, f".{os.getpid()}.new")
            with open(temporary, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
        except OSError as error:
            raise DedupError(f"{path}: cannot be kept: {error.strerror}") from error

    def drop_others(self) -> None:
        """Remove what was not given any more."""
        for found in self._files.values():
            os.unlink(os.path.join(self.folder, found))


def file_name(name: str) -> str:
    """Write an id as the name of a file, what cannot stand there percent-encoded.

    Raises
    ------
    SourceError : it is empty or too long.
    """
    found = _ODD.sub(lambda match: f"%{ord(match[0]):02X}", name)
    if not name or len(os.fsencode(found)) > _LONGEST_NAME:
        raise SourceError(f"the id {name[:80]!r}: ids have 1 to {_LONGEST_NAME} bytes")
    return found


def check_data_set(images: Any) -> None:
    """Refuse what cannot hold several images.

    Raises
    ------
    TypeError
    """
    rows = isinstance(images, Iterable) or hasattr(images, "__getitem__")
    one = isinstance(images, str | os.PathLike | bytes | bytearray | memoryview)
    if not rows or one or hasattr(images, "getbands"):
        raise TypeError(
            "images is a mapping of ids to images, a data set or an iterable of images, not one "
            f"{type(images).__name__}; files and archives are for index"
        )


def rows_of(images: Any, ids: Any, column: str | None) -> Iterator[tuple[str, Any]]:
    """Give (id, image) for each image of a data set, a mapping or anything that iterates.

    Parameters
    ----------
    ids : a column of the rows, or one id a row; None: the numbers of the rows, from 0
    column : of rows that are mappings; None: the one that holds images

    Raises
    ------
    SourceError : there is no such column, or the numbers of ids and images differ.
    """
    if isinstance(images, Mapping):
        yield from ((str(name), image) for name, image in images.items())
        return
    images, column = _undecoded(images, column)
    given = iter(ids) if ids is not None and not isinstance(ids, str) else None
    images_given = 0
    for number, row in enumerate(_each(images)):
        if isinstance(ids, str):
            name = str(_cell(row, ids))
        elif given is None:
            name = str(number)
        else:
            one = next(given, _NONE)
            if one is _NONE:
                raise SourceError(f"there are {number:,} ids, but more images than that")
            name = str(one)
        yield name, _image_of(row, column)
        images_given = number + 1
    if given is not None and next(given, _NONE) is not _NONE:
        raise SourceError(f"there are {images_given:,} images, but more ids than that")


_NONE: Final = object()


def _undecoded(images: Any, column: str | None) -> tuple[Any, str | None]:
    """Let a data set of Hugging Face give files as they are stored, not as they were decoded."""
    features = getattr(images, "features", None)
    if not isinstance(features, Mapping) or not hasattr(images, "cast_column"):
        return images, column
    names = [name for name, kind in features.items() if type(kind).__name__ == "Image"]
    if column is None:
        if len(names) != 1:
            there = ", ".join(names) or f"none of {', '.join(features)}"
            raise SourceError(f"which column holds the images? There are: {there}")
        column = names[0]
    elif column not in features:
        raise SourceError(f"no column {column!r}. There are: {', '.join(features)}")
    if column in names:
        images = images.cast_column(column, type(features[column])(decode=False))
    return images, column


def _each(images: Any) -> Iterator[Any]:
    """Iterate over rows, also of a data set that has a length and items alone."""
    by_number = hasattr(images, "__len__") and hasattr(images, "__getitem__")
    if by_number and not _is_hf(images):
        return (images[number] for number in range(len(images)))
    return iter(images)


def _is_hf(images: Any) -> bool:
    return hasattr(images, "cast_column")


def _image_of(row: Any, column: str | None) -> Any:
    if isinstance(row, Mapping) and not is_image(row):
        return _cell(row, column or next((one for one in _COLUMNS if one in row), "image"))
    if isinstance(row, tuple | list):
        return row[0] if row else None  # (image, label), as data sets of torchvision give
    return row


def _cell(row: Any, column: str) -> Any:
    if not isinstance(row, Mapping) or column not in row:
        there = ", ".join(map(str, row)) if isinstance(row, Mapping) else "no columns"
        raise SourceError(f"no column {column!r}. There are: {there}")
    return row[column]


def files_of(images: Any) -> list[str] | None:
    """List the files of a data set that is made of plain ones, as torchvision's ImageFolder is."""
    samples = getattr(images, "samples", None) or getattr(images, "imgs", None)
    if not isinstance(samples, list) or not samples:
        return None
    paths = [one[0] if isinstance(one, tuple) else one for one in samples]
    if all(isinstance(path, str | os.PathLike) and os.path.isfile(path) for path in paths):
        return [os.fspath(path) for path in paths]
    return None
