"""Features to vector databases, each by its own client; an address says which.

``qdrant:FOLDER`` and ``qdrant:http://HOST:6333``, ``milvus:FILE.db`` and ``milvus:http://HOST:19530``,
``pgvector:postgresql://USER@HOST/DATABASE``. Rows are unit rows under inner product, so that the
neighbours are those of `query`. What is made is made anew, and taken back where it fails. Secrets
come from the environment: ``QDRANT_API_KEY``, ``MILVUS_TOKEN``, ``PGPASSWORD``.
"""

from __future__ import annotations

import os
import re
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from dedup.errors import DedupError, ExtraMissingError, first_line
from dedup.report.forms import single, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    import numpy.typing as npt

    from dedup.report.features import FeatureTable

_ROWS_AT_ONCE: Final = 1000
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_PATH_CHARACTERS: Final = 4096  # of a path; Milvus wants to know


def address_of(output: str) -> tuple[str, str] | None:
    """Take apart the address of a database; None where it is the name of a file."""
    kind, found, address = output.partition(":")
    return (kind, address) if found and kind in _WRITERS else None


def check_address(output: str, name: str = "") -> None:
    """Refuse an address without a place, a name that a database does not take, a missing client.

    Raises
    ------
    DedupError, ExtraMissingError
    """
    kind, address = address_of(output) or ("", "")
    if not address:
        raise DedupError(f"{output}: which database? Examples: {', '.join(_EXAMPLES)}")
    if name and not _NAME.fullmatch(name):
        raise DedupError(
            f"{name!r}: a name in a database has letters, digits and _, and begins with no digit"
        )
    try:
        _IMPORTS[kind]()
    except ImportError as error:
        raise ExtraMissingError(f"writing to {kind}", kind) from error


def write_database(table: FeatureTable, output: str, name: str) -> str:
    """Write the one embedding of a table as a new collection or table.

    Parameters
    ----------
    output : see the module
    name : of what is made

    Returns
    -------
    The name of the embedding.

    Raises
    ------
    DedupError : there is one of that name already, or the database refuses.
    VectorsError : the table has several embeddings.
    """
    kind, address = address_of(output) or ("", "")
    check_address(output, name)
    layer, rows = single(table, f"a collection of {kind}")
    _WRITERS[kind](table, rows, address, name)
    return layer


def _batches(table: FeatureTable) -> Iterator[slice]:
    for start in range(0, len(table), _ROWS_AT_ONCE):
        yield slice(start, min(start + _ROWS_AT_ONCE, len(table)))


def _taken(address: str, name: str) -> DedupError:
    return DedupError(f"{address}: holds {name!r} already. Choose another name with --name")


@contextmanager
def _filling(
    address: str,
    name: str,
    errors: tuple[type[Exception], ...],
    connect: Callable[[], Any],
    has: Callable[[Any, str], bool],
    drop: Callable[[Any, str], object],
) -> Iterator[Any]:
    """Open a database that holds nothing of a name yet; takes back what is made when it fails."""
    try:
        client = connect()
        with_it = has(client, name)
    except errors as error:
        raise DedupError(f"{address}: {first_line(error)}") from error
    with closing(client):
        if with_it:
            raise _taken(address, name)
        try:
            yield client
        except BaseException as error:
            with suppress(*errors):
                drop(client, name)
            if isinstance(error, errors):
                raise DedupError(f"{address}: {first_line(error)}") from error
            raise


def _qdrant(table: FeatureTable, rows: npt.NDArray[np.float32], address: str, name: str) -> None:
    from qdrant_client import QdrantClient, models
    from qdrant_client.http.exceptions import ApiException

    errors = (ApiException, RuntimeError, ValueError, OSError)
    remote = address.startswith(("http://", "https://"))
    key = os.environ.get("QDRANT_API_KEY")

    def connect() -> QdrantClient:
        return QdrantClient(url=address, api_key=key) if remote else QdrantClient(path=address)

    has, drop = QdrantClient.collection_exists, QdrantClient.delete_collection
    with _filling(address, name, errors, connect, has, drop) as client:
        client.create_collection(
            name, models.VectorParams(size=rows.shape[1], distance=models.Distance.DOT)
        )
        for part in _batches(table):
            payloads = [
                {"path": text_of(path), "digest": digest}
                for path, digest in zip(table.paths[part], table.digests[part], strict=True)
            ]
            ids: Any = list(range(part.start, part.stop))
            client.upsert(
                name, models.Batch(ids=ids, vectors=rows[part].tolist(), payloads=payloads)
            )


def _milvus(table: FeatureTable, rows: npt.NDArray[np.float32], address: str, name: str) -> None:
    from pymilvus import DataType, MilvusClient, MilvusException

    errors = (MilvusException, RuntimeError, ValueError, OSError)

    def connect() -> MilvusClient:
        return MilvusClient(uri=address, token=os.environ.get("MILVUS_TOKEN", ""))

    has, drop = MilvusClient.has_collection, MilvusClient.drop_collection
    with _filling(address, name, errors, connect, has, drop) as client:
        schema = client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("path", DataType.VARCHAR, max_length=_PATH_CHARACTERS)
        schema.add_field("digest", DataType.VARCHAR, max_length=64)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=rows.shape[1])
        index = client.prepare_index_params()
        index.add_index("vector", index_type="FLAT", metric_type="IP")
        client.create_collection(name, schema=schema, index_params=index)
        for part in _batches(table):
            numbers, vectors = range(part.start, part.stop), rows[part].tolist()
            client.insert(
                name,
                [
                    {"id": row, "path": text_of(path), "digest": digest, "vector": vector}
                    for row, path, digest, vector in zip(
                        numbers, table.paths[part], table.digests[part], vectors, strict=True
                    )
                ],
            )
        client.flush(name)


def _pgvector(table: FeatureTable, rows: npt.NDArray[np.float32], address: str, name: str) -> None:
    import psycopg
    from pgvector.psycopg import register_vector
    from psycopg import sql

    try:
        # One transaction: the table is there with all its rows, or not at all.
        with psycopg.connect(address) as connection:
            if connection.execute("SELECT to_regclass(%s)", (name,)).fetchone() != (None,):
                raise _taken(_without_password(address), name)
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            register_vector(connection)  # of which cursors know that are made afterwards
            made = sql.SQL(
                "CREATE TABLE {} (id bigint PRIMARY KEY, path text NOT NULL, digest text NOT NULL,"
                " vector vector({}) NOT NULL)"
            )
            copied = sql.SQL("COPY {} (id, path, digest, vector) FROM STDIN WITH (FORMAT BINARY)")
            with connection.cursor() as cursor:
                cursor.execute(made.format(sql.Identifier(name), sql.Literal(rows.shape[1])))
                with cursor.copy(copied.format(sql.Identifier(name))) as copy:
                    copy.set_types(["int8", "text", "text", "vector"])
                    for row, (path, digest) in enumerate(
                        zip(table.paths, table.digests, strict=True)
                    ):
                        copy.write_row((row, text_of(path), digest, rows[row]))
    except psycopg.Error as error:
        raise DedupError(f"{_without_password(address)}: {first_line(error)}") from error


def _without_password(address: str) -> str:
    address = re.sub(r"(://[^:/@]*):[^@]*@", r"\1@", address)
    return re.sub(r"password=\S+", "password=…", address)


def _import_qdrant() -> None:
    import qdrant_client  # noqa: F401 - whether it is there


def _import_milvus() -> None:
    import pymilvus  # noqa: F401 - whether it is there


def _import_pgvector() -> None:
    import pgvector  # noqa: F401 - whether it is there
    import psycopg  # noqa: F401 - as above


_WRITERS: Final = {"qdrant": _qdrant, "milvus": _milvus, "pgvector": _pgvector}
_IMPORTS: Final = {
    "qdrant": _import_qdrant,
    "milvus": _import_milvus,
    "pgvector": _import_pgvector,
}
_EXAMPLES: Final = (
    "qdrant:FOLDER",
    "qdrant:http://localhost:6333",
    "milvus:FILE.db",
    "pgvector:postgresql://localhost/images",
)
