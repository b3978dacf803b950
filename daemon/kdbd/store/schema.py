"""The journal's tables.

* ``state``     one row: the last announced revision, the bytes of history.
* ``backends``  each file: where it is, what it held when last written or read (``digest``), up to
                which revision (``written``), and what is about to replace it (``next_…``), so that
                a rename that a crash cut off is finished.
* ``held``      what a file holds otherwise than the state of that revision.
* ``kept``      of changes that were trimmed, what files lack still (see ``trimming``).
* ``keys``      the present keys of each backend.
* ``commits``, ``changes``  the history, bounded by ``trim``.
"""

from __future__ import annotations

__all__ = ["SCHEMA", "SCHEMA_VERSION"]

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    announced INTEGER NOT NULL,
    trimmed INTEGER NOT NULL,
    history_bytes INTEGER NOT NULL
);
INSERT INTO state VALUES (1, 0, 0, 0);
CREATE TABLE backends (
    identity INTEGER PRIMARY KEY AUTOINCREMENT,
    mountpoint BLOB NOT NULL,
    directory TEXT NOT NULL,
    path TEXT NOT NULL,
    digest BLOB NOT NULL,
    written INTEGER NOT NULL,
    next_digest BLOB,
    next_written INTEGER,
    next_temporary TEXT,
    UNIQUE (mountpoint, directory, path)
);
CREATE TABLE held (
    backend INTEGER NOT NULL,
    name BLOB NOT NULL,
    content BLOB,
    PRIMARY KEY (backend, name)
) WITHOUT ROWID;
CREATE TABLE kept (
    backend INTEGER NOT NULL,
    name BLOB NOT NULL,
    revision INTEGER NOT NULL,
    old BLOB,
    PRIMARY KEY (backend, name, revision)
) WITHOUT ROWID;
CREATE INDEX kept_by_revision ON kept (backend, revision);
CREATE TABLE keys (
    backend INTEGER NOT NULL,
    name BLOB NOT NULL,
    content BLOB NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (backend, name)
) WITHOUT ROWID;
CREATE TABLE commits (
    revision INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    sender TEXT NOT NULL,
    uid INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    program TEXT NOT NULL,
    origin TEXT NOT NULL,
    reason TEXT NOT NULL,
    bytes INTEGER NOT NULL
);
CREATE TABLE changes (
    revision INTEGER NOT NULL,
    position INTEGER NOT NULL,
    backend INTEGER NOT NULL,
    directory TEXT NOT NULL,
    stored INTEGER NOT NULL,
    announced INTEGER NOT NULL,
    name BLOB NOT NULL,
    old BLOB,
    new BLOB,
    PRIMARY KEY (revision, position)
) WITHOUT ROWID;
CREATE INDEX changes_of_backend ON changes (backend);
"""
