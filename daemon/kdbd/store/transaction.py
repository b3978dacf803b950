"""Connections to the journal's file, and transactions on them."""

from __future__ import annotations

import sqlite3

__all__ = ["Transaction", "connect"]


def connect(path: str) -> sqlite3.Connection:
    """Open a connection; it begins no transaction of itself."""
    # One connection is used by one thread at a time; which one may change.
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)


class Transaction:
    """BEGIN to COMMIT; whatever fails, also COMMIT itself, is rolled back."""

    def __init__(self, connection: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> None:
        self._connection = connection
        self._begin = begin

    def __enter__(self) -> None:
        self._connection.execute(self._begin)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
