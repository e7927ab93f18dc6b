"""Features in the forms that other programs read: one function each, by the ending of the file.

Whatever it is, it appears whole or not at all. Rows are those of `FeatureTable`. Names of files
that are not UTF-8 are escaped where the form holds text only; `path_bytes` of Parquet holds them
exactly.
"""

from __future__ import annotations

import base64
import csv
import io
import itertools
import json
import os
import shutil
import tempfile
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np

from dedup.arrow import with_pyarrow
from dedup.errors import DedupError, ExtraMissingError, VectorsError
from dedup.files import output_file
from dedup.search.similarity import unit_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy.typing as npt

    from dedup.report.features import FeatureTable

_FIFTYONE: Final = "fiftyone.core.fields."


def text_of(name: str) -> str:
    """Turn a name into UTF-8 for good: bytes that are not become escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def single(table: FeatureTable, what: str) -> tuple[str, npt.NDArray[np.float32]]:
    """Give the one embedding of a table as unit rows, so that inner products are cosines.

    Raises
    ------
    VectorsError : there are several.
    """
    if len(table.embeddings) != 1:
        raise VectorsError(
            f"{what} holds one vector of each image, and there are "
            f"{', '.join(table.embeddings)}: --fused takes those that `dedup query` compares, "
            "--layer NAME one of them"
        )
    ((name, rows),) = table.embeddings.items()
    return name, unit_rows(rows)


def arrow_table(table: FeatureTable) -> Any:
    """Turn features into an Arrow table; layers are fixed-size lists of float."""
    arrow = with_pyarrow("an Arrow table")
    columns = {
        "path": arrow.array(map(text_of, table.paths), arrow.string()),
        "path_bytes": arrow.array([os.fsencode(name) for name in table.paths], arrow.binary()),
        "digest": arrow.array(table.digests, arrow.string()),
        "width": arrow.array(table.width),
        "height": arrow.array(table.height),
    }
    for layer, rows in table.embeddings.items():
        columns[layer] = arrow.FixedSizeListArray.from_arrays(rows.ravel(), rows.shape[1])
    return arrow.table(columns)


def _npz(table: FeatureTable, file: IO[bytes]) -> None:
    columns: dict[str, Any] = {
        "path": np.array(table.paths, dtype=np.str_),
        "digest": np.array(table.digests, dtype=np.str_),
        "width": table.width,
        "height": table.height,
        **table.embeddings,
    }
    np.savez(file, **columns)


def _parquet(table: FeatureTable, file: IO[bytes]) -> None:
    import pyarrow.parquet

    pyarrow.parquet.write_table(arrow_table(table), file)


def _safetensors(table: FeatureTable, file: IO[bytes]) -> None:
    from safetensors.numpy import save

    rows = {name: np.ascontiguousarray(rows) for name, rows in table.embeddings.items()}
    facts = {"path": [text_of(name) for name in table.paths], "digest": table.digests}
    file.write(save(rows, {name: json.dumps(values) for name, values in facts.items()}))


def _faiss(table: FeatureTable, file: IO[bytes]) -> None:
    from dedup.search.exported import flat_with_ids

    _, rows = single(table, "a FAISS index")
    file.write(flat_with_ids(rows, np.arange(len(rows))))


def _fiftyone(table: FeatureTable, file: IO[bytes]) -> None:
    """Write what `fiftyone.Dataset.from_json` loads."""
    fields = {
        "filepath": "StringField", "digest": "StringField", "width": "IntField",
        "height": "IntField", **dict.fromkeys(table.embeddings, "VectorField"),
    }  # fmt: skip
    head = {
        "name": "dedup",
        "media_type": "image",
        "sample_fields": {name: _FIFTYONE + kind for name, kind in fields.items()},
        "info": {},
    }
    file.write(json.dumps(head)[:-1].encode() + b', "samples": [')
    for row, path in enumerate(table.paths):
        sample = {
            "filepath": text_of(path),
            "tags": [],
            "_media_type": "image",
            "digest": table.digests[row],
            "width": int(table.width[row]),
            "height": int(table.height[row]),
            **{name: _binary(rows[row]) for name, rows in table.embeddings.items()},
        }
        file.write((b",\n" if row else b"\n") + json.dumps(sample).encode())
    file.write(b"\n]}\n")


def _binary(row: npt.NDArray[np.float32]) -> dict[str, Any]:
    content = io.BytesIO()
    np.save(content, row)
    packed = base64.b64encode(zlib.compress(content.getvalue())).decode()
    return {"$binary": {"base64": packed, "subType": "00"}}


def _lance(tables: Iterable[FeatureTable], folder: Path) -> None:
    """Write tables, of which one at a time is in memory; there is one at least."""
    try:
        import lance
    except ImportError as error:
        raise ExtraMissingError("writing Lance", "lance") from error
    from pyarrow import RecordBatchReader

    rest = map(arrow_table, tables)
    first = next(rest)
    failed: list[DedupError] = []  # of which Arrow would make a text

    def batches() -> Iterator[Any]:
        try:
            for table in itertools.chain([first], rest):
                yield from table.to_batches()
        except DedupError as error:
            failed.append(error)
            raise

    reader = RecordBatchReader.from_batches(first.schema, batches())
    try:
        lance.write_dataset(reader, os.fspath(folder))
    except Exception:
        if failed:
            raise failed[0] from None
        raise


def _hugging_face(table: FeatureTable, folder: Path) -> None:
    """Write what `datasets.load_from_disk` loads, with a column of images that it decodes."""
    arrow = with_pyarrow("writing a data set for Hugging Face")
    import pyarrow.ipc

    rows = arrow_table(table).drop_columns(["path_bytes"])
    paths = [
        text_of(path) if width else None
        for path, width in zip(table.paths, table.width.tolist(), strict=True)
    ]
    kind = arrow.struct({"bytes": arrow.binary(), "path": arrow.string()})
    images = [None if path is None else {"bytes": None, "path": path} for path in paths]
    rows = rows.add_column(0, "image", arrow.array(images, kind))
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    for name in ("path", "digest"):
        features[name] = {"dtype": "string", "_type": "Value"}
    for name in ("width", "height"):
        features[name] = {"dtype": "int32", "_type": "Value"}
    for name, embedding in table.embeddings.items():
        value = {"dtype": "float32", "_type": "Value"}
        features[name] = {"feature": value, "length": embedding.shape[1], "_type": "Sequence"}
    data = "data-00000-of-00001.arrow"
    folder.mkdir(exist_ok=True)
    with pyarrow.ipc.new_stream(os.fspath(folder / data), rows.schema) as writer:
        writer.write_table(rows)
    facts = {"features": features, "citation": "", "description": "", "homepage": "", "license": ""}
    state: dict[str, Any] = {
        "_data_files": [{"filename": data}],
        "_fingerprint": "".join(table.digests[:1])[:16] or "empty",
        "_format_columns": None, "_format_kwargs": {}, "_format_type": None,
        "_output_all_columns": False, "_split": None,
    }  # fmt: skip
    (folder / "dataset_info.json").write_text(json.dumps(facts), "utf-8")
    (folder / "state.json").write_text(json.dumps(state), "utf-8")


_FILES: Final[dict[str, Callable[[FeatureTable, Any], None]]] = {
    ".npz": _npz,
    ".parquet": _parquet,
    ".safetensors": _safetensors,
    ".faiss": _faiss,
    ".fiftyone.json": _fiftyone,
}
_FOLDERS: Final[dict[str, Callable[[FeatureTable, Path], None]]] = {
    ".lance": lambda table, folder: _lance([table], folder),
    ".hf": _hugging_face,
}
ENDINGS: Final = (*_FILES, *_FOLDERS)
"""The endings that say the form of an export."""

_NEEDS: Final = {".parquet": "writing Parquet", ".hf": "writing a data set for Hugging Face"}


def ending_of(path: Path) -> str:
    """Give the ending that says the form.

    Raises
    ------
    DedupError : another one.
    ExtraMissingError : the form takes a package that is not there.
    """
    ending = next((one for one in ENDINGS if path.name.endswith(one)), None)
    if ending is None:
        raise DedupError(f"{path}: the ending says the format: {', '.join(ENDINGS)}")
    if ending in _NEEDS:
        with_pyarrow(_NEEDS[ending])
    if ending in _FOLDERS and path.exists():
        raise DedupError(f"{path}: there is something already; remove it, or choose another name")
    return ending


def write_form(table: FeatureTable, path: Path) -> None:
    """Write features to a file or folder, which appears whole or not at all."""
    ending = ending_of(path)
    if ending in _FOLDERS:
        with _new_folder(path) as folder:
            _FOLDERS[ending](table, folder)
        return
    with output_file(path) as file:
        _FILES[ending](table, file)
    if ending == ".faiss":
        _write_names(table, Path(f"{path}.csv"))


def write_lance(tables: Iterable[FeatureTable], path: Path) -> None:
    """Write features that come as several tables, one at least, to one Lance data set.

    Raises
    ------
    DedupError : the ending is not .lance, or there is something already.
    ExtraMissingError : Lance is not installed.
    """
    if ending_of(path) != ".lance":
        raise DedupError(f"{path}: only Lance data sets, which end in .lance, are written in parts")
    with _new_folder(path) as folder:
        _lance(tables, folder)


def _write_names(table: FeatureTable, path: Path) -> None:
    """Say what the ids of an index mean."""
    names = io.StringIO(newline="")
    writer = csv.writer(names)
    writer.writerow(("id", "path", "digest"))
    writer.writerows(zip(range(len(table)), table.paths, table.digests, strict=True))
    with output_file(path) as file:
        file.write(names.getvalue().encode("utf-8", "surrogateescape"))


@contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """Give a folder to fill, which gets its name when nothing was raised."""
    try:
        made = Path(tempfile.mkdtemp(prefix=".dedup-", suffix=".tmp", dir=path.parent))
    except OSError as error:
        raise DedupError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        inner = made / path.name
        yield inner
        inner.replace(path)
    except OSError as error:
        raise DedupError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
