"""Everything a user can cause to go wrong, as one tree.

    DedupError                     its text says what, where, and what to do next
    ├─ ImageError(path, reason)    a file that cannot be read as an image
    ├─ ModelError
    │  ├─ UnknownModelError        no such model; names the closest
    │  ├─ LayerError               no such layer, or one that never ran; names those there are
    │  └─ WeightsError             weights missing, out of reach, or not matching the model
    ├─ CollectionError(path)
    │  ├─ NoCollectionError        none here
    │  ├─ LockedError              another process is writing; says which
    │  ├─ FingerprintError         made by another model or with other settings
    │  ├─ FormatError              written by a newer dedup
    │  └─ DamagedError             the catalog cannot be read
    ├─ SearchError                 a search that cannot be answered as asked
    ├─ VectorsError                vectors of one's own that cannot be taken; names row and id
    ├─ PlanError                   a plan that cannot be carried out as it is written
    ├─ SourceError                 a list, an archive, a data set or a server that cannot be read
    └─ ExtraMissingError           an optional package is needed

Programmer's mistakes stay ``ValueError`` and ``TypeError``. A bad image in a folder is data
(skipped, with its reason), not an exception that ends a run. Foreign errors are translated once,
where the foreign call is made; `dedup.cli` turns what arrives there into ``Error: …`` and exit 1.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

DISTRIBUTION: Final = "dedup-vision"
"""The name to install the package by; as in pyproject.toml."""

_LONGEST: Final = 200  # characters of a reason that another library gives


class DedupError(Exception):
    """Something a user can cause and mend.

    All of these travel between processes: pickled and copied they keep text and attributes.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args, self.__dict__)


class ImageError(DedupError):
    """A file that cannot be read as an image.

    Parameters
    ----------
    path : the file, as the user knows it
    reason : a few plain words, without the path
    transient : the reason lies outside the file (permission, a vanished disk), so that an
        unchanged file deserves another try
    """

    def __init__(
        self, path: str | os.PathLike[str], reason: str, *, transient: bool = False
    ) -> None:
        super().__init__(f"{os.fspath(path)}: {reason}")
        self.path = os.fspath(path)
        self.reason = reason
        self.transient = transient


class ModelError(DedupError):
    """A model, its layers or its weights."""


class UnknownModelError(ModelError):
    """No such model.

    Parameters
    ----------
    name : what was asked for
    closest : names that exist and look alike, best first
    """

    def __init__(self, name: str, closest: Iterable[str] = ()) -> None:
        hint = _suggestion(closest)
        super().__init__(f"timm has no model {name!r}.{hint}")
        self.name = name


class LayerError(ModelError):
    """A layer that does not exist in the model, or that did not run."""


class WeightsError(ModelError):
    """Weights that are missing, or that do not fit the model."""


class CollectionError(DedupError):
    """A collection that cannot be used as asked."""

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        super().__init__(f"{os.fspath(path)}: {reason}")
        self.path = os.fspath(path)
        self.reason = reason


class NoCollectionError(CollectionError):
    """There is no collection here."""


class LockedError(CollectionError):
    """Another process is writing to the collection."""


class FingerprintError(CollectionError):
    """The collection was made by another model or with other settings."""


class FormatError(CollectionError):
    """The collection was written by a newer version of dedup."""


class DamagedError(CollectionError):
    """The catalog cannot be read."""


class SearchError(DedupError):
    """A search that cannot be answered as asked."""


class VectorsError(DedupError):
    """Vectors of one's own, or their ids, that cannot be taken; nothing of them was."""


class PlanError(DedupError):
    """A plan that cannot be carried out as it is written; nothing of it was done."""


class SourceError(DedupError):
    """A list, an archive, a data set or a server that cannot be read as it was asked for."""


class ExtraMissingError(DedupError):
    """An optional package is needed.

    Parameters
    ----------
    what : what was asked for
    extra : the extra of the distribution that installs it
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional package: pip install '{DISTRIBUTION}[{extra}]'")
        self.extra = extra


def _restored(kind: type[DedupError], args: tuple[Any, ...], state: dict[str, Any]) -> DedupError:
    """Make an error again from its text and attributes, without calling its constructor."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


def _suggestion(names: Iterable[str]) -> str:
    listed = ", ".join(names)
    return f" Closest: {listed}." if listed else ""


def first_line(error: Exception) -> str:
    """Give the first line of another library's error, 200 characters at most."""
    return str(error).strip().partition("\n")[0][:_LONGEST] or type(error).__name__
