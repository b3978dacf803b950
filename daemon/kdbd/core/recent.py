"""The names that changed last, by revision: they tell whether a subtree changed since."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from kdb.model.names import Namespace, in_namespace, is_below_or_same, namespace

__all__ = ["RECENT_NAMES", "RecentChanges"]

# 10,000 names take about 1 MB and cover minutes of ordinary use; beyond, the journal is asked.
RECENT_NAMES = 10_000


class RecentChanges:
    """A bounded log of (revision, directory, unescaped name), newest last.

    ``since`` is the revision after which the log is complete.
    """

    __slots__ = ("_log", "since")

    def __init__(self, revision: int) -> None:
        self.since = revision
        self._log: deque[tuple[int, str, bytes]] = deque()

    def note(self, revision: int, names: Collection[tuple[str, bytes]]) -> None:
        """Add the names of one commit; forget the oldest commits beyond the bound."""
        log = self._log
        if len(names) > RECENT_NAMES:
            log.clear()
            self.since = revision
            return
        log.extend((revision, directory, name) for directory, name in names)
        while len(log) > RECENT_NAMES:
            self.since = log[0][0]
            while log and log[0][0] == self.since:
                log.popleft()

    def changed(self, parent: bytes, since: int, directories: frozenset[str]) -> bool | None:
        """Tell whether a key at or below the parent changed after ``since``; None if unknown.

        Of dir:/ only what changed in ``directories`` counts.
        """
        if since < self.since:
            return None
        cascading = namespace(parent) is Namespace.CASCADING
        for revision, directory, name in reversed(self._log):
            if revision <= since:
                return False
            if directory and directory not in directories:
                continue
            if is_below_or_same(
                in_namespace(name, Namespace.CASCADING) if cascading else name, parent
            ):
                return True
        return False

    def has(self, directory: str, name: bytes, since: int) -> bool:
        """Tell whether the name changed after ``since``, which the log must reach back to."""
        for revision, where, changed in reversed(self._log):
            if revision <= since:
                return False
            if changed == name and where == directory:
                return True
        return False
