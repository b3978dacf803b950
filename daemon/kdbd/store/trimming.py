"""Keeping the journal's history within its bounds.

The oldest commits go first, in small steps, so that what is to be stored never waits long. A large
commit goes in several of them; it counts as trimmed from the first on, since only whole commits are
told.

The history also tells what a file lacks: of each key its oldest change after the revision that the
file holds. Where that change goes, its old content stays in ``kept`` until the file holds a later
revision. So a file that lags for long, since it is damaged or cannot be written, keeps at most two
contents of each of its keys, and of nothing else. Two, since a file that is about to be replaced
holds one of two revisions: only after a crash is it known which.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

__all__ = ["CHANGE_BYTES", "COMMIT_BYTES", "Step", "trim"]

# What a commit's rows take beside names and contents, for the bound on the history.
CHANGE_BYTES = 64
COMMIT_BYTES = 128

# Contents that go in one step: a few milliseconds of overwriting.
_STEP_BYTES = 2 * 1024 * 1024
# Pages given back to the disk in one step, 1 MiB, once there are so many to spare: what is trimmed
# makes room for what is to come, and only what is left over is given back.
_STEP_PAGES = 256
_SPARE_PAGES = 2_048


class Step(NamedTuple):
    """What one step did: the bytes of history that went, and whether there may be more to do."""

    freed_bytes: int
    more: bool


class _Row(NamedTuple):
    revision: int
    position: int
    backend: int
    stored: bool
    name: bytes
    content_bytes: int

    @property
    def size(self) -> int:
        return CHANGE_BYTES + len(self.name) + self.content_bytes


def trim(
    connection: sqlite3.Connection,
    *,
    keep_bytes: int,
    keep_since: float,
    limit: int,
    announced: int,
) -> Step:
    """Delete up to ``limit`` changes of the oldest commits beyond the bounds, in a transaction.

    Commits later than ``announced`` stay, and so does the last one.
    """
    freed = 0
    last = _last(connection, keep_bytes, keep_since, limit, announced)
    if last is not None:
        freed = _delete(connection, last, limit, announced)
    forgot = _forget(connection, limit)
    gave_back = _give_back(connection)
    return Step(freed, last is not None or forgot or gave_back)


def _last(
    connection: sqlite3.Connection, keep_bytes: int, keep_since: float, limit: int, announced: int
) -> int | None:
    """Answer up to which revision commits are beyond the bounds."""
    (history,) = connection.execute("SELECT history_bytes FROM state").fetchone()
    last = None
    for revision, when, size in connection.execute(
        "SELECT revision, time, bytes FROM commits WHERE revision <= ?"
        " AND revision < (SELECT max(revision) FROM commits) ORDER BY revision LIMIT ?",
        (announced, limit),
    ):
        if history <= keep_bytes and when >= keep_since:
            break
        history -= size
        last = int(revision)
    return last


def _delete(connection: sqlite3.Connection, last: int, limit: int, announced: int) -> int:
    """Delete a step's changes of the commits up to ``last``; answer the bytes that went."""
    execute = connection.execute
    rows, following = _oldest(connection, last, limit)
    _keep(connection, rows)
    gone = trimmed = last if following is None else following - 1
    (freed,) = execute(
        "SELECT ifnull(sum(bytes), 0) FROM commits WHERE revision <= ?", (gone,)
    ).fetchone()
    execute("DELETE FROM commits WHERE revision <= ?", (gone,))
    if rows:
        at = rows[-1].revision, rows[-1].position
        execute("DELETE FROM changes WHERE (revision, position) <= (?, ?)", at)
        part = sum(row.size for row in rows if row.revision == following)
        if part:
            trimmed = rows[-1].revision
            freed += part
            execute("UPDATE commits SET bytes = bytes - ? WHERE revision = ?", (part, trimmed))
    execute(
        "UPDATE state SET announced = ?, trimmed = ?, history_bytes = history_bytes - ?",
        (announced, trimmed, freed),
    )
    return int(freed)


def _oldest(connection: sqlite3.Connection, last: int, limit: int) -> tuple[list[_Row], int | None]:
    """Answer the oldest changes up to a revision, and the revision of what follows these there."""
    found = connection.execute(
        "SELECT revision, position, backend, stored, name,"
        " ifnull(length(old), 0) + ifnull(length(new), 0) FROM changes WHERE revision <= ?"
        " ORDER BY revision, position LIMIT ?",
        (last, limit + 1),
    ).fetchall()
    rows: list[_Row] = []
    size = 0
    for row in map(_Row._make, found):
        size += row.size
        if len(rows) == limit or (rows and size > _STEP_BYTES):
            return rows, row.revision
        rows.append(row)
    return rows, None


def _keep(connection: sqlite3.Connection, rows: list[_Row]) -> None:
    """Keep of changes that are about to go what files lack."""
    execute = connection.execute
    holding = {
        identity: (written, written if following is None else following)
        for identity, written, following in execute(
            "SELECT identity, written, next_written FROM backends"
        )
    }
    for row in rows:
        held = holding.get(row.backend)
        if held is None or not row.stored or row.revision <= held[0]:
            continue
        (newest,) = execute(
            "SELECT ifnull(max(revision), 0) FROM kept WHERE backend = ? AND name = ?",
            (row.backend, row.name),
        ).fetchone()
        if any(newest <= revision < row.revision for revision in held):
            execute(
                "INSERT INTO kept SELECT backend, name, revision, old FROM changes"
                " WHERE revision = ? AND position = ?",
                (row.revision, row.position),
            )


def _forget(connection: sqlite3.Connection, limit: int) -> bool:
    """Delete some of what was kept for files that hold it now; tell whether there was any."""
    for identity, written in connection.execute(
        "SELECT identity, written FROM backends"
    ).fetchall():
        known = connection.execute(
            "SELECT backend, name, revision FROM kept WHERE backend = ? AND revision <= ? LIMIT ?",
            (identity, written, limit),
        ).fetchall()
        if known:
            connection.executemany(
                "DELETE FROM kept WHERE backend = ? AND name = ? AND revision = ?", known
            )
            return True
    return False


def _give_back(connection: sqlite3.Connection) -> bool:
    """Give pages back to the disk that are left over; tell whether there were any."""
    (unused,) = connection.execute("PRAGMA freelist_count").fetchone()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    if unused <= max(_SPARE_PAGES, pages // 8):
        return False
    # Each step of this statement gives back one page.
    connection.execute(f"PRAGMA incremental_vacuum({_STEP_PAGES})").fetchall()
    return True
