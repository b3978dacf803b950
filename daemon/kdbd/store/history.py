"""The history in the journal: which keys changed in which commit, and whose commit it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple

from kdb.model.names import end_of_subtree
from kdbd.core.commit import Caller, Kind
from kdbd.store.refusal import refusal
from kdbd.store.transaction import Transaction, connect

__all__ = ["HistoryChange", "HistoryCommit", "JournalReader"]


class HistoryChange(NamedTuple):
    """One announced change of the history."""

    revision: int
    directory: str
    name: bytes
    kind: Kind


@dataclass(frozen=True, slots=True)
class HistoryCommit:
    """One commit of the history."""

    revision: int
    time: float
    caller: Caller
    origin: str
    reason: str


class JournalReader:
    """Reads the history beside the writer, from another thread.

    Raises ResourceError where the journal refuses.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection = connect(path)
        self._connection.execute("PRAGMA query_only = ON")

    def close(self) -> None:
        """Stop reading."""
        self._connection.close()

    def trimmed(self) -> int:
        """Answer the last revision whose changes are gone."""
        return int(self._rows("SELECT trimmed FROM state")[0][0])

    def snapshot(self) -> AbstractContextManager[None]:
        """Let all that is read within be of one moment."""
        return Transaction(self._connection, "BEGIN")

    def changes(
        self,
        *,
        since: int,
        until: int,
        parents: Sequence[bytes],
        limit: int = -1,
        directory: str | None = None,
    ) -> list[HistoryChange]:
        """Answer announced changes of the revisions (since, until], oldest first.

        Of a commit they come added, changed, removed, each in key order, as it was announced.
        With a ``directory``, of dir:/ only what changed there.
        """
        ranges = " OR ".join(["(name >= ? AND name < ?)"] * len(parents))
        bounds = [bound for parent in parents for bound in (parent, end_of_subtree(parent))]
        everywhere = directory is None
        rows = self._rows(
            "SELECT revision, directory, name, old IS NULL, new IS NULL FROM changes"  # constant
            f" WHERE revision > ? AND revision <= ? AND announced AND ({ranges})"
            " AND (? OR directory IN ('', ?))"
            " ORDER BY revision, CASE WHEN old IS NULL THEN 0 WHEN new IS NULL THEN 2 ELSE 1 END,"
            " name LIMIT ?",
            (since, until, *bounds, everywhere, directory, limit),
        )
        return [
            HistoryChange(
                revision, directory, name, "added" if born else "removed" if gone else "changed"
            )
            for revision, directory, name, born, gone in rows
        ]

    def commits(self, *, since: int, until: int) -> list[HistoryCommit]:
        """Answer the commits of the revisions (since, until], oldest first."""
        rows = self._rows(
            "SELECT revision, time, sender, uid, pid, program, origin, reason FROM commits"
            " WHERE revision > ? AND revision <= ? ORDER BY revision",
            (since, until),
        )
        return [
            HistoryCommit(revision, time, Caller(sender, uid, pid, program), origin, reason)
            for revision, time, sender, uid, pid, program, origin, reason in rows
        ]

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise refusal(error, self._path) from error
