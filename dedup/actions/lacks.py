"""What a file has that the keeper lacks, in words of a plan."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from dedup.images.metadata import Metadata, is_place

_TAKEN: Final = re.compile(r"\d{4}:\d\d:\d\d \d\d:\d\d:\d\d")
_BEST = 5


class Lacks(NamedTuple):
    """What goes with a file and is not with its keeper.

    Parameters
    ----------
    told : date, place, rating and keywords, in the file or in an XMP file beside it
    sidecars : names of sidecars of kinds that the keeper has none of
    album : the file's folder below the indexed one, where the keeper is in another; "" otherwise
    """

    told: Metadata = Metadata()
    sidecars: tuple[str, ...] = ()
    album: str = ""

    def as_json(self) -> dict[str, Any]:
        """Give what there is."""
        every = self.told._asdict() | {"sidecars": self.sidecars, "album": self.album}
        return {key: value for key, value in every.items() if value}

    @classmethod
    def of_json(cls, value: Any) -> Lacks:
        """Read what `as_json` gave.

        Raises
        ------
        ValueError
        """
        if not isinstance(value, dict) or value.keys() - {*Metadata._fields, *cls._fields[1:]}:
            raise ValueError("holds something other than taken, place, rating, keywords, ...")
        taken, rating, place = (value.get(key) for key in ("taken", "rating", "place"))
        if taken is not None and not (isinstance(taken, str) and _TAKEN.fullmatch(taken)):
            raise ValueError("taken is not a time such as 2019:07:01 12:00:00")
        if rating is not None and not (type(rating) is int and 0 < rating <= _BEST):
            raise ValueError("rating is not 1 to 5")
        if place is not None and not (isinstance(place, list) and is_place(*place)):
            raise ValueError("place is not degrees north and east")
        where = None if place is None else (float(place[0]), float(place[1]))
        told = Metadata(taken or "", where, rating or 0, _texts(value, "keywords"))
        album = value.get("album", "")
        if not isinstance(album, str):
            raise ValueError("album is not text")  # noqa: TRY004 - of a file, not of a caller
        return cls(told, _texts(value, "sidecars"), album)


NOTHING: Final = Lacks()


def _texts(value: dict[str, Any], key: str) -> tuple[str, ...]:
    found = value.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ValueError(f"{key} is not a list of strings")
    if key == "keywords" and not all(map(str.isprintable, found)):
        raise ValueError("a keyword has characters that cannot be written")
    return tuple(found)
