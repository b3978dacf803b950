"""What is told where the journal refuses."""

import sqlite3

import pytest

from kdb.model.errors import ResourceError
from kdbd.store.history import JournalReader
from kdbd.store.journal import Journal
from kdbd.store.refusal import is_damage, refusal


def test_a_damaged_file_is_told_from_one_that_cannot_be_written(tmp_path):
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"garbage" * 100)
    with pytest.raises(sqlite3.DatabaseError) as raised:
        Journal(str(path))
    assert is_damage(raised.value)
    told = refusal(raised.value, str(path))
    assert isinstance(told, ResourceError)
    assert told.reason.startswith(f"The journal {path} is damaged: file is not a database. Nothing")


def test_what_is_no_damage_asks_for_room():
    error = sqlite3.OperationalError("database or disk is full")
    assert not is_damage(error)
    told = refusal(error, "/j")
    assert told.configfile == "/j"
    assert told.reason == (
        "The journal refused: database or disk is full. Nothing was stored; make room, then try"
        " again"
    )


def test_a_history_that_cannot_be_read_says_so(tmp_path):
    path = tmp_path / "journal.sqlite"
    Journal(str(path)).close()
    reader = JournalReader(str(path))
    path.write_bytes(b"garbage" * 1_000)
    with pytest.raises(ResourceError, match=r"is damaged: file is not a database"):
        reader.trimmed()
    reader.close()
