"""What to tell people where the journal refuses: a disk that is full, or a file that is damaged."""

from __future__ import annotations

import sqlite3

from kdb.model.errors import ResourceError

__all__ = ["is_damage", "refusal"]

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
# Of an extended code the last byte tells what it is about.
_PRIMARY = 0xFF


def is_damage(error: sqlite3.Error) -> bool:
    """Tell whether an error is about what the journal's file holds."""
    return (getattr(error, "sqlite_errorcode", 0) & _PRIMARY) in _DAMAGE


def refusal(error: sqlite3.Error, path: str) -> ResourceError:
    """Answer what the caller is told where the journal at ``path`` raised this."""
    if is_damage(error):
        return ResourceError(
            f"The journal {path} is damaged: {error}. Nothing was stored. While kdbd is stopped,"
            " move this file away, with its -wal and -shm, then start kdbd: it makes a new one of"
            " the configuration files. Lost are the history, and changes that the files do not"
            " hold yet: mostly those of the last seconds"
        )
    return ResourceError(
        f"The journal refused: {error}. Nothing was stored; make room, then try again",
        configfile=path,
    )
