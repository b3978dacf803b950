"""The journal: every commit with old and new, and the present state, in one SQLite file.

One transaction takes a batch of commits: history and present state move together, or not at all.
A transaction that returned is on the disk (WAL, synchronous=FULL: the log is synced at each
commit). ``secure_delete`` overwrites what is deleted, since values may be secrets.

Contents are msgpack of ``[value, metadata]``: values of binary keys as bin, others as str, with
bytes that are no UTF-8 kept by surrogateescape.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import msgpack

from kdb.model.content import NO_META, Content, meta
from kdbd.core.commit import Commit, Structure
from kdbd.store.schema import SCHEMA, SCHEMA_VERSION
from kdbd.store.transaction import Transaction, connect
from kdbd.store.trimming import CHANGE_BYTES, COMMIT_BYTES, trim

__all__ = ["BackendRow", "Journal", "finished"]

# What the write-ahead log keeps of the disk once a large transaction is over.
_LOG_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class BackendRow:
    """What the journal knows of one file. ``digest`` is empty where there is no file.

    The file holds the state of the revision ``written``, but of the keys in ``held`` that content;
    None there stands for what the journal has of it.
    """

    identity: int
    mountpoint: bytes
    directory: str
    path: str
    digest: bytes = b""
    written: int = 0
    next_digest: bytes | None = None
    next_written: int | None = None
    next_temporary: str | None = None
    held: Mapping[bytes, Content | None] | None = None


class Journal:
    """The journal, written by one thread at a time.

    Every method may raise sqlite3.Error; then nothing of the call took place. ``history_bytes`` is
    about what the history takes; it may be read from any thread.
    """

    def __init__(self, path: str) -> None:
        """Open the journal, or make it, 0600; raise sqlite3.Error where it cannot serve."""
        self.path = path
        self.history_bytes = 0
        self._packer = msgpack.Packer(unicode_errors="surrogateescape")
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise sqlite3.OperationalError(str(error)) from error
        self._connection = connect(path)
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            # Before anything is in it; and what is there already is not written to at a start.
            self._connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA secure_delete = ON")
        if version == 0:
            with self._transaction():
                for statement in SCHEMA.split(";\n"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif version != SCHEMA_VERSION:
            raise sqlite3.DatabaseError(
                f"{self.path} has version {version} of the journal's form; this kdbd knows"
                f" {SCHEMA_VERSION}. Use the kdbd that wrote it, or another --state-dir"
            )
        row = self._connection.execute("SELECT history_bytes FROM state").fetchone()
        self.history_bytes = int(row[0])

    def close(self) -> None:
        """Close the journal; what it holds stays."""
        self._connection.close()

    def revision(self) -> int:
        """Answer the last revision."""
        row = self._connection.execute(
            "SELECT max((SELECT ifnull(max(revision), 0) FROM commits), trimmed) FROM state"
        ).fetchone()
        return int(row[0])

    def announced(self) -> int:
        """Answer the last revision that is known to be announced."""
        return int(self._connection.execute("SELECT announced FROM state").fetchone()[0])

    def backends(self) -> list[BackendRow]:
        """Answer all backends."""
        columns = (
            "identity, mountpoint, directory, path, digest, written,"
            " next_digest, next_written, next_temporary"
        )
        return [
            BackendRow(*row)
            for row in self._connection.execute(f"SELECT {columns} FROM backends")  # constant
        ]

    def add_backend(self, mountpoint: bytes, directory: str, path: str) -> BackendRow:
        """Add a file that holds nothing yet, as far as is known."""
        with self._transaction():
            cursor = self._connection.execute(
                "INSERT INTO backends (mountpoint, directory, path, digest, written)"
                " VALUES (?, ?, ?, x'', 0)",
                (mountpoint, directory, path),
            )
        assert cursor.lastrowid is not None
        return BackendRow(cursor.lastrowid, mountpoint, directory, path)

    def drop_backend(self, identity: int) -> None:
        """Forget a file and its keys; its history stays."""
        with self._transaction():
            self._drop(identity)

    def keys(self, identity: int) -> Iterator[tuple[bytes, Content]]:
        """Iterate over a backend's present keys in key order."""
        for name, content, revision in self._connection.execute(
            "SELECT name, content, revision FROM keys WHERE backend = ? ORDER BY name", (identity,)
        ):
            yield name, _unpack(content, revision)

    def unwritten(self, row: BackendRow) -> dict[bytes, Content | None]:
        """Answer what a file holds of each key that may differ from the present ones."""
        if row.held is not None:
            held = dict(row.held)
        else:
            kept = self._connection.execute(
                "SELECT name, content FROM held WHERE backend = ?", (row.identity,)
            )
            held = {name: _unpack_any(content) for name, content in kept}
        # What was trimmed is older than all that was not.
        trimmed = self._connection.execute(
            "SELECT name, old FROM kept WHERE backend = ? AND revision > ? ORDER BY revision",
            (row.identity, row.written),
        )
        changed = self._connection.execute(
            "SELECT name, old FROM changes WHERE revision > ? AND backend = ? AND stored"
            " ORDER BY revision, position",
            (row.written, row.identity),
        )
        for name, old in chain(trimmed, changed):
            held.setdefault(name, _unpack_any(old))
        return held

    def commit(
        self,
        commits: Sequence[Commit],
        *,
        time: float,
        announced: int,
        files: Iterable[BackendRow] = (),
    ) -> None:
        """Make commits durable, with what became known of files, in one transaction."""
        with self._transaction():
            size = self._write(commits, time)
            self._connection.execute(
                "UPDATE state SET announced = max(announced, ?), history_bytes = history_bytes + ?",
                (announced, size),
            )
            for row in files:
                self._note(row)
        self.history_bytes += size

    def _note(self, row: BackendRow) -> None:
        execute, executemany = self._connection.execute, self._connection.executemany
        execute(
            "UPDATE backends SET digest = ?, written = ?, next_digest = ?, next_written = ?,"
            " next_temporary = ? WHERE identity = ?",
            (
                row.digest,
                row.written,
                row.next_digest,
                row.next_written,
                row.next_temporary,
                row.identity,
            ),
        )
        if row.held is not None:
            execute("DELETE FROM held WHERE backend = ?", (row.identity,))
            executemany(
                "INSERT INTO held VALUES (?, ?, ?)",
                [
                    (row.identity, name, None if content is None else self._pack(content))
                    for name, content in row.held.items()
                ],
            )

    def shrink(self) -> None:
        """Give back the disk space of the write-ahead log."""
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def trim(self, *, keep_bytes: int, keep_since: float, limit: int, announced: int = 0) -> bool:
        """Do one step of trimming; tell whether there may be more to do.

        Up to ``limit`` changes of the oldest commits beyond the bounds go. The last commit stays,
        and so does what is not announced yet: later than ``announced``, and than the journal knows.
        """
        with self._transaction():
            step = trim(
                self._connection,
                keep_bytes=keep_bytes,
                keep_since=keep_since,
                limit=limit,
                announced=max(announced, self.announced()),
            )
        self.history_bytes -= step.freed_bytes
        return step.more

    def _write(self, commits: Sequence[Commit], time: float) -> int:
        """Write commits to the history and the present state; answer the history's new bytes."""
        history: list[tuple[Any, ...]] = []
        heads: list[tuple[Any, ...]] = []
        present: dict[tuple[int, bytes], tuple[bytes, int] | None] = {}
        packed: dict[tuple[int, bytes], bytes | None] = {}
        total = 0
        for commit in commits:
            size = COMMIT_BYTES
            mounted = () if commit.structure is None else commit.structure.mounted
            for position, change in enumerate(commit.changes):
                backend, name = change.backend, change.name
                old = None if change.old is None else self._pack(change.old)
                new = None if change.new is None else self._pack(change.new)
                if not change.stored and backend in mounted:
                    # The backend comes with all its keys.
                    packed[backend.identity, name] = new
                elif change.new is not None and new is not None:
                    # Where the key only appears, its revision still changes.
                    present[backend.identity, name] = new, change.new.revision
                elif change.stored:
                    present[backend.identity, name] = None
                history.append(
                    (
                        commit.revision,
                        position,
                        backend.identity,
                        backend.directory,
                        change.stored,
                        change.announced,
                        name,
                        old,
                        new,
                    )
                )
                size += CHANGE_BYTES + len(name) + len(old or b"") + len(new or b"")
            caller = commit.caller
            heads.append(
                (
                    commit.revision,
                    time,
                    caller.sender,
                    caller.uid,
                    caller.pid,
                    caller.program,
                    commit.origin,
                    commit.reason,
                    size,
                )
            )
            total += size
            if commit.structure is not None:
                self._restructure(commit.structure, packed)
        self._insert("INSERT INTO commits", heads)
        self._insert("INSERT INTO changes", history)
        self._insert(
            "INSERT OR REPLACE INTO keys",
            [(*key, *content) for key, content in present.items() if content is not None],
        )
        self._connection.executemany(
            "DELETE FROM keys WHERE backend = ? AND name = ?",
            [key for key, content in present.items() if content is None],
        )
        return total

    def _insert(self, insert: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows, many with each step.

        Each step lets go of the interpreter and takes it again, which with the loop at work costs
        more than the row itself.
        """
        at = 0
        for count in (64, 8, 1):
            while len(rows) - at >= count:
                some = rows[at : at + count]
                row = "(" + ", ".join("?" * len(some[0])) + ")"
                self._connection.execute(
                    f"{insert} VALUES {', '.join([row] * count)}",
                    list(chain.from_iterable(some)),
                )
                at += count

    def _restructure(
        self, structure: Structure, packed: Mapping[tuple[int, bytes], bytes | None]
    ) -> None:
        """Bring and take backends with their keys, of which some are ``packed`` already."""
        for mounted in structure.mounted:
            identity = mounted.identity
            self._connection.execute("DELETE FROM keys WHERE backend = ?", (identity,))
            self._insert(
                "INSERT INTO keys",
                [
                    (
                        identity,
                        name,
                        packed.get((identity, name)) or self._pack(content),
                        content.revision,
                    )
                    for name, content in mounted.tree.items()
                ],
            )
        for unmounted in structure.unmounted:
            self._drop(unmounted.identity)

    def _pack(self, content: Content) -> bytes:
        metadata = content.meta
        packed: bytes = self._packer.pack((content.value, dict(metadata) if metadata else {}))
        return packed

    def _drop(self, identity: int) -> None:
        for table in ("keys", "held", "kept"):
            self._connection.execute(f"DELETE FROM {table} WHERE backend = ?", (identity,))
        self._connection.execute("DELETE FROM backends WHERE identity = ?", (identity,))

    def _transaction(self) -> Transaction:
        return Transaction(self._connection)


def finished(row: BackendRow) -> BackendRow:
    """Answer what is known of a file once what was to replace it has."""
    assert row.next_digest is not None
    assert row.next_written is not None
    return replace(
        row,
        digest=row.next_digest,
        written=row.next_written,
        next_digest=None,
        next_written=None,
        next_temporary=None,
        held={},
    )


def _unpack(packed: bytes, revision: int) -> Content:
    value, metadata = msgpack.unpackb(packed, unicode_errors="surrogateescape")
    return Content(value, meta(metadata) if metadata else NO_META, revision)


def _unpack_any(packed: bytes | None) -> Content | None:
    return None if packed is None else _unpack(packed, 0)
