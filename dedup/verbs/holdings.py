"""What a collection holds: its folders, what was found in them, remarks, and embeddings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dedup import binding
from dedup.arguments import path_of, strings_of
from dedup.errors import CollectionError
from dedup.models.loaded import OWN
from dedup.models.registry import ONNX_SUFFIX
from dedup.report.status import (
    RemarksAnswer,
    RootsAnswer,
    Status,
    read_remarks,
    read_status,
    root_status,
)
from dedup.results import LayersAnswer, Skip, SkippedAnswer
from dedup.spec import ModelSpec
from dedup.store import roots as stored
from dedup.store.lock import writer_lock
from dedup.verbs import videos
from dedup.verbs.handing import HandingVerbs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dedup.records import Root
    from dedup.report.export import Written
    from dedup.report.features import FeatureTable
    from dedup.session import Session
    from dedup.store.catalog import Catalog

    AnyPath = str | os.PathLike[str]


class HoldingsVerbs(HandingVerbs):
    """The verbs of a collection that are about its folders and what was found in them."""

    _session: Session

    def roots(self) -> RootsAnswer:
        """List the indexed folders by path, and whether each is there now."""
        catalog = self._session.catalog
        return RootsAnswer(tuple(root_status(catalog, root) for root in catalog.roots()))

    def forget_root(self, path: AnyPath) -> RootsAnswer:
        """Drop an indexed folder and its files from the collection; the files are not touched.

        What was computed of the images is kept, so that indexing them again is quick.

        Returns
        -------
        The folder that was forgotten, as it was.

        Raises
        ------
        CollectionError : it is no indexed folder.
        LockedError : another process is indexing.
        """
        catalog = self._session.catalog
        with writer_lock(self._session.path):
            root = _root_at(catalog, path_of(path, "path"))
            status = root_status(catalog, root)
            stored.forget_root(catalog, root)
        note = (
            f"Forgot {status.path}: {status.files:,} files; the files themselves were not touched"
        )
        return RootsAnswer((status,), (note,))

    def move_root(self, old: AnyPath, new: AnyPath) -> RootsAnswer:
        """Say that an indexed folder is at another place now; nothing is read.

        Files that are not there, or are not what was indexed, are found by the next `index`.

        Returns
        -------
        The folder at its new place.

        Raises
        ------
        CollectionError : `old` is no indexed folder, `new` is none at all or indexed already.
        LockedError : another process is indexing.
        """
        catalog = self._session.catalog
        target = os.path.realpath(os.fsencode(path_of(new, "new")))
        with writer_lock(self._session.path):
            root = _root_at(catalog, path_of(old, "old"))
            if not os.path.isdir(target):
                raise CollectionError(os.fspath(new), "there is no such folder")
            if any(other.path == target for other in catalog.roots()):
                raise CollectionError(os.fspath(new), "is an indexed folder already")
            stored.move_root(catalog, root, target)
            status = root_status(catalog, root._replace(path=target))
        note = f"{os.fsdecode(root.path)} is now {status.path}; run: dedup index"
        return RootsAnswer((status,), (note,))

    def remarks(self) -> RemarksAnswer:
        """List the files with a remark: that parts are damaged, or what was left out; by path."""
        return read_remarks(self._session.catalog)

    def status(self) -> Status:
        """Count what the collection holds."""
        catalog = self._session.catalog
        return self._session.noted(read_status(catalog, videos.skipped(catalog)))

    def skipped(self) -> SkippedAnswer:
        """List the files that could not be read, by path, with their reasons."""
        skips = self._session.catalog.skips()
        found = (Skip(os.fsdecode(path), reason) for path, reason in skips)
        return SkippedAnswer((*found, *videos.skipped(self._session.catalog)))

    def features(self, layers: str | Iterable[str] = (), *, fused: bool = False) -> FeatureTable:
        """Give the stored embeddings (of all layers, by default) as the extractor gave them.

        Parameters
        ----------
        layers : of those that are stored; none means all
        fused : instead, as `fused`, the unit vectors that `query` compares: their inner products
            are the similarities

        Raises
        ------
        LayerError : a layer is not stored.
        """
        from dedup.report.export import collect

        space = self._session.space() if fused else None
        return collect(self._session.catalog, strings_of(layers, "layers"), space)

    def export(
        self,
        output: AnyPath,
        layers: str | Iterable[str] = (),
        *,
        fused: bool = False,
        name: str = "dedup",
    ) -> Written:
        """Write the stored embeddings for other programs, one row per file.

        Parameters
        ----------
        output : a file whose ending says the form, or a database: see docs/vectors.md
        layers, fused : as in `features`
        name : of the collection or table that is made in a database

        Raises
        ------
        LayerError : a layer is not stored.
        DedupError : another ending, or it cannot be written.
        ExtraMissingError : a package that the form needs is not installed.
        """
        from dedup.report.export import check_output, write

        path = path_of(output, "output")
        check_output(path, name)
        return write(self.features(layers, fused=fused), path, name)

    def layers(self) -> LayersAnswer:
        """List every layer of the collection's model that can be hooked."""
        return _layers_of(self._session.catalog)


def _layers_of(catalog: Catalog) -> LayersAnswer:
    """List the layers of the model that a collection was made with."""
    pinned = catalog.fingerprint
    if not pinned.model:
        return LayersAnswer("", (), ("This collection uses no model: details are its only view.",))
    if pinned.weights == OWN:
        return LayersAnswer(pinned.model, (), ("This collection's model is its owner's module.",))
    if pinned.own_width:
        return LayersAnswer("", (), ("This collection uses no model: its vectors were given.",))
    file = Path(catalog.weights_path or "")
    is_onnx = pinned.model.endswith(ONNX_SUFFIX)
    return binding.layers(
        ModelSpec(
            pinned.model,
            file if file.is_file() else None,
            unpickle=True,
            size=(pinned.height, pinned.width) if is_onnx else None,
            mean=pinned.mean or None,
            std=pinned.std or None,
        )
    )


def _root_at(catalog: Catalog, path: Any) -> Root:
    """Find the root at a path, which need not exist any more."""
    wanted = {os.path.realpath(os.fsencode(path)), os.path.abspath(os.fsencode(path))}
    for root in catalog.roots():
        if root.path in wanted:
            return root
    raise CollectionError(path, "is not an indexed folder; to list them: dedup roots")
