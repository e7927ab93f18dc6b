"""What images are, by labels from wherever people keep them.

Labels come from folders, a table (CSV, TSV or Parquet), COCO's JSON, or YOLO's files of text. An
image has no known label (None), none at all (an empty tuple: background), one, or several.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from dedup.arguments import path_of
from dedup.errors import DedupError, first_line
from dedup.report.truth import find_files
from dedup.sources.lists import PATH
from dedup.sources.tables import TABLES, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Label: TypeAlias = tuple[str, ...] | None
Source: TypeAlias = str | os.PathLike[str] | Mapping[str, Any]

FOLDERS: Final = "folders"
COLUMN: Final = "label"

_NAMED: Final = 3  # names in a note
_NUMBER: Final = re.compile(r"[+-]?\d+")
_IMAGES, _LABELS = f"{os.sep}images{os.sep}", f"{os.sep}labels{os.sep}"


class Labels(NamedTuple):
    """The labels of files.

    Parameters
    ----------
    of : per file
    notes : one sentence each
    """

    of: list[Label]
    notes: tuple[str, ...] = ()

    @property
    def texts(self) -> list[str]:
        """Each in one string; "" where there is none."""
        return [text_of(label) for label in self.of]


def source_of(value: Any) -> Source:
    """Check where labels are to come from: "folders", a file, or a mapping."""
    return value if isinstance(value, Mapping) else path_of(value, "labels")


def text_of(label: Label) -> str:
    """Give a label in one string: several with a plus between them, "" for none."""
    return "+".join(label or ())


def read_labels(source: Source, column: str, paths: Sequence[str], roots: Sequence[str]) -> Labels:
    """Read the labels of files.

    Parameters
    ----------
    source : "folders": each file's own folder; or a file, whose ending says what it is: .csv and
        .parquet, tables with a column `path` and another; .json, of COCO; .yaml, of YOLO, whose
        labels lie in labels/ beside images/; or a mapping from paths to labels
    column : of a table, the one with the labels
    paths : absolute
    roots : folders that names may be relative to, beside that of the file

    Raises
    ------
    DedupError : the file cannot be read, is not of that form, or lacks a column; numbers stand
        beside names; none of its names is a file of the collection.
    """
    if isinstance(source, Mapping):
        return _matched("labels", _from_mapping(source), paths, roots)
    if source == FOLDERS:
        return Labels([(os.path.basename(os.path.dirname(path)),) for path in paths])
    file = Path(source)
    ending = file.suffix.lower()
    if ending in (".yaml", ".yml"):
        return _from_yolo(file, paths)
    if ending == ".json":
        table = _from_coco(file)
    elif ending in TABLES:
        table = read_table(file, column)
    else:
        raise DedupError(
            f"{file}: labels are {FOLDERS!r}, or a file whose ending says what it is: "
            f"{', '.join(TABLES)}, .json (COCO) or .yaml (YOLO)"
        )
    return _matched(os.fspath(file), table, paths, [*roots, os.path.realpath(file.parent)])


def read_table(file: Path, *columns: str) -> dict[str, Label]:
    """Read the first of some columns that a table of paths has.

    Returns
    -------
    By path; None where the cell is empty.

    Raises
    ------
    DedupError : as of `read_labels`; or one path has two values.
    """
    source = Table(file)
    column = next((name for name in columns if name in source.columns), columns[0])
    table: dict[str, Label] = {}
    places: dict[str, str] = {}
    kinds: dict[bool, str] = {}
    for place, cells in source.rows(PATH, column):
        path, value = map(str, cells)
        if not path:
            continue
        label = (value,) if value else None
        if table.setdefault(path, label) != label:
            raise DedupError(
                f"{file}, {place}: {path!r} is {value!r} here, and {text_of(table[path])!r} on "
                f"{places[path]}; keep one of the two lines"
            )
        places.setdefault(path, place)
        if value:
            kinds.setdefault(_NUMBER.fullmatch(value) is not None, f"{value!r} on {place}")
    _one_kind(os.fspath(file), kinds)
    return table


def _one_kind(name: str, kinds: Mapping[bool, str]) -> None:
    """Refuse numbers beside names: 3 and "cat" may be one class."""
    if len(kinds) > 1:
        raise DedupError(
            f"{name}: labels are numbers and names ({kinds[True]}, {kinds[False]}): write all of "
            "them as names, or all as numbers"
        )


def _text_of(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise DedupError(f"{file}: cannot be read: {error.strerror}") from error


def _from_mapping(source: Mapping[str, Any]) -> dict[str, Label]:
    table: dict[str, Label] = {}
    kinds: dict[bool, str] = {}
    for path, label in source.items():
        if isinstance(label, str):
            several: tuple[Any, ...] = (label,)
        else:
            several = tuple(label) if isinstance(label, list | tuple | set) else (label,)
        for one in several:
            if type(one) is bool or not isinstance(one, str | Integral):
                raise TypeError(f"the label of {path!r} is a str or int, not {type(one).__name__}")
            kinds.setdefault(isinstance(one, Integral), f"{one!r} of {path!r}")
        table[os.fspath(path)] = tuple(sorted({str(one) for one in several if one != ""}))
    _one_kind("labels", kinds)
    return table


def _from_coco(file: Path) -> dict[str, Label]:
    with _of_form(file, 'COCO: an object with "images", "annotations" and "categories"'):
        data = json.loads(_text_of(file))
        names = {one["id"]: str(one["name"]) for one in data["categories"]}
        images = {one["id"]: str(one["file_name"]) for one in data["images"]}
        found: dict[str, set[str]] = {name: set() for name in images.values()}
        for one in data["annotations"]:
            image, category = one["image_id"], one["category_id"]
            if image not in images or category not in names:
                what, number = ("image", image) if image not in images else ("category", category)
                raise DedupError(
                    f"{file}: an annotation is of {what} {number!r}, which is not listed"
                )
            found[images[image]].add(names[category])
    return {name: tuple(sorted(labels)) for name, labels in found.items()}


@contextmanager
def _of_form(file: Path, form: str) -> Iterator[None]:
    """Translate what reading a file of another form raises."""
    try:
        yield
    except json.JSONDecodeError as error:
        raise DedupError(f"{file}, line {error.lineno}: not JSON: {error.msg}") from error
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DedupError(f"{file}: not of the form of {form}") from error


def _from_yolo(file: Path, paths: Sequence[str]) -> Labels:
    import yaml

    with _of_form(file, 'YOLO: "names", a list or numbers with names'):
        try:
            names = yaml.safe_load(_text_of(file))["names"]
        except yaml.YAMLError as error:
            raise DedupError(f"{file}: not YAML: {first_line(error)}") from error
        names = dict(names if isinstance(names, dict) else enumerate(list(names)))
    found = [_yolo_label(file, names, _yolo_file(path)) for path in paths]
    if paths and all(label is None for label in found):
        raise DedupError(
            f"{file}: no image has a file of labels, such as {_yolo_file(paths[0])}: YOLO keeps "
            "them in labels/ beside images/"
        )
    return Labels(found)


def _yolo_file(path: str) -> str:
    head, images, tail = path.rpartition(_IMAGES)
    whole = f"{head}{_LABELS}{tail}" if images else path
    return f"{os.path.splitext(whole)[0]}.txt"


def _yolo_label(file: Path, names: Mapping[Any, Any], text: str) -> Label:
    try:
        lines = Path(text).read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DedupError(f"{text}: cannot be read: {error.strerror}") from error
    labels = set()
    for number, line in enumerate(lines, 1):
        if line.strip():
            first = line.split()[0]
            known = int(first) if _NUMBER.fullmatch(first) else None
            if known not in names:
                raise DedupError(
                    f"{text}, line {number}: {first[:40]!r} is no class of {file}, which has "
                    f"{len(names)}"
                )
            labels.add(str(names[known]))
    return tuple(sorted(labels))


def _matched(
    name: str, table: Mapping[str, Label], paths: Sequence[str], roots: Sequence[str]
) -> Labels:
    """Find the files that names mean."""
    labels, notes = matched(name, table, paths, roots)
    return Labels([labels.get(path) for path in paths], notes)


def matched(
    name: str, table: Mapping[str, Label], paths: Sequence[str], roots: Sequence[str]
) -> tuple[dict[str, Label], tuple[str, ...]]:
    """Turn a table by names into one by files; gives notes on names that are none.

    Raises
    ------
    DedupError : none of them is.
    """
    found = find_files(table, paths, roots)
    if table and not found.files:
        some = ", ".join([*table][:_NAMED])
        raise DedupError(
            f"{name}: none of its {len(table):,} paths is a file of the collection ({some}, …); "
            "they are absolute, or relative to an indexed folder or to that of the table"
        )
    notes = []
    for names, what in ((found.missing, "no file"), (found.ambiguous, "several files")):
        if names:
            some = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
            notes.append(
                f"{os.path.basename(name)}: paths that mean {what} of the collection: "
                f"{len(names):,} ({some})"
            )
    return {path: table[one] for one, path in found.files.items()}, tuple(notes)
