"""Exports of fused vectors: whatever the form, its neighbours are those of `query`."""

from __future__ import annotations

import csv
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest

from dedup.collection import Collection
from dedup.errors import DedupError, VectorsError

if TYPE_CHECKING:
    from collections.abc import Iterator

K = 4
Rows = npt.NDArray[np.float32]
Nearest = Callable[[Rows], list[tuple[str, float]]]
"""From a unit vector to the `K` most similar, as (path, similarity)."""


@pytest.fixture(scope="module")
def fused(indexed: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A collection of both views: what is compared is made of two parts."""
    store = shutil.copytree(indexed, tmp_path_factory.mktemp("fused") / "store")
    with Collection.open(Path(store)) as collection:
        yield collection


def check(collection: Collection, nearest: Nearest) -> None:
    """Hold what another program finds for every file against `query`."""
    table = collection.features(fused=True)
    for path, row in zip(table.paths, table["fused"], strict=True):
        expected = collection.query([path], k=K)
        found = nearest(row)
        np.testing.assert_allclose(
            [similarity for _, similarity in found],
            [one.similarity for one in expected],
            atol=2e-6,
        )
        last = expected[-1].similarity  # of what ties there, any may be found
        assert {name for name, similarity in found if similarity > last + 2e-6} == {
            one.path for one in expected if one.similarity > last + 2e-6
        }


def by_products(names: list[str], rows: Any) -> Nearest:
    whole = np.asarray(rows, np.float64)

    def nearest(query: Rows) -> list[tuple[str, float]]:
        products = whole @ query.astype(np.float64)
        return [(names[row], float(products[row])) for row in np.argsort(-products)[:K]]

    return nearest


def test_products_of_an_npz_are_the_similarities(fused: Collection, tmp_path: Path) -> None:
    fused.export(tmp_path / "x.npz", fused=True)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as read:
        assert np.linalg.norm(read["fused"], axis=1) == pytest.approx(1)
        check(fused, by_products(read["path"].tolist(), read["fused"]))
    again = fused.query(vectors=fused.features(fused=True)["fused"][:3], k=K)
    assert [one.path for one in again] == [
        one.path for one in fused.query(fused.features().paths[:3], k=K)
    ]


def test_parquet_and_arrow(fused: Collection, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    fused.export(tmp_path / "x.parquet", fused=True)
    table = parquet.read_table(tmp_path / "x.parquet")
    assert table.equals(fused.features(fused=True).to_arrow())
    check(fused, by_products(table["path"].to_pylist(), table["fused"].to_pylist()))


def test_safetensors(fused: Collection, tmp_path: Path) -> None:
    from safetensors import safe_open

    fused.export(tmp_path / "x.safetensors", fused=True)
    with safe_open(tmp_path / "x.safetensors", "np") as file:
        names = json.loads(file.metadata()["path"])
        check(fused, by_products(names, file.get_tensor("fused")))


def test_a_faiss_index_with_ids(fused: Collection, tmp_path: Path) -> None:
    import faiss

    fused.export(tmp_path / "x.faiss", fused=True)
    index = faiss.read_index(os.fspath(tmp_path / "x.faiss"))
    assert isinstance(index, faiss.IndexIDMap2)
    with (tmp_path / "x.faiss.csv").open(newline="") as file:
        names = {int(row["id"]): row["path"] for row in csv.DictReader(file)}

    def nearest(query: Rows) -> list[tuple[str, float]]:
        products, ids = index.search(query[None], K)
        return [(names[i], p) for i, p in zip(ids[0].tolist(), products[0].tolist(), strict=True)]

    check(fused, nearest)


LANCE = """
import json, sys
import dedup, lance
with dedup.Collection.open(sys.argv[1]) as collection:
    collection.export(sys.argv[2], fused=True)
table = lance.dataset(sys.argv[2]).to_table()
print(json.dumps([table["path"].to_pylist(), table["fused"].to_pylist()]))
"""


@pytest.mark.skipif(find_spec("lance") is None, reason="needs the extra lance")
def test_lance(fused: Collection, tmp_path: Path) -> None:
    # In a process of its own: once imported, Lance warns of every fork.
    names = [os.fspath(fused.path), os.fspath(tmp_path / "x.lance")]
    done = subprocess.run(
        [sys.executable, "-c", LANCE, *names], check=True, capture_output=True, text=True
    )
    check(fused, by_products(*json.loads(done.stdout)))


def test_hugging_face_loads_images_and_vectors(fused: Collection, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="needs Hugging Face's datasets")
    fused.export(tmp_path / "x.hf", fused=True)
    loaded = datasets.load_from_disk(os.fspath(tmp_path / "x.hf"))
    assert loaded.column_names == ["image", "path", "digest", "width", "height", "fused"]
    with loaded[0]["image"] as image:
        assert image.size == (loaded[0]["width"], loaded[0]["height"])
    check(fused, by_products(list(loaded["path"]), list(loaded["fused"])))


def test_fiftyone_reads_the_samples(fused: Collection, tmp_path: Path) -> None:
    fused.export(tmp_path / "x.fiftyone.json", fused=True)
    content = json.loads((tmp_path / "x.fiftyone.json").read_text())
    assert content["sample_fields"]["fused"] == "fiftyone.core.fields.VectorField"
    assert [one["filepath"] for one in content["samples"]] == fused.features().paths
    fiftyone = pytest.importorskip("fiftyone", reason="FiftyOne is not installed: JSON only")
    samples = [fiftyone.Sample.from_dict(one) for one in content["samples"]]
    check(fused, by_products([one.filepath for one in samples], [one["fused"] for one in samples]))


def test_the_graph_of_neighbours_is_what_query_finds(fused: Collection, tmp_path: Path) -> None:
    graph = fused.neighbours(K)
    assert graph.recall == 1
    table = fused.features()
    assert graph.paths == table.paths
    for row, path in enumerate(graph.paths):
        expected = [one.similarity for one in fused.query([path], k=K + 1) if one.path != path]
        np.testing.assert_allclose(graph.similarity[row], expected[:K], atol=2e-6)
    parquet = pytest.importorskip("pyarrow.parquet")
    fused.export_neighbours(tmp_path / "graph.parquet", K)
    rows = parquet.read_table(tmp_path / "graph.parquet").to_pylist()
    assert len(rows) == K * len(graph)
    assert rows[0]["neighbour"] == graph.paths[graph.rows[0, 0]]


@pytest.mark.parametrize(
    ("output", "error", "says"),
    [
        ("x.faiss", VectorsError, "--fused takes those"),
        ("x.pkl", DedupError, "the ending says the format: .npz, .parquet"),
        ("qdrant:", DedupError, "which database"),
        ("no/x.npz", DedupError, "there is no folder"),
    ],
)
def test_what_cannot_be_written_is_refused(
    fused: Collection, tmp_path: Path, output: str, error: type[Exception], says: str
) -> None:
    place = output if ":" in output else tmp_path / output
    layers: tuple[str, ...] = ()
    if output == "x.faiss":
        stored = fused.features().embeddings
        if len(stored) == 1:
            pytest.skip("one layer alone is no question")
        layers = tuple(stored)
    with pytest.raises(error, match=says):
        fused.export(place, layers)
    assert not list(tmp_path.iterdir())


# -- databases -------------------------------------------------------------------------------------


def test_qdrant_in_a_folder(fused: Collection, tmp_path: Path) -> None:
    qdrant_client = pytest.importorskip("qdrant_client", reason="needs the extra qdrant")
    address = f"qdrant:{tmp_path / 'q'}"
    fused.export(address, fused=True, name="photos")
    with pytest.raises(DedupError, match="holds 'photos' already"):
        fused.export(address, fused=True, name="photos")
    with pytest.raises(DedupError, match="letters, digits and _"):
        fused.export(address, fused=True, name="a b")
    client = qdrant_client.QdrantClient(path=os.fspath(tmp_path / "q"))

    def nearest(query: Rows) -> list[tuple[str, float]]:
        found = client.query_points("photos", query=query.tolist(), limit=K, with_payload=True)
        return [(one.payload["path"], one.score) for one in found.points]

    check(fused, nearest)
    client.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_milvus_in_a_file(fused: Collection, tmp_path: Path) -> None:
    pymilvus = pytest.importorskip("pymilvus", reason="needs the extra milvus")
    pytest.importorskip("milvus_lite", reason="needs the extra milvus")
    fused.export(f"milvus:{tmp_path / 'm.db'}", fused=True)
    client = pymilvus.MilvusClient(uri=os.fspath(tmp_path / "m.db"))
    client.load_collection("dedup")

    def nearest(query: Rows) -> list[tuple[str, float]]:
        (found,) = client.search("dedup", [query.tolist()], limit=K, output_fields=["path"])
        return [(one["entity"]["path"], one["distance"]) for one in found]

    check(fused, nearest)
    client.close()


def postgres_programs() -> Path | None:
    """Find the programs of a PostgreSQL that has pgvector: Debian's, or those of pgserver."""
    places = [*Path("/usr/lib/postgresql").glob("*/bin")]
    places += [Path(each) / "pgserver/pginstall/bin" for each in sys.path]
    for place in places:
        shares = [place.parent / "share", Path("/usr/share/postgresql") / place.parent.name]
        if (place / "postgres").exists() and any(
            True for share in shares for _ in share.rglob("vector.control")
        ):
            return place
    return None


@contextmanager
def postgres(programs: Path) -> Iterator[str]:
    """Run a server in a folder of its own, reached by a socket there; gives its address."""
    with tempfile.TemporaryDirectory(prefix="dedup-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        user: dict[str, Any] = {}
        if os.geteuid() == 0:  # as whom it does not run
            user = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": ()}
            shutil.chown(folder, "nobody")
        with serving(programs, folder, user):
            yield f"host={folder} user=dedup dbname=postgres"


@contextmanager
def serving(programs: Path, folder: Path, user: dict[str, Any]) -> Iterator[None]:
    data = folder / "data"
    run: list[str | Path] = [
        programs / "initdb",
        "-D",
        data,
        "-U",
        "dedup",
        "-A",
        "trust",
        "--no-sync",
    ]
    subprocess.run(run, check=True, capture_output=True, cwd="/", **user)
    options: list[str | Path] = ["-c", "listen_addresses=", "-k", folder, "-c", "fsync=off"]
    server = subprocess.Popen(
        [programs / "postgres", "-D", data, *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **user,
    )  # fmt: skip
    try:
        ready: list[str | Path] = [programs / "pg_isready", "-h", folder, "-t", "1"]
        for _ in range(60):
            if subprocess.run(ready, check=False, capture_output=True).returncode == 0:
                break
        yield
    finally:
        server.terminate()
        server.wait(30)


@pytest.mark.slow
def test_pgvector_in_a_server(fused: Collection) -> None:
    psycopg = pytest.importorskip("psycopg", reason="needs the extra pgvector")
    register = pytest.importorskip("pgvector.psycopg", reason="needs the extra pgvector")
    programs = postgres_programs()
    if programs is None:
        pytest.skip("needs a PostgreSQL with pgvector: Debian's package, or pgserver")
    with postgres(programs) as address:
        fused.export(f"pgvector:{address}", fused=True, name="photos")
        with pytest.raises(DedupError, match="holds 'photos' already"):
            fused.export(f"pgvector:{address}", fused=True, name="photos")
        with psycopg.connect(address) as connection:
            register.register_vector(connection)

            def nearest(query: Rows) -> list[tuple[str, float]]:
                found = connection.execute(
                    "SELECT path, -(vector <#> %s) FROM photos ORDER BY vector <#> %s LIMIT %s",
                    (query, query, K),
                )
                return [(str(path), float(product)) for path, product in found]

            check(fused, nearest)
