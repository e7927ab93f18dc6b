"""From rows of a collection in object storage to an ordinary collection in a folder.

`fetch` makes one of everything; a task makes a small one of some families, so that the code of one
machine gives its answers there.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dedup.descriptors.parts import PARTS_VERSION
from dedup.images.header import read_epoch
from dedup.records import FileEntry, ImageFacts, Kind
from dedup.results import Tier
from dedup.store.catalog import Catalog
from dedup.store.changes import Batch
from dedup.store.pairs import StoredVerdict, write_verdicts
from dedup.store.traits import write_traits
from dedup.store.vectors import Packed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import pyarrow as pa

    from dedup.fingerprint import Fingerprint
    from dedup.records import Root

_ROWS_AT_ONCE: Final = 2048


class Known(NamedTuple):
    """What was found of pairs and images, by content, in the columns of `schemas`.

    Parameters
    ----------
    verdicts : as `schemas.VERDICTS`
    measured : as `schemas.MEASURED`
    """

    verdicts: pa.Table
    measured: pa.Table


def make_catalog(folder: Path, fingerprint: Fingerprint, tables: Iterable[pa.Table]) -> Catalog:
    """Make an ordinary collection of rows.

    Parameters
    ----------
    folder : where there is no collection yet
    tables : in the columns of `schemas.embed_schema`; images are numbered in their order

    Returns
    -------
    Open.
    """
    catalog = Catalog.create(folder, fingerprint)
    roots: dict[str, Root] = {}
    for table in tables:
        for start in range(0, table.num_rows, _ROWS_AT_ONCE):
            rows = table.slice(start, _ROWS_AT_ONCE).to_pylist()
            for name in dict.fromkeys(row["root"] for row in rows):
                if name not in roots:
                    path = name.encode()
                    added = catalog.add_roots([path], Kind.REMOTE)
                    roots[name] = next(root for root in added if root.path == path)
            catalog.commit(_batch(rows, roots, fingerprint))
    catalog.commit(Batch(ends_run=True))
    return catalog


def _batch(
    rows: list[dict[str, Any]], roots: Mapping[str, Root], fingerprint: Fingerprint
) -> Batch:
    """Collect rows; of a content that several have, the first gives the image."""
    batch, first = Batch(), dict[bytes, dict[str, Any]]()
    for row in rows:
        root, entry = roots[row["root"]], _entry(row)
        if row["reason"] is None:
            first.setdefault(row["digest"], row)
            batch.files.append((root, entry, row["digest"]))
        else:
            tried = None if row["transient"] else read_epoch()
            batch.skipped.append((root, entry, row["reason"], tried))
    batch.images = [
        ImageFacts(*(row[name] for name in ImageFacts._fields)) for row in first.values()
    ]
    batch.parts = {
        digest: (PARTS_VERSION, row["parts"])
        for digest, row in first.items()
        if row["parts"] is not None
    }
    batch.embeddings = {
        name: Packed(
            [row[f"norm.{name}"] for row in first.values()],
            [row[f"vector.{name}"] for row in first.values()],
        )
        for name in fingerprint.stored
    }
    return batch


def _entry(row: dict[str, Any]) -> FileEntry:
    return FileEntry(os.fsencode(row["key"]), row["size"], row["mtime_ns"], 0, 0)


def add_known(catalog: Catalog, known: Known) -> None:
    """Take over what is known of images that a catalog has, and of pairs of them."""
    by_verifier: dict[str, dict[tuple[bytes, bytes], StoredVerdict]] = {}
    for row in known.verdicts.to_pylist():
        by_verifier.setdefault(row["verifier"], {})[row["first"], row["second"]] = StoredVerdict(
            None if row["tier"] is None else Tier(row["tier"]),
            row["evidence"], row["backwards"], row["derived"],
        )  # fmt: skip
    for verifier, verdicts in by_verifier.items():
        write_verdicts(catalog, verifier, verdicts)
    pixels: dict[int, bytes] = {}
    traits: dict[str, dict[int, str]] = {}
    for row in known.measured.to_pylist():
        image = catalog.image_with(row["digest"])
        if image is None:
            continue
        if row["pixel_digest"] is not None:
            pixels[image] = row["pixel_digest"]
        if row["traits"] is not None:
            traits.setdefault(row["traits_version"], {})[image] = row["traits"]
    catalog.remember_pixel_digests(pixels)
    for version, values in traits.items():
        write_traits(catalog, version, values)


def known_of(catalog: Catalog, verifier: str, traits_version: str) -> Known:
    """Give what a small collection knows, for the tasks that come after."""
    import pyarrow as pa

    from dedup.distributed.schemas import MEASURED, VERDICTS
    from dedup.store.gallery import read_images
    from dedup.store.pairs import read_verdicts
    from dedup.store.traits import read_traits

    verdicts = [
        {
            "first": first, "second": second, "verifier": verifier,
            "tier": None if one.tier is None else one.tier.value,
            "derived": one.derived, "evidence": one.evidence, "backwards": one.backwards,
        }
        for (first, second), one in sorted(read_verdicts(catalog, verifier).items())
    ]  # fmt: skip
    images = read_images(catalog)
    traits = read_traits(catalog, traits_version, images.ids.tolist())
    measured = [
        {
            "digest": digest, "pixel_digest": pixels,
            "traits_version": traits_version, "traits": traits.get(image),
        }
        for image, digest, pixels in zip(
            images.ids.tolist(), images.digest, images.pixel_digest, strict=True
        )
        if pixels is not None or image in traits
    ]  # fmt: skip
    return Known(
        pa.Table.from_pylist(verdicts, schema=VERDICTS),
        pa.Table.from_pylist(measured, schema=MEASURED),
    )
