"""Groups looked at one by one: what is known of their files, and other keepers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dedup.arguments import callback_of, path_of
from dedup.store.acted import contents_by_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dedup.answer import Progress
    from dedup.results import Group
    from dedup.session import Session
    from dedup.store.acted import Content

    AnyPath = str | os.PathLike[str]


class ReviewVerbs:
    """The verbs of a collection by which a person decides group by group."""

    _session: Session

    def kept_instead(
        self, group: Group, keeper: AnyPath, *, progress: Progress | None = None
    ) -> Group:
        """Give a group with another of its files as keeper, with what is proven against that one.

        Raises
        ------
        DedupError : the file is none of the group, or nothing is proven against it.
        """
        from dedup.duplicates.instead import kept_instead

        session, report = self._session, callback_of(progress)
        name = path_of(keeper, "keeper")
        return kept_instead(session.catalog, session.space(), group, name, report)

    def contents(self, groups: Sequence[Group]) -> dict[str, Content]:
        """Say what is known of the files of groups, by path; gone ones are left out."""
        names = {os.fsencode(path) for group in groups for path in group.paths}
        found = contents_by_path(self._session.catalog, names)
        return {os.fsdecode(path): content for path, content in found.items()}
