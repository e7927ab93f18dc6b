"""Videos: which are one film, whole or in part, and which photos are frames of one.

What a collection keeps of them lies beside its catalog (`shelf`), which knows images only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from dedup.results import Group
    from dedup.store.acted import Content

FOLDER: Final = "videos"
"""Of a collection's folder; missing where it never had a video."""


class Found(NamedTuple):
    """Groups of videos, by the rank of their keepers.

    Parameters
    ----------
    contents : of the videos, by path, as plans want them
    """

    groups: list[Group]
    notes: list[str]
    contents: dict[bytes, Content]
