"""Make the collections of earlier formats that the tests of migrations open.

    python tests/store/make_fixtures.py [COMMIT ...]

For every commit that wrote another state of a format, its own code indexes six drawn images, keeps
a verdict, a decision and a calibration where it can, and reads everything back. The catalog goes to
`fixtures/formatN-COMMIT.sqlite.gz`, what was read to the `.json` of the same name. It needs the
history of the repository and no network; the fixtures are committed, so that tests need neither.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

FIXTURES = Path(__file__).parent / "fixtures"
COMMITS = {
    "66cda5b": "no tables of verdicts, decisions and calibration",
    "23574b7": "the first with these tables",
    "3237a22": "details of one byte a value",
    "220e009": "details of half a byte a value",
    "6e09fab": "`settled` of three fields",
    "eb60ec7": "`settled` of four fields; embeddings packed by the batch (77a9c51, which fails)",
    "b22d531": "pages of 8 kB, XXH3 of inputs",
    "148fb89": "format 2",
    "7ae6903": "format 3",
    "2d10181": "format 4",
}
FORMATS = {"148fb89": 2, "7ae6903": 3, "2d10181": 4}  # 1 otherwise
LARGEST_BYTES = 60_000
VERIFIER = "verifier of the fixture"
DECIDED = "2026-01-02T03:04:05.000006+00:00"
CURVE = '{"calibration": 1, "images": 600, "note": "ü"}'
IMAGES = 6


def main() -> None:
    """Make the fixtures of the commits named, or of all."""
    FIXTURES.mkdir(exist_ok=True)
    for commit in sys.argv[1:] or COMMITS:
        make(commit)


def make(commit: str) -> None:
    """Make the fixture of one commit."""
    name = FIXTURES / f"format{FORMATS.get(commit, 1)}-{commit}"
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        code = base / "code"
        code.mkdir()
        archive = subprocess.run(
            ["git", "archive", commit, "dedup"],
            cwd=FIXTURES,
            env={**os.environ, "GIT_DIR": _git_folder()},
            check=True,
            capture_output=True,
        )
        subprocess.run(["tar", "-x"], cwd=code, input=archive.stdout, check=True)
        subprocess.run(
            [sys.executable, __file__, "--inside", str(base)],
            cwd=base,
            env={**os.environ, "PYTHONPATH": str(code), "XDG_CACHE_HOME": str(base / "cache")},
            check=True,
        )
        store = base / "store"
        plain = store / "catalog.sqlite"
        with sqlite3.connect(plain) as connection:
            columns = {row[1] for row in connection.execute("PRAGMA table_info(roots)")}
            void = ", checksum = NULL" if "checksum" in columns else ""
            connection.execute(f"UPDATE roots SET path = CAST('/images' AS BLOB){void}")  # noqa: S608 - constant
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        packed = gzip.compress(plain.read_bytes(), mtime=0)
        if len(packed) > LARGEST_BYTES:
            raise SystemExit(f"{commit}: {len(packed)} bytes are too many")
        name.with_suffix(".sqlite.gz").write_bytes(packed)
        shutil.copyfile(base / "expected.json", name.with_suffix(".json"))
        print(commit, len(packed))  # noqa: T201


def _git_folder() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--absolute-git-dir"],
        cwd=Path(__file__).parent,
        check=True,
        capture_output=True,
        text=True,
    )
    return found.stdout.strip()


# -- Run by the code of the commit -----------------------------------------------------------------


def record(base: Path) -> None:
    """Make a collection by the `dedup` that is imported, and write down what it holds."""
    store = base / "store"
    images = base / "images"
    draw(images)
    if has("cli/__init__.py"):
        index_by_command(store, images)
    else:
        index_by_catalog(store)
    catalogs = import_module("dedup.store.catalog")
    gallery = import_module("dedup.store.gallery")
    catalog = catalogs.Catalog.open(store)
    (number,) = catalog.connection.execute("PRAGMA user_version").fetchone()
    expected: dict[str, Any] = {"format": number, "verifier": VERIFIER}
    expected |= keep_judgements(catalog)
    found = gallery.read_images(catalog)
    expected["digests"] = [digest.hex() for digest in found.digest]
    names = getattr(catalog.fingerprint, "stored", catalog.fingerprint.layers)
    expected["vectors"] = {
        name: packed(gallery.read_vectors(catalog, name, len(found.ids))) for name in names
    }
    expected["fingerprint"] = json.loads(catalog.fingerprint.to_json())
    expected["states"] = catalog.files_by_state()
    rows = catalog.connection.execute("SELECT key FROM meta ORDER BY key")
    expected["meta"] = [key for (key,) in rows]
    catalog.close()
    text = json.dumps(expected, indent=1, sort_keys=True, ensure_ascii=False)
    (base / "expected.json").write_text(text + "\n", encoding="utf-8")


def has(module: str) -> bool:
    """Tell whether the commit has a module; an import might find that of an installed `dedup`."""
    return (Path(import_module("dedup").__file__ or "").parent / module).is_file()


def draw(folder: Path) -> None:
    """Draw images, and one file that is none."""
    folder.mkdir()
    for number in range(IMAGES):
        image = Image.new("RGB", (160, 120), (40 * number, 200 - 30 * number, 90))
        pen = ImageDraw.Draw(image)
        rng = np.random.default_rng(number)
        for left, top, width, height, *colour in rng.integers(0, 120, (12, 7)).tolist():
            pen.rectangle((left, top, left + width, top + height), fill=tuple(colour))
        image.save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"no image")


def index_by_command(store: Path, images: Path) -> None:
    """Index twice: the second run finds nothing to do, which some commits remember."""
    help_text = subprocess.run(
        [sys.executable, "-m", "dedup", "index", "--help"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    views = ["--views", "both"] if "both" in help_text else []
    model = ["--model", "mobilenetv3_small_050", "--untrained", *views]
    command = [sys.executable, "-m", "dedup", "index", str(images), "--store", str(store)]
    subprocess.run([*command, *model], check=True)
    subprocess.run(command, check=True)


def index_by_catalog(store: Path) -> None:
    """Fill a catalog by its own functions, where there is no command yet."""
    catalogs = import_module("dedup.store.catalog")
    fingerprints = import_module("dedup.fingerprint")
    fingerprint = fingerprints.Fingerprint(
        "m", "untrained", "0" * 64, ("pool", "conv"), 8, 8, "rules 1"
    )
    catalog = catalogs.Catalog.create(store, fingerprint)
    rng = np.random.default_rng(0)
    with catalog.transaction():
        root = catalog.add_root(b"/images")
        for number in range(IMAGES):
            digest = bytes([number]) * 32
            facts = catalogs.ImageFacts(digest, "PNG", 160, 120, 1, False, digest)
            vectors = {
                "pool": rng.normal(size=64).astype(np.float32),
                "conv": rng.normal(size=32).astype(np.float32),
            }
            image = catalog.add_image(facts, vectors)
            entry = catalogs.FileFacts(b"%d.png" % number, 10, 20, 1, 100 + number)
            catalog.record_indexed(root, entry, image)
        broken = catalogs.FileFacts(b"broken.png", 8, 20, 1, 99)
        catalog.record_skipped(root, broken, "no image", "decoder 1")
        catalog.gallery_changed()
        catalog.run_ended()
    catalog.close()


def keep_judgements(catalog: Any) -> dict[str, Any]:
    """Keep one verdict, decision and calibration by the commit's own functions."""
    later = has("store/pairs.py")
    if not later and not has("store/judgements.py"):
        return {"verdicts": [], "decisions": [], "calibration": None}
    judgements = import_module("dedup.store.pairs" if later else "dedup.store.judgements")
    rows = catalog.connection.execute("SELECT digest FROM images ORDER BY digest LIMIT 3")
    first, second, third = (bytes(digest) for (digest,) in rows)
    fields = judgements.StoredVerdict._fields
    if "tier" in fields:  # from format 4 on
        near = import_module("dedup.results").Tier.NEAR
        verdict = judgements.StoredVerdict(near, "cropped, ü", "a part, ü", 1)
    else:
        verdict = judgements.StoredVerdict(near=True, evidence="cropped, ü")
    judgements.write_verdicts(catalog, VERIFIER, {(first, second): verdict})
    decision = judgements.Decision((second, third), duplicate=False, decided=DECIDED)
    judgements.write_decisions(catalog, [decision])
    transforms = import_module("dedup.space.whitening" if later else "dedup.search.transform")
    rng = np.random.default_rng(1)
    basis, _ = np.linalg.qr(rng.normal(size=(16, 3)))
    transform = transforms.Transform(
        rng.normal(size=16).astype(np.float32),
        np.ascontiguousarray(basis.T, np.float32),
        np.array([0.25, 0.5, 0.75], np.float32),
    )
    judgements.write_calibration(catalog, CURVE, transform.to_bytes())
    given = rng.normal(size=(2, 16)).astype(np.float32)
    curve, stored = judgements.read_calibration(catalog)
    read = transforms.Transform.from_bytes(stored)
    return {
        "verdicts": [
            [*(part.hex() for part in pair), *one]
            for pair, one in judgements.read_verdicts(catalog, VERIFIER).items()
        ],
        "decisions": [
            [*(part.hex() for part in pair), one.duplicate, one.decided]
            for pair, one in judgements.read_decisions(catalog).items()
        ],
        "calibration": {
            "curve": curve,
            "mean": packed(read.mean),
            "directions": packed(read.directions),
            "gains": packed(read.gains),
            "given": packed(given),
            "transformed": packed(read.apply(given)),
        },
    }


def packed(values: Any) -> dict[str, Any]:
    """Write float32 down bit by bit; `unpacked` of the tests reads it."""
    data = base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()
    return {"shape": list(values.shape), "float32": data}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        record(Path(sys.argv[2]))
    else:
        main()
